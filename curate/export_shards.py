"""Token shards in the layouts of other trainers: hard links where the body is the same, a copy where it is not.

All four take one row of little-endian token ids; what differs is what stands beside it.

    datatrove  <shard>.ds, <shard>.ds.index (u64 document ends), <shard>.ds.metadata    links
    megatron   <shard>.bin, <shard>.idx: one sequence per document, EOD included         links
    nanogpt    train.bin, val.bin: u16 ids, all sources on end                           a link where one shard is all
    llm.c      tokens_<split>_<nnnnnn>.bin: 1,024 bytes of header, EOT before each document, up to 100M tokens a file
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.errors import InputError
from curate.fold import adopt
from curate.receipts import attempt_name, fsync_path
from curate.registry import nearest
from curate.shards import DTYPES, TokenShard, TokenShards

READ_TOKENS = 4 << 20
LLMC_TOKENS = 100_000_000  # a file of llm.c's FineWeb has as many; its count is an int32, its offsets are too in places
LLMC_MAGIC = {"uint16": (20240520, 1), "uint32": (20240801, 7)}
MEGATRON_MAGIC = b"MMIDIDX\x00\x00"
MEGATRON_VERSION = 1
MEGATRON_DTYPE = {"uint16": 8, "uint32": 4}  # it has no u32: ids below 2^31 are the same bytes as i32
MAX_MEGATRON_DOC_TOKENS = (1 << 31) - 1


@dataclass(frozen=True)
class Exported:
    """What an export came to."""

    out: str
    format: str
    n_tokens: int
    n_docs: int
    files: Mapping[str, int]  # name → bytes


def export_shards(shards: str | Path, format: str, out: str | Path) -> Exported:
    """Write a folder of token shards in another trainer's layout into `out`, which appears whole or not at all.

    All shards are read and compared with their checksums first, for what is written carries none.

    Raises InputError for shards that are damaged, a format that is not known or cannot hold them, and an `out` that
    is not empty.
    """
    if format not in FORMATS:
        raise InputError(f"no format {format!r}{nearest(format, FORMATS)}")
    opened, out = TokenShards.open(shards, deep=True), Path(out)
    if not any(shard.entry.n_tokens for shard in opened.shards):
        raise InputError(f"{shards} holds no tokens")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not empty; choose another -o")
    out.parent.mkdir(parents=True, exist_ok=True)
    made = out.parent / f".{out.name}.{attempt_name()}"
    made.mkdir()
    try:
        FORMATS[format](opened, made)
        adopt(opened.folder / "tokenizer.json", made / "tokenizer.json")
        files = {path.name: path.stat().st_size for path in sorted(made.iterdir())}
        for path in (*made.iterdir(), made):
            fsync_path(path)
        os.rename(made, out)  # an empty folder may be there
    finally:
        shutil.rmtree(made, ignore_errors=True)
    entries = [shard.entry for shard in opened.shards]
    return Exported(str(out), format, sum(e.n_tokens for e in entries), sum(e.n_docs for e in entries), files)


def _datatrove(opened: TokenShards, out: Path) -> None:
    size = DTYPES[opened.manifest.dtype].itemsize
    for shard in opened.shards:
        entry = shard.entry
        adopt(opened.folder / entry.file, out / entry.file)
        adopt(opened.folder / entry.index_file, out / entry.index_file)
        lines = (f"tokenizer.json|{size}", str(entry.n_tokens), _humanised(entry.n_tokens))
        (out / f"{entry.file}.metadata").write_text("\n".join(lines), encoding="utf-8")


def _megatron(opened: TokenShards, out: Path) -> None:
    dtype = opened.manifest.dtype
    if opened.manifest.vocab_size > 1 << 31:
        raise InputError(f"{opened.folder}: ids of 2^31 and more do not fit Megatron's int32")
    for shard in opened.shards:
        stem = shard.entry.file.removesuffix(".ds")
        adopt(opened.folder / shard.entry.file, out / f"{stem}.bin")
        ends = shard.ends.astype(np.int64)
        starts = np.concatenate([np.zeros(1, np.int64), ends])[: len(ends)]
        n_tokens = ends - starts
        if len(ends) and int(n_tokens.max()) > MAX_MEGATRON_DOC_TOKENS:
            raise InputError(
                f"{shard.entry.file}: a document of {int(n_tokens.max()):,} tokens; Megatron's limit is 2^31"
            )
        with (out / f"{stem}.idx").open("wb") as file:
            file.write(MEGATRON_MAGIC)
            file.write(np.uint64(MEGATRON_VERSION).astype("<u8").tobytes())
            file.write(bytes([MEGATRON_DTYPE[dtype]]))
            file.write(np.array([len(ends), len(ends) + 1], "<u8").tobytes())
            file.write(n_tokens.astype("<i4").tobytes())
            file.write((starts * DTYPES[dtype].itemsize).astype("<i8").tobytes())
            file.write(np.arange(len(ends) + 1, dtype="<i8").tobytes())


def _nanogpt(opened: TokenShards, out: Path) -> None:
    if opened.manifest.dtype != "uint16":
        raise InputError(f"{opened.folder}: its ids are {opened.manifest.dtype}; nanoGPT reads uint16 only")
    for split, shards in _by_split(opened).items():
        if len(shards) == 1:
            adopt(opened.folder / shards[0].entry.file, out / f"{split}.bin")
            continue
        with (out / f"{split}.bin").open("wb") as file:
            for tokens in _pieces(shards):
                file.write(tokens.tobytes())


def _llmc(opened: TokenShards, out: Path) -> None:
    for split, shards in _by_split(opened).items():
        n_tokens = sum(shard.entry.n_tokens for shard in shards)
        pieces = _begun_by_eot(shards, opened.manifest.eos_id, n_tokens)
        rest = np.zeros(0, DTYPES[opened.manifest.dtype])
        n_files = -(-n_tokens // LLMC_TOKENS)
        for number in range(n_files):  # of one size: llm.c refuses a file that is shorter than a batch
            missing = n_tokens * (number + 1) // n_files - n_tokens * number // n_files
            header = np.zeros(256, "<i4")
            header[:3] = *LLMC_MAGIC[opened.manifest.dtype], missing
            with (out / f"tokens_{split}_{number:06d}.bin").open("wb") as file:
                file.write(header.tobytes())
                while missing:
                    if not len(rest):
                        rest = next(pieces)
                    file.write(rest[:missing].tobytes())
                    rest, missing = rest[missing:], missing - min(missing, len(rest))


def _begun_by_eot(shards: Sequence[TokenShard], eos_id: int, n_tokens: int) -> Iterator[npt.NDArray[Any]]:
    """Yield the ids with EOT before each document instead of after it: one put first, the last one left out."""
    yield np.array([eos_id], DTYPES[shards[0].dtype])
    left = n_tokens - 1
    for tokens in _pieces(shards):
        yield tokens[:left]
        left -= len(tokens[:left])


def _pieces(shards: Sequence[TokenShard]) -> Iterator[npt.NDArray[Any]]:
    for shard in shards:
        for start in range(0, shard.entry.n_tokens, READ_TOKENS):
            yield shard.tokens[start : start + READ_TOKENS]


def _by_split(opened: TokenShards) -> dict[str, list[TokenShard]]:
    found: dict[str, list[TokenShard]] = {}
    for shard in opened.shards:
        if shard.entry.n_tokens:
            found.setdefault(shard.entry.split, []).append(shard)
    return found


def _humanised(n_tokens: int) -> str:
    """Return a count as datatrove's metadata shows it: three figures, a letter, T for tokens; 1234567 is 1.23 MT."""
    thousands, rest = divmod(len(str(n_tokens)) - 1, 3)
    shown = f"{n_tokens / 1000**thousands:.{2 - rest}f}"
    if float(shown) >= 10 ** (rest + 1):  # rounded up to one digit more
        return _humanised(1000**thousands * 10 ** (rest + 1))
    return f"{shown} {('', 'k', 'M', 'G', 'T', 'P')[thousands]}T"


FORMATS: Mapping[str, Callable[[TokenShards, Path], None]] = {
    "megatron": _megatron,
    "nanogpt": _nanogpt,
    "llm.c": _llmc,
    "datatrove": _datatrove,
}
