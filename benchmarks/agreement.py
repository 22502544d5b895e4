"""Compare what is served with a slow reference path on real cases: Dice with the experts' outlines, region by region.

python -m benchmarks.agreement ../shared/data

The slow path has the same weights at the same precision (float32 for bfloat16) and the same brain mask; SciPy
interpolates and ONNX Runtime runs the network on the processor. It aligns nothing, as these cases were brought onto one
grid by those who published them: what the fast path's registration makes of that is in the difference, as are its fused
preparation and its runtime. The cases may be ones that the network has learnt from: it is not judged here.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
from benchmarks.figures import publish
from rich.table import Table
from scipy import ndimage

from zweitblick.model.brain_mask import brain_mask
from zweitblick.model.bundle import Bundles, default_models, load_bundles
from zweitblick.model.certainty import without_doubtful_enhancement
from zweitblick.model.prepare import CHANNELS, canonical_grid, normalised
from zweitblick.model.runtime import OnnxNetwork
from zweitblick.model.specks import without_specks
from zweitblick.pipeline import segment
from zweitblick.prediction import REGIONS, Prediction, Region
from zweitblick.study import Sequence
from zweitblick.volume import Grid, Volume
from zweitblick_training.datasets import RawCase
from zweitblick_training.datasets.packed import read_packed
from zweitblick_training.scores import dice, region_mask

CASES = ("BraTS2021_01476", "BraTS2021_01531", "BraTS2021_00031", "Brats18_2013_2_1", "Brats18_CBICA_APZ_1")
"""Five of the packed cases with four sequences; two of them the baseline's."""

REFERENCE = Sequence.T1C


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder that holds brats")
    data = parser.parse_args().data
    bundles = load_bundles(default_models())
    network = OnnxNetwork(served_file(bundles.tumour.digest))
    table = Table("case", *(f"{region} {what}" for region in REGIONS for what in ("fast", "slow", "difference")))
    differences = []
    for name in CASES:
        case = read_packed(data, "brats", name)
        fast = scores(segment(case.volumes, bundles), case)
        slow = scores(slowly(case, bundles, network), case)
        differences.append([fast[region] - slow[region] for region in REGIONS])
        table.add_row(
            name,
            *(
                text
                for region in REGIONS
                for text in (f"{fast[region]:.4f}", f"{slow[region]:.4f}", f"{fast[region] - slow[region]:+.4f}")
            ),
        )
    mean = np.mean(differences, axis=0)
    table.add_row("mean", *(text for difference in mean for text in ("", "", f"{difference:+.4f}")))
    publish("Dice, fast and slow path", table)


def served_file(digest: str) -> Path:
    """Find the network file that was opened; what was opened in bfloat16 is float32 to the slow path."""
    files = (default_models() / "tumour" / "models").glob("*.onnx")
    return next(file for file in files if hashlib.sha256(file.read_bytes()).hexdigest() == digest)


def slowly(case: RawCase, bundles: Bundles, network: OnnxNetwork) -> Prediction:
    """Outline a case with SciPy's interpolation and the plain runtime."""
    reference = case.volumes[REFERENCE]
    brain = brain_mask(reference, bundles.brain_mask.network)
    grid = canonical_grid(brain, reference.grid)
    inside = interpolated(Volume(brain.astype(np.float32), reference.grid), grid) >= 0.5
    tensor = np.zeros((1, len(CHANNELS), *grid.shape), np.float32)
    for sequence, volume in case.volumes.items():
        tensor[0, CHANNELS.index(sequence)] = normalised(interpolated(volume, grid), inside)
    outline = np.where(inside, network(tensor)[0], np.float32(0))
    found = without_specks(outline, voxel_ml=grid.voxel_ml)
    return Prediction(without_doubtful_enhancement(found, voxel_ml=grid.voxel_ml), inside, grid)


def interpolated(volume: Volume, grid: Grid) -> np.ndarray:
    index = volume.grid.index_from_lps @ grid.lps_from_index
    return ndimage.affine_transform(
        volume.voxels, index[:3, :3], index[:3, 3], output_shape=grid.shape, order=1, mode="grid-constant"
    )


def scores(prediction: Prediction, case: RawCase) -> dict[Region, float]:
    """Dice of each region on the grid that the experts drew on."""
    found, drawn = prediction.labels_on(case.labels.grid), case.labels.voxels.astype(np.uint8)
    return {region: dice(region_mask(found, region), region_mask(drawn, region)) for region in REGIONS}


if __name__ == "__main__":
    main()
