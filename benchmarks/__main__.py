"""Time the stages on the synthetic study, each as a ratio against a named reference in the same run.

python -m benchmarks            prints one table; medians of five, references interleaved
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from benchmarks.figures import publish
from benchmarks.reference_stack import itk_image, registered
from rich.table import Table

from zweitblick.dicom.read import read_study
from zweitblick.dicom.stack import parts, stack
from zweitblick.model.bundle import default_models, load_bundles
from zweitblick.register.level import Pyramid
from zweitblick.register.rigid import align
from zweitblick.sample import write_sample
from zweitblick.volume import Grid, Volume, covering_grid
from zweitblick_training.network import built
from zweitblick_training.recipe import Recipe

RUNS = 5
CROP = (144, 176, 144)
"""A brain with its margin at 1 mm."""


def main() -> None:
    table = Table("stage", "ours, s", "spread", "reference", "reference, s", "times faster")
    with tempfile.TemporaryDirectory() as room:
        truth = write_sample(Path(room) / "study")
        folders = [series.folder for series in truth.series.values()]
        compare(
            table, "read and stack", "SimpleITK series reader", lambda: ours_read(folders), lambda: itk_read(folders)
        )
        volume, moving = ours_read([truth.series["T1c"].folder, truth.series["FLAIR"].folder])
    grid = covering_grid(volume.grid, 1.0)
    compare(
        table,
        "register FLAIR to T1c",
        "SimpleITK, 6/3/1.5 mm",
        lambda: align(Pyramid(moving), Pyramid(volume), same_frame=False),
        lambda: registered(moving, volume),
    )
    compare(table, "resample to 1 mm", "SimpleITK", lambda: volume.resampled(grid), lambda: itk_resampled(volume, grid))
    network = load_bundles(default_models()).tumour.network
    x = np.random.default_rng(0).standard_normal((1, 4, *CROP), np.float32)
    compare(table, "tumour network", "torch eager, fp32", lambda: network(x), torch_network(x))
    publish("stages", table)


def compare(table: Table, stage: str, reference: str, ours: Callable[[], object], other: Callable[[], object]) -> None:
    times = [(seconds(ours), seconds(other)) for _ in range(RUNS + 1)][1:]
    mine, theirs = (sorted(column) for column in zip(*times, strict=True))
    ratio = statistics.median(theirs) / statistics.median(mine)
    table.add_row(
        stage,
        f"{statistics.median(mine):.3f}",
        f"{mine[0]:.3f}-{mine[-1]:.3f}",
        reference,
        f"{statistics.median(theirs):.3f}",
        f"{ratio:.2f}",
    )


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def ours_read(folders: list[Path]) -> list[Volume]:
    study = read_study(sorted(path for folder in folders for path in folder.iterdir()))
    return [stack(part) for series in study.series for part in parts(series)]


def itk_read(folders: list[Path]) -> list[sitk.Image]:
    return [
        sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)), sitk.sitkFloat32)
        for folder in folders
    ]


def itk_resampled(volume: Volume, grid: Grid) -> sitk.Image:
    return sitk.Resample(itk_image(volume), itk_image(Volume(np.zeros(grid.shape, np.float32), grid)))


def torch_network(x: np.ndarray) -> Callable[[], object]:
    """The same architecture with untrained weights: the cost does not depend on them."""
    network = built(Recipe()).eval()

    def run() -> torch.Tensor:
        with torch.inference_mode():
            return network(torch.from_numpy(x))

    return run


if __name__ == "__main__":
    main()
