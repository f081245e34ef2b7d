"""Words, shingle hashes and MinHash band keys of Arrow texts: compiled passes, and the plain Python that defines them.

The definition, in four steps (the plain functions below say the same in code):

1. *Words.* Each code point is simplified: lower case, NFD, combining marks (Mn) dropped; what NFD splits into
   more than one base character (Hangul) stays whole. Letters, numbers and spacing marks make words; a run of
   decimal digits is one `0`; marks and format characters (soft hyphen, joiners) vanish; all else separates.
   In scripts written without spaces (Han, Kana, Thai, Lao, Myanmar, Khmer) every character is a word.
2. *Shingles.* Each window of `n_words` words; a text of fewer words is one shingle; without words, none.
3. *Hashes.* FNV-1a over the simple code points and a 64-bit finaliser make a word hash; a polynomial over the
   window and the finaliser make the shingle hash, of which the upper 32 bits are kept.
4. *Signature.* For permutation k the least `(a_k * hash + b_k) mod 2**32`; a band's key is a 64-bit hash of its
   rows and its number.

Differs from datatrove's `simplify_text` (its MinHash normalisation): "3.14" is two numbers here and one there,
and words end at every character that is no letter, number or mark, without a tokenizer per language.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

SEPARATES, VANISHES, LETTER, DIGIT, ALONE = range(5)
KIND_SHIFT = 24  # an entry of the table is kind << 24 | simple code point
TABLE_SIZE = 0x20000  # planes 0 and 1; the two planes above hold Han only
HAN_PLANES_END = 0x40000
UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x30FF),  # Han iteration marks, Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana phonetic extensions
    (0x3400, 0x4DBF),  # Han extension A
    (0x4E00, 0x9FFF),  # Han
    (0xA9E0, 0xA9FF),  # Myanmar extended B
    (0xAA60, 0xAA7F),  # Myanmar extended A
    (0xF900, 0xFAFF),  # Han compatibility
    (0xFF66, 0xFF9F),  # half-width Katakana
)

MASK_64 = (1 << 64) - 1
FNV_BASIS, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3  # FNV-1a, 64 bits
MIX_1, MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # the finaliser of SplitMix64
GOLDEN = 0x9E3779B97F4A7C15  # SplitMix64's step; here also the base of the polynomial
_BASIS, _PRIME, _MIX_1, _MIX_2, _GOLDEN = (np.uint64(n) for n in (FNV_BASIS, FNV_PRIME, MIX_1, MIX_2, GOLDEN))
_compiled: Any = functools.partial(numba.njit, cache=True, nogil=True, boundscheck=False)


# ---- the definition, in plain Python


def simplify(code_point: int) -> tuple[int, int]:
    """Return (kind, simple code point) of a code point. Follows the Unicode version of the running Python."""
    if code_point >= TABLE_SIZE:
        return (ALONE if code_point < HAN_PLANES_END else SEPARATES), code_point
    char = chr(code_point)
    category = unicodedata.category(char)
    if category == "Nd":
        return DIGIT, ord("0")
    if category in ("Mn", "Me", "Cf"):
        return VANISHES, 0
    if category[0] not in "LN" and category != "Mc":
        return SEPARATES, 0
    base = [c for c in unicodedata.normalize("NFD", char.lower()) if unicodedata.category(c) != "Mn"]
    simple = ord(base[0]) if len(base) == 1 else code_point
    if simple == 0x3C2:  # final sigma: lower case of a capital sigma does not know where its word ends
        simple = 0x3C3
    alone = any(low <= code_point <= high for low, high in UNSPACED)
    return (ALONE if alone else LETTER), simple


def words_of(text: str) -> list[str]:
    """Return the simple words of a text, in order."""
    words: list[str] = []
    word, after_digit = "", False
    for char in text:
        kind, simple = simplify(ord(char))
        if kind == VANISHES:
            continue
        if kind in (SEPARATES, ALONE) and word:
            words.append(word)
            word = ""
        if kind == ALONE:
            words.append(chr(simple))
        elif kind == LETTER or (kind == DIGIT and not after_digit):
            word += chr(simple)
        after_digit = kind == DIGIT
    return [*words, word] if word else words


def shingle_hashes_of(text: str, n_words: int) -> list[int]:
    """Return the 32-bit hash of every shingle of a text, in order, repeats included."""
    hashes = [_word_hash_of(word) for word in words_of(text)]
    n_shingles = max(1, len(hashes) - n_words + 1) if hashes else 0
    return [_shingle_hash_of(hashes[i : i + n_words]) for i in range(n_shingles)]


def band_keys_of(hashes: list[int], permutations: Permutations, rows_per_band: int) -> list[int]:
    """Return the 64-bit key of each band of the MinHash signature of a non-empty list of shingle hashes."""
    pairs = zip(permutations.a.tolist(), permutations.b.tolist(), strict=True)
    signature = [min((a * h + b) & 0xFFFFFFFF for h in hashes) for a, b in pairs]
    keys = []
    for start in range(0, len(signature), rows_per_band):
        key = _mix_of(start // rows_per_band + 1)
        for value in signature[start : start + rows_per_band]:
            key = _mix_of(key * GOLDEN + value)
        keys.append(key)
    return keys


def _word_hash_of(word: str) -> int:
    h = FNV_BASIS
    for char in word:
        h = ((h ^ ord(char)) * FNV_PRIME) & MASK_64
    return _mix_of(h)


def _shingle_hash_of(word_hashes: list[int]) -> int:
    h = 0
    for word_hash in word_hashes:
        h = (h * GOLDEN + word_hash) & MASK_64
    return _mix_of(h) >> 32


def _mix_of(h: int) -> int:
    h &= MASK_64
    h = ((h ^ (h >> 30)) * MIX_1) & MASK_64
    h = ((h ^ (h >> 27)) * MIX_2) & MASK_64
    return h ^ (h >> 31)


# ---- what callers use


class Permutations(NamedTuple):
    """The constants of n permutations `x -> a * x + b mod 2**32`; every a is odd, so each is a bijection."""

    a: U32
    b: U32


def permutations(n: int, seed: int) -> Permutations:
    """Return n permutations drawn from SplitMix64 that starts at `seed`: the same on every platform and version."""
    drawn = [_mix_of(seed + (i + 1) * GOLDEN) for i in range(n)]
    a = np.array([(value >> 32) | 1 for value in drawn], np.uint32)
    return Permutations(a, np.array([value & 0xFFFFFFFF for value in drawn], np.uint32))


class Shingles(NamedTuple):
    """Shingle hashes of n docs: those of doc i are `hashes[offsets[i]:offsets[i + 1]]`, repeats included."""

    hashes: U32  # [n_shingles]
    offsets: I64  # [n_docs + 1]


def shingle_hashes(texts: pa.StringArray, n_words: int) -> Shingles:
    """Return the shingle hashes of a string array; null counts as empty. The compiled `shingle_hashes_of`."""
    starts, data = _buffers(texts)
    # The shortest word with its separator has two bytes; a character that is a word by itself has three.
    hashes = np.empty((int(starts[-1]) - int(starts[0])) // 2 + len(texts) + 1, np.uint32)
    offsets = np.zeros(len(texts) + 1, np.int64)
    _hash_shingles(data, starts, _simple_table(), n_words, hashes, offsets)
    return Shingles(hashes[: offsets[-1]], offsets)


def band_keys(shingles: Shingles, permutations: Permutations, rows_per_band: int) -> U64:
    """Return uint64[n_docs, n_bands], the compiled `band_keys_of`; the rows of docs without shingles mean nothing."""
    n_docs, n_permutations = len(shingles.offsets) - 1, len(permutations.a)
    keys = np.zeros((n_docs, n_permutations // rows_per_band), np.uint64)
    _hash_bands(shingles.hashes, shingles.offsets, permutations.a, permutations.b, rows_per_band, keys)
    return keys


def _buffers(texts: pa.StringArray) -> tuple[I32, U8]:
    texts = texts.cast(pa.string()).fill_null("")
    _, offsets, data = texts.buffers()
    if offsets is None or len(texts) == 0:
        return np.zeros(1, np.int32), np.empty(0, np.uint8)
    starts = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return starts, np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)


@functools.cache
def _simple_table() -> U32:
    simple = (simplify(code_point) for code_point in range(TABLE_SIZE))
    return np.array([kind << KIND_SHIFT | code_point for kind, code_point in simple], np.uint32)


# ---- the compiled passes


@_compiled(inline="always")
def _mix(h):  # type: ignore[no-untyped-def]
    h = (h ^ (h >> np.uint64(30))) * _MIX_1
    h = (h ^ (h >> np.uint64(27))) * _MIX_2
    return h ^ (h >> np.uint64(31))


@_compiled(inline="always")
def _decode(data, at, end):  # type: ignore[no-untyped-def]
    """Return (code point, bytes) of the multi-byte character at `at`; one that is cut off separates."""
    lead = np.uint32(data[at])
    size = 2 if lead < 0xE0 else (3 if lead < 0xF0 else 4)
    if at + size > end:
        return np.uint32(0x20), end - at
    point = lead & np.uint32(0x1F if size == 2 else (0x0F if size == 3 else 0x07))
    for k in range(1, size):
        point = (point << np.uint32(6)) | (np.uint32(data[at + k]) & np.uint32(0x3F))
    return point, size


@_compiled(inline="always")
def _simplified(point, table):  # type: ignore[no-untyped-def]
    """Return (kind, simple code point): `simplify`, from its table."""
    if point < TABLE_SIZE:
        entry = table[point]
        return entry >> np.uint32(KIND_SHIFT), entry & np.uint32((1 << KIND_SHIFT) - 1)
    return np.uint32(ALONE if point < HAN_PLANES_END else SEPARATES), np.uint32(point)


@_compiled()
def _hash_words(data, at, end, table, words):  # type: ignore[no-untyped-def]
    """Write the hashes of the words of `data[at:end]` to `words`; return their number."""
    n = 0
    word = _BASIS
    in_word, after_digit = False, False
    while at < end:
        point, size = np.uint32(data[at]), 1
        if point >= 0x80:
            point, size = _decode(data, at, end)
        at += size
        kind, simple = _simplified(point, table)
        if kind == LETTER:  # first, as most characters are
            word = (word ^ np.uint64(simple)) * _PRIME
            in_word, after_digit = True, False
            continue
        if kind == DIGIT:
            if not after_digit:
                word = (word ^ np.uint64(simple)) * _PRIME
            in_word, after_digit = True, True
            continue
        if kind == VANISHES:
            continue
        if in_word:
            words[n] = _mix(word)
            n += 1
        if kind == ALONE:
            words[n] = _mix((_BASIS ^ np.uint64(simple)) * _PRIME)
            n += 1
        word = _BASIS
        in_word, after_digit = False, False
    if in_word:
        words[n] = _mix(word)
        n += 1
    return n


@_compiled()
def _hash_windows(words, n_words, hashes, filled):  # type: ignore[no-untyped-def]
    """Append the hash of each window of `n_words` words to `hashes`; return how many it then holds."""
    gone = np.uint64(1)  # GOLDEN ** n_words: the weight of the word that leaves the window
    for _ in range(n_words):
        gone *= _GOLDEN
    window = np.uint64(0)
    for i in range(words.size):
        window = window * _GOLDEN + words[i]
        if i >= n_words:
            window -= words[i - n_words] * gone
        if i >= n_words - 1 or i == words.size - 1:
            hashes[filled] = _mix(window) >> np.uint64(32)
            filled += 1
    return filled


@_compiled()
def _hash_shingles(data, starts, table, n_words, hashes, offsets):  # type: ignore[no-untyped-def]
    longest = np.int64(0)
    for doc in range(starts.size - 1):
        longest = max(longest, np.int64(starts[doc + 1] - starts[doc]))
    words = np.empty(longest // 2 + 1, np.uint64)
    for doc in range(starts.size - 1):
        n = _hash_words(data, np.int64(starts[doc]), np.int64(starts[doc + 1]), table, words)
        offsets[doc + 1] = _hash_windows(words[:n], n_words, hashes, offsets[doc])


@_compiled()
def _hash_bands(hashes, offsets, a, b, rows_per_band, keys):  # type: ignore[no-untyped-def]
    for doc in range(offsets.size - 1):
        own = hashes[offsets[doc] : offsets[doc + 1]]
        for band in range(keys.shape[1]):
            key = _mix(np.uint64(band + 1))
            for row in range(band * rows_per_band, (band + 1) * rows_per_band):
                scale, shift = a[row], b[row]
                least = np.uint32(0xFFFFFFFF)
                for i in range(own.size):  # stays in 32 bits, so that it compiles to vector instructions
                    least = min(least, np.uint32(scale * own[i] + shift))
                key = _mix(key * _GOLDEN + np.uint64(least))
            keys[doc, band] = key
