"""Fuzzes one target for a number of CPU seconds: with atheris, led by coverage, or with Hypothesis where it is absent.

    python benchmarks/fuzz.py TARGET [--seconds 600] [--corpus FOLDER]

Targets are in tests/fuzz/targets.py. Prints one line at the end: the target, runs, CPU seconds, and what was found;
exits with 1 at the first input that fails, which is written to `fuzz-TARGET.bin` in the working folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
MAX_INPUT_BYTES = 20_000


class Run:
    """Calls the target until its CPU time is used up; stops the process at the first failure."""

    def __init__(self, name: str, target: Callable[[bytes], None], allowed: tuple[type[Exception], ...], cpu_s: float):
        self._name, self._target, self._allowed, self._cpu_s = name, target, allowed, cpu_s
        self._start_s = time.process_time()
        self._n_runs = 0
        self._slowest_s = 0.0

    def __call__(self, data: bytes) -> None:
        start_s = time.process_time()
        try:
            self._target(data)
        except self._allowed:
            pass
        except BaseException:
            traceback.print_exc()
            Path(f"fuzz-{self._name}.bin").write_bytes(data)
            self._end(f"failed on {len(data)} bytes, now in fuzz-{self._name}.bin: {data[:200]!r}", 1)
        now_s = time.process_time()
        self._n_runs += 1
        self._slowest_s = max(self._slowest_s, now_s - start_s) if self._n_runs > 20 else 0.0  # not what is compiled
        if now_s - self._start_s > self._cpu_s:
            self._end(f"no exception outside the error tree; slowest {self._slowest_s * 1000:.0f} ms", 0)

    def _end(self, found: str, code: int) -> None:
        cpu_s = time.process_time() - self._start_s
        print(f"{self._name}: {self._n_runs} runs in {cpu_s:.0f} CPU-s: {found}", flush=True)
        os._exit(code)  # libFuzzer would go on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=float, default=600, help="of CPU time")
    parser.add_argument("--corpus", type=Path, help="keep what gave new coverage here")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris"):
        _with_atheris(options)
    else:
        _with_hypothesis(options)


def _with_atheris(options: argparse.Namespace) -> None:
    import atheris

    with atheris.instrument_imports(include=["curate"]):
        import curate.charset
        import curate.sources.http
        import curate.sources.jsonl
        import curate.sources.warc  # noqa: F401
    from tests.fuzz.targets import ERROR_TREE, SEEDS, TARGETS

    corpus = options.corpus or Path(tempfile.mkdtemp(prefix="fuzz-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[options.target]):
        (corpus / f"seed-{number}").write_bytes(seed)
    run = Run(options.target, TARGETS[options.target], ERROR_TREE, options.seconds)
    limits = [
        f"-max_len={MAX_INPUT_BYTES}",
        "-timeout=60",
        "-rss_limit_mb=4000",
        "-print_final_stats=0",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], run)
    atheris.Fuzz()


def _with_hypothesis(options: argparse.Namespace) -> None:
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    from tests.fuzz.targets import ERROR_TREE, SEEDS, TARGETS, damaged

    run = Run(options.target, TARGETS[options.target], ERROR_TREE, options.seconds)
    seeds = st.builds(damaged, st.sampled_from(SEEDS[options.target]), st.binary(max_size=60))

    @settings(max_examples=100_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=2_000) | seeds)
    def one_round(data: bytes) -> None:
        run(data)

    while True:
        one_round()


if __name__ == "__main__":
    main()
