"""ARPA files: n-grams with their probabilities and backoffs as text, read into arrays and written from them.

The format is SRILM's (ngram-format(5)): `\\data\\` with a count for each order, a section for each order with
`log10 <tab> words <tab> backoff` a line, `\\end\\`. Lines that begin with `#` may come before `\\data\\`, as in KenLM.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InputError

I32 = npt.NDArray[np.int32]
F32 = npt.NDArray[np.float32]

MAX_ARPA_BYTES = 8 << 30  # unpacked; reading takes about four times as much memory
BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
NEVER = -99.0  # what SRILM writes for <s>, which is never predicted
NO_UNKNOWN = -100.0  # KenLM's log10 for a word outside a model that has no <unk>

_COUNT = re.compile(rb"ngram (\d+)=(\d+)\s*\Z")


@dataclass(frozen=True)
class Section:
    """The n-grams of one order. Logarithms are base 10; a backoff that is not given is 0."""

    ngrams: I32  # [n, order], numbers of words
    log10: F32  # [n]
    backoff: F32  # [n]


@dataclass(frozen=True)
class Arpa:
    """A model as its file has it; `words` are in the order of the unigrams, `notes` those of `# key: value` lines."""

    words: tuple[str, ...]
    sections: tuple[Section, ...]
    notes: Mapping[str, str]

    @property
    def order(self) -> int:
        return len(self.sections)


def read_arpa(path: Path) -> Arpa:
    """Read an ARPA file, plain or gzip. Raises InputError, with the place, for what is not one."""
    data = path.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(BytesIO(data)) as file:
                data = file.read(MAX_ARPA_BYTES + 1)
        except (OSError, EOFError) as error:
            raise InputError(f"{path}: damaged gzip: {error}") from error
    if len(data) > MAX_ARPA_BYTES:
        raise InputError(f"{path}: more than {MAX_ARPA_BYTES:,} bytes; use KenLM's binary form of such a model")
    head, mark, body = data.partition(b"\\data\\")
    if not mark or any(line.strip() and not line.startswith(b"#") for line in head.splitlines()):
        raise InputError(f"{path}: not an ARPA file: there is no \\data\\ at its head")
    notes = dict(_note(line) for line in head.splitlines() if b": " in line)
    try:
        return _read(body, notes, str(path))
    except (UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: {error}") from error


def _note(line: bytes) -> tuple[str, str]:
    key, _, value = line.decode("utf-8", "replace").lstrip("# ").partition(": ")
    return key, value.strip()


def _read(body: bytes, notes: Mapping[str, str], where: str) -> Arpa:
    counts: list[int] = []
    at = body.find(b"\\1-grams:")
    for line in body[: max(0, at)].split(b"\n"):
        if found := _COUNT.match(line.strip()):
            counts.append(int(found[2]))
    if not counts or at < 0:
        raise InputError(f"{where}: \\data\\ lists no counts")
    words: tuple[str, ...] = ()
    sections = []
    for order, n in enumerate(counts, 1):
        head = b"\\%d-grams:" % order
        start = body.find(head, at)
        end = body.find(b"\n\\", start + len(head))
        if start < 0 or end < 0:
            raise InputError(f"{where}: there is no whole section of {order}-grams")
        texts, log10, backoff = _columns(body[start + len(head) : end], f"{where}: {order}-grams")
        if len(log10) != n:
            raise InputError(f"{where}: {len(log10):,} {order}-grams, \\data\\ lists {n:,}")
        if order == 1:
            words = tuple(texts.to_pylist())
        sections.append(Section(_numbered(texts, words, order, where), log10, backoff))
        at = end
    if not body[at:].lstrip().startswith(b"\\end\\"):
        raise InputError(f"{where}: \\end\\ is missing: the file was cut off")
    return Arpa(words, tuple(sections), notes)


def _columns(section: bytes, where: str) -> tuple[pa.Array, F32, F32]:
    """Return n-grams, log10 and backoffs of a section."""
    lines = pc.list_flatten(pc.split_pattern(pa.array([section.decode()], pa.large_string()), "\n"))
    lines = lines.filter(pc.greater(pc.binary_length(pc.utf8_trim_whitespace(lines)), 0))
    fields = pc.split_pattern(pc.utf8_rtrim(lines, "\r"), "\t")
    n_fields = pc.list_value_length(fields)
    if len(lines) and not 2 <= pc.min(n_fields).as_py() <= pc.max(n_fields).as_py() <= 3:
        raise InputError(f"{where}: a line is log10, words and a backoff, with tabs between them")
    flat, first = pc.list_flatten(fields), fields.offsets.to_numpy()[:-1]
    log10 = pc.cast(flat.take(pa.array(first)), pa.float32()).to_numpy()
    has_backoff = n_fields.to_numpy(zero_copy_only=False) == 3
    backoff = np.zeros(len(lines), np.float32)
    backoff[has_backoff] = pc.cast(flat.take(pa.array(first[has_backoff] + 2)), pa.float32()).to_numpy()
    if not (np.isfinite(log10).all() and np.isfinite(backoff).all() and (log10 <= 0).all()):
        raise InputError(f"{where}: a probability above 1, or one that is no number")
    return flat.take(pa.array(first + 1)), log10, backoff


def _numbered(texts: pa.Array, words: Sequence[str], order: int, where: str) -> I32:
    pieces = pc.split_pattern(texts, " ")
    lengths = pc.list_value_length(pieces)
    if len(texts) and pc.min_max(lengths).as_py() != {"min": order, "max": order}:
        raise InputError(f"{where}: one of the {order}-grams has another number of words")
    numbers = pc.index_in(pc.list_flatten(pieces), value_set=pa.array(words, pa.large_string()))
    if numbers.null_count:
        raise InputError(f"{where}: one of the {order}-grams has a word that is no unigram")
    found: I32 = numbers.to_numpy().astype(np.int32).reshape(-1, order)
    return found


def arpa_lines(model: Arpa) -> Iterator[str]:
    """Yield a model as the lines of a file, without line feeds. Numbers have six decimals."""
    for key, value in model.notes.items():
        yield f"# {key}: {value}"
    yield "\\data\\"
    for order, section in enumerate(model.sections, 1):
        yield f"ngram {order}={len(section.log10)}"
    for order, section in enumerate(model.sections, 1):
        yield ""
        yield f"\\{order}-grams:"
        rows = zip(section.ngrams.tolist(), section.log10.tolist(), section.backoff.tolist(), strict=True)
        last = order == model.order
        for ngram, log10, backoff in rows:
            words = " ".join(model.words[number] for number in ngram)
            yield f"{log10:.6f}\t{words}" if last or backoff == 0 else f"{log10:.6f}\t{words}\t{backoff:.6f}"
    yield ""
    yield "\\end\\"


def write_arpa(model: Arpa, path: Path) -> None:
    """Write an ARPA file, gzip where its name ends so. The same model gives the same bytes."""
    text = "".join(f"{line}\n" for line in arpa_lines(model)).encode()
    if path.name.endswith(".gz"):
        buffer = BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9, mtime=0, filename="") as file:
            file.write(text)
        text = buffer.getvalue()
    path.write_bytes(text)
