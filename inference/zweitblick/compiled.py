"""Compiled: loops over voxels in machine code (Numba), kept on disk between processes."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile at the first call, for the types of that call; other threads run on meanwhile.

    The machine code is kept beside the source or, where that cannot be written, in the user's cache folder or in
    ``NUMBA_CACHE_DIR``. Where none of them can be written (a container with a read-only root), every process compiles
    anew, which takes about three seconds.
    """
    try:
        return cast(Function, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # what Numba raises when it finds no folder to write to
        return cast(Function, numba.njit(nogil=True)(function))
