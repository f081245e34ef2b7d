"""Markdown of the blocks that are kept: headings, nested lists, quotes, tables with pipes, fenced code.

Only what would change its meaning at the start of a line, and `<` before a tag name, is escaped. Links are their text;
emphasis is not marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curate.kernels.html.render import CELL, CODE, ITEM, LIST, N_QUOTES, ROW, TABLE, Kept
from curate.kernels.html.scan import Page
from curate.kernels.html.state import TAG
from curate.kernels.html.tags import FLAGS, HEADING, ID, NAMES

MAX_NESTING = 8  # of lists and quotes; what stands deeper is shown at this depth, so that the text stays linear
MAX_INDENT = 3 * MAX_NESTING
MAX_INDENT = 3 * MAX_NESTING
MAX_INDENTED_LINES = 2_000  # longer code is not indented with its list or quote, for the same reason

_ESCAPED = re.compile(
    r"^(?:(#{1,6}(?=\s|$)|[-+*](?=\s|$)|[-=*_]{2,}(?=[ \t]*$)|>|`{3}|~{3})|(\d{1,9})(?=[.)](?:\s|$)))"
    r"|(<(?=[A-Za-z/!?]))",
    re.MULTILINE,
)
_FENCES = re.compile(r"`{3,}")
_LEVEL = np.array([int(name[1]) if FLAGS[i] & HEADING else 0 for i, name in enumerate(NAMES)])


class _Block(NamedTuple):
    text: str
    row: int  # the first block of its row
    place: list[int]  # of its element, see render
    level: int  # of a heading, else 0


class _Part(NamedTuple):
    """A paragraph, heading, item, table or piece of code, with all its line starts."""

    text: str
    list: int  # the outermost list it stands in, 0 for none
    starts_item: bool


def markdown_of(page: Page, which: npt.NDArray[np.intp], kept: Kept) -> str:
    """Return the Markdown of the blocks `which`, that `kept` holds apart."""
    blocks = _blocks(page, which, kept)
    lists = _Lists(page, kept)
    pieces: list[str] = []
    before = _Part("", 0, False)
    for part in _parts(blocks, lists):
        if pieces:
            pieces.append("\n" if part.starts_item and part.list == before.list else "\n\n")
        pieces.append(part.text)
        before = part
    return "".join(pieces)


def _blocks(page: Page, which: npt.NDArray[np.intp], kept: Kept) -> list[_Block]:
    places = kept.places[kept.elements].tolist()
    levels = _LEVEL[page.counts[which, TAG].astype(np.intp)].tolist()
    raw, start, blocks = kept.text.tobytes(), 0, []
    for end, row, place, level in zip(kept.ends.tolist(), kept.first.tolist(), places, levels, strict=True):
        blocks.append(_Block(raw[start:end].decode("utf-8", "replace"), row, place, level))
        start = end
    return blocks


def _parts(blocks: list[_Block], lists: _Lists) -> Iterator[_Part]:
    k = 0
    while k < len(blocks):
        first, end = blocks[k], k + 1
        if first.place[CODE]:
            while end < len(blocks) and blocks[end].place[CODE] == first.place[CODE]:
                end += 1
            yield lists.part(first.place, _fenced("\n".join(block.text for block in blocks[k:end])))
        elif end < len(blocks) and blocks[end].row == first.row:
            end = _table_end(blocks, k)
            yield lists.part(first.place, _table(blocks[k:end]))
        else:
            lines = "#" * first.level + " " + _one_line(first.text) if first.level else _paragraph(first.text)
            yield lists.part(first.place, lines)
        k = end


def _paragraph(text: str) -> str:
    return _escape(text).replace("\n", "  \n")  # two blanks: a line break


def _one_line(text: str) -> str:
    return _escape(text.replace("\n", " "))


def _escape(text: str) -> str:
    return _ESCAPED.sub(lambda found: f"{found[2]}\\" if found[2] else f"\\{found[0]}", text)


def _fenced(code: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, _FENCES.findall(code)), default=0))
    return f"{fence}\n{code}\n{fence}"


def _table_end(blocks: list[_Block], k: int) -> int:
    """Return where the rows end that follow block k in the same table; a row of one cell is one too."""
    end = k
    while end < len(blocks) and blocks[end].place[TABLE] == blocks[k].place[TABLE] and blocks[end].place[CELL]:
        row_end = end + 1
        while row_end < len(blocks) and blocks[row_end].place[ROW] == blocks[end].place[ROW]:
            row_end += 1
        if row_end - end > 1 and blocks[row_end - 1].row != end:
            break  # a row with several blocks in a cell
        end = row_end
    return end


def _table(blocks: list[_Block]) -> str:
    rows: list[list[str]] = []
    row = -1
    for block in blocks:
        if block.row != row:
            rows.append([])
            row = block.row
        rows[-1].append(_one_line(block.text).replace("|", "\\|"))
    n_columns = max(map(len, rows))
    rows[0] += [""] * (n_columns - len(rows[0]))
    rows.insert(1, ["---"] * n_columns)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


class _Lists:
    """Knows which items have begun, and what the lines of each start with."""

    def __init__(self, page: Page, kept: Kept) -> None:
        self._page, self._places = page, kept.places
        self._indents: dict[int, int] = {}  # of the text of each item that has begun
        self._numbers: dict[int, int] | None = None

    def part(self, place: list[int], text: str) -> _Part:
        """Return the text with the marker, indentation and quote marks of where it stands."""
        quotes = "> " * min(place[N_QUOTES], MAX_NESTING)
        item, outermost = place[ITEM], 0
        indent, marker = 0, ""
        if item and not place[LIST] > item:
            path = self._path(item)
            outermost = self._places[path[-1], LIST]
            indent = next((self._indents[outer] for outer in path if outer in self._indents), 0)
            if item not in self._indents:
                marker = self._marker(item)
                self._indents[item] = min(indent + len(marker), MAX_INDENT)
        starts = quotes + " " * indent + marker
        goes_on = quotes + " " * (indent + len(marker))
        if text.count("\n") > MAX_INDENTED_LINES:
            starts, goes_on = starts and starts + "\n", ""
        return _Part(starts + text.replace("\n", "\n" + goes_on), int(outermost), bool(marker))

    def _path(self, item: int) -> list[int]:
        """Return the item and those it is nested in, the innermost first."""
        path = [item]
        while len(path) < MAX_NESTING:
            around = int(self._places[self._page.element_parent[path[-1]], ITEM])
            if not around:
                break
            path.append(around)
        return path

    def _marker(self, item: int) -> str:
        around = int(self._places[self._page.element_parent[item], LIST])
        if self._page.element_tag[around] != ID["ol"]:
            return "- "
        if self._numbers is None:
            self._numbers = self._numbered()
        return f"{self._numbers[item]}. "

    def _numbered(self) -> dict[int, int]:
        """Return the number of each item in its list."""
        numbers: dict[int, int] = {}
        counts: dict[int, int] = {}
        for item in np.flatnonzero(self._page.element_tag == ID["li"]).tolist():
            around = int(self._places[self._page.element_parent[item], LIST])
            counts[around] = numbers[item] = counts.get(around, 0) + 1
        return numbers
