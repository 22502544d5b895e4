"""Where points lie to the midsagittal plane."""

from dataclasses import dataclass

import numpy as np

from zweitblick.findings import Side
from zweitblick.volume import Float64, transformed

MIDLINE_MM = 3.0
"""The plane is known to about this (see ``docs/measurements.md``): nearer than that is neither left nor right."""


@dataclass(frozen=True)
class Place:
    """Position of a lesion to the midsagittal plane.

    Parameters
    ----------
    side
        Side of the centroid; ``MIDLINE`` where it is within `MIDLINE_MM`.
    midline_mm
        Distance of the centroid from the plane.
    crosses_midline
        Whether voxel centres lie more than `MIDLINE_MM` beyond the plane on both sides.
    """

    side: Side
    midline_mm: float
    crosses_midline: bool


def place(points_lps: Float64, head_from_lps: Float64) -> Place:
    """Side, distance and crossing of a lesion's voxel centres ``(n, 3)`` LPS mm.

    ``head_from_lps`` is the ``(4, 4)`` map to head coordinates, whose x = 0 is the plane, x to the left.
    """
    leftward_mm = transformed(head_from_lps, points_lps)[:, 0]
    centroid_mm = float(leftward_mm.mean())
    crosses = bool(leftward_mm.min() < -MIDLINE_MM and leftward_mm.max() > MIDLINE_MM)
    return Place(_side(centroid_mm), abs(centroid_mm), crosses)


def _side(leftward_mm: float) -> Side:
    if np.abs(leftward_mm) <= MIDLINE_MM:
        return Side.MIDLINE
    return Side.LEFT if leftward_mm > 0 else Side.RIGHT
