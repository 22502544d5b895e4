"""CUDA twins of the kernels that lie between voxels as acquired and the network, and between it and native space.

Imported only where a CUDA execution provider is in force (`zweitblick.device.cuda_card`): needs the extra ``gpu``, or
Numba's simulator (``NUMBA_ENABLE_CUDASIM=1``), which runs the same kernels on the processor. What is said of a place is
compiled from the very functions that the processor runs; places are float64 on both.
"""

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zweitblick import interpolation
from zweitblick.interpolation import Bool, Float32, Float64

cuda: Any = importlib.import_module("numba.cuda")
"""Of Numba itself or, where it is installed, of NVIDIA's numba-cuda; annotated differently by both."""

THREADS = (32, 4, 2)
"""Of a block, along a row of memory first: one warp reads and writes neighbouring voxels."""


def first_card() -> "Card":
    """Return the first CUDA card, with CuPy's arrays."""
    return Card(importlib.import_module("cupy"))


class Card:
    """A CUDA card, as `zweitblick.device.Device` has it.

    Parameters
    ----------
    arrays
        What makes arrays on it: CuPy, or NumPy under Numba's simulator.
    """

    def __init__(self, arrays: Any) -> None:
        self._arrays = arrays

    def held(self, array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
        """Return a contiguous array of a type on the card: the same one if it is that."""
        there: NDArray[Any] = self._arrays.ascontiguousarray(array, dtype)
        return there

    def empty(self, shape: tuple[int, ...]) -> Float32:
        """Return a float32 array whose values are not set."""
        there: Float32 = self._arrays.empty(shape, np.float32)
        return there

    def host(self, array: NDArray[Any]) -> NDArray[Any]:
        """Copy an array into the host's memory, for reading only."""
        here: NDArray[Any] = array.get() if hasattr(array, "get") else array
        here.flags.writeable = False
        return here

    def finish(self) -> None:
        """Wait for every kernel and copy that was asked for."""
        cuda.synchronize()

    def interpolated(
        self, voxels: Float32, own_from_target_index: Float64, shape: tuple[int, int, int], *, fill: float
    ) -> Float32:
        """See `zweitblick.interpolation.interpolated`."""
        values = self.empty(shape)
        _fill_in[_blocks(shape), THREADS](*self._source(voxels, own_from_target_index), float(fill), values)
        return values

    def interpolated_within(self, voxels: Float32, own_from_target_index: Float64, mask: Bool) -> tuple[Float32, Bool]:
        """See `zweitblick.interpolation.interpolated_within`."""
        values = self.empty(mask.shape)
        marked = self.held(mask, np.bool_)
        seen: Bool = self._arrays.empty(mask.shape, np.bool_)
        source = self._source(voxels, own_from_target_index)
        _fill_in_within[_blocks(mask.shape), THREADS](*source, marked, values, seen)
        return values, seen

    def _source(self, voxels: Float32, own_from_target_index: Float64) -> tuple[Float32, Float64]:
        return self.held(voxels, np.float32), self.held(own_from_target_index, np.float64)


def _blocks(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.ceil(size / threads) for size, threads in zip(shape[::-1], THREADS, strict=True))


def _kernel(function: Callable[..., None]) -> Any:
    return cuda.jit(function)


def _within_kernels(function: Callable[..., Any]) -> Any:
    return cuda.jit(function, device=True)


def _twin(compiled: Any) -> Any:
    """Compile for kernels what `zweitblick.compiled.compiled` compiled for the processor."""
    return _within_kernels(compiled.py_func)


_linear_inside = _twin(interpolation.linear_inside)
_linear_at_border = _twin(interpolation.linear_at_border)


@_within_kernels
def _place(matrix: Float64, row: int, column: int, n: int) -> tuple[float, float, float]:
    return (
        matrix[0, 0] * row + matrix[0, 1] * column + matrix[0, 3] + matrix[0, 2] * n,
        matrix[1, 0] * row + matrix[1, 1] * column + matrix[1, 3] + matrix[1, 2] * n,
        matrix[2, 0] * row + matrix[2, 1] * column + matrix[2, 3] + matrix[2, 2] * n,
    )


@_within_kernels
def _outside(voxels: Float32, k: float, j: float, i: float) -> float:
    """Voxels from a place to the outermost voxel centres, 0 or less within them."""
    last_k, last_j, last_i = voxels.shape[0] - 1, voxels.shape[1] - 1, voxels.shape[2] - 1
    outside: float = max(-k, k - last_k, -j, j - last_j, -i, i - last_i)
    return outside


@_within_kernels
def _value(voxels: Float32, k: float, j: float, i: float, fill: float) -> float:
    outside: float = _outside(voxels, k, j, i)
    value: float = fill
    if outside <= 0 and min(voxels.shape[0], voxels.shape[1], voxels.shape[2]) > 1:
        value = _linear_inside(voxels, k, j, i)
    elif outside < 1:
        value = _linear_at_border(voxels, k, j, i, fill)
    return value


@_kernel
def _fill_in(voxels: Float32, matrix: Float64, fill: float, values: Float32) -> None:
    n, column, row = cuda.grid(3)
    if row < values.shape[0] and column < values.shape[1] and n < values.shape[2]:
        k, j, i = _place(matrix, row, column, n)
        values[row, column, n] = _value(voxels, k, j, i, fill)


@_kernel
def _fill_in_within(voxels: Float32, matrix: Float64, mask: Bool, values: Float32, seen: Bool) -> None:
    n, column, row = cuda.grid(3)
    if row < mask.shape[0] and column < mask.shape[1] and n < mask.shape[2]:
        k, j, i = _place(matrix, row, column, n)
        marked = mask[row, column, n]
        values[row, column, n] = _value(voxels, k, j, i, 0.0) if marked else 0.0
        seen[row, column, n] = marked and _outside(voxels, k, j, i) <= 0.5
