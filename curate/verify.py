"""An independent check of a finished run: sums and checksums recomputed from its files.

This module reads JSON and Parquet by itself. It shares no code with what wrote them, so that one mistake
cannot hide in both.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.errors import InputError

RECEIPT_FIELDS = {"docs": dict, "text_bytes": dict, "inputs": dict, "ledger_file": dict, "sketch_files": dict}


@dataclass
class Verdict:
    """What was checked and what was found wrong; each problem names the file."""

    run: str
    n_shards: int = 0
    n_files: int = 0
    n_docs_in: int = 0
    n_docs_kept: int = 0
    n_docs_left: int = 0  # in the ledger
    deep: bool = False
    unfinished: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems and not self.unfinished


def verify(run: str | Path, *, deep: bool = False) -> Verdict:
    """Check a run. `deep` also hashes every file, recounts rows and text, and follows every doc_id to its end.

    Raises InputError if the folder holds no run.
    """
    root = Path(run)
    if not (root / "run.json").is_file():
        raise InputError(f"{root} is not a run: it has no run.json")
    try:
        about = dict(json.loads((root / "run.json").read_text(encoding="utf-8")))
        verdict = Verdict(str(root), n_shards=len(about["shards"]), deep=deep)
        n_phases = len(about["phases"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{root / 'run.json'} cannot be read ({error!r}); it was changed or cut") from error
    checker = _Checker(root, about, verdict)
    for number in range(n_phases):
        checker.phase(number)
    checker.published()
    if deep:
        checker.every_doc_once()
    return verdict


class _Checker:
    def __init__(self, root: Path, about: dict[str, Any], verdict: Verdict) -> None:
        self.root, self.about, self.verdict = root, about, verdict
        self.receipts: list[dict[str, dict[str, Any]]] = []

    def wrong(self, place: Path | str, what: str) -> None:
        self.verdict.problems.append(f"{place}: {what}")

    def phase(self, number: int) -> None:
        phase = self.about["phases"][number]
        folder = self.root / "phases" / phase["folder"]
        found: dict[str, dict[str, Any]] = {}
        for shard, pieces in enumerate(self.about["shards"]):
            file = folder / "receipts" / f"{shard:05d}.json"
            if not file.is_file():
                self.verdict.unfinished.append(f"{phase['folder']} shard {shard:05d}")
                continue
            receipt = self._json(file, RECEIPT_FIELDS)
            if receipt is None:
                continue
            found[f"{shard:05d}"] = receipt
            self._sums(file, receipt)
            if phase["upstream"] is None:
                self._input_bytes(file, receipt, pieces)
            else:
                above = self.receipts[phase["upstream"]].get(f"{shard:05d}")
                if above is not None and above["docs"]["kept"] != receipt["docs"]["in"]:
                    self.wrong(file, f"{receipt['docs']['in']} docs in, but {above['docs']['kept']} kept above")
            for entry in (receipt["docs_file"], receipt["ledger_file"], *receipt["sketch_files"].values()):
                if entry is not None:
                    self._file(folder, entry)
            self._rows(folder, receipt)
        self.receipts.append(found)
        for fold in phase["folds"]:
            self._fold(folder / "folds" / fold, phase, number)

    def _json(self, file: Path, fields: Mapping[str, type]) -> dict[str, Any] | None:
        try:
            receipt = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            self.wrong(file, f"not a receipt: {error}")
            return None
        lacking = [n for n, kind in fields.items() if not isinstance(receipt, dict) or type(receipt.get(n)) is not kind]
        if lacking or not isinstance(receipt, dict):
            self.wrong(file, f"not a receipt: it lacks {lacking[0] if lacking else 'all fields'}")
            return None
        return receipt

    def _sums(self, file: Path, receipt: dict[str, Any]) -> None:
        docs, text = receipt["docs"], receipt["text_bytes"]
        dropped = sum(n for reasons in docs["dropped"].values() for n in reasons.values())
        quarantined = sum(docs["quarantined"].values())
        if docs["in"] != docs["kept"] + dropped + quarantined:
            self.wrong(
                file, f"{docs['in']} docs in ≠ {docs['kept']} kept + {dropped} dropped + {quarantined} quarantined"
            )
        if text["in"] + text["rewritten"] != text["kept"] + text["dropped"] + text["quarantined"]:
            self.wrong(file, "text bytes do not add up")

    def _input_bytes(self, file: Path, receipt: dict[str, Any], pieces: list[dict[str, Any]]) -> None:
        for piece in pieces:
            if piece["kind"] == "parquet":
                continue
            tally = receipt["inputs"].get(f"{piece['name']}[{piece['start']}:{piece['end']}]")
            n_bytes = piece["end"] - piece["start"]
            told = None if tally is None else tally["bytes_ok"] + tally["bytes_bad"] + tally["bytes_padding"]
            if told != n_bytes:
                self.wrong(file, f"{piece['name']}: {told} of {n_bytes} bytes accounted for")
            elif tally is not None and sum(span["n_bytes"] for span in tally["bad_spans"]) != tally["bytes_bad"]:
                self.wrong(file, f"{piece['name']}: damaged spans do not add up to bytes_bad")

    def _file(self, folder: Path, entry: dict[str, Any]) -> None:
        path = folder / entry["path"]
        self.verdict.n_files += 1
        if not path.is_file():
            self.wrong(path, "missing")
        elif path.stat().st_size != entry["bytes"]:
            self.wrong(path, f"{path.stat().st_size} bytes, {entry['bytes']} in the receipt")
        elif self.verdict.deep and _sha256(path) != entry["sha256"]:
            self.wrong(path, "content changed: its sha256 is not the receipt's")

    def _rows(self, folder: Path, receipt: dict[str, Any]) -> None:
        left = sum(n for reasons in receipt["docs"]["dropped"].values() for n in reasons.values())
        left += sum(receipt["docs"]["quarantined"].values())
        self._count(folder, receipt["ledger_file"], left, "docs left")
        if receipt["docs_file"] is not None:
            self._count(folder, receipt["docs_file"], receipt["docs"]["kept"], "docs kept")
        if self.verdict.deep and not self.verdict.problems:
            self._recount(folder, receipt)

    def _count(self, folder: Path, entry: dict[str, Any], n_rows: int, what: str) -> None:
        path = folder / entry["path"]
        if entry["rows"] != n_rows:
            self.wrong(path, f"its receipt says {entry['rows']} rows and {n_rows} {what}")
        if not path.is_file():
            return  # already said
        try:
            found = pq.read_metadata(path).num_rows
        except (OSError, ValueError) as error:
            self.wrong(path, f"cannot be read: {error}")
            return
        if found != n_rows:
            self.wrong(path, f"{found} rows, {n_rows} {what}")

    def _recount(self, folder: Path, receipt: dict[str, Any]) -> None:
        ledger = pq.read_table(
            folder / receipt["ledger_file"]["path"], columns=["step", "reason", "outcome", "text_bytes"]
        )
        told = {(s, r): n for s, reasons in receipt["docs"]["dropped"].items() for r, n in reasons.items()}
        is_dropped = pc.equal(ledger["outcome"], "dropped")
        rows = ledger.filter(is_dropped).select(["step", "reason"]).to_pylist()
        counted = Counter((row["step"], row["reason"]) for row in rows)
        if dict(counted) != told:
            self.wrong(folder / receipt["ledger_file"]["path"], f"reasons {dict(counted)}, receipt says {told}")
        gone = pc.sum(ledger["text_bytes"]).as_py() or 0
        text = receipt["text_bytes"]
        if gone != text["dropped"] + text["quarantined"]:
            self.wrong(folder / receipt["ledger_file"]["path"], f"{gone} text bytes left, receipt says otherwise")
        if receipt["docs_file"] is None or "text" not in pq.read_schema(folder / receipt["docs_file"]["path"]).names:
            return
        kept = 0
        with pq.ParquetFile(folder / receipt["docs_file"]["path"]) as file:
            for batch in file.iter_batches(columns=["text"]):
                kept += pc.sum(pc.binary_length(batch["text"])).as_py() or 0
        if kept != text["kept"]:
            self.wrong(folder / receipt["docs_file"]["path"], f"{kept} text bytes, {text['kept']} in the receipt")

    def _fold(self, folder: Path, phase: dict[str, Any], number: int) -> None:
        file = folder / "receipts" / "finish.json"
        if not file.is_file():
            self.verdict.unfinished.append(f"{phase['folder']} fold {folder.name}")
            return
        receipt = self._json(file, {"out": str, "files": list, "bound_to": dict})
        if receipt is None:
            return
        parts = [self._json(part, {"out": str, "files": list}) for part in sorted(file.parent.glob("part-*.json"))]
        for each in [receipt, *(part for part in parts if part is not None)]:
            for entry in each["files"]:
                self._file(folder / each["out"], entry)
        owner = number if phase["writes_docs"] else phase["upstream"]
        for shard, sha256 in receipt["bound_to"].items():
            docs = self.receipts[owner].get(shard, {}).get("docs_file")
            if docs is None or docs["sha256"] != sha256:
                self.wrong(file, f"its verdicts are for another version of shard {shard}")

    def published(self) -> None:
        """Every published file shows what its receipt names."""
        listing = self.root / "published.json"
        if not listing.is_file():
            self.verdict.unfinished.append("published results")
            return
        pieces: dict[str, list[list[int]]] = {}
        for name, entry in sorted((self._json(listing, {}) or {}).items()):
            about = entry if isinstance(entry, dict) else {"of": entry}
            shown, source = self.root / name, self.root / about["of"]
            self.verdict.n_files += 1
            if not shown.is_file():
                self.wrong(shown, "missing")
                continue
            if "rows" in about:
                pieces.setdefault(about["of"], []).append(about["rows"])
                start, end = about["rows"]
                if shown.stat().st_size > about["max_file_bytes"] and end - start > 1:
                    self.wrong(shown, f"{shown.stat().st_size} bytes, {about['max_file_bytes']} allowed")
            if "rows" in about or name.endswith(".jsonl.zst"):
                self._same_docs(shown, source, about.get("rows"))
            elif source.is_file() and not shown.samefile(source) and _sha256(shown) != _sha256(source):
                self.wrong(shown, f"is not {about['of']}")
        for target, found in pieces.items():
            ends = [0, *(end for _, end in found)]
            n_rows = self._n_rows(self.root / target)
            if [start for start, _ in found] != ends[:-1] or n_rows not in (None, ends[-1]):
                self.wrong(listing, f"the files cut from {target} do not hold each of its {n_rows} rows once")

    def _n_rows(self, path: Path) -> int | None:
        try:
            return int(pq.read_metadata(path).num_rows)
        except (OSError, ValueError):
            return None  # already said, where its receipt was read

    def _same_docs(self, shown: Path, source: Path, rows: list[int] | None) -> None:
        """Check that a file that was written anew holds the docs it should: by its doc_ids, if that is asked for."""
        if not self.verdict.deep or not source.is_file():
            return
        wanted = self._doc_ids(source)
        wanted = wanted if rows is None else wanted[rows[0] : rows[1]]
        found = _ids_of_lines(shown) if shown.name.endswith(".jsonl.zst") else self._doc_ids(shown)
        if found != wanted:
            self.wrong(shown, f"does not hold docs {rows or 'all'} of {source.relative_to(self.root)}")

    def _doc_ids(self, path: Path) -> list[str]:
        if not path.is_file():
            return []  # already said
        try:
            return list(pq.read_table(path, columns=["doc_id"])["doc_id"].to_pylist())
        except (OSError, ValueError) as error:
            self.wrong(path, f"its doc_ids cannot be read: {error}")
            return []

    def every_doc_once(self) -> None:
        """Follow every doc_id: what was read is, exactly once, a document or a row of the ledger."""
        seen: Counter[str] = Counter()
        last = [p for p in range(len(self.about["phases"])) if self.about["phases"][p]["writes_docs"]]
        for number, phase in enumerate(self.about["phases"]):
            folder = self.root / "phases" / phase["folder"]
            for receipt in self.receipts[number].values():
                entries = [receipt["ledger_file"]]
                if last and number == last[-1]:
                    entries.append(receipt["docs_file"])
                    self.verdict.n_docs_kept += receipt["docs"]["kept"]
                for entry in entries:
                    seen.update(self._doc_ids(folder / entry["path"]))
                if phase["upstream"] is None:
                    self.verdict.n_docs_in += receipt["docs"]["in"]
                self.verdict.n_docs_left += receipt["ledger_file"]["rows"]
        twice = [doc_id for doc_id, n in seen.items() if n > 1]
        if twice:
            self.wrong(self.root, f"{len(twice)} docs appear twice, such as {twice[0]}")
        if last and not self.verdict.unfinished and len(seen) != self.verdict.n_docs_in:
            self.wrong(self.root, f"{self.verdict.n_docs_in} docs came in, {len(seen)} can be found")


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _ids_of_lines(path: Path) -> list[str] | None:
    """Return the ids in a compressed JSONL file; None where it cannot be read."""
    import zstandard

    try:
        with path.open("rb") as opened, zstandard.ZstdDecompressor().stream_reader(opened) as stream:
            return [json.loads(line)["id"] for line in io.TextIOWrapper(stream, encoding="utf-8", newline="\n")]
    except (ValueError, KeyError, TypeError, zstandard.ZstdError):
        return None
