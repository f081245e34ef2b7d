"""Markdown of the blocks that are kept: headings, nested lists, quotes, tables with pipes, fenced code.

Only what would change its meaning at the start of a line, and `<` before a tag name, is escaped. Links are their text;
emphasis is not marked.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curate.kernels.html.render import CELL, CODE, ITEM, LIST, N_QUOTES, ROW, TABLE, Kept
from curate.kernels.html.scan import Page
from curate.kernels.html.state import TAG
from curate.kernels.html.tags import FLAGS, HEADING, ID, NAMES

LI, OL = ID["li"], ID["ol"]
MAX_NESTING = 8  # of lists and quotes; what stands deeper is shown at this depth, so that the text stays linear
MAX_INDENT = 3 * MAX_NESTING
MAX_INDENTED_LINES = 2_000  # longer code is not indented with its list or quote, for the same reason

_ESCAPED = re.compile(
    r"^(?:(#{1,6}(?=\s|$)|[-+*](?=\s|$)|[-=*_]{2,}(?=[ \t]*$)|>|`{3}|~{3})|([0-9]{1,9})(?=[.)](?:\s|$)))"
    r"|(<(?=[A-Za-z/!?]))",
    re.MULTILINE,
)
_FENCES = re.compile(r"`{3,}")
_MAY_NEED_IT = frozenset("#-+*=_>`~0123456789")  # at the start of a line
_LEVEL = np.array([int(name[1]) if FLAGS[i] & HEADING else 0 for i, name in enumerate(NAMES)])


class _Blocks(NamedTuple):
    """The kept blocks by column: what `render` says of each place, and the level of headings."""

    texts: list[str]
    first: list[int]  # the block its row starts with, or itself
    rows: list[int]
    cells: list[int]
    tables: list[int]
    codes: list[int]
    items: list[int]
    lists: list[int]
    quotes: list[int]
    levels: list[int]


class _Place(NamedTuple):
    """Where a part stands and how its lines start."""

    first: str
    others: str
    list: int = 0  # the outermost list around it
    starts_item: bool = False


_MARGIN = _Place("", "")


def markdown_of(page: Page, which: npt.NDArray[np.intp], kept: Kept) -> str:
    """Return the Markdown of the blocks `which`, that `kept` holds apart."""
    blocks = _columns(page, which, kept)
    lists = _Lists(page, kept) if any(blocks.items) or any(blocks.quotes) else None
    pieces: list[str] = []
    before = _MARGIN
    k, n = 0, len(blocks.texts)
    while k < n:
        text, end = _part(blocks, k)
        place = _MARGIN
        if lists and (blocks.items[k] or blocks.quotes[k]):
            place = lists.place_of(blocks.items[k], blocks.lists[k], blocks.quotes[k])
            text = _placed(text, place)
        if pieces:
            pieces.append("\n" if place.starts_item and place.list == before.list else "\n\n")
        pieces.append(text)
        before, k = place, end
    return "".join(pieces)


def _columns(page: Page, which: npt.NDArray[np.intp], kept: Kept) -> _Blocks:
    raw, start, texts = kept.text.tobytes(), 0, []
    for end in kept.ends.tolist():
        texts.append(raw[start:end].decode("utf-8", "replace"))
        start = end
    places = kept.places[kept.elements]
    row, cell, table, code, item, around, quotes = (
        places[:, k].tolist() for k in (ROW, CELL, TABLE, CODE, ITEM, LIST, N_QUOTES)
    )
    levels = _LEVEL[page.counts[which, TAG].astype(np.intp)].tolist()
    return _Blocks(texts, kept.first.tolist(), row, cell, table, code, item, around, quotes, levels)


def _part(blocks: _Blocks, k: int) -> tuple[str, int]:
    """Return (text, end) of what starts with block k: code, a table, a heading or a paragraph."""
    texts, end = blocks.texts, k + 1
    if blocks.codes[k]:
        while end < len(texts) and blocks.codes[end] == blocks.codes[k]:
            end += 1
        return _fenced("\n".join(texts[k:end])), end
    if end < len(texts) and blocks.first[end] == blocks.first[k]:
        end = _table_end(blocks, k)
        return _table(texts[k:end], blocks.rows[k:end]), end
    if blocks.levels[k]:
        return "#" * blocks.levels[k] + " " + _one_line(texts[k]), end
    return _paragraph(texts[k]), end


def _placed(text: str, place: _Place) -> str:
    if "\n" not in text:
        return place.first + text
    if text.count("\n") > MAX_INDENTED_LINES:
        return f"{place.first}\n{text}"
    return place.first + text.replace("\n", "\n" + place.others)


def _paragraph(text: str) -> str:
    text = _escape(text)
    return text.replace("\n", "  \n") if "\n" in text else text  # two blanks: a line break


def _one_line(text: str) -> str:
    return _escape(text.replace("\n", " "))


def _escape(text: str) -> str:
    if text[0] not in _MAY_NEED_IT and "\n" not in text and "<" not in text:
        return text
    return _ESCAPED.sub(lambda found: f"{found[2]}\\" if found[2] else f"\\{found[0]}", text)


def _fenced(code: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, _FENCES.findall(code)), default=0))
    return f"{fence}\n{code}\n{fence}"


def _table_end(blocks: _Blocks, k: int) -> int:
    """Return where the rows end that follow block k in the same table; a row of one cell is one too."""
    end, n = k, len(blocks.texts)
    while end < n and blocks.tables[end] == blocks.tables[k] and blocks.cells[end]:
        row_end = end + 1
        while row_end < n and blocks.rows[row_end] == blocks.rows[end]:
            row_end += 1
        if row_end - end > 1 and blocks.first[row_end - 1] != end:
            break  # a row with several blocks in a cell
        end = row_end
    return end


def _table(texts: list[str], rows: list[int]) -> str:
    lines: list[list[str]] = []
    for text, row, before in zip(texts, rows, [-1, *rows], strict=False):
        if row != before:
            lines.append([])
        lines[-1].append(_one_line(text).replace("|", "\\|"))
    n_columns = max(map(len, lines))
    lines[0] += [""] * (n_columns - len(lines[0]))
    lines.insert(1, ["---"] * n_columns)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


class _Lists:
    """Knows which items have begun, and what the lines of each start with."""

    def __init__(self, page: Page, kept: Kept) -> None:
        self._page = page
        # By element, as lists, which are read one by one much faster than arrays.
        self._parent = page.element_parent.tolist()
        self._item, self._list = kept.places[:, ITEM].tolist(), kept.places[:, LIST].tolist()
        self._begun: dict[int, tuple[int, int]] = {}  # of each item: indentation of its text, outermost list
        self._numbers: dict[int, int] | None = None

    def place_of(self, item: int, around: int, n_quotes: int) -> _Place:
        """Return how the lines start of what stands in an item (0: none), in a list and in quotes."""
        quotes = "> " * min(n_quotes, MAX_NESTING) if n_quotes else ""
        if not item or around > item:  # in a list, but in none of its items
            return _Place(quotes, quotes)
        if item in self._begun:
            indent, outermost = self._begun[item]
            start = quotes + " " * indent
            return _Place(start, start, outermost)
        indent, outermost = self._around(item)
        marker = self._marker(item)
        self._begun[item] = min(indent + len(marker), MAX_INDENT), outermost
        start = quotes + " " * indent
        return _Place(start + marker, start + " " * len(marker), outermost, True)

    def _around(self, item: int) -> tuple[int, int]:
        """Return (indentation, outermost list) of an item that begins, from the items it is nested in."""
        for _ in range(MAX_NESTING):
            outer = self._item[self._parent[item]]
            if not outer:
                break
            if outer in self._begun:
                return self._begun[outer]
            item = outer
        return 0, self._list[item]

    def _marker(self, item: int) -> str:
        around = self._list[self._parent[item]]
        if self._page.element_tag[around] != OL:
            return "- "
        if self._numbers is None:
            self._numbers = self._numbered()
        return f"{self._numbers[item]}. "

    def _numbered(self) -> dict[int, int]:
        """Return the number of each item in its list."""
        numbers: dict[int, int] = {}
        counts: dict[int, int] = {}
        for item in np.flatnonzero(self._page.element_tag == LI).tolist():
            around = self._list[self._parent[item]]
            counts[around] = numbers[item] = counts.get(around, 0) + 1
        return numbers
