"""Write the docs as shuffled token shards that the trainer reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.encoder import Encoder, load_encoder
from curate.errors import InputError
from curate.fold import Position, adopt, write_verdicts
from curate.registry import fold
from curate.shard_manifest import DTYPES, Manifest, ShardEntry, file_sha256, shard_stem
from curate.shard_writer import MAX_SHARD_BYTES, ShardWriter, join_shards
from curate.sites import host_of, site_of
from curate.sketches import Part, keyed_hashes, parts_in_order
from curate.token_shard import Tokens, TokenShard

VERDICT_ROWS = 1 << 24  # held at once while the verdicts are written: 16 bytes each
JOIN_TOKENS = 1 << 26  # small pieces of neighbouring parts are joined up to this: 128 MiB of u16
ALWAYS = {"url": pa.string(), "warc_file": pa.string(), "offset_bytes": pa.int64()}
WHERE_PRESENT = ("language", "cluster_id", "cluster_size")


@fold(
    version=2,
    reads=["doc_id", "text"],
    may_read=["source", *ALWAYS, *WHERE_PRESENT],
    writes={"n_tokens": pa.int32()},
    needs={"tokenizer": "train_tokenizer/tokenizer.json"},
    publishes="tokens",
    uses=["tokenizers"],
)
class Tokenize:
    """Encode every doc, append EOS, shuffle docs over the whole corpus, and write shards per source and split.

    Doc order is that of a hash of the doc_id keyed by `seed`; val takes the share `val_frac` of another such
    hash, of the cluster_id where a doc has one, so that near-duplicates never stand on both sides. So the
    tokens of a corpus are the same for every cut into input shards, batches and workers.

    Each provenance row names the doc's `domain`, the site of its URL, null where there is none. Memory is that of one
    batch, then of one part (spilled to disk beyond a budget) and a buffer per source and split, whatever the corpus.

    `n_tokens` counts the EOS: the sum over docs is the length of the shards. An empty text is one EOS. Text that
    spells a special token ("<|endoftext|>") is encoded as text; ids are otherwise those of `tokenizers` and
    `transformers` (see `curate.encoder` for texts of more than 2**18 characters).

    `eos_token` defaults to the first of <|endoftext|>, <|end_of_text|>, </s>, <eos>, [EOS] that the tokenizer
    has. A shard ends before `max_shard_tokens` (and 1 GiB); a longer doc has a shard to itself. nanoGPT
    holds out 0.05 % of OpenWebText; ten times that leaves a small corpus something to measure.
    """

    tokenizer: Annotated[Path | None, "a tokenizer.json; default: the one trained above"] = None
    val_frac: Annotated[float, "share of docs held out as split `val`"] = 0.005
    seed: Annotated[int, "another order, another split"] = 0
    max_shard_tokens: Annotated[int, "tokens per shard, at most"] = 1 << 28
    eos_token: Annotated[str, "the token that ends every document; default: found in the tokenizer"] = ""

    def __post_init__(self) -> None:
        if not 0 <= self.val_frac < 1:
            raise InputError(f"val_frac {self.val_frac}: at least 0, below 1")
        if not 1 <= self.max_shard_tokens <= MAX_SHARD_BYTES:
            raise InputError(f"max_shard_tokens {self.max_shard_tokens}: at least 1, at most {MAX_SHARD_BYTES:,}")

    def sketch(self, batch: pa.RecordBatch, at: Position) -> pa.Table:
        """Return a row per doc: part, key (place in the shuffle), shard, row, split, tokens as bytes, provenance."""
        encoder = self._encoder()
        doc_ids = batch["doc_id"].to_pylist()
        keys = keyed_hashes(doc_ids, self.seed, "tokenize order")
        ids = [encoder.encode(text or "") for text in batch["text"].to_pylist()]
        n_tokens = np.fromiter(map(len, ids), np.int64, len(ids))
        n = batch.num_rows
        columns = {
            "part": pa.array(parts_in_order(keys, at.n_parts), pa.int32()),
            "key": pa.array(keys, pa.uint64()),
            "shard": pa.array(np.full(n, at.shard, np.int32), pa.int32()),
            "row": pa.array(np.arange(at.row, at.row + n), pa.int64()),
            "split": self._split(batch, doc_ids),
            "tokens": _binary_of(ids, n_tokens * DTYPES[encoder.dtype].itemsize),
            **_provenance(batch, n_tokens),
        }
        return pa.table(columns)

    def reduce(self, part: Part, out: Path) -> None:
        """Write this part's pieces of shards, their entries, and the token counts for the verdicts."""
        dtype = self._encoder().dtype
        writers: dict[tuple[str, str], _Pieces] = {}
        limit = self._max_tokens(dtype)
        counts = pa.schema([("shard", pa.int32()), ("row", pa.int64()), ("n_tokens", pa.int32())])
        with pq.ParquetWriter(out / "counts.parquet", counts, compression="zstd") as file:
            for batch in part.sorted("key", then=["doc_id"]):
                file.write_batch(batch.select(counts.names))
                for place, rows in _by_place(batch):
                    if place not in writers:
                        writers[place] = _Pieces(out, place, dtype, limit)
                    writers[place].add(rows)
        entries = [asdict(entry) for place in sorted(writers) for entry in writers[place].close()]
        (out / "pieces.json").write_text(json.dumps(entries), encoding="utf-8")

    def finish(self, parts: Sequence[Path], out: Path) -> None:
        """Name the shards in shuffle order, joining small neighbours; write manifest, tokenizer and verdicts."""
        encoder = self._encoder()
        pieces: dict[tuple[str, str], list[TokenShard]] = {}
        for folder in parts:
            for plain in json.loads((folder / "pieces.json").read_text(encoding="utf-8")):
                piece = TokenShard(folder, ShardEntry(**plain), encoder.dtype)
                pieces.setdefault((piece.entry.source, piece.entry.split), []).append(piece)
        limit = min(JOIN_TOKENS, self._max_tokens(encoder.dtype))
        entries = [
            _publish(group, out, number)
            for place in sorted(pieces)
            for number, group in enumerate(_groups(pieces[place], limit))
        ]
        assert self.tokenizer is not None
        shutil.copyfile(self.tokenizer, out / "tokenizer.json")
        manifest = Manifest(
            dtype=encoder.dtype, vocab_size=encoder.vocab_size, eos_id=encoder.eos_id, bos_id=encoder.bos_id,
            pad_id=encoder.pad_id, tokenizer_sha256=file_sha256(out / "tokenizer.json"), seed=self.seed,
            split_rule=f"val where blake2b-64 of cluster_id or doc_id, keyed by seed, < {self.val_frac!r} * 2**64",
            shards=tuple(entries),
        )  # fmt: skip
        (out / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
        _write_counts(parts, out)

    def _encoder(self) -> Encoder:
        if self.tokenizer is None:
            raise InputError("tokenize has no tokenizer: put train_tokenizer above it, or give `tokenizer: PATH`")
        return load_encoder(self.tokenizer, self.eos_token)

    def _max_tokens(self, dtype: str) -> int:
        return min(self.max_shard_tokens, MAX_SHARD_BYTES // DTYPES[dtype].itemsize)

    def _split(self, batch: pa.RecordBatch, doc_ids: list[str]) -> pa.Array:
        names = doc_ids
        if "cluster_id" in batch.schema.names:
            clusters = batch["cluster_id"].cast(pa.string()).to_pylist()
            names = [doc if cluster is None else cluster for doc, cluster in zip(doc_ids, clusters, strict=True)]
        held_out = (keyed_hashes(names, self.seed, "tokenize split") >> np.uint64(32)) < self.val_frac * 2.0**32
        return pc.if_else(pa.array(held_out, pa.bool_()), pa.scalar("val"), pa.scalar("train"))


class _Pieces:
    """The shards that one part writes for one source and split."""

    def __init__(self, out: Path, place: tuple[str, str], dtype: str, max_tokens: int) -> None:
        self._out, self._place, self._dtype, self._max_tokens = out, place, dtype, max_tokens
        self._writer: ShardWriter | None = None
        self._done: list[ShardEntry] = []

    def add(self, rows: pa.Table) -> None:
        """Append docs; start a new shard where the next one would pass the limit."""
        tokens = _tokens_of(rows["tokens"].combine_chunks(), self._dtype)
        provenance = rows.drop_columns(["part", "key", "shard", "row", "split", "tokens"])
        ends = np.cumsum(provenance["n_tokens"].to_numpy(), dtype=np.int64)
        done = first = 0
        while done < len(ends):
            writer = self._writer or self._open(provenance.schema)
            n = int(np.searchsorted(ends, first + self._max_tokens - writer.n_tokens, side="right"))
            n = max(n, done + (writer.n_docs == 0))  # a doc longer than the limit stands alone
            if n == done:
                self._rotate()
                continue
            end = int(ends[n - 1])
            writer.add(tokens[first:end], provenance.slice(done, n - done))
            done, first = n, end

    def close(self) -> list[ShardEntry]:
        self._rotate()
        return self._done

    def _open(self, schema: pa.Schema) -> ShardWriter:
        self._writer = ShardWriter(self._out, shard_stem(*self._place, len(self._done)), self._dtype, schema)
        return self._writer

    def _rotate(self) -> None:
        if self._writer is not None:
            self._done.append(self._writer.close(*self._place))
            self._writer = None


def _write_counts(parts: Sequence[Path], out: Path) -> None:
    """Write the token counts of all rows as verdicts, in as many passes over the parts as keep them in memory."""
    files = [folder / "counts.parquet" for folder in parts]
    n_rows = sum(pq.read_metadata(file).num_rows for file in files)
    n_passes = max(1, -(-n_rows // VERDICT_ROWS))
    last = max((_last_shard(file) for file in files), default=-1)
    for number in range(n_passes):
        low, high = (last + 1) * number // n_passes, (last + 1) * (number + 1) // n_passes
        mine = [("shard", ">=", low), ("shard", "<", high)]
        counts = pa.concat_tables([pq.read_table(file, filters=mine) for file in files])
        write_verdicts(out, counts.add_column(2, "drop_reason", pa.nulls(counts.num_rows, pa.string())))


def _last_shard(file: Path) -> int:
    """Return the highest shard of a file of counts, from the statistics of its row groups."""
    metadata = pq.read_metadata(file)
    groups = (metadata.row_group(i).column(0).statistics for i in range(metadata.num_row_groups))
    return max((int(found.max) for found in groups if found is not None and found.has_min_max), default=-1)


def _domain_of(url: str | None) -> str | None:
    host = host_of(url)
    return None if host is None else site_of(host)


def _provenance(batch: pa.RecordBatch, n_tokens: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
    """Return the columns of the provenance rows, in their order in the file; `domain` is the site of the URL."""
    n, present = batch.num_rows, set(batch.schema.names)
    source = batch["source"] if "source" in present else pa.nulls(n, pa.string())
    lengths = pc.binary_length(batch["text"].cast(pa.large_string()))
    domains = [_domain_of(url) for url in batch["url"].to_pylist()] if "url" in present else [None] * n
    return {
        "doc_id": batch["doc_id"],
        "source": pc.fill_null(source, "unnamed"),
        "domain": pa.array(domains, pa.string()),
        **{name: batch[name] if name in present else pa.nulls(n, type_) for name, type_ in ALWAYS.items()},
        "text_bytes": pc.fill_null(lengths, 0).cast(pa.int64()),
        "n_tokens": pa.array(n_tokens, pa.int32()),
        **{name: batch[name] for name in WHERE_PRESENT if name in present},
    }


def _binary_of(ids: list[Tokens], n_bytes: npt.NDArray[np.int64]) -> pa.Array:
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(n_bytes, dtype=np.int64)])
    flat = np.concatenate(ids) if ids else np.empty(0, np.uint16)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(flat)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(ids), buffers)


def _tokens_of(column: pa.Array, dtype: str) -> Tokens:
    offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
    n_bytes = int(offsets[-1] - offsets[0])
    if n_bytes == 0:
        return np.empty(0, DTYPES[dtype])
    size = DTYPES[dtype].itemsize
    return np.frombuffer(column.buffers()[2], DTYPES[dtype], n_bytes // size, int(offsets[0]))


def _by_place(batch: pa.RecordBatch) -> Iterator[tuple[tuple[str, str], pa.Table]]:
    """Yield the rows of each (source, split) in a batch, in their order."""
    table = pa.Table.from_batches([batch])
    places = table.group_by(["source", "split"], use_threads=False).aggregate([])
    for place in places.to_pylist():
        mine = pc.and_(pc.equal(table["source"], place["source"]), pc.equal(table["split"], place["split"]))
        yield (place["source"], place["split"]), table.filter(mine)


def _groups(pieces: Sequence[TokenShard], max_tokens: int) -> Iterator[list[TokenShard]]:
    """Yield runs of neighbours that together stay within `max_tokens`; a larger piece stands alone."""
    group: list[TokenShard] = []
    for piece in pieces:
        if group and sum(p.entry.n_tokens for p in (*group, piece)) > max_tokens:
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _publish(group: Sequence[TokenShard], out: Path, number: int) -> ShardEntry:
    entry = group[0].entry
    stem = shard_stem(entry.source, entry.split, number)
    if len(group) > 1:
        return join_shards(out, stem, group)
    named = ShardEntry(**{**asdict(entry), "file": f"{stem}.ds"})
    for old, new in ((entry.file, named.file), (entry.index_file, named.index_file)):
        adopt(group[0].folder / old, out / new)
    adopt(group[0].folder / entry.provenance_file, out / named.provenance_file)
    return named
