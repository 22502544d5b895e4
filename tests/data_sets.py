"""Small made-up data sets on disk, written with nibabel in the layouts of public ones."""

import json
import lzma
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np

AFFINE = np.array([[0.0, -1.0, 0.0, 12.0], [1.0, 0.0, 0.0, -9.0], [0.0, 0.0, 1.0, 4.0], [0.0, 0.0, 0.0, 1.0]])
"""RAS mm from (i, j, k): 1 mm, i runs to the front and j to the left, so that swapped axes cannot go unseen."""

SHAPE = (24, 28, 20)
"""Voxels (i, j, k)."""

CONTRASTS = {"T1": 100.0, "T1c": 200.0, "T2": 300.0, "FLAIR": 400.0}
"""Mean of each sequence, by which files can be told apart."""


@dataclass
class Head:
    """Arrays in (i, j, k) as nibabel has them: four sequences of a stripped brain, and where core, oedema and
    enhancing tumour are.
    """

    images: dict[str, np.ndarray]
    brain: np.ndarray
    core: np.ndarray
    oedema: np.ndarray
    enhancing: np.ndarray
    affine: np.ndarray = field(default_factory=AFFINE.copy)

    def outline(self, core: int, oedema: int, enhancing: int) -> np.ndarray:
        values = np.select([self.core, self.enhancing, self.oedema], [core, enhancing, oedema], 0)
        return values.astype(np.uint8)


def head(seed: int = 0) -> Head:
    rng = np.random.default_rng(seed)
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    brain = np.linalg.norm((index - np.array(SHAPE) / 2) / np.array([9.0, 11.0, 8.0]), axis=-1) <= 1
    distance = np.linalg.norm(index - (np.array([9, 12, 9]) + rng.integers(-1, 2, 3)), axis=-1)
    core, solid, whole = distance < 1.5, distance < 2.6, distance < 4.2
    images = {
        name: (np.where(brain, mean + rng.normal(0, 10, SHAPE) + 30 * whole, 0)).astype(np.float32)
        for name, mean in CONTRASTS.items()
    }
    return Head(images, brain, core & brain, whole & ~solid & brain, solid & ~core & brain)


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)


def write_folder(place: Path, stems: dict[str, str], one: Head, *, outline: str, values: tuple[int, int, int]) -> None:
    """Write one file for each sequence under its stem, and the outline with its values of the three parts."""
    for sequence, stem in stems.items():
        save(place / f"{stem}.nii.gz", one.images[sequence], one.affine)
    save(place / f"{outline}.nii.gz", one.outline(*values), one.affine)


def write_brats2021(folder: Path, names: list[str]) -> None:
    """Write BraTS 2021: label 1 core, 2 oedema, 4 enhancing."""
    for seed, name in enumerate(names):
        stems = {sequence: f"{name}_{short}" for sequence, short in BRATS_2021.items()}
        write_folder(folder / name, stems, head(seed), outline=f"{name}_seg", values=(1, 2, 4))


BRATS_2021 = {"T1": "t1", "T1c": "t1ce", "T2": "t2", "FLAIR": "flair"}


def write_decathlon(folder: Path, names: list[str]) -> None:
    for seed, name in enumerate(names):
        one = head(seed)
        four = np.stack([one.images[sequence] for sequence in ("FLAIR", "T1", "T1c", "T2")], axis=-1)
        save(folder / "imagesTr" / f"{name}.nii.gz", four, one.affine)
        save(folder / "labelsTr" / f"{name}.nii.gz", one.outline(2, 1, 3), one.affine)
    description = {
        "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
        "training": [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names],
    }
    (folder / "dataset.json").write_text(json.dumps(description))


BIDS = {"T1": "T1w", "T1c": "ce-gadolinium_T1w", "T2": "T2w", "FLAIR": "FLAIR"}
PARTS_TABLE = "index\tname\tabbreviation\n0\tbackground\tBG\n7\tpart one\tNCR\n8\tedema\t\n9\tnovel\tET\n"
WHOLE_TABLE = "index\tname\n1\twhole tumor\n"


def write_bids(folder: Path, name: str, one: Head, *, sequences: tuple[str, ...] = tuple(BIDS)) -> None:
    """Write a subject with an outline of three parts, 7 core, 8 oedema, 9 enhancing."""
    for sequence in sequences:
        save(folder / name / "anat" / f"{name}_{BIDS[sequence]}.nii.gz", one.images[sequence], one.affine)
    save(folder / "derivatives" / "experts" / name / "anat" / f"{name}_dseg.nii.gz", one.outline(7, 8, 9), one.affine)
    (folder / "derivatives" / "experts" / "dseg.tsv").write_text(PARTS_TABLE)


def write_packed(folder: Path, source: str, name: str, images: np.ndarray, labels: np.ndarray, **entry: object) -> None:
    """Write one packed case, (C, i, j, k) uint8, and add it to the source's index."""
    place = folder / source
    place.mkdir(parents=True, exist_ok=True)
    index = json.loads((place / "index.json").read_text()) if (place / "index.json").exists() else {}
    index[name] = {"shape": list(images.shape), "offset": [0, 0, 0], **entry}
    (place / "index.json").write_text(json.dumps(index))
    (place / f"{name}.img.xz").write_bytes(lzma.compress(images.astype(np.uint8).tobytes()))
    (place / f"{name}.seg.xz").write_bytes(lzma.compress(labels.astype(np.uint8).tobytes()))
