"""Read the file of a supervised fastText model, quantised or not, into arrays.

The layout is that of fastText 0.9.2 (file version 12, and 11 as it reads it): arguments, dictionary, input matrix,
output matrix, all little-endian. The rows of a quantised matrix are unpacked, 3 MB for lid.176.ftz; those of a plain
one stay in the file and are read as they are needed, so that a model of 1.6 GB loads at once and workers share it.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from curate.errors import InputError

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]

MAGIC = 793712314
VERSIONS = (11, 12)
SUPERVISED = 3
TREE, NEGATIVE, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4  # fastText's loss_name: hs, ns, softmax, ova
LOSSES = (TREE, NEGATIVE, SOFTMAX, ONE_VS_ALL)
END = b"</s>"  # the word that ends a line
LABEL = "__label__"
N_CENTROIDS = 256
_FNV_BASIS, _FNV_PRIME = 2166136261, 16777619  # FNV-1a, 32 bits


class Model(NamedTuple):
    """What the compiled passes need of a model; arrays and numbers only."""

    rows: F32  # [n_rows, dim]: words, then the buckets of n-grams that are kept, in order
    kept: U64  # [bucket / 64]: a bit for each bucket that survived pruning; empty where nothing was pruned
    kept_before: I32  # [bucket / 64]: how many did before these 64
    slots: I32  # [power of two]: hash table of the words, -1 where empty
    word_starts: I32  # [n_words + 1]: where a word begins in word_bytes
    word_bytes: U8
    end_row: int  # of `</s>`, -1 where the model has none
    n_words: int
    n_buckets: int
    min_chars: int  # of an n-gram of characters
    max_chars: int
    word_ngrams: int
    loss: int
    outputs: F32  # [n_outputs, dim]
    left: I32  # [2 * n_labels - 1]: the Huffman tree of loss hs, leaves first; empty with other losses
    right: I32


class FastText(NamedTuple):
    """A model and its labels, without their `__label__`."""

    model: Model
    labels: tuple[str, ...]


def read(path: Path) -> FastText:
    """Return the model in a file. Raises InputError for a missing file and for one that is no classifier."""
    if not path.is_file():
        raise InputError(f"fastText model {str(path)!r} is not a file")
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(path, data).model()
    except (struct.error, ValueError, IndexError) as error:  # an empty, foreign or cut file
        raise InputError(f"{str(path)!r} is not a fastText model: {error}") from error


def check_whole(path: Path) -> None:
    """Raise InputError unless a file is a classifier to its last byte: fastText's own reader hangs on a cut one."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _Reader(path, data).parts()
    except (struct.error, ValueError, IndexError) as error:
        raise InputError(f"{str(path)!r} is not a fastText model: {error}") from error


def word_hash(word: bytes) -> int:
    """Return fastText's hash of a word: FNV-1a, each byte taken as a signed number."""
    h = _FNV_BASIS
    for byte in word:
        h = ((h ^ (byte | 0xFFFFFF00 if byte >= 0x80 else byte)) * _FNV_PRIME) & 0xFFFFFFFF
    return h


class _Reader:
    """A cursor over the bytes of a model's file."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path, self._data, self._at = path, data, 0

    def parts(self) -> tuple[tuple[int, ...], list[bytes], list[str], list[int], I32 | None, F32, F32]:
        """Return the arguments, words, labels, counts of labels, pruned n-grams, input rows and output rows."""
        if self._one("i") != MAGIC:
            raise ValueError("it does not begin as one")
        if (version := self._one("i")) not in VERSIONS:
            raise ValueError(f"version {version}, known: {VERSIONS}")
        numbers = self._many("12i")
        _, loss, kind, n_buckets = numbers[5:9]
        self._one("d")
        if kind != SUPERVISED or loss not in LOSSES:
            raise ValueError("it is no classifier")
        if version == 11:
            numbers = (*numbers[:10], 0, *numbers[11:])  # as fastText reads it: no n-grams of characters then
        words, labels, counts, pruned = self._dictionary()
        quantised = bool(self._one("?"))
        rows = self._quantised() if quantised else self._plain(in_file=True)
        outputs = self._quantised() if self._one("?") and quantised else self._plain(in_file=False)
        self._check(rows, outputs, pruned, len(words), len(labels), n_buckets)
        return numbers, words, labels, counts, pruned, rows, outputs

    def model(self) -> FastText:
        numbers, words, labels, counts, pruned, rows, outputs = self.parts()
        word_ngrams, loss, _, n_buckets, min_chars, max_chars = numbers[5:11]
        left, right = _huffman(counts) if loss == TREE else (np.empty(0, np.int32), np.empty(0, np.int32))
        kept, kept_before = np.empty(0, np.uint64), np.empty(0, np.int32)
        if pruned is not None:
            kept, kept_before = _kept(pruned[:, 0], n_buckets)
            rows = np.concatenate([rows[: len(words)], rows[len(words) + pruned[np.argsort(pruned[:, 0]), 1]]])
        slots, starts = _word_table(words)
        end_row = words.index(END) if END in words else -1
        word_bytes = np.frombuffer(b"".join(words), np.uint8)
        shape = (end_row, len(words), n_buckets, min_chars, max_chars, word_ngrams, loss)
        model = Model(rows, kept, kept_before, slots, starts, word_bytes, *shape, outputs, left, right)
        return FastText(model, tuple(labels))

    def _dictionary(self) -> tuple[list[bytes], list[str], list[int], I32 | None]:
        size, n_words, n_labels = self._many("3i")
        _, n_pruned = self._many("2q")
        if n_words < 0 or n_labels < 1 or size != n_words + n_labels:
            raise ValueError("its dictionary has no labels")
        words, labels, counts = [], [], []
        for number in range(size):
            end = self._data.find(b"\0", self._at)
            if end < 0:
                raise ValueError("its dictionary is cut off")
            word, self._at = self._data[self._at : end], end + 1
            count, is_label = self._many("qb")
            if bool(is_label) != (number >= n_words):
                raise ValueError("its dictionary is out of order")
            if is_label:
                labels.append(word.decode("utf-8").removeprefix(LABEL))
                counts.append(count)
            else:
                words.append(word)
        pruned = None if n_pruned < 0 else self._array(np.int32, 2 * n_pruned).reshape(-1, 2)
        return words, labels, counts, pruned

    def _plain(self, *, in_file: bool) -> F32:
        n, dim = self._many("2q")
        if n < 0 or dim < 1 or self._at + 4 * n * dim > len(self._data):
            raise ValueError("a matrix is cut off")
        at = self._at
        self._at += 4 * n * dim
        if in_file:
            # Copied on write, which never happens: so numba takes it for the same type as an array in memory.
            return np.asarray(np.memmap(self._path, np.float32, "c", at, (n, dim)))
        return np.frombuffer(self._data, np.float32, n * dim, at).reshape(n, dim).copy()

    def _quantised(self) -> F32:
        """Return the rows of a product-quantised matrix: norm times the centroids its codes name."""
        has_norms = self._one("?")
        n, _ = self._many("2q")
        codes = self._array(np.uint8, self._one("i")).reshape(n, -1)
        rows = self._centroids(codes)
        if has_norms:
            rows *= self._centroids(self._array(np.uint8, n).reshape(n, 1))
        return rows

    def _centroids(self, codes: U8) -> F32:
        dim, n_parts, part_dim, last_dim = self._many("4i")
        if n_parts != codes.shape[1] or dim != (n_parts - 1) * part_dim + last_dim:
            raise ValueError("a quantiser does not fit its codes")
        centroids = self._array(np.float32, dim * N_CENTROIDS)
        rows = np.empty((len(codes), dim), np.float32)
        for part in range(n_parts):
            width = last_dim if part == n_parts - 1 else part_dim
            start = part * N_CENTROIDS * part_dim
            values = centroids[start : start + N_CENTROIDS * width].reshape(N_CENTROIDS, width)
            rows[:, part * part_dim : part * part_dim + width] = values[codes[:, part]]
        return rows

    @staticmethod
    def _check(rows: F32, outputs: F32, pruned: I32 | None, n_words: int, n_labels: int, n_buckets: int) -> None:
        """Raise ValueError where a row could be asked for that is not there: compiled code does not look."""
        if pruned is not None and (
            pruned.min(initial=0) < 0
            or pruned[:, 0].max(initial=-1) >= n_buckets
            or len(np.unique(pruned[:, 0])) < len(pruned)
        ):
            raise ValueError("its list of pruned n-grams is wrong")
        n_rows = n_words + (n_buckets if pruned is None else int(pruned[:, 1].max(initial=-1)) + 1)
        if n_buckets < 0 or len(rows) < n_rows:
            raise ValueError("its input matrix is too small")
        if len(outputs) < n_labels or outputs.shape[1] != rows.shape[1]:
            raise ValueError("its output matrix does not fit")

    def _one(self, code: str) -> Any:
        return self._many(code)[0]

    def _many(self, codes: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + codes, self._data, self._at)
        self._at += struct.calcsize("<" + codes)
        return found

    def _array(self, kind: type[Any], n: int) -> Any:
        found = np.frombuffer(self._data, kind, n, self._at).copy()
        self._at += found.nbytes
        return found


def _kept(buckets: I32, n_buckets: int) -> tuple[U64, I32]:
    """Return a bit for each bucket, and for each 64 of them how many bits are set before: a few hundred KB in all."""
    n_blocks = n_buckets // 64 + 1
    flags = np.zeros((n_blocks, 64), np.bool_)
    flags.ravel()[buckets] = True
    kept = np.packbits(flags, axis=1, bitorder="little").view("<u8").ravel().astype(np.uint64)
    before = np.zeros(n_blocks, np.int32)
    before[1:] = np.cumsum(flags.sum(axis=1))[:-1]
    return kept, before


def _word_table(words: Sequence[bytes]) -> tuple[I32, I32]:
    """Return an open hash table of the words, at most half full, and where each begins."""
    n_slots = 1 << (2 * len(words) + 1).bit_length()
    slots = np.full(n_slots, -1, np.int32)
    for number, word in enumerate(words):
        slot = word_hash(word) & (n_slots - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (n_slots - 1)
        slots[slot] = number
    starts = np.zeros(len(words) + 1, np.int32)
    starts[1:] = np.cumsum([len(word) for word in words])
    return slots, starts


def _huffman(counts: Sequence[int]) -> tuple[I32, I32]:
    """Return the children of each node of fastText's tree over labels that are sorted by falling count."""
    n = len(counts)
    weights = [*counts, *[10**15] * (n - 1)]
    left, right = np.full(2 * n - 1, -1, np.int32), np.full(2 * n - 1, -1, np.int32)
    leaf, node = n - 1, n
    for parent in range(n, 2 * n - 1):
        children = []
        for _ in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                children.append(leaf)
                leaf -= 1
            else:
                children.append(node)
                node += 1
        left[parent], right[parent] = children
        weights[parent] = weights[children[0]] + weights[children[1]]
    return left, right
