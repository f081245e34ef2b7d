"""The extractors by name: each is a function from a page's UTF-8 bytes to its main text."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from curate.errors import InputError

if TYPE_CHECKING:
    from curate.extractors.child import Child

Keep = Literal["recall", "balanced", "precision"]
EXTRACTORS = ("curate", "resiliparse", "trafilatura")
KEEP = get_args(Keep)
CANNOT = {  # what an engine has no setting for
    "resiliparse": {"keep": ("precision",), "format": ("markdown",)},
}
# trafilatura's slowest of 5,475 real pages takes 0.8 s of CPU time, and took 6 s with four times more work than cores
TIMEOUT_S = 10.0
MAX_MEMORY_BYTES = 2 << 30  # address space of a child; after 5,475 real pages one had 147 MB


@dataclass(frozen=True)
class Extraction:
    """What an extractor made of one page.

    `caps_hit` names the limits of our scanner that the page ran into; what lies behind them is not in the text.
    `failed` is null, or the reason why there is no text: extractor_timeout, extractor_crash.
    """

    text: str
    caps_hit: tuple[str, ...] = ()
    failed: str | None = None


Extractor = Callable[[bytes], Extraction]


def extractor_of(
    name: str,
    *,
    keep: Keep = "balanced",
    markdown: bool = False,
    comments: bool = False,
    timeout_s: float = TIMEOUT_S,
    max_memory_bytes: int = MAX_MEMORY_BYTES,
) -> Extractor:
    """Return an extractor: ours as a function of this process, the others behind a child that may be killed.

    It is called with valid UTF-8. The two limits bind children only: ours is linear in the page. Extractors are kept,
    and with them their children, one per setting and process. Raises InputError for what an engine cannot do.
    """
    check(name, keep, "markdown" if markdown else "text")
    if name == "curate":
        return _ours(keep, markdown, comments)
    child = _child_of(name, keep, markdown, comments, max_memory_bytes)
    return functools.partial(child.extract, timeout_s=timeout_s)


def check(name: str, keep: str, format: str) -> None:
    """Raise InputError for an extractor that is not there, or a setting that it does not have."""
    if name not in EXTRACTORS:
        raise InputError(f"extractor is {name!r}; allowed: {', '.join(EXTRACTORS)}")
    for setting, value, known in (("keep", keep, KEEP), ("format", format, ("text", "markdown"))):
        can = [word for word in known if word not in CANNOT.get(name, {}).get(setting, ())]
        if value not in can:
            raise InputError(f"{setting} is {value!r}; allowed with extractor {name}: {', '.join(can)}")


@functools.cache
def _ours(keep: Keep, markdown: bool, comments: bool) -> Extractor:
    from curate.extractors.blocks import BlockExtractor

    return BlockExtractor(keep=keep, markdown=markdown, comments=comments)


@functools.cache
def _child_of(name: str, keep: Keep, markdown: bool, comments: bool, max_memory_bytes: int) -> Child:
    from curate.extractors.child import Child

    options = {"keep": keep, "markdown": markdown, "comments": comments}
    return Child(f"curate.extractors.native:{name}", options, max_memory_bytes=max_memory_bytes)
