"""nnunet: a data set with its folds in nnU-Net v2's layout, so that others can be trained on the same folds.

Images stay in the patient's own space, on the grid of the reference series, with everything but the brain set to 0 as
our own network sees it; nnU-Net chooses its own grid and intensities (Isensee 2021, Nat Methods 18:203).

Cases whose experts drew only some of the regions are left out. nnU-Net's ignore label would have to cover all of such
a tumour, since it counts for every region at once: the case could then teach where no tumour is, and never where one
is, and would draw every prediction towards silence.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from zweitblick.errors import ZweitblickError
from zweitblick.model.prepare import CHANNELS
from zweitblick.pipeline import reference_of
from zweitblick.prediction import CORE, ENHANCING, OEDEMA, REGIONS
from zweitblick.study import Sequence
from zweitblick.volume import Bool, Float32, Float64, Grid, Volume
from zweitblick_training.cases import Masks, labels_on, outline_from_reference, own_from_reference, with_brain
from zweitblick_training.datasets import DataSetError, Fault, Layout, Listing, RawCase
from zweitblick_training.splits import Folds

LOG = logging.getLogger(__name__)

LABELS = {
    "background": 0,
    "whole tumor": [CORE, OEDEMA, ENHANCING],
    "tumor core": [CORE, ENHANCING],
    "enhancing tumor": [ENHANCING],
}
"""The nested regions as unions of label values (nnU-Net, "Region-based training")."""

REGIONS_CLASS_ORDER = [OEDEMA, CORE, ENHANCING]
"""Value that each of these regions leaves where it is predicted, the later over the earlier: what of the whole tumour
is no core stays oedema, what of the core does not enhance stays core."""

ENDING = ".nii.gz"
PART = f".part{ENDING}"


@dataclass(frozen=True)
class Exported:
    """What an export holds.

    Parameters
    ----------
    cases
        Names of the cases in it, of all of its folds.
    left_out
        Cases of the folds that are partially labelled.
    """

    cases: tuple[str, ...]
    left_out: tuple[str, ...]


def export_nnunet(
    layout: Layout, folder: Path, *, folds: Folds, masks: Masks, target: Path, number: int = 500
) -> Exported:
    """Write a data set in nnU-Net's raw layout, with its folds where nnU-Net looks for them.

    Killed at any moment, it loses the case in hand; run again, it writes what is missing.

    Parameters
    ----------
    layout, folder
        The data set.
    folds
        All of its cases must be in them; cases of theirs from other data sets are of no account.
    masks
        Brain masks of whole heads.
    target
        Receives ``nnUNet_raw/DatasetXXX_Zweitblick`` (images, labels, ``dataset.json``) and
        ``nnUNet_preprocessed/DatasetXXX_Zweitblick/splits_final.json``: what nnU-Net's two environment variables of
        these names must point to.
    number
        nnU-Net's number of the data set, XXX.

    Raises
    ------
    LeakError
        If a case is in no fold.
    DataSetError
        With every fault of every case, once the others are written; ``dataset.json`` and the folds are not.
    """
    listings = layout.listed(folder)
    folds.check(one.name for one in listings)
    name = f"Dataset{number:03d}_Zweitblick"
    raw = target / "nnUNet_raw" / name
    for part in ("imagesTr", "labelsTr"):
        (raw / part).mkdir(parents=True, exist_ok=True)
    exported = _all_written(layout, listings, masks, raw)
    _write_json(raw / "dataset.json", _description(len(exported.cases)))
    splits = target / "nnUNet_preprocessed" / name / "splits_final.json"
    splits.parent.mkdir(parents=True, exist_ok=True)
    _write_json(splits, _splits(folds, set(exported.cases)))
    return exported


def _all_written(layout: Layout, listings: Iterable[Listing], masks: Masks, raw: Path) -> Exported:
    cases: list[str] = []
    left_out: list[str] = []
    faults: list[Fault] = []
    for listing in listings:
        try:
            case = layout.read(listing)
            whole = set(case.labelled) == set(REGIONS)
            (cases if whole else left_out).append(listing.name)
            if whole:
                _write_case(case, masks, raw)
        except DataSetError as error:
            faults += error.faults
        except ZweitblickError as error:
            faults.append(Fault(listing.name, str(error)))
    if faults:
        raise DataSetError(faults)
    return Exported(tuple(cases), tuple(left_out))


def _write_case(raw_case: RawCase, masks: Masks, raw: Path) -> None:
    """Write a case's channels and, last, its labels; where those are, the case is complete."""
    labels = raw / "labelsTr" / f"{raw_case.name}{ENDING}"
    if labels.exists():
        return
    case, brain = with_brain(raw_case, masks)
    grid = case.volumes[reference_of(case.volumes)].grid
    moves = own_from_reference(case)
    for channel, voxels in enumerate(_channels(case, brain, grid, moves)):
        _save(Volume(voxels, grid).to_nifti(), raw / "imagesTr" / f"{case.name}_{channel:04d}{ENDING}")
    drawn = labels_on(grid, case.labels, own_from_grid_lps=outline_from_reference(case, moves))
    _save(Volume(drawn.astype(np.float32), grid).to_nifti(np.uint8), labels)
    LOG.info("exported %s", case.name)


def _channels(case: RawCase, brain: Bool, grid: Grid, moves: Mapping[Sequence, Float64]) -> Iterable[Float32]:
    """Yield every channel on the reference's grid, 0 outside the brain; a missing sequence is 0 throughout."""
    for sequence in CHANNELS:
        if sequence not in case.volumes:
            yield np.zeros(grid.shape, np.float32)
            continue
        placed = case.volumes[sequence].resampled(grid, own_from_grid_lps=moves[sequence])
        yield np.where(brain, placed.voxels, np.float32(0))


def _save(image: nib.Nifti1Image, path: Path) -> None:
    """Write by way of a temporary name, so that a killed run leaves no half file under its own."""
    part = path.with_name(path.name.removesuffix(ENDING) + PART)
    nib.save(image, part)
    part.replace(path)


def _description(count: int) -> dict[str, object]:
    return {
        "channel_names": {str(channel): str(sequence) for channel, sequence in enumerate(CHANNELS)},
        "labels": LABELS,
        "regions_class_order": REGIONS_CLASS_ORDER,
        "numTraining": count,
        "file_ending": ENDING,
    }


def _splits(folds: Folds, exported: set[str]) -> list[dict[str, list[str]]]:
    return [
        {
            "train": [name for name in folds.train(number) if name in exported],
            "val": [name for name in folds.test(number) if name in exported],
        }
        for number in range(len(folds.folds))
    ]


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
