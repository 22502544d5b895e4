"""Time registration and measure its error on real brains moved by a known amount, against SimpleITK in the same run.

python -m benchmarks.registration ../shared/data

Of each patient T2 in slices of 5 mm is aligned to T1, and FLAIR in slices of 1 mm to T1c, both turned by up to 17
degrees and shifted by up to 25 mm. Errors are distances at points all over the brain. They cannot be zero: the
sequences were brought onto one grid by those who published them, and what that left is part of every error here.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.reference_stack import fixed_to_moving
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from scipy.spatial.transform import Rotation

from zweitblick.register.level import Pyramid
from zweitblick.register.rigid import align
from zweitblick.study import Sequence
from zweitblick.volume import Grid, Volume, axis_aligned_grid, transformed
from zweitblick_training.datasets.packed import read_packed

CASES = ("BraTS2021_01476", "BraTS2021_00031", "Brats18_CBICA_APZ_1", "Brats18_2013_2_1")
SLICE_SIGMA = 1.8
"""Deviation, in voxels of 1 mm, of a Gaussian that blurs about as a slice of 5 mm does."""


@dataclass(frozen=True)
class Pair:
    """Two sequences of a patient, and the map from the first to the second, LPS mm."""

    fixed: Volume
    moving: Volume
    moving_from_fixed: NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder that holds brats")
    pairs = [pair for name in CASES for pair in pairs_of(parser.parse_args().data, name)]
    ours_of(pairs[0])  # compiles
    table = Table("", "median seconds", "spread", "mean error, median", "mean error, worst", "largest error, worst")
    for name, found_by in (("ours, 6/4/2 mm", ours_of), ("SimpleITK, 6/3/1.5 mm", theirs_of)):
        seconds, errors = zip(*(measured(pair, found_by) for pair in pairs), strict=True)
        table.add_row(
            name,
            f"{statistics.median(seconds):.2f}",
            f"{min(seconds):.2f}-{max(seconds):.2f}",
            f"{statistics.median(error.mean() for error in errors):.2f} mm",
            f"{max(error.mean() for error in errors):.2f} mm",
            f"{max(error.max() for error in errors):.2f} mm",
        )
    Console().print(table)


def pairs_of(data: Path, name: str) -> Iterator[Pair]:
    volumes = read_packed(data, "brats", name).volumes
    t2 = Volume(ndimage.gaussian_filter(volumes[Sequence.T2].voxels, (SLICE_SIGMA, 0, 0)), volumes[Sequence.T2].grid)
    move = rigid((12, -9, 17), (-20, 25, 8))
    yield moved(volumes[Sequence.T1], t2, move, shape=(34, 250, 230), spacing_mm=(5.0, 0.9, 0.9))
    move = rigid((-5, 14, 6), (10, -12, -18))
    yield moved(volumes[Sequence.T1C], volumes[Sequence.FLAIR], move, shape=(170, 240, 220), spacing_mm=(1, 0.95, 0.95))


def moved(
    fixed: Volume,
    moving: Volume,
    move: NDArray[np.float64],
    *,
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
) -> Pair:
    """Scan the second again, with the head moved, in slices that are tilted against both."""
    stack = rigid((8, 3, -4), tuple(transformed(move, fixed.grid.center_lps)))
    affine = stack @ axis_aligned_grid((0, 0, 0), (1, 1, 1), 1.0).lps_from_index @ np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = stack[:3, 3] - affine[:3, :3] @ (np.array(shape) - 1) / 2
    return Pair(fixed, moving.resampled(Grid(shape, affine), own_from_grid_lps=np.linalg.inv(move)), move)


def rigid(turn_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def ours_of(pair: Pair) -> NDArray[np.float64]:
    return align(Pyramid(pair.moving), Pyramid(pair.fixed), same_frame=False).moving_from_reference_lps


def theirs_of(pair: Pair) -> NDArray[np.float64]:
    return fixed_to_moving(pair.moving, pair.fixed)


def measured(pair: Pair, found_by: Callable[[Pair], NDArray[np.float64]]) -> tuple[float, NDArray[np.float64]]:
    """Seconds of a search, and its errors in mm."""
    started = time.perf_counter()
    found = found_by(pair)
    seconds = time.perf_counter() - started
    points = pair.fixed.grid.lps(np.argwhere(pair.fixed.voxels > 0)[::2000])
    return seconds, np.linalg.norm(transformed(found, points) - transformed(pair.moving_from_fixed, points), axis=1)


if __name__ == "__main__":
    main()
