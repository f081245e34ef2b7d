"""`metrics.jsonl`: one row per training step, per held-out score and per sample of text.

A row with a `loss` is a step. Others have a `split`: `val` and `val-domain` are held-out scores, `sample` is text the
model wrote, `setup` tells with what the steps after it were done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import ConfigError

if TYPE_CHECKING:
    from train.copies import Copy


class MetricsLog:
    """Appends rows to `metrics.jsonl`, each a line that is flushed at once, and hands them to `copies`."""

    def __init__(self, path: Path, keep_to_step: int, copies: Sequence[Copy] = ()) -> None:
        """Open the log and cut off rows after `keep_to_step`: those steps are about to be done again."""
        rows = [row for row in read_metrics(path) if row["step"] <= keep_to_step]
        partial = path.with_suffix(".partial")
        partial.write_text("".join(_line(row) for row in rows), encoding="utf-8")
        os.replace(partial, path)
        self._file = path.open("a", encoding="utf-8")
        self._copies = copies

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one row; it must have a `step`."""
        self._file.write(_line(row))
        self._file.flush()
        for copy in self._copies:
            copy.add(row)

    def close(self) -> None:
        """Force the rows to disk and close the file."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        for copy in self._copies:
            copy.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the rows; a last line cut short by a crash is left out, an absent file has none.

    Raises ConfigError with the line that is damaged.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    return [_row(line, f"{path}:{number}") for number, line in enumerate(lines[:-1], 1) if line]


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict) or not isinstance(row.get("step"), int):
        raise ConfigError(f"{where} is damaged; take the line out")
    return row


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, allow_nan=False) + "\n"
