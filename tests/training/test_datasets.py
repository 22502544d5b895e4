"""Each public layout against files written with nibabel and read back with SimpleITK; every fault by name, at once."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from data_sets import (
    AFFINE,
    BRATS_2021,
    CONTRASTS,
    SHAPE,
    WHOLE_TABLE,
    head,
    save,
    write_bids,
    write_brats2021,
    write_decathlon,
    write_folder,
    write_packed,
)
from zweitblick.prediction import CORE, ENHANCING, OEDEMA, Region
from zweitblick.study import Sequence
from zweitblick_training.datasets import LAYOUTS, DataSetError, RawCase
from zweitblick_training.datasets.packed import lgg_slice_mm, read_packed, told_patient

NEW = {"T1": "t1n", "T1c": "t1c", "T2": "t2w", "FLAIR": "t2f"}

# Layout, folder and joint of a case's files, names of its files, values of core, oedema, enhancing (design.md).
FOLDERS = [
    ("brats2018", "HGG/{name}/{name}_", "Brats18_CBICA_ASK_1", BRATS_2021, (1, 2, 4), "CBICA_ASK", "CBICA"),
    ("brats2019", "LGG/{name}/{name}_", "BraTS19_CBICA_ASK_1", BRATS_2021, (1, 2, 4), "CBICA_ASK", "CBICA"),
    (
        *("brats2020", "{name}/{name}_", "BraTS20_Training_012", BRATS_2021, (1, 2, 4)),
        *("BraTS20_Training_012", "brats2020"),
    ),
    ("brats2021", "{name}/{name}_", "BraTS2021_00005", BRATS_2021, (1, 2, 4), "00005", "brats2021"),
    ("brats2023", "{name}/{name}-", "BraTS-GLI-00005-000", NEW, (1, 2, 3), "00005", "brats2023"),
    ("brats2024", "{name}/{name}-", "BraTS-GLI-02062-101", NEW, (1, 2, 3), "02062", "brats2024"),
]


def told_by_simpleitk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (k, j, i) and the (4, 4) LPS affine from (k, j, i), both by ITK's own reader."""
    image = sitk.ReadImage(str(path))
    matrix = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3] = matrix[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), affine


def read_only(layout: str, folder: Path) -> RawCase:
    (listing,) = LAYOUTS[layout].listed(folder)
    return LAYOUTS[layout].read(listing)


def assert_true(case: RawCase, seed: int = 0) -> None:
    """Every sequence under its own name and the outline's parts under ours."""
    one = head(seed)
    for name, mean in CONTRASTS.items():
        voxels = case.volumes[Sequence(name)].voxels
        np.testing.assert_allclose(voxels, one.images[name].transpose(), rtol=1e-5)
        assert np.median(voxels[voxels > 0]) == pytest.approx(mean, abs=30)
    for value, part in ((CORE, one.core), (OEDEMA, one.oedema), (ENHANCING, one.enhancing)):
        np.testing.assert_array_equal(case.labels.voxels == value, part.transpose())


@pytest.mark.parametrize("row", FOLDERS, ids=[row[0] for row in FOLDERS])
def test_brats_layouts(tmp_path, row):
    layout, place, name, names, values, patient, site = row
    stems = {sequence: place.format(name=name) + short for sequence, short in names.items()}
    write_folder(tmp_path, stems, head(), outline=place.format(name=name) + "seg", values=values)
    (listing,) = LAYOUTS[layout].listed(tmp_path)
    assert (listing.name, listing.patient, listing.site) == (name, patient, site)
    case = LAYOUTS[layout].read(listing)
    assert_true(case)
    assert (case.source, case.stripped, set(case.labelled)) == (layout, True, set(Region))
    voxels, affine = told_by_simpleitk(tmp_path / f"{stems['T1c']}.nii.gz")
    np.testing.assert_allclose(case.volumes[Sequence.T1C].voxels, voxels)
    np.testing.assert_allclose(case.volumes[Sequence.T1C].lps_from_index, affine, atol=1e-5)


def test_the_resection_cavity_is_no_tumour(tmp_path):
    one, name = head(), "BraTS-GLI-02062-101"
    stems = {sequence: f"{name}/{name}-{short}" for sequence, short in NEW.items()}
    write_folder(tmp_path, stems, one, outline=f"{name}/{name}-seg", values=(4, 2, 3))
    labels = read_only("brats2024", tmp_path).labels.voxels
    assert not labels[one.core.transpose()].any()
    with pytest.raises(DataSetError, match=r"label 4 of \d+ voxels is not declared"):
        read_only("brats2023", tmp_path)


def test_upenn_lists_expert_outlines_only(tmp_path):
    name = "UPENN-GBM-00002_11"
    stems = {"T1": "T1", "T1c": "T1GD", "T2": "T2", "FLAIR": "FLAIR"}
    stems = {sequence: f"images_structural/{name}/{name}_{short}" for sequence, short in stems.items()}
    write_folder(tmp_path, stems, head(), outline=f"images_segm/{name}_segm", values=(1, 2, 4))
    save(tmp_path / "automated_segm" / "UPENN-GBM-00003_11_automated_approx_segm.nii.gz", head().outline(1, 2, 4))
    case = read_only("upenn-gbm", tmp_path)
    assert_true(case)
    assert (case.name, case.patient) == (name, "UPENN-GBM-00002")


def test_ucsf_follow_ups_are_of_one_patient(tmp_path):
    for name in ("UCSF-PDGM-0429", "UCSF-PDGM-0429_FU003d"):
        stems = {"T1": "T1", "T1c": "T1c", "T2": "T2", "FLAIR": "FLAIR"}
        stems = {sequence: f"{name}_nifti/{name}_{short}" for sequence, short in stems.items()}
        outline = f"{name}_nifti/{name}_tumor_segmentation"
        write_folder(tmp_path, stems, head(), outline=outline, values=(1, 2, 4))
        save(tmp_path / f"{name}_nifti" / f"{name}_T1_bias.nii.gz", head(9).images["T1"])
    listings = LAYOUTS["ucsf-pdgm"].listed(tmp_path)
    assert [one.patient for one in listings] == ["UCSF-PDGM-0429"] * 2
    for one in listings:
        assert_true(LAYOUTS["ucsf-pdgm"].read(one))


def test_decathlon_channels_and_labels(tmp_path):
    write_decathlon(tmp_path, ["BRATS_001", "BRATS_002"])
    save(tmp_path / "imagesTr" / "._BRATS_001.nii.gz", np.zeros((2, 2, 2), np.uint8))
    listings = LAYOUTS["decathlon"].listed(tmp_path)
    for seed, one in enumerate(listings):
        assert_true(LAYOUTS["decathlon"].read(one), seed)
    voxels, affine = told_by_simpleitk(tmp_path / "labelsTr" / "BRATS_002.nii.gz")
    labels = LAYOUTS["decathlon"].read(listings[1]).labels
    np.testing.assert_array_equal(labels.voxels, np.select([voxels == 1, voxels == 2, voxels == 3], [2, 1, 3]))
    np.testing.assert_allclose(labels.lps_from_index, affine, atol=1e-5)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("modality", {"0": "T1w", "1": "FLAIR", "2": "t1gd", "3": "T2w"}, "says channels"),
        ("labels", {"0": "background", "1": "necrosis", "2": "edema", "3": "enhancing tumour"}, "says labels"),
        ("training", [{"label": "x"}], "lacks modality, labels or training"),
        ("training", 3, "lacks modality, labels or training"),
    ],
)
def test_decathlon_believes_no_other_declaration(tmp_path, key, value, said):
    write_decathlon(tmp_path, ["BRATS_001"])
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(DataSetError, match=said):
        LAYOUTS["decathlon"].listed(tmp_path)


def test_decathlon_needs_four_channels(tmp_path):
    write_decathlon(tmp_path, ["BRATS_001"])
    save(tmp_path / "imagesTr" / "BRATS_001.nii.gz", np.ones((*SHAPE, 3), np.float32))
    with pytest.raises(DataSetError, match="3 channels where FLAIR, T1w, t1gd, T2w are declared"):
        read_only("decathlon", tmp_path)


def test_bids_by_its_table(tmp_path):
    write_bids(tmp_path, "sub-01", head())
    save(tmp_path / "sub-01" / "anat" / "sub-01_T2star.nii.gz", head(5).images["T2"])
    case = read_only("bids", tmp_path)
    assert_true(case)
    assert (case.name, case.patient, case.stripped) == ("sub-01", "sub-01", False)


def test_bids_takes_the_images_beside_the_outline(tmp_path):
    write_bids(tmp_path, "sub-01", head(3))
    for path in (tmp_path / "sub-01" / "anat").iterdir():
        shutil.copy(path, tmp_path / "derivatives" / "experts" / "sub-01" / "anat" / path.name)
        save(path, head(4).images["T1"][:-1])
    assert_true(read_only("bids", tmp_path), 3)


def test_bids_sessions_and_outlines_of_the_whole_tumour(tmp_path):
    one = head()
    for session in ("ses-1", "ses-2"):
        place = Path("sub-7") / session / "anat"
        save(tmp_path / place / f"sub-7_{session}_FLAIR.nii.gz", one.images["FLAIR"])
        outline = tmp_path / "derivatives" / "x" / place / f"sub-7_{session}_dseg.nii.gz"
        save(outline, one.outline(1, 1, 1))
        outline.with_name(f"sub-7_{session}_dseg.tsv").write_text(WHOLE_TABLE)
    listings = LAYOUTS["bids"].listed(tmp_path)
    assert [(one.name, one.patient) for one in listings] == [("sub-7_ses-1", "sub-7"), ("sub-7_ses-2", "sub-7")]
    case = LAYOUTS["bids"].read(listings[0])
    assert case.labelled == (Region.WT,)
    assert set(case.volumes) == {Sequence.FLAIR}
    whole = one.core | one.oedema | one.enhancing
    np.testing.assert_array_equal(case.labels.voxels > 0, whole.transpose())


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (None, "has no label table"),
        ("index\tname\n1\tlesion\n", "index '1', name 'lesion' is not declared"),
        ("index\tname\nx\tedema\n", "index 'x'"),
        ("index\tname\n7\tncr\n8\tedema\n", "must name either core, oedema and enhancing tumour"),
    ],
)
def test_bids_guesses_no_label(tmp_path, table, said):
    write_bids(tmp_path, "sub-01", head())
    path = tmp_path / "derivatives" / "experts" / "dseg.tsv"
    path.unlink()
    if table is not None:
        path.write_text(table)
    with pytest.raises(DataSetError, match=said):
        read_only("bids", tmp_path)


def test_bids_chooses_between_no_two_files(tmp_path):
    write_bids(tmp_path, "sub-01", head())
    save(tmp_path / "sub-01" / "anat" / "sub-01_run-2_T2w.nii.gz", head().images["T2"])
    save(tmp_path / "sub-01" / "anat" / "sub-01_ce-gad_T2w.nii.gz", head().images["T2"])
    with pytest.raises(DataSetError) as raised:
        read_only("bids", tmp_path)
    assert "2 files for T2" in str(raised.value)
    assert "T2w with ce-gad is not declared" in str(raised.value)


def test_packed_cases(tmp_path):
    one = head()
    images = np.stack([one.images[name] / 2 for name in ("T1", "T1c", "T2", "FLAIR")])
    offset = [3, 4, 5]
    write_packed(
        tmp_path, "brats", "BraTS2021_00003", images, one.outline(1, 2, 3), affine=AFFINE.tolist(), offset=offset
    )
    images[2] = 0
    write_packed(tmp_path, "nontumour", "MS_patient07", images, np.zeros(SHAPE), affine=AFFINE.tolist())
    brats, healthy = (LAYOUTS["packed"].read(listing) for listing in LAYOUTS["packed"].listed(tmp_path))
    assert (brats.source, brats.patient, healthy.source) == ("brats", "00003", "nontumour")
    np.testing.assert_array_equal(brats.labels.voxels == ENHANCING, one.enhancing.transpose())
    assert Sequence.T2 in brats.volumes
    assert Sequence.T2 not in healthy.volumes
    # nibabel's own answer to where the cropped array's first voxel is; LPS turns x and y.
    there = nib.affines.apply_affine(AFFINE, offset) * [-1, -1, 1]
    np.testing.assert_allclose(brats.labels.grid.lps((0, 0, 0)), there)


def test_packed_lower_grade_slices(tmp_path):
    flair = np.random.default_rng(0).integers(1, 60, (3, 26, 32, 32))
    for name in ("TCGA_CS_4941_19960909", "TCGA_FG_6692_20020606"):
        write_packed(tmp_path, "lgg", name, flair, flair[0] > 50)
    case = read_only("packed", tmp_path)
    assert (case.patient, case.labelled) == ("TCGA_CS_4941", (Region.WT,))
    assert not case.spacing_known
    assert set(case.volumes) == {Sequence.T1, Sequence.T1C, Sequence.FLAIR}
    assert case.labels.spacing_mm == pytest.approx((lgg_slice_mm(26), 0.9, 0.9))
    directions = case.labels.lps_from_index[:3, :3] / np.array(case.labels.spacing_mm)
    # Slices from the skull base up, rows front to back, columns from the right to the left.
    np.testing.assert_allclose(directions.T, [[0, 0, 1], [0, 1, 0], [1, 0, 0]])


def test_names_that_tell_no_patient_are_refused(tmp_path):
    write_packed(tmp_path, "brats", "Patient_1", np.ones((4, 2, 2, 2)), np.zeros((2, 2, 2)), affine=AFFINE.tolist())
    with pytest.raises(DataSetError, match="Patient_1: this name does not tell whom"):
        LAYOUTS["packed"].listed(tmp_path)


def test_damaged_packed_files_are_named(tmp_path):
    write_packed(tmp_path, "brats", "BraTS2021_00003", np.ones((4, *SHAPE)), np.zeros(SHAPE), affine=AFFINE.tolist())
    path = tmp_path / "brats" / "BraTS2021_00003.img.xz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataSetError, match=r"BraTS2021_00003\.img\.xz cannot be read"):
        read_only("packed", tmp_path)
    (tmp_path / "brats" / "index.json").write_text("{")
    with pytest.raises(DataSetError, match=r"brats: index\.json cannot be read"):
        LAYOUTS["packed"].listed(tmp_path)


def test_a_case_tells_all_of_its_faults(tmp_path):
    name = "BraTS2021_00001"
    write_brats2021(tmp_path, [name])
    files = {sequence: tmp_path / name / f"{name}_{short}.nii.gz" for sequence, short in BRATS_2021.items()}
    files["T1"].unlink()
    save(files["T1c"], np.where(head().brain, np.nan, 0).astype(np.float32))
    save(files["T2"], np.full(SHAPE, 3.0, np.float32))
    outline = head().outline(1, 2, 3)
    shifted = AFFINE.copy()
    shifted[0, 3] += 1.5
    save(tmp_path / name / f"{name}_seg.nii.gz", outline, shifted)
    with pytest.raises(DataSetError) as raised:
        read_only("brats2021", tmp_path)
    lines = str(raised.value).splitlines()
    assert len(lines) == len(raised.value.faults) == 5
    assert all(line.startswith(f"{name}: ") for line in lines)
    for said in ("t1.nii.gz", "NaN", "T2 is empty: all of its voxels are 3", "label 3 of", "lies on no image's grid"):
        assert sum(said in line for line in lines) == 1, said


def test_a_cropped_outline_is_refused(tmp_path):
    name = "BraTS2021_00001"
    write_brats2021(tmp_path, [name])
    save(tmp_path / name / f"{name}_seg.nii.gz", head().outline(1, 2, 4)[:-1])
    with pytest.raises(DataSetError, match=r"lies on no image's grid \(images have \(20, 28, 24\)\)"):
        read_only("brats2021", tmp_path)


def test_an_empty_outline_is_refused(tmp_path):
    name = "BraTS2021_00001"
    write_brats2021(tmp_path, [name])
    save(tmp_path / name / f"{name}_seg.nii.gz", np.zeros(SHAPE, np.uint8))
    with pytest.raises(DataSetError, match=f"{name}: the outline is empty"):
        read_only("brats2021", tmp_path)


def test_only_heads_of_a_data_set_without_tumour_have_an_empty_outline(tmp_path):
    ones, nothing = np.stack([*head().images.values()]) / 2, np.zeros(SHAPE)
    write_packed(tmp_path, "nontumour", "MS_patient07", ones, nothing, affine=AFFINE.tolist())
    assert not read_only("packed", tmp_path).labels.voxels.any()
    write_packed(tmp_path, "brats", "BraTS2021_00003", ones, nothing, affine=AFFINE.tolist())
    layout = LAYOUTS["packed"]
    with pytest.raises(DataSetError, match="BraTS2021_00003: the outline is empty"):
        [layout.read(listing) for listing in layout.listed(tmp_path)]


def test_a_case_without_a_usable_sequence_is_refused(tmp_path):
    write_bids(tmp_path, "sub-01", head(), sequences=("T1", "T2"))
    with pytest.raises(DataSetError, match="neither T1c nor FLAIR among T1, T2: no usable sequence"):
        read_only("bids", tmp_path)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_folder_of_another_layout_is_refused(tmp_path, layout):
    (tmp_path / "something").mkdir()
    with pytest.raises(DataSetError):
        LAYOUTS[layout].listed(tmp_path)


def test_two_cases_of_one_name_are_refused(tmp_path):
    for grade in ("HGG", "LGG"):
        (tmp_path / grade / "Brats18_2013_2_1").mkdir(parents=True)
    with pytest.raises(DataSetError, match="Brats18_2013_2_1: there are two cases of this name"):
        LAYOUTS["brats2018"].listed(tmp_path)


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("Brats18_CBICA_ASK_1", "CBICA_ASK"),
        ("BraTS19_CBICA_ASK_1", "CBICA_ASK"),
        ("Brats18_2013_20_1", "2013_20"),
        ("BraTS2021_00014", "00014"),
        ("BraTS-GLI-00014-100", "00014"),
        ("TCGA_DU_A5TS_19970726", "TCGA_DU_A5TS"),
        ("MS_patient07", "MS_patient07"),
        ("sub-01", ""),
    ],
)
def test_names_tell_patients(name, patient):
    assert told_patient(name) == patient


@pytest.mark.real
def test_real_packed_cases_have_the_voxels_that_their_index_counts(shared_data):
    listings = LAYOUTS["packed"].listed(shared_data)
    assert len(listings) == 94
    assert len({one.patient for one in listings}) == 94
    for source, name in (("brats", "BraTS2021_00014"), ("lgg", "TCGA_DU_5874_19950510")):
        entry = json.loads((shared_data / source / "index.json").read_text())[name]
        labels = read_packed(shared_data, source, name).labels.voxels
        values = {1: CORE, 2: OEDEMA, 3: ENHANCING} if source == "brats" else {1: OEDEMA}
        counted = {str(value): int((labels == ours).sum()) for value, ours in values.items()}
        assert {key: count for key, count in counted.items() if count} == entry["voxels"]
