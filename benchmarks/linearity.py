"""Show that time and memory of `zweitblick read` grow linearly with the voxels of a study: three sizes, one head.

python -m benchmarks.linearity          a new process each; medians of three, sizes interleaved
python -m benchmarks.linearity --runs 1
"""

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from benchmarks.child import reading
from benchmarks.end_to_end import THIN
from benchmarks.figures import publish
from rich.table import Table

from zweitblick.dicom.read import read_study
from zweitblick.sample import write_sample

SLICES_MM = (2.0, 1.0, 0.5)
"""The same head in slices of these distances: about 75, 150 and 300 of them in each of four sequences."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="times each (default: %(default)s)")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as room:
        studies = [Path(room) / f"{spacing_mm}" for spacing_mm in SLICES_MM]
        for study, spacing_mm in zip(studies, SLICES_MM, strict=True):
            write_sample(study, spec=replace(THIN, slice_mm=spacing_mm))
        found = [[reading(str(study), str(Path(room) / "results")) for study in studies] for _ in range(runs)]
        megavoxels = [count(study) / 1e6 for study in studies]
    seconds = [statistics.median(one.seconds for one in runs_of_one) for runs_of_one in zip(*found, strict=True)]
    gib = [statistics.median(one.peak_gib for one in runs_of_one) for runs_of_one in zip(*found, strict=True)]
    table = Table(
        "slice, mm", "Mvoxel", "seconds", "off the line", "ns a voxel", "peak, GiB", "off the line", "bytes a voxel"
    )
    rows = zip(
        SLICES_MM, megavoxels, seconds, off_line(megavoxels, seconds), gib, off_line(megavoxels, gib), strict=True
    )
    for spacing_mm, size, time_s, time_off, memory, memory_off in rows:
        table.add_row(
            f"{spacing_mm:g}",
            f"{size:.0f}",
            f"{time_s:.2f}",
            f"{time_off:+.1%}",
            f"{time_s / size * 1e3:.0f}",
            f"{memory:.2f}",
            f"{memory_off:+.1%}",
            f"{memory * 2**30 / size / 1e6:.0f}",
        )
    (time_slope, _), (memory_slope, _) = (line(megavoxels, values) for values in (seconds, gib))
    table.add_row("the line", "", "", "", f"{time_slope * 1e3:.0f}", "", "", f"{memory_slope * 2**30 / 1e6:.0f}")
    publish("linearity", table)


def count(study: Path) -> int:
    """Voxels of all series."""
    found = read_study(sorted(path for path in study.rglob("*") if path.is_file()))
    return sum(rows * columns for series in found.series for rows, columns in (frame.shape for frame in series.frames))


def line(sizes: list[float], values: list[float]) -> tuple[float, float]:
    """Slope and start of the straight line through all values."""
    slope, start = np.polyfit(sizes, values, 1)
    return float(slope), float(start)


def off_line(sizes: list[float], values: list[float]) -> list[float]:
    """How far each value lies off the line, as a share of the value."""
    slope, start = line(sizes, values)
    return [(value - (start + slope * size)) / value for size, value in zip(sizes, values, strict=True)]


if __name__ == "__main__":
    main()
