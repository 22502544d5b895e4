"""The scanner: a head, a protocol and a slice grid become a magnitude image."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from zweitblick.sample.head import Head, smooth_field
from zweitblick.sample.spec import Plane, SampleSpec, Triple
from zweitblick.sample.template import HEAD_GRID
from zweitblick.sample.tissues import Protocol, Tissue, signals
from zweitblick.study import Sequence
from zweitblick.volume import Float32, Float64, Grid, Volume, transformed

FIELD_OF_VIEW_MM = 240.0
FULL_SCALE = 400.0
"""Stored value of white matter."""

BRAIN_CENTER, BRAIN_RADII = np.array((0.0, 18.0, 6.0)), np.array((76.0, 96.0, 78.0))
"""Ellipsoid around the brain in head coordinates, LPS mm."""

ROW_COLUMN = {
    Plane.AXIAL: ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    Plane.OBLIQUE: ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    Plane.SAGITTAL: ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    Plane.CORONAL: ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
}
"""Directions along a row and down a column, LPS, as scanners write them."""

TILT_DEG: dict[Plane, Triple] = {
    Plane.AXIAL: (0.0, 0.0, 0.0),
    Plane.SAGITTAL: (0.0, 0.0, 0.0),
    Plane.CORONAL: (0.0, 0.0, 0.0),
    Plane.OBLIQUE: (-8.0, 2.5, 1.5),
}

SECOND_TILT_DEG = (-4.0, 0.5, -0.5)
"""T2 and FLAIR of an oblique study are planned anew and lie a little differently."""


HEAD_SCALE = 0.93
"""The ICBM 152 brain is larger than a mean adult's (Lancaster 2007): about 1.9 l with sulci and ventricles."""


def head_pose(spec: SampleSpec) -> Float64:
    """``(4, 4)`` map from head coordinates to the scanner's LPS mm: scale, turn, shift."""
    return np.asarray(rigid(spec.head_mm, spec.head_deg) @ np.diag([HEAD_SCALE] * 3 + [1.0]), np.float64)


def rigid(shift_mm: Triple, turn_deg: Triple) -> Float64:
    """``(4, 4)`` rotation about x, y, z at the origin, then a shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def slice_grid(spec: SampleSpec, sequence: Sequence, lps_from_head: Float64) -> Grid:
    """Grid of one series: slices cover the brain, ``k`` grows with Instance Number."""
    second = sequence in (Sequence.T2, Sequence.FLAIR)
    pixel_mm = spec.pixel_mm * (0.95 if second else 1.0)
    axes = _axes(spec.plane, second=second)
    normal_in_head = axes[:, 0] @ lps_from_head[:3, :3]
    count = math.ceil(2.0 * float(np.linalg.norm(BRAIN_RADII * normal_in_head)) / spec.slice_mm) + 1
    pixels = math.ceil(FIELD_OF_VIEW_MM / pixel_mm / 2.0) * 2
    if spec.from_top:
        axes = axes * (-1.0, 1.0, 1.0)
    lps_from_index = np.eye(4)
    lps_from_index[:3, :3] = axes * (spec.slice_mm, pixel_mm, pixel_mm)
    middle = np.array([count - 1, pixels - 1, pixels - 1]) / 2.0
    lps_from_index[:3, 3] = transformed(lps_from_head, BRAIN_CENTER) - lps_from_index[:3, :3] @ middle
    return Grid((count, pixels, pixels), lps_from_index)


def _axes(plane: Plane, *, second: bool) -> Float64:
    """Return unit vectors along k, j and i as columns."""
    row, column = (np.array(direction) for direction in ROW_COLUMN[plane])
    axes = np.stack([np.cross(row, column), column, row], axis=1)
    tilt = Rotation.from_euler("xyz", TILT_DEG[plane], degrees=True).as_matrix()
    more = SECOND_TILT_DEG if second and plane is Plane.OBLIQUE else (0.0, 0.0, 0.0)
    return np.asarray(Rotation.from_euler("xyz", more, degrees=True).as_matrix() @ tilt @ axes, np.float64)


@dataclass(frozen=True)
class Scanner:
    """A head in a scanner.

    Parameters
    ----------
    head
        What lies in it.
    texture
        Relative deviation of every voxel's signal from its tissue's, ``(K, J, I)`` on the head's grid.
    noise
        Standard deviation of the receiver noise relative to white matter.
    """

    head: Head
    texture: Float32
    noise: float

    def image(self, protocol: Protocol, grid: Grid, lps_from_head: Float64, rng: np.random.Generator) -> Volume:
        """Acquire one series; non-negative whole numbers."""
        tissue = signals(protocol)
        white = float(tissue[Tissue.WHITE_MATTER])
        signal = Volume(self._signal(tissue) / white * self.texture, HEAD_GRID)
        head_from_lps = np.asarray(np.linalg.inv(lps_from_head), np.float64)
        clean = _slices(signal, grid, head_from_lps) * _coil(grid, head_from_lps)
        return Volume(np.rint(FULL_SCALE * _rician(clean, self.noise, rng)), grid)

    def _signal(self, tissue: Float32) -> Float32:
        signal = tissue[self.head.labels]
        where, fractions = self._mixed
        signal.ravel()[where] = tissue[[Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.CSF, Tissue.OEDEMA]] @ fractions
        return signal

    @cached_property
    def _mixed(self) -> tuple[NDArray[np.intp], Float32]:
        """Flat indices of the voxels where tissues are mixed, and ``(4, N)`` their shares; alike for every series."""
        where = np.flatnonzero(self.head.labels == Tissue.WHITE_MATTER)
        fractions = self.head.mixture.reshape(4, -1)[:, where].astype(np.float32)
        return where, fractions / np.maximum(fractions.sum(axis=0), 1.0)


PROFILE = ((-0.96, 0.12), (-0.48, 0.24), (0.0, 0.28), (0.48, 0.24), (0.96, 0.12))
"""Excitation across a slice as (depth in half thicknesses, weight): a rounded profile, as sinc pulses make."""

HALF_THICKNESS = 0.45
"""Of a slice, relative to the slice distance."""


def _slices(signal: Volume, grid: Grid, head_from_lps: Float64) -> Float32:
    """Average the signal across each slice's thickness and over the pixel."""
    total = np.zeros(grid.shape, np.float32)
    for depth, weight in PROFILE:
        shift = np.eye(4)
        shift[0, 3] = depth * HALF_THICKNESS
        layer = signal.resampled(Grid(grid.shape, grid.lps_from_index @ shift), own_from_grid_lps=head_from_lps)
        total += np.float32(weight) * layer.voxels
    return np.asarray(ndimage.gaussian_filter(total, (0.0, 0.4, 0.4)), np.float32)


def _coil(grid: Grid, head_from_lps: Float64) -> Float32:
    """Sensitivity: higher near the surface, uneven from left to right and back to front, falling off in the neck."""
    k, j, i = (np.arange(n, dtype=np.float32) for n in grid.shape)
    index_to_head = head_from_lps @ grid.lps_from_index
    x, y, z = (
        index_to_head[row, 0] * k[:, None, None]
        + index_to_head[row, 1] * j[:, None]
        + index_to_head[row, 2] * i
        + index_to_head[row, 3]
        for row in range(3)
    )
    bias = 0.92 + 0.10 * ((x / 80) ** 2 + ((y - 15) / 95) ** 2) + 0.06 * x / 80 + 0.08 * y / 95
    fall_off = 1.0 / (1.0 + np.exp(-(z + 105.0) / 12.0))
    return np.asarray(np.clip(bias, 0.5, 1.6) * fall_off, np.float32)


def _rician(clean: Float32, noise: float, rng: np.random.Generator) -> Float32:
    """Magnitude of a complex signal with Gaussian noise in both parts (Gudbjartsson 1995)."""
    real = clean + noise * rng.standard_normal(clean.shape, np.float32)
    imaginary = noise * rng.standard_normal(clean.shape, np.float32)
    return np.asarray(np.hypot(real, imaginary), np.float32)


def tissue_texture(rng: np.random.Generator) -> Float32:
    """Relative signal of each voxel around 1: no tissue of a living head is uniform."""
    return np.asarray(1.0 + 0.02 * smooth_field(rng, 2.5) + 0.015 * smooth_field(rng, 12.0), np.float32)
