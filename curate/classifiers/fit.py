"""fastText's training, in a process of its own whose memory begins as zeros, so that it gives the same bytes again.

With one thread, fastText 0.9.2 gives first values to the first tenth of its input matrix only (`DenseMatrix::uniform`
counts on ten threads, one for each tenth) and leaves the rest as `malloc` left it: whatever the process had there.
With more threads the order of updates varies. Here a fresh process has its memory filled with zeros by glibc
(MALLOC_PERTURB_: each byte is the complement of 255); elsewhere fresh pages are zeros too. Rows of zeros learn as any
others do: the output matrix begins as zeros anyway, and the rows with values are those of the most frequent words.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curate.errors import CurateError


def fit(lines: Path, model: Path, options: Mapping[str, Any], *, quantize: bool) -> None:
    """Train on a file of labelled lines and write the model. `options` are those of fastText's train_supervised.

    Raises CurateError where fastText gives up.
    """
    asked = json.dumps({"input": str(lines), "model": str(model), "options": dict(options), "quantize": quantize})
    environment = {**os.environ, "MALLOC_PERTURB_": "255", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "curate.classifiers.fit", asked]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not model.is_file():
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise CurateError(f"fastText gave up: {last}; a lower learning rate may help")


def main() -> None:
    """Train as the first argument says, in JSON."""
    import fasttext

    asked = json.loads(sys.argv[1])
    model = fasttext.train_supervised(input=asked["input"], thread=1, verbose=0, **asked["options"])
    if asked["quantize"]:
        model.quantize(qnorm=True, thread=1, verbose=0)
    model.save_model(asked["model"])


if __name__ == "__main__":
    main()
