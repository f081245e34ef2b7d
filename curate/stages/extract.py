"""Turns the HTML of a page into the text of its main content."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

import pyarrow as pa

from curate.errors import InputError
from curate.registry import stage
from curate.stage import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

REASONS = ("no_html", "html_too_large", "html_too_deep", "too_many_attributes", "no_text")


@stage(
    version=1,
    reads=["html", "http_charset"],
    writes={"text": pa.string()},
    reasons=REASONS,
    uses=["resiliparse", "trafilatura", "lxml"],
)
class Extract:
    """Write the main text of a page, as valid UTF-8; drop pages without one, and those no parser should see.

    Shapes: reads html[n_docs], http_charset[n_docs]; writes text[n_docs], "" for dropped docs.
    The caps stand before native parsers that need time quadratic in nesting and in attributes, where no timeout
    inside the process helps: with Resiliparse 2.0.1 40,000 nested div took 57 s, 100,000 attributes over 10 s.
    2,000 levels take 0.13 s and 2,000 attributes 0.01 s; of 5,475 real pages none comes near either, in the strict
    way the caps count (script code that looks like tags counts too). 10 MiB is ten times what Common Crawl keeps
    of a page.
    datatrove's Trafilatura step removes text that any earlier page of the process had (`deduplicate=True`), so
    its result depends on the order of pages; here each page stands alone.
    """

    extractor: Annotated[
        Literal["resiliparse", "trafilatura"], "resiliparse is fast and keeps more; trafilatura is slower, cleaner"
    ] = "resiliparse"
    max_html_bytes: Annotated[int, "drop larger pages"] = 10 << 20
    max_depth: Annotated[int, "drop pages whose elements may nest deeper"] = 2_000
    max_attributes: Annotated[int, "drop pages with a tag that has more attributes"] = 2_000

    def __post_init__(self) -> None:
        if self.extractor not in ("resiliparse", "trafilatura"):
            raise InputError(f"extractor is {self.extractor!r}; allowed: resiliparse, trafilatura")
        for name in ("max_html_bytes", "max_depth", "max_attributes"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; allowed: 1 or more")

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        pairs = zip(batch["html"].to_pylist(), batch["http_charset"].to_pylist(), strict=True)
        found = [self._text(html, charset) for html, charset in pairs]
        return Verdict(
            {"text": pa.array([text for text, _ in found], pa.string())},
            pa.array([reason for _, reason in found], pa.string()),
        )

    def _text(self, html: bytes | None, charset: str | None) -> tuple[str, str | None]:
        """Return the text of one page, or "" and a reason."""
        from curate.charset import decode_html
        from curate.kernels.html.prescan import has_more_attributes, nests_deeper, tag_starts

        if not html:
            return "", "no_html"
        if len(html) > self.max_html_bytes:
            return "", "html_too_large"
        page = decode_html(html, charset)
        utf8 = page.encode()  # what the parser sees, whatever the page was sent in
        starts = tag_starts(utf8)
        if nests_deeper(utf8, starts, self.max_depth):
            return "", "html_too_deep"
        if has_more_attributes(utf8, starts, self.max_attributes):
            return "", "too_many_attributes"
        text = _extractor(self.extractor)(page).strip()
        return (text, None) if text else ("", "no_text")


@cache
def _extractor(name: str) -> Callable[[str], str]:
    if name == "trafilatura":
        import trafilatura

        def with_trafilatura(page: str) -> str:
            return trafilatura.extract(page, include_comments=False, deduplicate=False) or ""

        return with_trafilatura

    from resiliparse.extract.html2text import extract_plain_text

    def with_resiliparse(page: str) -> str:
        return str(extract_plain_text(page, main_content=True, alt_texts=False))

    return with_resiliparse
