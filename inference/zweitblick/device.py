"""Device: where arrays lie, and what interpolates voxels there: the processor or a CUDA card.

Array code for both calls NumPy's functions, which CuPy takes over for arrays of its own (NEP 18); what is a loop over
voxels has one kernel for each (`zweitblick.interpolation`, `zweitblick.cuda`), and both keep this contract.
"""

import importlib
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zweitblick.errors import ProviderError
from zweitblick.interpolation import Bool, Float32, Float64, interpolated, interpolated_within

Shape = tuple[int, ...]


class Device(Protocol):
    """Where arrays lie. What it is given may lie in the host's memory or on the device; what it returns lies on it."""

    def held(self, array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
        """Return a contiguous array of a type on the device: the same one if it is that."""
        ...

    def empty(self, shape: Shape) -> Float32:
        """Return a float32 array whose values are not set."""
        ...

    def host(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array in the host's memory, which from now on is only read."""
        ...

    def finish(self) -> None:
        """Wait until what was asked for is computed, before something else than this device reads it."""
        ...

    def interpolated(
        self, voxels: Float32, own_from_target_index: Float64, shape: tuple[int, int, int], *, fill: float
    ) -> Float32:
        """See `zweitblick.interpolation.interpolated`."""
        ...

    def interpolated_within(self, voxels: Float32, own_from_target_index: Float64, mask: Bool) -> tuple[Float32, Bool]:
        """See `zweitblick.interpolation.interpolated_within`."""
        ...


class Processor:
    """The processor: arrays are NumPy's."""

    def held(self, array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
        """Return a contiguous array of a type."""
        return np.ascontiguousarray(array, dtype)

    def empty(self, shape: Shape) -> Float32:
        """Return a float32 array whose values are not set."""
        return np.empty(shape, np.float32)

    def host(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array, which from now on is only read."""
        array.flags.writeable = False
        return array

    def finish(self) -> None:
        """Return: nothing is pending."""

    def interpolated(
        self, voxels: Float32, own_from_target_index: Float64, shape: tuple[int, int, int], *, fill: float
    ) -> Float32:
        """See `zweitblick.interpolation.interpolated`."""
        return interpolated(voxels, own_from_target_index, shape, fill=fill)

    def interpolated_within(self, voxels: Float32, own_from_target_index: Float64, mask: Bool) -> tuple[Float32, Bool]:
        """See `zweitblick.interpolation.interpolated_within`."""
        return interpolated_within(voxels, own_from_target_index, mask)


PROCESSOR = Processor()


def cuda_card() -> Device:
    """Return the CUDA card, for a process in which ONNX Runtime runs on it.

    Raises
    ------
    ProviderError
        If CuPy or Numba's CUDA target is missing, or finds no card.
    """
    try:
        card: Device = importlib.import_module("zweitblick.cuda").first_card()
    except (ImportError, OSError) as error:
        raise ProviderError(
            "ONNX Runtime has CUDA, but CuPy or Numba's CUDA target does not load; install zweitblick[gpu]"
        ) from error
    return card


def lies_on_card(array: NDArray[Any]) -> bool:
    """Whether an array lies in the memory of a CUDA card."""
    return hasattr(array, "__cuda_array_interface__")


def address(array: NDArray[Any]) -> int:
    """Where the first element of a contiguous array lies in its device's memory."""
    interface = array.__cuda_array_interface__ if lies_on_card(array) else array.__array_interface__  # type: ignore[attr-defined]  # CuPy's
    return int(interface["data"][0])
