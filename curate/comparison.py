"""One page through every extractor: what each makes of it, how fast, and how much of it the others have too."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curate.errors import InputError
from curate.extractors import CANNOT, EXTRACTORS, Keep, extractor_of
from curate.plan import make_plan
from curate.recipe import SHARD_BYTES, SourceSpec, make_step
from curate.source import Slice, Tally

# Scripts written without spaces (Thai, Lao, Burmese, Khmer, Chinese, Japanese, Korean): each character is a word.
_NO_SPACES = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(f"[{_NO_SPACES}]|[^\\W\\d_{_NO_SPACES}]+|\\d+")
_TINY = b"<html><body><p>A page of few words, so that start-up is not timed.</p></body></html>"


@dataclass(frozen=True)
class Extracted:
    """What one extractor made of a page."""

    extractor: str
    keep: str
    format: str
    text: str
    n_words: int
    shared_frac: float | None  # of its words, those that at least one other extractor has too; None without words
    wall_ms: float
    failed: str | None  # extractor_timeout, extractor_crash
    caps_hit: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """A page and what each extractor made of it."""

    url: str | None
    warc_file: str
    offset_bytes: int | None
    charset: str
    n_html_bytes: int
    extracted: tuple[Extracted, ...]


def compare(
    inputs: Sequence[str], *, url: str | None = None, base: str | None = None, **params: Any
) -> list[Comparison]:
    """Return what every extractor makes of the page `url`, or of the first page of each input.

    `base` is where relative lines of list files start, `params` are those of the step `extract`; an extractor that
    lacks a setting is asked for its nearest. Raises InputError where there is no such page, and RecipeError for a
    wrong parameter.
    """
    from curate.charset import decode_html

    able = next(name for name in EXTRACTORS if name not in CANNOT)
    spec = make_step("extract", {**params, "extractor": able}, where="curate extract --compare").spec
    found = []
    for piece, row in _pages(inputs, url, base):
        page = decode_html(row["html"], row["http_charset"])
        extracted = _by_all(page.utf8, spec)
        where = piece.name if row.get("warc_file") is None else row["warc_file"]
        found.append(
            Comparison(row["url"], where, row["offset_bytes"], page.charset, len(row["html"]), tuple(extracted))
        )
    if not found:
        raise InputError(f"the inputs hold no page {url!r}" if url else "the inputs hold no page")
    return found


def _pages(inputs: Sequence[str], url: str | None, base: str | None) -> Iterator[tuple[Slice, dict[str, Any]]]:
    from curate.sources import source_of

    plan = make_plan((SourceSpec("web", tuple(inputs), base=base),), SHARD_BYTES)
    seen: set[str] = set()
    for piece in (piece for shard in plan.shards for piece in shard.slices):
        if piece.name in seen:
            continue
        source = source_of(piece.kind)
        if "html" not in source.schema_of(piece).names:
            raise InputError(f"{piece.name} holds text, not pages")
        for batch in source.batches(piece, Tally()):
            row = _first(batch, url)
            if row is not None:
                seen.add(piece.name)
                yield piece, row
                break
        if url is not None and seen:
            return


def _first(batch: pa.RecordBatch, url: str | None) -> dict[str, Any] | None:
    """Return the first row of a batch that has a page, and the URL if one is asked for."""
    import pyarrow.compute as pc

    wanted = pc.greater(pc.binary_length(batch["html"]), 0)
    if url is not None:
        wanted = pc.and_(wanted, pc.equal(batch["url"], url))
    rows = batch.filter(pc.fill_null(wanted, False)).slice(0, 1).to_pylist()
    return dict(rows[0]) if rows else None


def _by_all(utf8: bytes, spec: Any) -> list[Extracted]:
    made = []
    for name in EXTRACTORS:
        cannot = CANNOT.get(name, {})
        keep: Keep = "balanced" if spec.keep in cannot.get("keep", ()) else spec.keep
        form = "text" if spec.format in cannot.get("format", ()) else spec.format
        extract = extractor_of(
            name,
            keep=keep,
            markdown=form == "markdown",
            comments=spec.comments == "keep",
            timeout_s=spec.timeout_s,
            max_memory_bytes=spec.max_memory_bytes,
        )
        extract(_TINY)
        started = time.perf_counter()
        found = extract(utf8)
        made.append((name, keep, form, found, 1000 * (time.perf_counter() - started)))
    counts = [words_of(found.text) for _, _, _, found, _ in made]
    return [
        Extracted(
            name, keep, form, found.text, own.total(), shared_frac(own, counts[:i] + counts[i + 1 :]), wall_ms,
            found.failed, found.caps_hit,
        )
        for i, ((name, keep, form, found, wall_ms), own) in enumerate(zip(made, counts, strict=True))
    ]  # fmt: skip


def words_of(text: str) -> Counter[str]:
    """Return the words of a text, in lower case, and how often each occurs."""
    return Counter(_WORD.findall(text.lower()))


def shared_frac(own: Counter[str], others: Sequence[Counter[str]]) -> float | None:
    """Return the share of the words, with their repetitions, that at least one of the others has as often."""
    if not own:
        return None
    return sum(min(n, max(other[word] for other in others)) for word, n in own.items()) / own.total()
