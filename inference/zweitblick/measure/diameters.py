"""The two axial diameters of RANO on one component.

RANO measures a lesion by its largest diameter in an axial slice and the largest one at right angles to it in the
same slice, leaves cyst, necrosis and surgical cavity out, and calls it measurable when both reach 10 mm, or twice
the slice distance where that is over 5 mm (Wen 2010, J Clin Oncol 28:1963; Wen 2023, J Clin Oncol 41:5187).
Taken literally, and so here: both diameters run inside the tissue from edge to edge, and they cross. A ring is
measured through its wall, never across what it encloses.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from zweitblick.findings import DiameterBasis, Diameters, Point
from zweitblick.measure.component import Component, as_point, outer_faces
from zweitblick.volume import Bool, Float32, Float64, Grid

MEASURABLE_MM = 10.0
"""Smallest measurable diameter (Wen 2010)."""

THICK_SLICE_MM = 5.0
"""Beyond this slice distance the smallest measurable diameter is twice the distance (Wen 2010)."""

TIE_MM = 1e-6
"""Diameters closer than this are equal; which was found first must not decide."""

FINE = 4
"""Steps per voxel in which a diameter is followed."""

INSIDE, TOLERATED = 0.5, 0.35
"""Of the linearly interpolated mask: where tissue ends, and what the major diameter may pass. The second lets it
cut the stairs that voxels make of a slanting edge, by less than half a voxel."""

BATCH = 4096
"""Chords tested at a time, longest first."""

PROBES = (1, 7)
"""Points at which a chord is tested before it is followed step by step: most that leave the tissue fail at once."""


@dataclass(frozen=True, eq=False)
class _Chord:
    """Two points of one slice's plane, ``(2,)`` mm along rows and columns."""

    start_mm: Float64
    end_mm: Float64

    @property
    def length_mm(self) -> float:
        return float(np.linalg.norm(self.end_mm - self.start_mm))


@dataclass(frozen=True, eq=False)
class _Plane:
    """One axial slice of a component: slice number, ``(rows, columns)`` mask and ``(2,)`` spacing."""

    number: int
    mask: Bool
    spacing_mm: Float64

    @cached_property
    def edge_mm(self) -> Float64:
        """Middles of the outer voxel edges, ``(n, 2)``."""
        return outer_faces(self.mask) * self.spacing_mm

    @cached_property
    def widest_mm(self) -> float:
        """Largest distance of two edges, whatever lies between: no diameter is longer."""
        return float(pdist(self.edge_mm[ConvexHull(self.edge_mm).vertices]).max())

    @cached_property
    def _fine(self) -> Float32:
        """Mask with one empty voxel around it, interpolated at `FINE` steps per voxel."""
        padded = np.pad(self.mask, 1).astype(np.float32)
        sizes = np.array(padded.shape)
        return np.asarray(ndimage.zoom(padded, ((sizes - 1) * FINE + 1) / sizes, order=1), np.float32)

    def tissue(self, points_mm: Float64) -> Float32:
        """Interpolated mask at points ``(..., 2)``; 0 beyond the slice."""
        index = np.rint((points_mm / self.spacing_mm + 1) * FINE).astype(np.intp)
        row, column = np.moveaxis(index, -1, 0)
        rows, columns = self._fine.shape
        values: Float32 = self._fine[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]
        return values

    def clear(self, starts_mm: Float64, ends_mm: Float64, steps: int) -> Bool:
        """Whether chords ``(n, 2)`` to ``(n, 2)`` stay within the tissue at equally spaced points between."""
        share = np.linspace(0, 1, steps + 2)[1:-1, None, None]
        along = starts_mm + share * (ends_mm - starts_mm)
        return np.asarray((self.tissue(along) >= TOLERATED).all(axis=0), np.bool_)


def diameters(component: Component, basis: DiameterBasis, *, slice_distance_mm: float) -> Diameters:
    """Largest axial diameter of a component and its perpendicular.

    Parameters
    ----------
    component
        The tissue to measure; its slices are those of the grid's axis nearest to the patient's long axis.
    basis
        What the tissue is.
    slice_distance_mm
        Of the series that the tissue was seen on; decides what is measurable.

    Returns
    -------
    Diameters
        The perpendicular is the longest one that crosses the major diameter, at exactly 90°; of several major
        diameters of one length in the slice, the one with the longest perpendicular counts.
    """
    mask, grid = _axial_first(component)
    plane, majors = _largest(mask, np.array(grid.spacing_mm[1:]))
    crossed = [(major, _perpendicular(plane, major)) for major in majors]
    major, minor = max(crossed, key=lambda both: both[1].length_mm)
    smallest_mm = smallest_measurable_mm(slice_distance_mm)
    return Diameters(
        basis=basis,
        major_mm=major.length_mm,
        minor_mm=minor.length_mm,
        major_lps=_ends_lps(major, plane, grid),
        minor_lps=_ends_lps(minor, plane, grid),
        measurable=min(major.length_mm, minor.length_mm) >= smallest_mm,
    )


def smallest_measurable_mm(slice_distance_mm: float) -> float:
    """10 mm, or twice the slice distance where that is over 5 mm (Wen 2010)."""
    return 2 * slice_distance_mm if slice_distance_mm > THICK_SLICE_MM else MEASURABLE_MM


def _axial_first(component: Component) -> tuple[Bool, Grid]:
    """Mask and grid with the axial slices along the first axis."""
    axis = component.grid.axis_along((0, 0, 1))
    order = [axis, *(other for other in range(3) if other != axis)]
    mask = component.mask.transpose(order)
    k, j, i = mask.shape
    return mask, Grid((k, j, i), component.grid.lps_from_index[:, [*order, 3]])


def _largest(mask: Bool, spacing_mm: Float64) -> tuple[_Plane, list[_Chord]]:
    """Slice with the longest diameter, and its diameters of that length; a slice too narrow is not searched."""
    planes = [_Plane(number, mask[number], spacing_mm) for number in np.flatnonzero(mask.any(axis=(1, 2))).tolist()]
    planes.sort(key=lambda plane: -plane.widest_mm)
    best, length_mm = (planes[0], [_Chord(np.zeros(2), np.zeros(2))]), 0.0
    for plane in planes:
        if plane.widest_mm <= length_mm:
            break
        chords = _longest(plane, length_mm)
        if chords:
            best, length_mm = (plane, chords), chords[0].length_mm
    return best


def _longest(plane: _Plane, above_mm: float) -> list[_Chord]:
    """Longest diameters of a slice, equals beside each other; none unless they are longer than ``above_mm``."""
    edge = plane.edge_mm
    first, second = np.triu_indices(len(edge), 1)
    lengths = pdist(edge)
    longer = np.flatnonzero(lengths > above_mm + TIE_MM)
    order = longer[np.argsort(-lengths[longer], kind="stable")]
    for begin in range(0, len(order), BATCH):
        pairs = order[begin : begin + BATCH]
        hits = pairs[_clear_pairs(plane, edge[first[pairs]], edge[second[pairs]])]
        if hits.size:
            equals = hits[lengths[hits] >= lengths[hits[0]] - TIE_MM]
            return [_Chord(edge[first[pair]], edge[second[pair]]) for pair in equals]
    return []


def _clear_pairs(plane: _Plane, starts_mm: Float64, ends_mm: Float64) -> NDArray[np.intp]:
    """Numbers of the chords that lie within the tissue, in order (longest first, as given)."""
    left = np.arange(len(starts_mm))
    longest_mm = float(np.linalg.norm(ends_mm[0] - starts_mm[0]))
    for steps in (*PROBES, int(np.ceil(longest_mm / plane.spacing_mm.min() * FINE))):
        left = left[plane.clear(starts_mm[left], ends_mm[left], steps)]
    return left


def _perpendicular(plane: _Plane, major: _Chord) -> _Chord:
    """Longest run of tissue at right angles to the major diameter that crosses it."""
    along = (major.end_mm - major.start_mm) / major.length_mm
    across = np.array([-along[1], along[0]])
    step_mm = float(plane.spacing_mm.min()) / FINE
    places = np.linspace(0, 1, int(np.ceil(major.length_mm / step_mm)) + 1)[:, None]
    crossings = major.start_mm + places * (major.end_mm - major.start_mm)
    reach = np.linspace(0, plane.widest_mm, int(np.ceil(plane.widest_mm / step_mm)) + 1)
    ahead = _reached(plane, crossings, across, reach)
    behind = _reached(plane, crossings, -across, reach)
    widest = int(np.argmax(ahead + behind))
    middle = crossings[widest]
    return _Chord(middle - behind[widest] * across, middle + ahead[widest] * across)


def _reached(plane: _Plane, crossings: Float64, direction: Float64, reach: Float64) -> Float64:
    """How far tissue goes on without a gap from each crossing in one direction, ``(n,)`` mm."""
    tissue = plane.tissue(crossings[:, None] + reach[None, :, None] * direction)
    unbroken = np.logical_and.accumulate(tissue >= INSIDE, axis=1)
    return np.asarray(np.where(unbroken, reach, 0.0).max(axis=1), np.float64)


def _ends_lps(chord: _Chord, plane: _Plane, grid: Grid) -> tuple[Point, Point]:
    row_column = np.stack([chord.start_mm, chord.end_mm]) / plane.spacing_mm
    start, end = grid.lps(np.column_stack([[plane.number] * 2, row_column]))
    return as_point(start), as_point(end)
