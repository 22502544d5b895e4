"""Lesions of two readings found in each other by where they lie.

Both readings' outlines are taken as points in one patient coordinate system. A lesion and an earlier one are the same
if they come within `MATCH_MM` of each other; several that meet in one are reported as one. What the earlier reading
kept is its outline on the slices of a series, not lesion by lesion: its parts are given to the lesions that its
findings list.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from zweitblick.change import Fate, LesionChange
from zweitblick.findings import Findings, Lesion
from zweitblick.measure.component import components
from zweitblick.prediction import Prediction, Region
from zweitblick.volume import Bool, Float64, Grid, Volume, covering_grid, transformed

MATCH_MM = 5.0
"""Lesions this near are the same: twice what an alignment may be off (2 mm, ``docs/measurements.md``) and a voxel."""

SHOWN = 0.5
"""A lesion of which less lies in the other study's field of view is not looked for there."""

STEP_MM = 1.0
"""Slices are filled with points this far apart, so that distances between points are those between outlines."""


@dataclass(frozen=True, eq=False)
class Outlined:
    """Where the lesions of one reading lie.

    Parameters
    ----------
    lesions
        As its findings list them.
    points_lps
        Of each lesion, ``(n, 3)`` mm in the common coordinates.
    small_lps
        Of what is outlined and too small to be listed, ``(m, 3)``.
    field
        Field of view that this reading's study shows.
    field_from_common_lps
        ``(4, 4)`` map from the common coordinates to the field's own.
    """

    lesions: tuple[Lesion, ...]
    points_lps: tuple[Float64, ...]
    small_lps: Float64
    field: Grid
    field_from_common_lps: Float64

    def shows(self, points_lps: Float64) -> bool:
        """Whether at least `SHOWN` of the points lie in the field of view."""
        index = transformed(self.field.index_from_lps @ self.field_from_common_lps, points_lps)
        inside = (index >= -0.5) & (index <= np.array(self.field.shape) - 0.5)
        return float(inside.all(axis=1).mean()) >= SHOWN


def outlined_now(prediction: Prediction, findings: Findings, field: Grid) -> Outlined:
    """Take a reading's own lesions; its patient coordinates are the common ones.

    Parameters
    ----------
    prediction, findings
        Findings are measured on the prediction (`zweitblick.measure.measure`).
    field
        Of the reference series.
    """
    found = [part.points_lps for part in components(prediction.mask(Region.WT), prediction.grid)]
    listed = len(findings.lesions)
    return Outlined(findings.lesions, tuple(found[:listed]), _joined(found[listed:]), field, np.eye(4))


def outlined_before(
    labels: Volume, findings: Findings, *, earlier_from_common_lps: Float64, field: Grid, field_from_earlier: Float64
) -> Outlined:
    """Take an earlier reading's lesions from the outline that was kept.

    Parameters
    ----------
    labels
        Label map in the earlier reading's patient coordinates.
    findings
        What was measured on the outline before it was brought to those slices.
    earlier_from_common_lps
        ``(4, 4)`` map from the common LPS mm to the earlier reading's.
    field
        Grid of a series of the earlier study that shows what it shows.
    field_from_earlier
        ``(4, 4)`` map from the earlier reading's LPS mm to that series'.
    """
    common_from_earlier = np.asarray(np.linalg.inv(earlier_from_common_lps), np.float64)
    owned, small = lesion_points(labels, findings.lesions)
    return Outlined(
        findings.lesions,
        tuple(transformed(common_from_earlier, points) for points in owned),
        transformed(common_from_earlier, small),
        field,
        np.asarray(field_from_earlier @ earlier_from_common_lps, np.float64),
    )


def lesion_points(labels: Volume, lesions: Sequence[Lesion]) -> tuple[tuple[Float64, ...], Float64]:
    """Points of each listed lesion of a label map, and of the parts that belong to none, LPS mm.

    A lesion has the connected part that is nearest to its centre, among those not less than half its size. Parts that
    slices have joined are divided among their lesions, each point to the one whose centre is nearest by its radius. A
    lesion of which the slices hold nothing is its centre.
    """
    fine = _filled_slices(labels)
    parts = [part.points_lps for part in components(fine.voxels > 0, fine.grid)]
    volumes = np.array([len(points) for points in parts]) * fine.grid.voxel_ml
    owners: dict[int, list[int]] = {}
    for number, lesion in enumerate(lesions):
        if parts:
            owners.setdefault(_part_of(lesion, parts, volumes), []).append(number)
    owned = [np.array([lesion.center_lps]) for lesion in lesions]
    for part, numbers in owners.items():
        nearest = _nearest([lesions[number] for number in numbers], parts[part])
        for place, number in enumerate(numbers):
            if (nearest == place).any():
                owned[number] = parts[part][nearest == place]
    return tuple(owned), _joined([points for part, points in enumerate(parts) if part not in owners])


def lesion_changes(before: Outlined, now: Outlined) -> tuple[LesionChange, ...]:
    """Tell what became of every lesion; those of this reading first, by number."""
    together = _together(before, now)
    changes = []
    for group in np.unique(together):
        members: list[int] = np.flatnonzero(together == group).tolist()
        then = [member for member in members if member < len(before.lesions)]
        since = [member - len(before.lesions) for member in members if member >= len(before.lesions)]
        changes.append(
            LesionChange(
                _fate(before, then, now, since),
                tuple(before.lesions[number] for number in then),
                tuple(now.lesions[number] for number in since),
            )
        )
    return tuple(sorted(changes, key=_order))


def _order(change: LesionChange) -> tuple[bool, int]:
    return not change.now, (change.now or change.before)[0].number


def _together(before: Outlined, now: Outlined) -> NDArray[np.intp]:
    """Group number of each lesion, the earlier ones first; those that meet, through others too, are one group."""
    count = len(before.lesions) + len(now.lesions)
    trees = [cKDTree(points) for points in now.points_lps]
    meeting = [
        (one, len(before.lesions) + other)
        for one, points in enumerate(before.points_lps)
        for other, tree in enumerate(trees)
        if _is_near(points, tree)
    ]
    rows, columns = np.array(meeting, np.intp).reshape(-1, 2).T
    graph = coo_array((np.ones(len(meeting)), (rows, columns)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.intp)


def _fate(before: Outlined, then: Sequence[int], now: Outlined, since: Sequence[int]) -> Fate:
    if then and since:
        return Fate.MATCHED
    own, other, numbers = (before, now, then) if then else (now, before, since)
    points = own.points_lps[numbers[0]]
    if len(other.small_lps) and _is_near(points, cKDTree(other.small_lps)):
        return Fate.BELOW_LIMIT if then else Fate.ABOVE_LIMIT
    if not other.shows(points):
        return Fate.NOT_SHOWN
    return Fate.VANISHED if then else Fate.NEW


def _is_near(points: Float64, tree: cKDTree) -> bool:
    nearest_mm, _ = tree.query(points, distance_upper_bound=MATCH_MM)
    return bool(np.isfinite(nearest_mm).any())


def _filled_slices(labels: Volume) -> Volume:
    """Label map at `STEP_MM`; a voxel reaches halfway to its neighbours, the outermost ones as far out."""
    k, j, i = labels.shape
    padded = Volume(np.pad(labels.voxels, 1), labels.grid.cropped((-1, -1, -1), (k + 2, j + 2, i + 2)))
    return padded.resampled(covering_grid(_boxed(padded), STEP_MM), order=0)


def _boxed(labels: Volume) -> Grid:
    """Grid of the voxels that are labelled, and one around them; one voxel where none is."""
    where = np.argwhere(labels.voxels > 0)
    if not len(where):
        return labels.grid.cropped((0, 0, 0), (1, 1, 1))
    start, end = where.min(axis=0) - 1, where.max(axis=0) + 2
    k, j, i = (end - start).tolist()
    return labels.grid.cropped(start.tolist(), (k, j, i))


def _part_of(lesion: Lesion, parts: Sequence[Float64], volumes_ml: Float64) -> int:
    away_mm = np.array([np.linalg.norm(points - lesion.center_lps, axis=1).min() for points in parts])
    large: Bool = volumes_ml >= lesion.volume_ml[Region.WT] / 2
    return int(np.where(large, away_mm, np.inf).argmin()) if large.any() else int(away_mm.argmin())


def _nearest(lesions: Sequence[Lesion], points_lps: Float64) -> NDArray[np.intp]:
    """Which lesion each point belongs to."""
    radii_mm = np.cbrt([lesion.volume_ml[Region.WT] for lesion in lesions])
    centers = np.array([lesion.center_lps for lesion in lesions])
    away = np.linalg.norm(points_lps[:, None] - centers, axis=2) / radii_mm
    return np.asarray(away.argmin(axis=1), np.intp)


def _joined(parts: Sequence[Float64]) -> Float64:
    return np.concatenate(parts) if parts else np.zeros((0, 3))
