"""Time registration and measure its error on real brains moved by a known amount, against SimpleITK and elastix.

python -m benchmarks.registration ../shared/data

Of each patient T2 in slices of 5 mm is aligned to T1, and FLAIR in slices of 1 mm to T1c, both turned by up to 17
degrees and shifted by up to 25 mm. Errors are distances at points all over the brain. They cannot be zero: the
sequences were brought onto one grid by those who published them, and what that left is part of every error here. All
three align a pair before the next; processor seconds are all threads'.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks import elastix, reference_stack
from benchmarks.figures import publish
from numpy.typing import NDArray
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


@dataclass(frozen=True)
class Found:
    """What a search took, and how far off it is at points all over the brain, mm."""

    seconds: float
    processor_seconds: float
    errors_mm: NDArray[np.float64]


Search = Callable[[Volume, Volume], NDArray[np.float64]]
"""From a moving and a fixed volume to the map from fixed to moving, LPS mm."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder that holds brats")
    pairs = [pair for name in CASES for pair in pairs_of(parser.parse_args().data, name)]
    searches = {"ours, 6/4/2 mm": ours, "SimpleITK, 6/3/1.5 mm": reference_stack.fixed_to_moving}
    try:
        elastix.loaded()
        searches["elastix, rigid"] = elastix.fixed_to_moving
    except ImportError as error:
        print(f"left out: {error}")
    ours(pairs[0].moving, pairs[0].fixed)  # compiles
    found = {name: [] for name in searches}
    for pair in pairs:
        for name, search in searches.items():
            found[name].append(measured(pair, search))
    publish("registration", table_of(found))


def table_of(found: dict[str, list[Found]]) -> Table:
    columns = ("seconds", "spread", "processor s", "mean error, median", "worst", "largest error", "times faster")
    table = Table("search", *columns)
    ours_s = statistics.median(one.seconds for one in next(iter(found.values())))
    for name, all_pairs in found.items():
        seconds = [one.seconds for one in all_pairs]
        means = [float(one.errors_mm.mean()) for one in all_pairs]
        table.add_row(
            name,
            f"{statistics.median(seconds):.2f}",
            f"{min(seconds):.2f}-{max(seconds):.2f}",
            f"{statistics.median(one.processor_seconds for one in all_pairs):.2f}",
            f"{statistics.median(means):.2f} mm",
            f"{max(means):.2f} mm",
            f"{max(one.errors_mm.max() for one in all_pairs):.2f} mm",
            f"{statistics.median(seconds) / ours_s:.1f}",
        )
    return table


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


def ours(moving: Volume, fixed: Volume) -> NDArray[np.float64]:
    return align(Pyramid(moving), Pyramid(fixed), same_frame=False).moving_from_reference_lps


def measured(pair: Pair, search: Search) -> Found:
    started, busy = time.perf_counter(), time.process_time()
    found = search(pair.moving, pair.fixed)
    seconds, processor_seconds = time.perf_counter() - started, time.process_time() - busy
    points = pair.fixed.grid.lps(np.argwhere(pair.fixed.voxels > 0)[::2000])
    errors = np.linalg.norm(transformed(found, points) - transformed(pair.moving_from_fixed, points), axis=1)
    return Found(seconds, processor_seconds, errors)


if __name__ == "__main__":
    main()
