"""Finds the last copyright signs in the text of a page: ©, its character references, (c) and Copyright."""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from curate.kernels.html.tag_reader import compiled, starts

MAX_SIGNS = 8  # copyright signs that are kept of a page: the last ones
MAX_RUNS = 512  # runs of text, from the end, in which signs are looked for
MIN_RUN_BYTES, MAX_RUN_BYTES = 2, 4096  # a © alone takes two bytes; of a long run only the end is looked at

# What a copyright notice may begin with: © in UTF-8, &copy; (c) and Copyright.
_LOOKED_FOR = b"\xc2&(C"
_LOOK = np.zeros(256, np.uint8)
_LOOK[[*_LOOKED_FOR]] = 1
_AND_COPY, _AND_169, _AND_XA9, _COPYRIGHT, _C_SIGN = (
    np.frombuffer(word, np.uint8) for word in (b"&copy", b"&#169", b"&#xa9", b"copyright", b"(c)")
)
_N_LANES = 16


@intrinsic
def _emitted_any(_context: Any, page: Any, at: Any) -> Any:
    """Say whether one of page[at:at+16] is one of _LOOKED_FOR."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes, bits = ir.VectorType(ir.IntType(8), _N_LANES), ir.IntType(_N_LANES)
        base = context.make_array(signature.args[0])(context, builder, args[0]).data
        data = builder.load(builder.bitcast(builder.gep(base, [args[1]]), lanes.as_pointer()), align=1)
        found = [builder.icmp_unsigned("==", data, ir.Constant(lanes, [byte] * _N_LANES)) for byte in _LOOKED_FOR]
        return builder.icmp_unsigned("!=", builder.bitcast(functools.reduce(builder.or_, found), bits), bits(0))

    return types.boolean(page, types.int64), emit


@compiled()
def _compiled_any(page, at):  # type: ignore[no-untyped-def]
    return _emitted_any(page, at)  # type: ignore[call-arg]


def _plain_any(page: Any, at: int) -> bool:
    return any(_LOOK[page[at : at + _N_LANES]])


# Where numba is told not to compile, all kernels run as plain Python, which checks every index.
_config: Any = numba.config
_any = _plain_any if _config.DISABLE_JIT else _compiled_any


@compiled()
def _is_sign(page, at, n):  # type: ignore[no-untyped-def]
    """Say whether a copyright notice may begin at `at`."""
    c = page[at]
    if c == 0xC2:
        return at + 1 < n and page[at + 1] == 0xA9
    if c == 38:
        return starts(page, at, n, _AND_COPY) or starts(page, at, n, _AND_169) or starts(page, at, n, _AND_XA9)
    return starts(page, at, n, _C_SIGN) if c == 40 else starts(page, at, n, _COPYRIGHT)


@compiled()
def last_signs(page, runs, n_runs, signs):  # type: ignore[no-untyped-def]
    """Fill `signs` with the last copyright signs in the last runs of text, the last first; return how many."""
    n_signs = 0
    for i in range(n_runs - 1, max(-1, n_runs - 1 - MAX_RUNS), -1):
        start, end = runs[i % MAX_RUNS, 0], runs[i % MAX_RUNS, 1]
        low, at = max(start, end - MAX_RUN_BYTES), end
        while at > low:
            if at >= _N_LANES and not _any(page, at - _N_LANES):  # as most do
                at -= _N_LANES
                continue
            for k in range(at - 1, max(low, at - _N_LANES) - 1, -1):
                if _LOOK[page[k]] and _is_sign(page, k, end):
                    signs[n_signs] = k
                    n_signs += 1
                    if n_signs == signs.size:
                        return n_signs
            at -= _N_LANES
    return n_signs
