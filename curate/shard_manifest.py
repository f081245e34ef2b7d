"""The manifest of a folder of token shards: what every file must be, checked before anybody reads one."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from curate.errors import InputError

FORMAT, VERSION = "curate-tokens", 1
READ_BYTES = 4 << 20
DTYPES: Mapping[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}


def dtype_for(vocab_size: int) -> Literal["uint16", "uint32"]:
    """Return the narrowest type that holds ids below `vocab_size`."""
    return "uint16" if vocab_size <= 1 << 16 else "uint32"


@dataclass(frozen=True)
class ShardEntry:
    """One shard as the manifest lists it. `file` is the name of the `.ds` file; the other two follow from it."""

    file: str
    source: str
    split: str
    n_bytes: int
    n_tokens: int  # EOS included
    n_docs: int
    text_bytes: int  # UTF-8 bytes of the texts, for bits per byte
    sha256: str
    index_sha256: str
    provenance_sha256: str

    @property
    def index_file(self) -> str:
        return f"{self.file}.index"

    @property
    def provenance_file(self) -> str:
        return f"{self.file.removesuffix('.ds')}.prov.parquet"


class Total(NamedTuple):
    """Sums over the shards of one source and split."""

    n_shards: int
    n_docs: int
    n_tokens: int
    text_bytes: int


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says. `vocab_size` is the largest id the tokenizer has, plus one."""

    dtype: str
    vocab_size: int
    eos_id: int
    bos_id: int
    pad_id: int
    tokenizer_sha256: str
    seed: int
    split_rule: str
    shards: tuple[ShardEntry, ...]

    @property
    def totals(self) -> dict[tuple[str, str], Total]:
        """Return (source, split) → sums, in the order of the shards."""
        sums: dict[tuple[str, str], Total] = {}
        for shard in self.shards:
            old = sums.get((shard.source, shard.split), Total(0, 0, 0, 0))
            new = (1, shard.n_docs, shard.n_tokens, shard.text_bytes)
            sums[shard.source, shard.split] = Total(*(a + b for a, b in zip(old, new, strict=True)))
        return sums

    def facts(self) -> dict[str, int | str]:
        """Return name → value of what a reader depends on, one entry per field, source and split, in a fixed order.

        Two manifests with the same facts list the same files; `shards` is the sha256 of the shards' checksums.
        """
        named = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "shards"}
        totals = {
            f"totals.{source}.{split}.{name}": value
            for (source, split), total in self.totals.items()
            for name, value in total._asdict().items()
        }
        sums = "".join(s.sha256 + s.index_sha256 + s.provenance_sha256 for s in self.shards)
        return named | totals | {"shards": sha256(sums.encode()).hexdigest()}

    def to_json(self) -> str:
        """Return the text of `manifest.json`: sorted keys, totals spelled out for readers that do not add."""
        plain = dataclasses.asdict(self)
        plain |= {"format": FORMAT, "version": VERSION, "tokenizer_file": "tokenizer.json"}
        plain["totals"] = [{"source": s, "split": p, **t._asdict()} for (s, p), t in self.totals.items()]
        return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @staticmethod
    def of_json(text: str, where: str) -> Manifest:
        """Parse and check `manifest.json`; raises InputError that names the field."""
        try:
            plain = json.loads(text)
            if (plain.pop("format"), plain.pop("version")) != (FORMAT, VERSION):
                raise InputError(f"{where}: not a {FORMAT} manifest of version {VERSION}")
            totals = plain.pop("totals")
            plain.pop("tokenizer_file")
            plain["shards"] = tuple(ShardEntry(**row) for row in plain["shards"])
            manifest = Manifest(**plain)
            _check_types(manifest)
            for shard in manifest.shards:
                _check_types(shard)
            said = {(row.pop("source"), row.pop("split")): Total(**row) for row in totals}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{where}: damaged manifest: {error!r}") from error
        if said != manifest.totals:
            raise InputError(f"{where}: the totals are not the sums of the shards")
        manifest._check(where)
        return manifest

    def _check(self, where: str) -> None:
        if self.dtype not in DTYPES:
            raise InputError(f"{where}: dtype {self.dtype!r}; allowed: {', '.join(DTYPES)}")
        if self.vocab_size > 1 << (8 * DTYPES[self.dtype].itemsize):
            raise InputError(f"{where}: vocab_size {self.vocab_size:,} does not fit dtype {self.dtype}")
        for name in ("eos_id", "bos_id", "pad_id"):
            if not 0 <= getattr(self, name) < self.vocab_size:
                raise InputError(f"{where}: {name} {getattr(self, name)} is outside the vocabulary")
        for shard in self.shards:
            if Path(shard.file).name != shard.file or not shard.file.endswith(".ds"):
                raise InputError(f"{where}: shard file {shard.file!r} is not a plain name that ends in .ds")
        if len({shard.file for shard in self.shards}) < len(self.shards):
            raise InputError(f"{where}: a shard is listed twice")


def _check_types(part: Manifest | ShardEntry) -> None:
    """Raise TypeError where a field is not what its declaration says; counts are whole and not negative."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        whole = type(value) is int and (value >= 0 or field.name == "seed")
        if (field.type == "int" and not whole) or (field.type == "str" and type(value) is not str):
            raise TypeError(f"{field.name} is {value!r}")


def shard_stem(source: str, split: str, number: int) -> str:
    """Return `<source>-<split>-<nnnnn>`; a source whose name is no plain file name is spelled out with a hash."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+|^[.-]", "_", source)[:64]
    name = plain if plain == source else f"{plain}-{sha256(source.encode()).hexdigest()[:8]}"
    return f"{name}-{split}-{number:05d}"


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits; memory is one block."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
