"""Starts pyarrow and numba in a worker without what they load on the chance that it is used: pandas, SciPy, CFFI.

Both try to import a package when they are first used and do without where it is missing. No registered step hands
an array to pandas, and no kernel calls a BLAS or a CFFI function, so a worker spares those imports: of the 0.8 s of CPU
that a worker took to start, pandas was 0.2 s, scipy.linalg 0.15 s and CFFI 0.03 s, and a run of few pages is mostly
start-up. What else imports them afterwards gets them. Not for steps of the user's own, which may need either.
"""

from __future__ import annotations

from typing import Any

from curate.imports import without
from curate.phases import Phase
from curate.recipe import Recipe
from curate.registry import STEPS


def is_lean(recipe: Recipe) -> bool:
    """Say whether all steps are registered ones."""
    return all(step.name in STEPS for step in recipe.steps)


def start_pyarrow() -> None:
    """Let pyarrow find that there is no pandas. In this process it will not convert to and from pandas."""
    import pyarrow as pa

    with without("pandas"):
        pa.array([], pa.null())


def start_numba(phase: Phase) -> None:
    """For a phase with kernels: let numba load what it compiles with, and find that there is no SciPy and no CFFI.

    In this process kernels cannot be compiled that use `np.dot`, `@` or `np.linalg`.
    """
    if not any("numba" in getattr(step.spec, "uses", ()) for step in (*phase.stages, *phase.folds)):
        return
    from numba.core.registry import cpu_target

    target: Any = cpu_target
    with without("scipy.linalg", "cffi"):
        target.typing_context.refresh()
        target.target_context.refresh()
