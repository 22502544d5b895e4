"""The nnU-Net export, read with nibabel and SimpleITK and held against nnU-Net's documented format."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from data_sets import WHOLE_TABLE, head, save, write_bids, write_brats2021
from zweitblick_training.cases import TeacherMasks
from zweitblick_training.datasets import LAYOUTS, DataSetError
from zweitblick_training.nnunet import Exported, export_nnunet
from zweitblick_training.splits import Folds, LeakError

NAMES = [f"BraTS2021_{number:05d}" for number in range(4)]
FOLDS = Folds(
    (
        {"00000": (NAMES[0],), "00003": (NAMES[3],)},
        {"00001": (NAMES[1],), "elsewhere": ("another_data_set",)},
        {"00002": (NAMES[2],)},
    )
)


def exported(folder: Path, target: Path) -> Exported:
    layout, masks = LAYOUTS["brats2021"], TeacherMasks(Path("none"))
    return export_nnunet(layout, folder, folds=FOLDS, masks=masks, target=target, number=7)


@pytest.fixture(scope="module")
def target(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("nnunet")
    write_brats2021(folder / "data", NAMES)
    assert exported(folder / "data", folder) == Exported(tuple(NAMES), ())
    return folder


@pytest.fixture(scope="module")
def raw(target) -> Path:
    return target / "nnUNet_raw" / "Dataset007_Zweitblick"


def test_files_are_named_as_nnunet_wants(raw):
    images = {path.name for path in (raw / "imagesTr").iterdir()}
    assert images == {f"{name}_{channel:04d}.nii.gz" for name in NAMES for channel in range(4)}
    assert {path.name for path in (raw / "labelsTr").iterdir()} == {f"{name}.nii.gz" for name in NAMES}


def test_channels_and_labels_are_those_of_the_data_set(target, raw):
    for seed, name in enumerate(NAMES):
        for channel, short in enumerate(("t1", "t1ce", "t2", "flair")):
            ours = nib.load(raw / "imagesTr" / f"{name}_{channel:04d}.nii.gz")
            theirs = nib.load(target / "data" / name / f"{name}_{short}.nii.gz")
            np.testing.assert_allclose(ours.get_fdata(), theirs.get_fdata(), rtol=1e-5)
            np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-5)
        labels = nib.load(raw / "labelsTr" / f"{name}.nii.gz")
        assert labels.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(np.asarray(labels.dataobj), head(seed).outline(1, 2, 3))


def test_a_cases_files_have_one_geometry(raw):
    # What nnU-Net's --verify_dataset_integrity compares, by the reader that it uses.
    for name in NAMES:
        paths = [raw / "labelsTr" / f"{name}.nii.gz", *sorted((raw / "imagesTr").glob(f"{name}_*"))]
        found = [sitk.ReadImage(str(path)) for path in paths]
        geometry = [(one.GetSize(), one.GetSpacing(), one.GetOrigin(), one.GetDirection()) for one in found]
        assert geometry == [geometry[0]] * 5


def test_regions_give_the_label_map_back(raw):
    """By nnU-Net's rule: regions in the order of dataset.json, each writes its value over the ones before."""
    said = json.loads((raw / "dataset.json").read_text())
    assert said["numTraining"] == len(NAMES)
    assert said["file_ending"] == ".nii.gz"
    assert said["channel_names"] == {"0": "T1", "1": "T1c", "2": "T2", "3": "FLAIR"}
    assert list(said["labels"]) == ["background", "whole tumor", "tumor core", "enhancing tumor"]
    labels = np.asarray(nib.load(raw / "labelsTr" / f"{NAMES[0]}.nii.gz").dataobj)
    sizes, again = [], np.zeros_like(labels)
    for name, value in zip(list(said["labels"])[1:], said["regions_class_order"], strict=True):
        region = np.isin(labels, said["labels"][name])
        sizes.append(int(region.sum()))
        again[region] = value
    np.testing.assert_array_equal(again, labels)
    one = head()
    core = one.core | one.enhancing
    assert sizes == [int((core | one.oedema).sum()), int(core.sum()), int(one.enhancing.sum())]
    # nnU-Net wants its integers to be consecutive.
    assert sorted({0, *said["regions_class_order"]}) == [0, 1, 2, 3]


def test_folds_are_ours(target):
    path = target / "nnUNet_preprocessed" / "Dataset007_Zweitblick" / "splits_final.json"
    assert json.loads(path.read_text()) == [
        {"train": [NAMES[1], NAMES[2]], "val": [NAMES[0], NAMES[3]]},
        {"train": [NAMES[0], NAMES[2], NAMES[3]], "val": [NAMES[1]]},
        {"train": [NAMES[0], NAMES[1], NAMES[3]], "val": [NAMES[2]]},
    ]


def test_an_export_that_was_stopped_goes_on(target, raw):
    # Labels are written last, so a case without them is not complete.
    (raw / "labelsTr" / f"{NAMES[2]}.nii.gz").unlink()
    (raw / "imagesTr" / f"{NAMES[2]}_0001.nii.gz").write_bytes(b"half")
    kept = raw / "imagesTr" / f"{NAMES[1]}_0001.nii.gz"
    before = kept.stat().st_mtime_ns
    assert exported(target / "data", target).cases == tuple(NAMES)
    assert kept.stat().st_mtime_ns == before
    assert nib.load(raw / "imagesTr" / f"{NAMES[2]}_0001.nii.gz").get_fdata().max() > 0
    assert (raw / "labelsTr" / f"{NAMES[2]}.nii.gz").exists()


def test_partially_labelled_cases_are_left_out_and_whole_heads_stripped(tmp_path):
    data, masks = tmp_path / "data", tmp_path / "masks"
    masks.mkdir()
    for seed, name in enumerate(("sub-01", "sub-02", "sub-03")):
        write_bids(data, name, head(seed), sequences=("T1c", "FLAIR"))
        np.savez(masks / f"{name}.npz", brain=head().brain.transpose())
    skull = head().images["FLAIR"] + 50
    save(data / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz", skull)
    outlines = data / "derivatives" / "experts" / "sub-02" / "anat"
    save(outlines / "sub-02_dseg.nii.gz", head(1).outline(1, 1, 1))
    (outlines / "sub-02_dseg.tsv").write_text(WHOLE_TABLE)
    folds = Folds(({"sub-01": ("sub-01",)}, {"sub-02": ("sub-02",)}, {"sub-03": ("sub-03",)}))
    done = export_nnunet(LAYOUTS["bids"], data, folds=folds, masks=TeacherMasks(masks), target=tmp_path)
    assert done == Exported(("sub-01", "sub-03"), ("sub-02",))
    raw = tmp_path / "nnUNet_raw" / "Dataset500_Zweitblick"
    assert json.loads((raw / "dataset.json").read_text())["numTraining"] == 2
    splits = json.loads((tmp_path / "nnUNet_preprocessed" / raw.name / "splits_final.json").read_text())
    assert splits[1] == {"train": ["sub-01", "sub-03"], "val": []}
    t1, flair = (nib.load(raw / "imagesTr" / f"sub-01_{channel:04d}.nii.gz").get_fdata() for channel in (0, 3))
    assert not t1.any()
    np.testing.assert_allclose(flair, np.where(head().brain, skull, 0), rtol=1e-5)


def test_cases_that_no_fold_knows_are_refused(tmp_path):
    write_brats2021(tmp_path / "data", [*NAMES, "BraTS2021_00099"])
    with pytest.raises(LeakError, match="BraTS2021_00099 is in no fold"):
        exported(tmp_path / "data", tmp_path)
    assert not (tmp_path / "nnUNet_raw").exists()


def test_all_faults_are_told_and_nothing_is_declared_complete(tmp_path):
    write_brats2021(tmp_path / "data", NAMES)
    for name in NAMES[:2]:
        save(tmp_path / "data" / name / f"{name}_seg.nii.gz", head().outline(1, 2, 3))
    with pytest.raises(DataSetError) as raised:
        exported(tmp_path / "data", tmp_path)
    assert [fault.case for fault in raised.value.faults] == NAMES[:2]
    assert not (tmp_path / "nnUNet_raw" / "Dataset007_Zweitblick" / "dataset.json").exists()
