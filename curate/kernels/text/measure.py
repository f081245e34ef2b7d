"""The border between Arrow and the text kernels: a column of text in, integer signals per doc out.

Texts go through in groups of about GROUP_BYTES, or one large text at a time: each variant of words is cut once, and the
passes that fill the wanted signals run over the same words while they are in the processor's cache. The first call of a
kernel in a process compiles it, or loads from Numba's cache on disk what an earlier process compiled. Compiled code
releases the GIL and every thread has its own scratch memory, so threads may call at once.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from curate.kernels.text.passes import (
    CITED,
    MAX_CITED_BYTES,
    MAX_CITED_LINES,
    MAX_CITED_WORDS,
    Copies,
    Docs,
    Grams,
    Kernel,
    Pass,
    Room,
    Words,
    groups,
    read_only,
)
from curate.kernels.text.primitives import MAX_GENERATION, SLOT, slots_for
from curate.kernels.text.tables import MAX_CHUNK_BYTES
from curate.kernels.text.words import CHAR, WORD
from curate.signals import MAX_WORDS, SIGNALS

GROUP_BYTES = 1 << 16  # text whose words and table stay in the second-level cache

# The modules whose PASSES fill a family's signals, and whose SEGMENTERS cut its words.
FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "characters": "characters",
        "classes": "characters",
        "lines": "lines",
        "fineweb": "lines",
        "repeated_lines": "lines",
        "dclm_lines": "lines_dclm",
        "words": "word_counts",
        "ngrams": "ngrams",
        "c4": "c4",
        "redpajama2": "redpajama",
        "redpajama2_words": "redpajama",
        "refinedweb": "refinedweb",
        "bigscience": "bigscience",
        "bigscience_words": "bigscience",
        "bigscience_chars": "bigscience",
    }
)


def measure(text: pa.Array, names: Collection[str]) -> dict[str, pa.Array]:
    """Return int64[n_docs] for each name, of `curate.signals.SIGNALS`, in the order given.

    `text` is string[n_docs] or large_string[n_docs], and may be a slice. A signal is null where the text is null or
    where it was not measured (`curate.signals.UNMEASURED`). Raises KeyError for an unknown name.
    """
    wanted = dict.fromkeys(names)
    found = run_passes(text, passes_for(tuple(wanted)))
    return {name: found[name] for name in wanted}


def passes_for(names: Collection[str]) -> list[Pass]:
    """Return the passes that fill the named signals, each once, those of one variant of words together."""
    modules = dict.fromkeys(FAMILIES[SIGNALS[name].family] for name in names)
    known = [one for module in modules for one in _module(module).PASSES]
    return sorted((one for one in known if set(one.columns) & set(names)), key=lambda one: one.words or "")


def run_passes(text: pa.Array, passes: Sequence[Pass]) -> dict[str, pa.Array]:
    """Return int64[n_docs] for each column of the passes; compiles or loads their kernels even if there is no doc."""
    docs = docs_of(text)
    kernels = [one.kernel() for one in passes]
    segmenters = {one.words: _segmenter(one.words) for one in passes if one.words is not None}
    outs = [np.full((len(text), len(one.columns)), -1, np.int64) for one in passes]
    for first, last in groups(docs.offsets, GROUP_BYTES):
        group = Docs(docs.data, docs.offsets[first : last + 1], docs.valid[first:last])
        room, words = _room_for(group)
        cut = None
        for one, kernel, out in zip(passes, kernels, outs, strict=True):
            if one.words is not None and one.words != cut:
                segmenters[one.words](group, words, room, MAX_WORDS)
                cut = one.words
            kernel(group, words, room, out[first:last])
    return {
        name: pa.array(column, pa.int64(), mask=column < 0)
        for one, out in zip(passes, outs, strict=True)
        for name, column in zip(one.columns, out.T, strict=True)
    }


def compile_passes(names: Collection[str]) -> None:
    """Compile, or load, the passes that fill the named signals, but not what cuts their words."""
    group = docs_of(pa.array([], pa.string()))
    room, words = _room_for(group)
    for one in passes_for(names):
        one.kernel()(group, words, room, np.zeros((0, len(one.columns)), np.int64))


def compile_words(variant: str) -> None:
    """Compile, or load, what cuts one variant of words."""
    group = docs_of(pa.array([], pa.string()))
    room, words = _room_for(group)
    _segmenter(variant)(group, words, room, MAX_WORDS)


def docs_of(text: pa.Array) -> Docs:
    """Return the buffers of a string array, which may be a slice; nothing of the text is copied."""
    _, raw_offsets, raw_data = text.buffers()
    wide = np.int64 if pa.types.is_large_string(text.type) else np.int32
    offsets = np.zeros(1, np.int64)
    if len(text):
        offsets = np.frombuffer(raw_offsets, wide)[text.offset : text.offset + len(text) + 1].astype(np.int64)
    # Kernels see read-only bytes always, so that they compile for one type.
    data = read_only(np.frombuffer(raw_data or b"", np.uint8))
    valid = np.frombuffer(text.is_valid().cast(pa.uint8()).buffers()[1] or b"", np.bool_)[: len(text)]
    return Docs(data, offsets, read_only(valid))


def words_in(text: str, variant: str) -> list[str]:
    """Return the words of a text as the kernels see them."""
    group = docs_of(pa.array([text], pa.string()))
    room, words = _room_for(group)
    _segmenter(variant)(group, words, room, MAX_WORDS)
    data = group.data.tobytes()
    return [data[word["start"] : word["end"]].decode() for word in words.word[: words.first[1]]]


def _module(name: str) -> Any:
    return importlib.import_module(f"curate.kernels.text.{name}")


def _segmenter(variant: str) -> Kernel:
    for module in dict.fromkeys(["segmenters", *FAMILIES.values()]):
        found = getattr(_module(module), "SEGMENTERS", {})
        if variant in found:
            kernel: Kernel = found[variant]()
            return kernel
    raise KeyError(variant)


_local = threading.local()
_n_slots: Callable[[int], int] = slots_for.py_func  # type: ignore[attr-defined]


def _room_for(group: Docs) -> tuple[Room, Words]:
    """Return scratch memory for a group: this thread's own, or a larger one for a larger doc."""
    n_bytes = int(group.offsets[-1] - group.offsets[0])
    n_docs = group.valid.size
    if n_bytes > GROUP_BYTES:
        return _new_room(n_bytes, n_docs)
    room: tuple[Room, Words] | None = getattr(_local, "room", None)
    if room is None or room[1].measured.size < n_docs or room[0].grams.generation[0] > MAX_GENERATION:
        room = _local.room = _new_room(GROUP_BYTES, max(n_docs, 1 << 10))
    return room


def _new_room(n_bytes: int, n_docs: int) -> tuple[Room, Words]:
    """Return scratch memory for docs of `n_bytes` together: at most about 110 MB, of which only what is used counts."""
    n_words = min(n_bytes, MAX_WORDS)
    n_line_words = min(n_bytes, MAX_CITED_WORDS)
    line = np.zeros(min(n_bytes, MAX_CITED_BYTES), np.uint8)
    grams = Grams(
        table=np.zeros(_n_slots(min(n_bytes + 1, MAX_WORDS)), SLOT),
        generation=np.zeros(1, np.int64),
        gram=np.empty(n_words, np.uint64),
        total=np.empty(n_words + 1, np.int64),
        count=np.empty(n_words, np.int32),
        where=np.empty(n_words, np.int32),
        at=np.empty(n_words, np.int32),
        seen=np.empty(2 * n_words, np.uint8),
    )
    copies = Copies(line, read_only(line), np.zeros(min(n_bytes, MAX_CITED_LINES) + 2, CITED), np.zeros(1, np.int64))
    room = Room(
        grams=grams,
        chars=np.empty(MAX_CHUNK_BYTES + 1, CHAR),
        ends=np.empty(MAX_CHUNK_BYTES + 1, np.int64),
        copies=copies,
        line_words=np.empty(n_line_words + 2 * MAX_CHUNK_BYTES, WORD),
    )
    words = Words(
        word=np.empty(n_words + 2 * MAX_CHUNK_BYTES, WORD),
        first=np.zeros(n_docs + 1, np.int64),
        measured=np.zeros(n_docs, np.bool_),
    )
    return room, words
