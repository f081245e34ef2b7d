"""Turns the HTML of a page into the text of its main content, and what the page says of itself into columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa

from curate.errors import InputError
from curate.extractors import MAX_MEMORY_BYTES, TIMEOUT_S, check, extractor_of
from curate.registry import stage
from curate.stage import Verdict

if TYPE_CHECKING:
    from curate.extractors import Extractor

WRITES = {
    "text": pa.string(),
    "title": pa.string(),
    "published": pa.string(),  # YYYY-MM-DD
    "author": pa.string(),
    "canonical_url": pa.string(),
    "declared_language": pa.string(),
    "charset": pa.string(),  # the one used, by its WHATWG name
    "n_bad_chars": pa.int32(),  # U+FFFD put in for bytes that do not decode
    "n_mojibake": pa.int32(),  # runs that look encoded twice
    "caps_hit": pa.string(),  # limits of the scanner, joined by commas; null where none was met
    "robots": pa.string(),
    "tdm_reservation": pa.bool_(),
    "tdm_policy": pa.string(),
    "license": pa.string(),
    "license_url": pa.string(),
    "copyright": pa.string(),
}
REASONS = (
    "no_html", "html_too_large", "html_too_deep", "too_many_attributes", "extractor_timeout", "extractor_crash",
    "no_text", "undecodable",
)  # fmt: skip
MAX_TIMEOUT_S = 60.0
MIN_MEMORY_BYTES = 128 << 20  # trafilatura's process has 50 MB before its first page

_Row = tuple[Any, ...]  # the values of one doc in the order of WRITES, then its reason
_NOTHING: Mapping[str, str] = {}
_TINY = "<html><body><p>A page of few words, déjà lu.</p></body></html>".encode()


@stage(
    version=2,
    reads=["html", "http_charset", "http_headers", "url"],
    writes=WRITES,
    reasons=REASONS,
    uses=["resiliparse", "trafilatura", "lxml", "numba"],
    assets=["extractor.npz"],
)
class Extract:
    """Write the main text of a page, as valid UTF-8, and its title, date, author, language, licence and robots rules.

    Shapes: reads and writes columns of length n_docs; text is "" for dropped docs, all else null where not known.
    The extractor `curate` is one linear pass over the bytes and a small model that scores blocks of text (see
    `curate.extractors.blocks`); it needs no limit but that on size.
    Dropped are pages without a text, and those with too much U+FFFD in it, for bytes that do not decode: of 5,475 real
    pages the worst has 0.4 %; German or French that lost every accent has 3 to 5 %.

    Resiliparse and trafilatura are native code that hostile pages can hold for minutes or end with a fault, so they
    run in a child process with a deadline and a memory ceiling: such a page costs itself, as `extractor_timeout` or
    `extractor_crash`, and no other. The deadline is the one clock in the pipeline; how many docs met it stands in the
    receipts, and the caps stand before it so that they are few. With Resiliparse 2.0.1 40,000 nested div took 57 s,
    100,000 attributes over 10 s; 2,000 levels take 0.13 s and 2,000 attributes 0.01 s. Of 5,475 real pages none
    comes near either, in the strict way the caps count (script code that looks like tags counts too). 10 MiB is ten
    times what Common Crawl keeps of a page.
    """

    extractor: Annotated[Literal["curate", "resiliparse", "trafilatura"], "ours; or native code in a child process"] = (
        "curate"
    )
    keep: Annotated[
        Literal["recall", "balanced", "precision"], "when in doubt, keep (recall) or leave out (precision)"
    ] = "balanced"
    format: Annotated[Literal["text", "markdown"], "plain text, or Markdown with headings, lists and tables"] = "text"
    comments: Annotated[Literal["drop", "keep"], "what readers wrote below the page"] = "drop"
    timeout_s: Annotated[float, "for one page; native extractors only"] = TIMEOUT_S
    max_memory_bytes: Annotated[int, "address space of the child; native extractors only"] = MAX_MEMORY_BYTES
    max_html_bytes: Annotated[int, "drop larger pages"] = 10 << 20
    max_depth: Annotated[int, "drop pages whose elements may nest deeper; native extractors only"] = 2_000
    max_attributes: Annotated[int, "drop pages with a tag that has more attributes; native extractors only"] = 2_000
    max_bad_chars_frac: Annotated[float, "drop pages with a larger share of U+FFFD in their text"] = 0.1

    def __post_init__(self) -> None:
        check(self.extractor, self.keep, self.format)
        if self.comments not in ("drop", "keep"):
            raise InputError(f"comments is {self.comments!r}; allowed: drop, keep")
        if not 0 < self.timeout_s <= MAX_TIMEOUT_S:
            # the runner takes a batch of 120 s for a hang
            raise InputError(f"timeout_s is {self.timeout_s}; allowed: more than 0, at most {MAX_TIMEOUT_S:.0f}")
        least = {"max_memory_bytes": MIN_MEMORY_BYTES, "max_html_bytes": 1, "max_depth": 1, "max_attributes": 1}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise InputError(f"{name} is {getattr(self, name)}; allowed: {value} or more")
        if not 0 <= self.max_bad_chars_frac <= 1:
            raise InputError(f"max_bad_chars_frac is {self.max_bad_chars_frac}; allowed: 0 to 1")

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        extract = extractor_of(
            self.extractor,
            keep=self.keep,
            markdown=self.format == "markdown",
            comments=self.comments == "keep",
            timeout_s=self.timeout_s,
            max_memory_bytes=self.max_memory_bytes,
        )
        pages = zip(
            batch["html"],  # copied one by one, while they are warm
            batch["http_charset"].to_pylist(),
            _headers(batch["http_headers"]),
            batch["url"].to_pylist(),
            strict=True,
        )
        rows = [self._row(extract, html.as_py(), *said) for html, *said in pages]
        if not rows:  # no doc is lost by it, and all kernels are compiled: see `curate.tasks.warm`
            self._row(extract, _TINY, None, _NOTHING, None)
        columns = list(zip(*rows, strict=True)) or [()] * (len(WRITES) + 1)
        written = {name: pa.array(column, kind) for (name, kind), column in zip(WRITES.items(), columns, strict=False)}
        return Verdict(written, pa.array(columns[-1], pa.string()))

    def explain(self, reason: str, signals: Mapping[str, Any]) -> str:
        """Return the numbers behind a reason, where there are any."""
        n_bad_chars, charset = signals.get("n_bad_chars"), signals.get("charset")
        return {
            "undecodable": f"more than {self.max_bad_chars_frac:.0%} of its text is U+FFFD; reading the page as "
            f"{charset} put in {n_bad_chars}",
            "extractor_timeout": f"{self.extractor} took longer than {self.timeout_s:g} s",
            "extractor_crash": f"{self.extractor}'s process ended, alone with this page; it may use "
            f"{self.max_memory_bytes:,} bytes",
        }.get(reason, "")

    def _row(
        self, extract: Extractor, html: bytes | None, charset: str | None, headers: Mapping[str, str], url: str | None
    ) -> _Row:
        """Return the values of one doc."""
        from curate.charset import decode_html
        from curate.kernels.html.head import read_head

        if not html:
            return _dropped("no_html")
        if len(html) > self.max_html_bytes:
            return _dropped("html_too_large")
        page = decode_html(html, charset)
        head = read_head(page.utf8, headers, url)
        text, caps_hit, reason = "", None, self._unfit(page.utf8)
        if reason is None:
            found = extract(page.utf8)
            text, reason = found.text.lstrip("\r\n").rstrip(), found.failed
            caps_hit = ",".join(found.caps_hit) or None
            if reason is None and (not text or text.isspace()):
                text, reason = "", "no_text"
            elif text.count("\ufffd") > self.max_bad_chars_frac * len(text):
                text, reason = "", "undecodable"
        return (
            text, head.title, head.published, head.author, head.canonical_url, head.declared_language,
            page.charset, page.n_bad_chars, page.n_mojibake, caps_hit,
            head.robots, head.tdm_reservation, head.tdm_policy, head.license, head.license_url, head.copyright,
            reason,
        )  # fmt: skip

    def _unfit(self, utf8: bytes) -> str | None:
        """Return why a native parser must not see a page: it would need time quadratic in nesting or attributes."""
        from curate.kernels.html.prescan import has_more_attributes, nests_deeper, tag_starts

        if self.extractor == "curate":
            return None
        starts = tag_starts(utf8)
        if nests_deeper(utf8, starts, self.max_depth):
            return "html_too_deep"
        if has_more_attributes(utf8, starts, self.max_attributes):
            return "too_many_attributes"
        return None


def _dropped(reason: str) -> _Row:
    return ("", *(None,) * (len(WRITES) - 1), reason)


def _headers(column: pa.MapArray) -> Iterator[Mapping[str, str]]:
    """Yield the header fields of each row; most pages have none that are kept."""
    if column.null_count == len(column):
        yield from (_NOTHING for _ in range(len(column)))
        return
    names, values, ends = column.keys.to_pylist(), column.items.to_pylist(), column.offsets.to_pylist()
    for start, end in pairwise(ends):
        yield dict(zip(names[start:end], values[start:end], strict=True)) if start < end else _NOTHING
