"""Windows: a crop too large for the memory at hand goes through the network in parts, with the result of the whole.

Normalisation is folded into the convolutions, so what the network says of a voxel depends on a bounded surrounding
alone. A window carries that surrounding as a halo and keeps its centre: nothing is blended, and no seam is left.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from zweitblick.errors import NetworkMemoryError
from zweitblick.model.prepare import STRIDE
from zweitblick.model.runtime import Network, Tensor

BYTES_PER_VOXEL = 150
"""Memory of the tumour network per voxel of its input, output included. Measured as peak resident memory of a process
that calls it twice (the runtime's arena grows once more at the second call), less what it had before: 107 to 134 bytes
in fp32 and 123 to 145 in int8 for crops of 0.9 to 10.4 million voxels (ONNX Runtime 1.32, two cores)."""

HALO = 80
"""Voxels on either side of what is kept. A NaN at one voxel of the released architecture reaches outputs from 75 voxels
before to 89 voxels behind it; a centre that starts and ends at multiples of `STRIDE` sees 78 voxels before it and 64
behind. Less would do for fp32 (on a head, probabilities differ by more than 1e-3 up to 56 voxels from a cut), but not
for int8, where a sum on the other side of a rounding step carries on (up to 76 voxels)."""

BUDGET_BYTES = 2 << 30
"""Above this the tumour network works in windows: 14.3 million voxels, where the largest adult heads have some 9."""


class Windowed:
    """A network within a memory budget, a network itself: one pass where the crop fits, else windows.

    Parameters
    ----------
    network
        Must not look further than ``halo``, and not depend on where a crop begins as long as that is a multiple of
        ``stride`` and what lies outside counts as it does for the network (zeros, for a padded convolution).
    budget_bytes
        Memory that one call of the network may take.
    bytes_per_voxel
        What it takes per voxel of its input, whatever the number of channels.
    halo
        Voxels on either side of a window's centre, rounded up to a multiple of ``stride``.
    stride
        Windows begin at multiples of it.
    """

    def __init__(
        self,
        network: Network,
        *,
        budget_bytes: int = BUDGET_BYTES,
        bytes_per_voxel: int = BYTES_PER_VOXEL,
        halo: int = HALO,
        stride: int = STRIDE,
    ) -> None:
        self._network = network
        self._budget_bytes = budget_bytes
        self._bytes_per_voxel = bytes_per_voxel
        self._halo = math.ceil(halo / stride) * stride
        self._stride = stride

    def __call__(self, x: Tensor) -> Tensor:
        """Run the network on ``(batch, channel, K, J, I)`` float32.

        Raises
        ------
        NetworkMemoryError
            If even the smallest windows take more than the budget.
        """
        if x.shape[0] * math.prod(x.shape[2:]) * self._bytes_per_voxel <= self._budget_bytes:
            return self._network(x)
        return self._in_windows(x)

    def _in_windows(self, x: Tensor) -> Tensor:
        cut_k, cut_j, cut_i = self._cut(x)
        return _joined(
            2,
            cut_k,
            lambda k: _joined(3, cut_j, lambda j: _joined(4, cut_i, lambda i: self._centre(x, k, j, i))),
        )

    def _centre(self, x: Tensor, k: "_Window", j: "_Window", i: "_Window") -> Tensor:
        output = self._network(x[:, :, k.whole, j.whole, i.whole])
        return output[:, :, k.centre_in_whole, j.centre_in_whole, i.centre_in_whole]

    def _cut(self, x: Tensor) -> tuple["_Cut", "_Cut", "_Cut"]:
        """Choose the cuts that leave the fewest voxels to compute in all; of equals those of the fewest windows."""
        in_k, in_j, in_i = (list(self._cuts(size)) for size in x.shape[2:])
        allowed = self._budget_bytes // (self._bytes_per_voxel * x.shape[0])
        every = list(itertools.product(in_k, in_j, in_i))
        fitting = [cuts for cuts in every if _largest_voxels(cuts) <= allowed]
        if not fitting:
            smallest_bytes = min(map(_largest_voxels, every)) * x.shape[0] * self._bytes_per_voxel
            raise NetworkMemoryError(
                f"the smallest windows of this crop take {smallest_bytes / 2**20:.0f} MiB, "
                f"more than the budget of {self._budget_bytes / 2**20:.0f} MiB; allow more memory"
            )
        return min(fitting, key=lambda cuts: (_all_voxels(cuts), math.prod(map(len, cuts))))

    def _cuts(self, size: int) -> Iterator["_Cut"]:
        """All ways to cut one axis into windows of one length, the last one shorter; the first leaves it whole."""
        yield (_Window(slice(0, size), slice(0, size)),)
        for length in range(2 * self._halo + self._stride, size, self._stride):
            yield tuple(self._windows(size, length))

    def _windows(self, size: int, length: int) -> Iterator["_Window"]:
        kept = 0
        while kept < size:
            start = max(0, kept - self._halo)
            end = min(size, start + length)
            centre = slice(kept, end if end == size else end - self._halo)
            yield _Window(slice(start, end), centre)
            kept = centre.stop


@dataclass(frozen=True)
class _Window:
    """Where a window lies along one axis, and which part of it is kept; voxels of the crop."""

    whole: slice
    centre: slice

    def __len__(self) -> int:
        return self.whole.stop - self.whole.start  # type: ignore[no-any-return]  # slice is not generic over int here

    @property
    def centre_in_whole(self) -> slice:
        return slice(self.centre.start - self.whole.start, self.centre.stop - self.whole.start)


_Cut = tuple[_Window, ...]
"""Windows of one axis, from its first voxel to its last."""


def _joined(axis: int, cut: _Cut, part: Callable[[_Window], Tensor]) -> Tensor:
    """Join what belongs to the windows of one axis (not `numpy.block`, which CuPy lacks)."""
    return np.concatenate([part(window) for window in cut], axis)


def _largest_voxels(cuts: Iterable[_Cut]) -> int:
    return math.prod(max(map(len, cut)) for cut in cuts)


def _all_voxels(cuts: Iterable[_Cut]) -> int:
    return math.prod(sum(map(len, cut)) for cut in cuts)
