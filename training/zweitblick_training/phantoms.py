"""Phantoms: a small data set of synthetic heads with known tumours, to try every step on without any patient's data."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np

from zweitblick.dicom.read import read_study
from zweitblick.dicom.stack import stack
from zweitblick.prediction import CORE, ENHANCING, OEDEMA
from zweitblick.sample import Plane, SampleLesion, SampleSpec, SampleTruth, write_sample
from zweitblick.study import Sequence
from zweitblick.volume import Volume

SUFFIXES = {Sequence.T1: "T1w", Sequence.T1C: "ce-gadolinium_T1w", Sequence.T2: "T2w", Sequence.FLAIR: "FLAIR"}

TABLE = f"index\tname\n{CORE}\tnecrotic tumor core\n{OEDEMA}\tedema\n{ENHANCING}\tenhancing tumor\n"

LESION_X, LESION_Y, LESION_Z = (22.0, 42.0), (-45.0, 25.0), (15.0, 45.0)
"""Where a lesion's centre may lie in head coordinates, in mm, on either side: well inside a hemisphere."""

OEDEMA_MM = (14.0, 26.0)
"""Mean outer radius of the oedema; rim and core are 60 and 40 % of it."""


def write_phantoms(folder: Path, count: int, *, seed: int = 0) -> tuple[str, ...]:
    """Write whole heads as a BIDS data set with outlines, as `zweitblick_training.datasets.bids` reads it.

    Parameters
    ----------
    folder
        Of the data set; made if absent.
    count
        Heads, one patient each.
    seed
        Of the lesions and of everything else.

    Returns
    -------
    Names of the cases, ``sub-01`` and so on.

    Raises
    ------
    SampleError
        If the tissue maps are not installed (``pip install zweitblick[sample]``).
    """
    names = tuple(f"sub-{number:02d}" for number in range(1, count + 1))
    for name, spec in zip(names, _specs(count, seed), strict=True):
        with TemporaryDirectory() as studies:
            truth = write_sample(Path(studies), spec=spec)
            _write_case(folder, name, truth)
    (folder / "dataset_description.json").write_text('{"Name": "phantoms", "BIDSVersion": "1.10.0"}\n')
    (folder / "derivatives" / "truth" / "dseg.tsv").write_text(TABLE)
    return names


def _specs(count: int, seed: int) -> Iterator[SampleSpec]:
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        x, y, z = (float(rng.uniform(*between)) for between in (LESION_X, LESION_Y, LESION_Z))
        oedema = float(rng.uniform(*OEDEMA_MM))
        lesion = SampleLesion((float(rng.choice((-x, x))), y, z), 0.4 * oedema, 0.6 * oedema, oedema)
        yield SampleSpec(lesion, Plane.AXIAL, slice_mm=4.0, pixel_mm=1.6, seed=seed + number)


def _write_case(folder: Path, name: str, truth: SampleTruth) -> None:
    images = folder / name / "anat"
    images.mkdir(parents=True, exist_ok=True)
    outlines = folder / "derivatives" / "truth" / name / "anat"
    outlines.mkdir(parents=True, exist_ok=True)
    for sequence, series in truth.series.items():
        image = _volume(series.folder)
        nib.save(image.to_nifti(), images / f"{name}_{SUFFIXES[sequence]}.nii.gz")
        if sequence is Sequence.T1C:
            outline = truth.labels.resampled(image.grid, order=0)
            nib.save(outline.to_nifti(np.uint8), outlines / f"{name}_dseg.nii.gz")


def _volume(folder: Path) -> Volume:
    (series,) = read_study(sorted(folder.iterdir())).series
    return stack(series)
