"""How kernels are compiled: `kernel` for what Python calls, `inner` for what only kernels call.

Numba takes every function through LLVM by itself, then again in each function that calls it, up to the kernel: one that
is called five deep is optimised six times. Here only a kernel is, with all that it calls linked into it. And Numba
compiles a function anew for each argument that is a constant; here once for all numbers of a type. Together with what
is left out below this halves the time that the first run on a machine takes to compile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import _dynfunc, njit, types  # type: ignore[attr-defined]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

F = TypeVar("F", bound=Callable[..., Any])
_njit: Any = njit  # its stubs lack some options


class _Part(JITCodeLibrary):
    """The code of one function, which is linked into kernels: by itself neither optimised nor made machine code."""

    def add_linking_library(self, library: Any) -> None:
        self._linking_libraries.append(library)

    def finalize(self) -> None:
        self._finalized = True


class _Whole(JITCodeLibrary):
    """The code of a kernel and of all functions that it calls, each once."""

    def add_linking_library(self, library: Any) -> None:
        if library in self._linking_libraries:
            return
        super().add_linking_library(library)  # type: ignore[no-untyped-call]
        if isinstance(library, _Part):
            for called in library._linking_libraries:
                self.add_linking_library(called)


def _library(kind: Any, state: Any, function: Any) -> Any:
    return kind(state.targetctx.codegen(), function.__qualname__)


class _PartCompiler(Compiler):
    def compile_extra(self, func: Any) -> Any:
        self.state.library = _library(_Part, self.state, func)
        self.state.flags.no_compile = True
        result = super().compile_extra(func)  # type: ignore[no-untyped-call]
        module = result.fndesc.lookup_module()
        nothing = _dynfunc.make_function(module, func.__name__, "", 0, result.environment, ())
        self.state.targetctx.insert_user_function(nothing, result.fndesc, [result.library])
        return result._replace(entry_point=nothing)


class _KernelCompiler(Compiler):
    def compile_extra(self, func: Any) -> Any:
        self.state.library = _library(_Whole, self.state, func)
        self.state.library.enable_object_caching()
        return super().compile_extra(func)  # type: ignore[no-untyped-call]


def inner(function: F, *, allocates: bool = False, error_model: str = "python", inline: str = "never") -> F:
    """Compile a function that only compiled code calls, as a part of each kernel that does.

    Called from Python it would crash the process; its `py_func` does not. One that makes arrays says so:
    without Numba's reference counts the others take less time to compile and to run.
    """
    compiled: Any = _njit(
        nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=allocates, error_model=error_model,
        inline=inline, pipeline_class=_PartCompiler,
    )(function)  # fmt: skip
    template = compiled.get_call_template
    unliteral: Any = types.unliteral
    compiled.get_call_template = lambda args, kws: template([unliteral(arg) for arg in args], kws)
    return compiled  # type: ignore[no-any-return]


def kernel(function: F, *, allocates: bool = False, error_model: str = "python") -> F:
    """Compile a function that Python calls, or load what an earlier process compiled."""
    compiled: F = _njit(
        cache=True, nogil=True, no_cfunc_wrapper=True, _nrt=allocates, error_model=error_model,
        pipeline_class=_KernelCompiler,
    )(function)  # fmt: skip
    return compiled


# For functions without annotations, which mypy lets no typed code call.
untyped_inner: Any = inner
untyped_kernel: Any = kernel
