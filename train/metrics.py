"""`metrics.jsonl`: one row per training step and per held-out score, and the peak of known devices."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Dense bf16 peak in FLOP/s by the name CUDA gives the device; from NVIDIA's data sheets, without 2:4 sparsity.
PEAK_FLOPS: tuple[tuple[str, float], ...] = (
    ("H200", 989e12),
    ("H100 PCIe", 756e12),
    ("H100", 989e12),
    ("A100", 312e12),
    ("L40S", 362e12),
    ("L4", 121e12),
    ("RTX 4090", 165e12),
)


def peak_flops(device_name: str) -> float | None:
    """Return the dense bf16 peak of a CUDA device, None when it is not in the table."""
    return next((peak for name, peak in PEAK_FLOPS if name in device_name), None)


class MetricsLog:
    """Appends rows to `metrics.jsonl`; each row is one line, flushed at once."""

    def __init__(self, path: Path, keep_to_step: int) -> None:
        """Open the log and cut off rows after `keep_to_step`: those steps are about to be done again."""
        rows = [row for row in read_metrics(path) if row["step"] <= keep_to_step]
        partial = path.with_suffix(".partial")
        partial.write_text("".join(_line(row) for row in rows), encoding="utf-8")
        os.replace(partial, path)
        self._file = path.open("a", encoding="utf-8")

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one row; it must have a `step`."""
        self._file.write(_line(row))
        self._file.flush()

    def close(self) -> None:
        """Force the rows to disk and close the file."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the rows; a last line cut short by a crash is left out, an absent file has none."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, allow_nan=False) + "\n"
