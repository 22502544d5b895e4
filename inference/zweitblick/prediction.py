"""Prediction: what the tumour network says of every voxel."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zweitblick.device import PROCESSOR, Device
from zweitblick.errors import VoxelError
from zweitblick.extent import box_around
from zweitblick.volume import Bool, Float32, Float64, Grid, frozen


class Region(StrEnum):
    """The three nested regions of BraTS (Menze 2015): ET is part of TC, TC of WT."""

    ET = "ET"
    TC = "TC"
    WT = "WT"


REGIONS = (Region.ET, Region.TC, Region.WT)
"""Channel order of every probability array."""

CORE, OEDEMA, ENHANCING = 1, 2, 3
"""Values of a label map: necrotic or non-enhancing core, oedema, enhancing tumour; 0 is none of them."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Probabilities of the three regions on one grid.

    Parameters
    ----------
    probabilities
        ``(3, K, J, I)`` float32 in [0, 1], channels ET, TC, WT, nested: ET <= TC <= WT.
    brain
        ``(K, J, I)`` bool, where the brain is.
    grid
        Where the voxels lie.
    head_from_lps
        ``(4, 4)`` rigid map from LPS mm to head coordinates mm, whose x = 0 is the midsagittal plane, x to the left.
    threshold
        A voxel belongs to a region from this probability on.
    uncertainty
        ``(K, J, I)`` float32, binary entropy of WT in bits (0 sure, 1 undecided).
    device
        What interpolates the probabilities; they lie in the host's memory.

    Raises
    ------
    VoxelError
        If an array does not fit the grid, a probability is not in [0, 1] or the regions are not nested.
    """

    probabilities: Float32
    brain: Bool
    grid: Grid
    head_from_lps: Float64 = field(default_factory=lambda: np.eye(4))
    threshold: float = 0.5
    device: Device = PROCESSOR

    def __post_init__(self) -> None:
        if self.probabilities.shape != (len(REGIONS), *self.grid.shape) or self.brain.shape != self.grid.shape:
            raise VoxelError(
                f"probabilities {self.probabilities.shape} and brain {self.brain.shape} "
                f"do not fit a grid of shape {self.grid.shape}"
            )
        if not (self.probabilities.min() >= 0.0 and self.probabilities.max() <= 1.0):  # NaN fails both
            raise VoxelError("a probability is not between 0 and 1")
        if (np.diff(self.probabilities, axis=0) < 0).any():
            raise VoxelError("regions are not nested: make ET <= TC <= WT before building a Prediction")
        object.__setattr__(self, "probabilities", frozen(self.probabilities, np.float32))
        object.__setattr__(self, "brain", frozen(self.brain, np.bool_))
        object.__setattr__(self, "head_from_lps", frozen(np.asarray(self.head_from_lps), np.float64))

    def mask(self, region: Region) -> Bool:
        """Voxels of a region, ``(K, J, I)`` bool."""
        inside: Bool = self.probabilities[REGIONS.index(region)] >= self.threshold
        return inside

    def labels(self) -> NDArray[np.uint8]:
        """Label map ``(K, J, I)`` uint8: 0 none, 1 core, 2 oedema, 3 enhancing. The three are disjoint."""
        labels = np.zeros(self.grid.shape, np.uint8)
        labels[self.mask(Region.WT)] = OEDEMA
        labels[self.mask(Region.TC)] = CORE
        labels[self.mask(Region.ET)] = ENHANCING
        return labels

    @property
    def uncertainty(self) -> Float32:
        """Binary entropy of the whole-tumour probability, bits, ``(K, J, I)``."""
        p = np.clip(self.probabilities[REGIONS.index(Region.WT)], 1e-7, 1 - 1e-7)
        return np.asarray(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)), np.float32)

    def resampled(self, grid: Grid, *, own_from_grid_lps: ArrayLike | None = None) -> "Prediction":
        """Return this prediction on another grid: probabilities are interpolated linearly, masks are not.

        Linear interpolation keeps the nesting, since its weights are the same for all three and not negative.

        Parameters
        ----------
        grid
            Target grid.
        own_from_grid_lps
            ``(4, 4)`` map from the target's LPS mm to this prediction's; identity if they share a frame of reference.
        """
        move = np.eye(4) if own_from_grid_lps is None else np.asarray(own_from_grid_lps, np.float64)
        own_from_grid_index = self.grid.index_from_lps @ move @ grid.lps_from_index
        *regions, brain = (
            self.device.host(self.device.interpolated(voxels, own_from_grid_index, grid.shape, fill=0.0))
            for voxels in (*self.probabilities, self.brain.astype(np.float32))
        )
        nested = np.maximum.accumulate(np.clip(np.stack(regions), 0.0, 1.0), axis=0)
        return replace(
            self, probabilities=nested, brain=brain >= 0.5, grid=grid, head_from_lps=self.head_from_lps @ move
        )

    def labels_on(self, grid: Grid) -> NDArray[np.uint8]:
        """Label map on another grid of the same frame of reference: what `resampled` would give, much sooner.

        An interpolated probability reaches the threshold only next to a voxel that does, so only the box around those
        is looked at.
        """
        labels = np.zeros(grid.shape, np.uint8)
        box = box_around(self.mask(Region.WT), grid.index_from_lps @ self.grid.lps_from_index, grid.shape)
        if labels[box].size:
            k, j, i = labels[box].shape
            labels[box] = self.resampled(grid.cropped([one.start for one in box], (k, j, i))).labels()
        return labels

    def carried(self, other_from_own_lps: ArrayLike) -> "Prediction":
        """Return the same voxels in another frame of reference; nothing is interpolated.

        Parameters
        ----------
        other_from_own_lps
            ``(4, 4)`` rigid map from this prediction's LPS mm to the other's.
        """
        move = np.asarray(other_from_own_lps, np.float64)
        grid = Grid(self.grid.shape, move @ self.grid.lps_from_index)
        return replace(self, grid=grid, head_from_lps=self.head_from_lps @ np.linalg.inv(move))
