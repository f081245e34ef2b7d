"""Hash what a sentence says into numbered features, in compiled code."""

from __future__ import annotations

import numpy as np

from curate.kernels.toxicity.classes import CLASSES, GROUP, SPEAKS_OF, TOXIC
from curate.kernels.toxicity.sentences import MAX_CHARS, compiled

FNV_BASIS, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3  # FNV-1a, 64 bits
MIX_1, MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # the finaliser of SplitMix64
GOLDEN = 0x9E3779B97F4A7C15  # its step; here the base of a polynomial
_BASIS, _PRIME, _MIX_1, _MIX_2, _GOLDEN = (np.uint64(n) for n in (FNV_BASIS, FNV_PRIME, MIX_1, MIX_2, GOLDEN))

# Kinds of features: words alone, with the next and with the one after it; pieces of words; classes of words alone,
# beside a word, one after the other, in one sentence, in the sentence beside, in quotation marks.
WORD, PAIR, SKIP, GRAM, CLASS, CLASS_WORD, WORD_CLASS, SEQUENCE, TRIPLE, TOGETHER, NEAR, QUOTED = range(1, 13)
MIN_GRAM, MAX_GRAM = 3, 5  # chars of a piece, the edges of the word included
EDGE = ord("_")
COMMON = 32  # the class of an everyday word, which is known as a whole: its pieces say nothing
MAX_CLASS_GAP = 6  # words from one class to the next that is still its sequel
N_BITS = 18  # features are numbered 0 to 2**18 - 1
MAX_FEATURES = 32 * MAX_CHARS
_ONE, _NONE, _SEQUELS = (np.uint64(n) for n in (1, 0, 64))
_SHIFT = np.uint64(64 - N_BITS)
_TOXIC, _SPEAKS_OF = np.uint64(TOXIC), np.uint64(SPEAKS_OF)
_GROUP_HASH = np.uint64(GROUP)  # the hash of every word of the class


@compiled
def _feature(kind, a, b):  # type: ignore[no-untyped-def]
    """Return the number of the feature of a kind over two hashes."""
    h = (np.uint64(kind) * _GOLDEN + a) * _GOLDEN + b
    h = (h ^ (h >> np.uint64(30))) * _MIX_1
    h = (h ^ (h >> np.uint64(27))) * _MIX_2
    return np.uint32((h ^ (h >> np.uint64(31))) >> _SHIFT)


@compiled
def class_words(chars, starts, n_words, keys, values, hashes, classes, common):  # type: ignore[no-untyped-def]
    """Write hash and class of each word; `keys` and `values` are an open hash table, 0 where free."""
    mask = np.uint64(len(keys) - 1)
    for i in range(n_words):
        h = _BASIS
        for k in range(starts[i], starts[i + 1]):
            h = (h ^ np.uint64(chars[k])) * _PRIME
        slot = (h ^ (h >> np.uint64(32))) & mask
        while keys[slot] != 0 and keys[slot] != h:
            slot = (slot + np.uint64(1)) & mask
        value = values[slot] if keys[slot] == h else 0
        common[i] = value == COMMON
        classes[i] = 0 if value == COMMON else value
        hashes[i] = _GROUP_HASH if classes[i] == GROUP else h


@compiled
def _pieces(chars, begin, end, out, n):  # type: ignore[no-untyped-def]
    """Append the features of a word's pieces to `out`; return how many it then holds."""
    for i in range(begin - 1, end):
        h = _BASIS
        for k in range(i, i + MAX_GRAM):
            if k > end:
                break
            c = chars[k] if begin <= k < end else np.uint32(EDGE)
            h = (h ^ np.uint64(c)) * _PRIME
            if k - i + 1 >= MIN_GRAM:
                out[n] = _feature(GRAM, h, _NONE)
                n += 1
    return n


@compiled
def word_features(chars, starts, n_words, hashes, classes, common, out):  # type: ignore[no-untyped-def]
    """Write the features of words and their neighbours; return their number."""
    n = 0
    for i in range(n_words):
        out[n] = _feature(WORD, hashes[i], _NONE)
        n += 1
        if i + 1 < n_words:
            out[n] = _feature(PAIR, hashes[i], hashes[i + 1])
            n += 1
            if classes[i]:
                out[n] = _feature(CLASS_WORD, np.uint64(classes[i]), hashes[i + 1])
                n += 1
            if classes[i + 1]:
                out[n] = _feature(WORD_CLASS, hashes[i], np.uint64(classes[i + 1]))
                n += 1
        if i + 2 < n_words:
            out[n] = _feature(SKIP, hashes[i], hashes[i + 2])
            n += 1
        if classes[i] != GROUP and not common[i]:
            n = _pieces(chars, starts[i], starts[i + 1], out, n)
    return n


@compiled
def _pairs(kind, some, others, out, n):  # type: ignore[no-untyped-def]
    """Append a feature for each class of one set with each of another; return how many `out` then holds."""
    for a in range(1, len(CLASSES)):
        if (some >> np.uint64(a)) & _ONE:
            for b in range(1, len(CLASSES)):
                if (others >> np.uint64(b)) & _ONE and (kind == NEAR or a < b):
                    out[n] = _feature(kind, np.uint64(a), np.uint64(b))
                    n += 1
    return n


@compiled
def class_features(classes, quoted, n_words, out, n):  # type: ignore[no-untyped-def]
    """Append the features of classes to `out`; return (how many it then holds, the set of classes as bits)."""
    bits = _NONE
    first, second, at = _NONE, _NONE, -1
    for i in range(n_words):
        c = np.uint64(classes[i])
        if c == 0:
            continue
        if i - at > MAX_CLASS_GAP:
            first, second = _NONE, _NONE
        out[n] = _feature(CLASS, c, _NONE)
        n += 1
        if second:
            out[n] = _feature(SEQUENCE, second, c)
            n += 1
            if first:
                out[n] = _feature(TRIPLE, first * _SEQUELS + second, c)
                n += 1
        if quoted[i]:
            out[n] = _feature(QUOTED, c, _NONE)
            n += 1
        first, second, at = second, c, i
        bits |= _ONE << c
    return _pairs(TOGETHER, bits, bits, out, n), bits


@compiled
def near_features(bits, beside, out):  # type: ignore[no-untyped-def]
    """Write the features of a sentence's classes with those of the sentences beside it; return their number."""
    return _pairs(NEAR, bits & _TOXIC, beside & _SPEAKS_OF, out, 0)
