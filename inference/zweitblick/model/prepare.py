"""Preparation: series on one head -> the array that the tumour network sees.

Training and serving both come through here, so that no second preprocessing can drift.
"""

import math
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from zweitblick.device import PROCESSOR, Device
from zweitblick.errors import NotAHeadError, VoxelError
from zweitblick.extent import row_ends
from zweitblick.study import Sequence
from zweitblick.volume import Bool, Float32, Float64, Grid, Volume, axis_aligned_grid

CHANNELS = (Sequence.T1, Sequence.T1C, Sequence.T2, Sequence.FLAIR)
"""Channel order of the tumour network's input."""

SPACING_MM = 1.0
"""Canonical grid, as BraTS has it (Menze 2015)."""

STRIDE = 16
"""The network halves its grid four times, the pixel unshuffle included: sizes are multiples of this."""

MARGIN_MM = 8.0
"""Air kept around the brain, so that the outermost tumour voxels are not at the array's edge."""

CLIP_PERCENT = (0.5, 99.5)
"""Intensities outside these percentiles of the brain are clipped before mean and deviation are taken (nnU-Net's
foreground clipping, Isensee 2021): a few bright vessels must not set the scale."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """One head, ready for the network.

    Parameters
    ----------
    tensor
        Network input ``(1, 4, K, J, I)`` float32 on ``device``: normalised sequences, 0 outside the brain; one that was
        not given is a channel of zeros.
    brain
        ``(K, J, I)`` bool.
    grid
        Canonical grid: 1 mm isotropic, along the patient axes, around the brain.
    seen
        Share of the brain that lies in the field of view of each sequence that was given, 0 to 1; the rest is 0 in its
        channel.
    device
        Where the network takes its input from.
    """

    tensor: Float32
    brain: Bool
    grid: Grid
    seen: Mapping[Sequence, float]
    device: Device = PROCESSOR

    @cached_property
    def images(self) -> Mapping[Sequence, Volume]:
        """The sequences that were given as volumes, in the host's memory."""
        channels = {sequence: self.tensor[0, CHANNELS.index(sequence)] for sequence in self.seen}
        return {sequence: Volume(self.device.host(channel), self.grid) for sequence, channel in channels.items()}

    def only(self, sequences: Collection[Sequence]) -> "Prepared":
        """Return the same head as if no other sequences had been given."""
        tensor = self.tensor.copy()
        for number, sequence in enumerate(CHANNELS):
            if sequence not in sequences:
                tensor[0, number] = 0
        seen = {sequence: share for sequence, share in self.seen.items() if sequence in sequences}
        return replace(self, tensor=tensor, seen=seen)


def canonical_grid(brain: Bool, grid: Grid) -> Grid:
    """Return the 1 mm isotropic grid along the patient axes that holds the brain and a margin.

    One of its voxel centres coincides with one of ``grid``, so a brain already on a 1 mm grid along the patient
    axes is only cropped, never interpolated.

    Parameters
    ----------
    brain
        ``(K, J, I)`` bool on ``grid``.
    grid
        Any orientation and spacing.

    Raises
    ------
    NotAHeadError
        If the mask is empty.
    """
    indices = row_ends(brain)
    if not len(indices):
        raise NotAHeadError("no brain voxel was found; check that the series show a head")
    points = grid.lps(indices)
    low, high = points.min(axis=0) - MARGIN_MM, points.max(axis=0) + MARGIN_MM
    extent = (high - low)[::-1] / SPACING_MM
    shape = tuple(math.ceil(size / STRIDE) * STRIDE for size in extent)
    around = axis_aligned_grid((low + high) / 2, (shape[0], shape[1], shape[2]), SPACING_MM)
    return _snapped(around, grid)


def normalised(voxels: Float32, brain: Bool) -> Float32:
    """Intensities with mean 0 and deviation 1 inside the brain, clipped, and 0 outside.

    Parameters
    ----------
    voxels
        ``(K, J, I)`` float32, any unit; on any device.
    brain
        ``(K, J, I)`` bool on the same.

    Raises
    ------
    VoxelError
        If the brain is empty or shows one single value.
    """
    scaled = np.zeros_like(voxels)
    scaled[brain] = _scores(voxels[brain])
    return scaled


def prepare(
    volumes: Mapping[Sequence, Volume],
    brain: Bool,
    *,
    reference: Grid,
    own_from_reference: Mapping[Sequence, Float64],
    device: Device = PROCESSOR,
) -> Prepared:
    """Bring every sequence onto the canonical grid in one interpolation and normalise it.

    Parameters
    ----------
    volumes
        Sequences as acquired, each on its own grid.
    brain
        Brain mask on ``reference``.
    reference
        Grid of the reference series; its patient coordinates are those of the result.
    own_from_reference
        ``(4, 4)`` map from the reference's LPS mm to each sequence's own.
    device
        Where the network takes its input from.

    Raises
    ------
    NotAHeadError, VoxelError
        See `canonical_grid` and `normalised`.
    """
    grid = canonical_grid(brain, reference)
    mask = Volume(brain.astype(np.float32), reference).resampled(grid).voxels >= 0.5
    marked = device.held(mask, np.bool_)
    tensor = device.empty((1, len(CHANNELS), *grid.shape))
    tensor[...] = 0
    jobs = {}
    with ThreadPoolExecutor() as pool:
        for sequence, volume in volumes.items():
            own_from_index = volume.grid.index_from_lps @ own_from_reference[sequence] @ grid.lps_from_index
            channel = tensor[0, CHANNELS.index(sequence)]
            jobs[sequence] = pool.submit(_lay_down, volume.voxels, own_from_index, marked, device, channel)
    seen = {sequence: float(job.result() / mask.sum()) for sequence, job in jobs.items()}
    return Prepared(tensor, mask, grid, seen, device)


def _lay_down(voxels: Float32, own_from_index: Float64, mask: Bool, device: Device, channel: Float32) -> int:
    """Interpolate and normalise one sequence within the brain; count the voxels of the brain that it shows."""
    values, covered = device.interpolated_within(voxels, own_from_index, mask)
    channel[covered] = _scores(values[covered])
    return int(covered.sum())


def _scores(inside: Float32) -> Float32:
    """Intensities of the brain with mean 0 and deviation 1, clipped."""
    if not inside.size or inside.min() == inside.max():
        raise VoxelError(f"{inside.size} brain voxels hold a single value; the series has no contrast to read")
    low, high = np.percentile(inside, CLIP_PERCENT)
    clipped = np.clip(inside, low, high)
    scores: Float32 = (clipped - clipped.mean()) / max(float(clipped.std()), np.finfo(np.float32).eps)
    return scores


def _snapped(grid: Grid, lattice: Grid) -> Grid:
    first = grid.lps((0, 0, 0))
    shift = lattice.lps(np.round(lattice.index(first))) - first
    moved = np.array(grid.lps_from_index)
    moved[:3, 3] += shift
    return Grid(grid.shape, moved)
