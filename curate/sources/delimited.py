"""Reads tables in text form, CSV and TSV: a header row, then one doc a row."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from curate.errors import InputError
from curate.schema import TEXT_SCHEMA
from curate.source import Slice, Tally
from curate.sources import columns
from curate.sources.batches import batched
from curate.sources.files import open_input
from curate.sources.jsonl import row_of
from curate.sources.lines import MAX_LINE_BYTES, Line, stream_lines
from curate.sources.streams import BrokenStreamError, count_bad
from curate.sources.unpacked import is_packed, unpacked

DELIMITERS = (",", "\t", ";", "|")
MAX_COLUMNS = 1000
MAX_HEADER_BYTES = 1 << 20
MAX_REREAD_BYTES = 256 << 20  # of rows that were given up and read again from their second line on; bounds the work
_TAKEN = ("id", "doc_id", "source", "warc_file", "offset_bytes", "fetched_at", "date")  # besides text and url


class Delimited:
    """CSV as RFC 4180 has it, with `,`, tab, `;` or `|` between the cells; cells may hold line breaks. Never cut.

    The header names the columns: `text` and `url` (or what the source's `text_column` and `url_column` say), `id`,
    `date`, and where a doc came from as in JSONL; other columns are left out. Every row is counted once: `doc`, or
    `bad_row`, also a bad span: another number of cells than the header has, a quote that is not closed or not
    followed by a delimiter, a NUL byte, over 64 MiB. After a bad row reading goes on with the next line. Blank lines
    are padding. `offset_bytes` is where the row begins, in the inflated stream if the file is compressed; spans in
    compressed files have 0 bytes. Differs from datatrove's CsvReader, which takes an unclosed quote's cell as it is.
    """

    kind = "csv"
    version = 1
    schema = TEXT_SCHEMA
    uses: tuple[str, ...] = ("isal", "zstandard")

    def sniff(self, name: str, head: bytes) -> bool:
        """See `Source.sniff`. Without .csv or .tsv in its name, a table is known by a column `text` among others."""
        header = head.lstrip(b"\xef\xbb\xbf\r\n").partition(b"\n")[0]
        if b"\x00" in header or not head.strip():  # behind the header it costs a row
            return False
        if name.endswith((".csv", ".tsv")):
            return not head.startswith((b"<", b"WARC/", b"\xff\xfe", b"\xfe\xff"))
        cells = _cells(header, name, "text")[1]
        return len(cells) > 1 and "text" in cells

    def schema_of(self, piece: Slice) -> pa.Schema:
        """Return the schema of this slice's batches. Raises InputError for a header without a text column."""
        with open_input(piece) as file:
            head = b""
            try:
                for part in unpacked(file, Tally()):
                    head += part
                    if len(head) > MAX_HEADER_BYTES:
                        break
            except BrokenStreamError:
                head += b"\n"  # the header may stand before the damage
        _header(next((line for line in head.split(b"\n") if _is_header(line.decode("utf-8", "replace"))), b""), piece)
        return self.schema

    def cut(self, path: str, size_bytes: int, shard_bytes: int) -> Sequence[tuple[int, int]]:
        """Return the whole file: whether a line break is inside a cell is known from the start on only."""
        return [(0, size_bytes)]

    def batches(self, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
        """See `Source.batches`. Memory: one batch, one row, one step of the decompressor."""
        csv.field_size_limit(MAX_LINE_BYTES)  # of the whole process; the library has it nowhere else
        with open_input(piece) as file:
            packed = is_packed(file)
            lines = stream_lines(unpacked(file, tally), piece.size_bytes, tally)
            rows = _Rows(lines, piece, tally, packed=packed)
            yield from batched(((row, len(row["text"])) for row in rows), TEXT_SCHEMA)


def _is_header(line: str) -> bool:
    """Say whether a line is the header: the first with more than line ends and a byte order mark."""
    return bool(line.strip("\ufeff\r\n"))


def _cells(line: bytes, name: str, text: str) -> tuple[str, list[str]]:
    """Return the delimiter of a header and its cells: the one that leaves a cell `text`, else that gives most cells."""
    header = line.decode("utf-8", "replace").strip("\ufeff\r\n")
    order = ("\t", ",", ";", "|") if name.endswith(".tsv") else DELIMITERS
    found = []
    for delimiter in order:
        try:
            cells = next(csv.reader([header], delimiter=delimiter, strict=True), [])
        except csv.Error:
            cells = []
        found.append((text in cells, len(cells), delimiter, [cell.strip() for cell in cells]))
    best = max(found, key=lambda one: one[:2])  # the first of equals
    return best[2], best[3]


def _header(line: bytes, piece: Slice) -> tuple[str, dict[str, int], int]:
    """Return the delimiter, column name → place of those that are read, and the number of columns."""
    name = piece.path.lower().removesuffix(".gz").removesuffix(".zst")
    text, url = piece.text_column or "text", piece.url_column or "url"
    if len(line) > MAX_HEADER_BYTES:
        raise InputError(f"{piece.path}: the header row is over {MAX_HEADER_BYTES >> 20} MiB")
    delimiter, cells = _cells(line, name, text)
    if len(cells) > MAX_COLUMNS:
        raise InputError(f"{piece.path}: the table has {len(cells):,} columns; {MAX_COLUMNS:,} are read at most")
    if len(set(cells)) < len(cells):
        raise InputError(f"{piece.path}: the table has two columns of one name: {columns.listed(cells)}")
    for wanted in (text, *([url] if piece.url_column else [])):
        if wanted not in cells:
            raise InputError(
                f"{piece.path}: a table needs a header row with a column `{wanted}` (or another as `text_column`); "
                f"found: {columns.listed(cells)}"
            )
    places = {doc_name: cells.index(given) for given, doc_name in ((text, "text"), (url, "url")) if given in cells}
    places |= {given: cells.index(given) for given in _TAKEN if given in cells and given not in (text, url)}
    return delimiter, places, len(cells)


class _Rows:
    """The docs of a table. Keeps the lines of the row that is being read, to go back to its second line."""

    def __init__(self, lines: Iterator[Line], piece: Slice, tally: Tally, *, packed: bool) -> None:
        self._lines = lines
        self._again: deque[Line] = deque()  # lines that are read once more
        self._row: list[Line] = []  # lines of the row being read
        self._row_bytes = 0
        self._reread_bytes = 0
        self._piece, self._tally, self._packed = piece, tally, packed
        self._named = replace(piece, text_column=None, url_column=None)  # of cells that have their names already

    def __iter__(self) -> Iterator[dict[str, Any]]:
        header = next(filter(_is_header, self._fed()), None)
        if header is None:
            return
        delimiter, places, n_columns = _header(header.encode("utf-8", "surrogateescape"), self._piece)
        while True:
            reader = csv.reader(self._fed(), delimiter=delimiter, strict=True)
            try:
                while True:
                    self._row, self._row_bytes = [], 0
                    cells = next(reader)
                    if not cells:
                        self._padding()
                    elif len(cells) != n_columns:
                        self._bad(f"a row has {len(cells)} cells, the header {n_columns}")
                    else:
                        yield self._doc({name: cells[place] for name, place in places.items()})
            except StopIteration:
                return
            except (csv.Error, _RowError) as error:
                self._back_up(str(error))

    def _doc(self, cells: dict[str, str]) -> dict[str, Any]:
        """Return the doc of a row. An empty cell is none, that of the text aside."""
        found: dict[str, Any] = {name: cell for name, cell in cells.items() if cell or name == "text"}
        if (offset := cells.get("offset_bytes", "")).isascii() and offset.isdigit() and len(offset) < 19:
            found["offset_bytes"] = int(offset)
        doc = row_of(found, self._row[0].offset_bytes, self._named, self._tally)
        assert doc is not None  # the text of a row is a string
        return doc

    def _fed(self) -> Iterator[str]:
        """Yield lines for the parser. Bytes that are no UTF-8 pass through as surrogates and are counted later."""
        while True:
            line = self._again.popleft() if self._again else next(self._lines, None)
            if line is None:
                return
            self._row.append(line)
            self._row_bytes += line.size_bytes
            if self._row_bytes > MAX_LINE_BYTES:
                raise _RowError(f"a row is longer than {MAX_LINE_BYTES} bytes")
            if b"\x00" in line.data:
                raise _RowError("a row holds a NUL byte")
            yield line.data.decode("utf-8", "surrogateescape")

    def _back_up(self, cause: str) -> None:
        """Give up the row's first line, and read on from its second, unless that was done too often."""
        later = self._row[1:]
        if self._reread_bytes + self._row_bytes <= MAX_REREAD_BYTES:
            self._reread_bytes += self._row_bytes
            self._row, self._row_bytes = self._row[:1], self._row[0].size_bytes
            self._again.extendleft(reversed(later))
        self._bad(cause)

    def _bad(self, cause: str) -> None:
        n_bytes = 0 if self._packed else self._row_bytes
        self._tally.records["bad_row"] += 1
        self._tally.bytes_ok -= n_bytes
        count_bad(self._tally, self._row[0].offset_bytes, n_bytes, f"not a row of the table: {cause}")

    def _padding(self) -> None:
        if not self._packed:
            self._tally.bytes_ok -= self._row_bytes
            self._tally.bytes_padding += self._row_bytes


class _RowError(Exception):
    """A row cannot be read, for a cause that the parser does not look for."""
