"""Preparation: training and serving make the same array, and labels stay where the experts drew them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from data_sets import head, write_bids, write_brats2021
from phantoms import BRAIN_RADII_MM, LEFT_LESION_MM, ball, distance, ellipsoid
from zweitblick.model.bundle import default_models, load_bundles
from zweitblick.model.prepare import CHANNELS
from zweitblick.pipeline import segment
from zweitblick.prediction import CORE, ENHANCING, OEDEMA, REGIONS, Region
from zweitblick.study import Sequence
from zweitblick.volume import Grid, Volume, axis_aligned_grid
from zweitblick_training.case import Case
from zweitblick_training.cases import (
    NetworkMasks,
    TeacherMasks,
    case_key,
    labels_on,
    prepared_bytes,
    prepared_case,
    stripped_brain,
    with_brain,
)
from zweitblick_training.datasets import LAYOUTS, DataSetError, RawCase
from zweitblick_training.datasets.packed import read_packed

MASKS = NetworkMasks(default_models() / "brain-mask")


class Witness:
    """A tumour network that finds nothing and keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.shown.append(x)
        return np.zeros((1, 3, *x.shape[2:]), np.float32)


def served(volumes: dict[Sequence, Volume]) -> np.ndarray:
    """What the tumour network is shown in serving, (4, K, J, I) float32."""
    witness = Witness()
    bundles = load_bundles(default_models())
    segment(volumes, replace(bundles, tumour=replace(bundles.tumour, network=witness)))
    (shown,) = witness.shown
    return shown[0]


def read_one(layout: str, folder: Path) -> RawCase:
    (listing,) = LAYOUTS[layout].listed(folder)
    return LAYOUTS[layout].read(listing)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> RawCase:
    folder = tmp_path_factory.mktemp("brats")
    write_brats2021(folder, ["BraTS2021_00001"])
    return read_one("brats2021", folder)


@pytest.fixture(scope="module")
def prepared(small) -> Case:
    case, brain = with_brain(small, MASKS)
    return prepared_case(case, brain)


def whole_head(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], tilt_deg: float) -> Volume:
    """Brain with ventricles and a lesion, skull and scalp as ellipsoids, in a stack tilted about the x axis."""
    axes = Rotation.from_euler("x", tilt_deg, degrees=True).as_matrix()[:, ::-1] * spacing_mm
    lps_from_index = np.eye(4)
    lps_from_index[:3, :3] = axes
    lps_from_index[:3, 3] = -axes @ ((np.array(shape) - 1) / 2)
    grid = Grid(shape, lps_from_index)
    size = distance(grid, (0, 0, 0), BRAIN_RADII_MM)
    parts = [ball(grid, LEFT_LESION_MM, 15), ellipsoid(grid, (0, 5, 5), (14, 35, 12)), size < 1, size < 1.1, size < 1.2]
    values = np.select(parts, [90.0, 12.0, 50.0, 6.0, 100.0], 1.0)
    return Volume((values + np.random.default_rng(0).normal(0, 1, shape)).astype(np.float32), grid)


def test_training_and_serving_make_the_same_array_of_a_whole_head():
    t1c, flair = whole_head((40, 110, 100), (4.5, 2.0, 2.0), 0.0), whole_head((36, 100, 110), (5.0, 2.0, 2.0), 12.0)
    labels = Volume(ball(t1c.grid, LEFT_LESION_MM, 15).astype(np.float32), t1c.grid)
    volumes = {Sequence.FLAIR: flair, Sequence.T1C: t1c}
    raw = RawCase("head", "head", "made-up", volumes, labels, REGIONS, stripped=False)
    made = prepared_case(*with_brain(raw, MASKS))
    assert made.present.tolist() == [False, True, False, True]
    assert made.labels.any()
    np.testing.assert_array_equal(made.images, served(volumes).astype(np.float16))


@pytest.mark.real
def test_training_and_serving_make_the_same_array_of_a_real_case(shared_data):
    # A stripped head's mask is exact in training; here both sides take the network's.
    raw = replace(read_packed(shared_data, "brats", "Brats18_CBICA_ASE_1"), stripped=False)
    case, brain = with_brain(raw, MASKS)
    made = prepared_case(case, brain)
    assert made.present.all()
    np.testing.assert_array_equal(made.images, served(dict(case.volumes)).astype(np.float16))


def test_a_stripped_head_on_a_millimetre_grid_is_only_cropped(small, prepared):
    one = head()
    for value, part in ((CORE, one.core), (OEDEMA, one.oedema), (ENHANCING, one.enhancing)):
        assert (prepared.labels == value).sum() == part.sum()
    assert prepared.brain.sum() == one.brain.sum()
    for channel, sequence in enumerate(CHANNELS):
        inside = prepared.images[channel][prepared.brain].astype(np.float64)
        # Neither order nor ratio of the intensities within the brain changes but by clipping and rounding.
        true = small.volumes[sequence].voxels[one.brain.transpose()].astype(np.float64)
        clipped = np.sort(np.clip(true, *np.percentile(true, (0.5, 99.5))))
        assert np.corrcoef(np.sort(inside), clipped)[0, 1] > 0.99999
        assert inside.mean() == pytest.approx(0, abs=2e-3)
        assert inside.std() == pytest.approx(1, abs=2e-3)
        assert not prepared.images[channel][~prepared.brain].any()


def test_images_and_labels_stay_together(prepared):
    # The phantom's tumour is brighter in every sequence; were the labels mirrored or turned, it would not be.
    tumour, rest = prepared.labels > 0, prepared.brain & (prepared.labels == 0)
    for image in prepared.images.astype(np.float32):
        assert image[tumour].mean() > image[rest].mean() + 1


def test_the_enhancing_part_lies_where_itk_says(tmp_path):
    write_brats2021(tmp_path, ["BraTS2021_00001"])
    raw = read_one("brats2021", tmp_path)
    outline = sitk.ReadImage(str(tmp_path / "BraTS2021_00001" / "BraTS2021_00001_seg.nii.gz"))
    filter_ = sitk.LabelShapeStatisticsImageFilter()
    filter_.Execute(outline)
    grid = axis_aligned_grid(raw.labels.grid.center_lps, (56, 60, 64), 0.5)
    drawn = labels_on(grid, raw.labels)
    for theirs, ours in ((1, CORE), (2, OEDEMA), (4, ENHANCING)):
        centre = grid.lps(np.argwhere(drawn == ours).mean(axis=0))
        np.testing.assert_allclose(centre, filter_.GetCentroid(theirs), atol=0.3)
        assert (drawn == ours).sum() * grid.voxel_ml * 1000 == pytest.approx(filter_.GetPhysicalSize(theirs), rel=0.2)


def test_missing_sequences_and_undrawn_regions_are_told(tmp_path):
    write_bids(tmp_path, "sub-01", head(), sequences=("T1", "FLAIR"))
    raw = replace(read_one("bids", tmp_path), stripped=True, labelled=(Region.WT,))
    made = prepared_case(*with_brain(raw, MASKS), key="k")
    assert made.present.tolist() == [True, False, False, True]
    assert made.labelled.tolist() == [False, False, True]
    assert not made.images[1:3].any()
    assert (made.key, made.source, made.name) == ("k", "bids", "sub-01")


def test_a_stripped_brain_has_no_holes(small):
    brain = stripped_brain(small.volumes.values())
    np.testing.assert_array_equal(brain, ndimage.binary_fill_holes(head().brain.transpose()))


def test_negative_intensities_are_brain_too(small):
    shifted = [
        Volume(np.where(volume.voxels != 0, volume.voxels - 250, 0), volume.grid) for volume in small.volumes.values()
    ]
    np.testing.assert_array_equal(stripped_brain(shifted), stripped_brain(small.volumes.values()))


def test_the_size_is_foreseen(small, prepared):
    case, brain = with_brain(small, MASKS)
    assert prepared_bytes(case, brain) == sum(
        array.nbytes for array in (prepared.images, prepared.brain, prepared.labels)
    )


@pytest.fixture
def whole(tmp_path) -> RawCase:
    write_bids(tmp_path, "sub-01", head())
    return read_one("bids", tmp_path)


def test_masks_of_another_program_are_taken_as_they_are(whole, tmp_path):
    brain = np.zeros(whole.labels.shape, np.bool_)
    brain[3:9, 4:20, 5:18] = True
    np.savez(tmp_path / "sub-01.npz", brain=brain)
    np.testing.assert_array_equal(with_brain(whole, TeacherMasks(tmp_path))[1], brain)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (Path.exists, "no brain mask can be read"),
        (lambda path: path.write_bytes(b"PK\3\4 no archive"), "no brain mask can be read"),
        (lambda path: np.savez(path, other=np.zeros(3)), "no brain mask can be read"),
        (lambda path: np.savez(path, brain=np.zeros((2, 2, 2))), r"the brain mask has \(2, 2, 2\) voxels"),
    ],
)
def test_missing_damaged_and_misfitting_masks_are_faults(whole, tmp_path, write, said):
    write(tmp_path / "sub-01.npz")
    with pytest.raises(DataSetError, match=f"sub-01: {said}"):
        with_brain(whole, TeacherMasks(tmp_path))


@pytest.mark.real
def test_a_guessed_slice_distance_gives_a_brain_of_usual_height(shared_data):
    raw = read_packed(shared_data, "lgg", "TCGA_DU_5874_19950510")
    case, brain = with_brain(raw, MASKS)
    height_mm = np.ptp(np.argwhere(brain)[:, 0]) * case.labels.spacing_mm[0]
    assert 110 <= height_mm <= 150
    np.testing.assert_array_equal(case.labels.voxels, raw.labels.voxels)


def test_the_key_tells_what_a_case_was_made_of(small, whole):
    changed = dict(small.volumes)
    voxels = changed[Sequence.T2].voxels.copy()
    voxels[10, 14, 12] += 1
    changed[Sequence.T2] = Volume(voxels, changed[Sequence.T2].grid)
    moved = Volume(small.labels.voxels, small.labels.grid.cropped((1, 0, 0), small.labels.shape))
    keys = {
        case_key(small, ""),
        case_key(replace(small, volumes=changed), ""),
        case_key(replace(small, labels=moved), ""),
        case_key(replace(small, labelled=(Region.WT,)), ""),
        case_key(replace(small, source="other"), ""),
        case_key(whole, "one mask"),
        case_key(whole, "another mask"),
    }
    assert len(keys) == 7
    assert case_key(small, "") == case_key(small, "masks do not matter to stripped heads")


def test_an_outline_goes_with_the_sequence_that_it_was_drawn_on():
    """FLAIR lies 8 mm off T1c by its header, and the experts drew on FLAIR."""
    t1c, flair = whole_head((40, 110, 100), (4.5, 2.0, 2.0), 0.0), whole_head((36, 100, 110), (5.0, 2.0, 2.0), 12.0)
    lesion = ball(flair.grid, LEFT_LESION_MM, 15).astype(np.float32)
    off = np.eye(4)
    off[:3, 3] = 8, 0, 0
    moved = Grid(flair.shape, off @ flair.lps_from_index)
    volumes = {Sequence.T1C: t1c, Sequence.FLAIR: Volume(flair.voxels, moved)}
    raw = RawCase("head", "head", "made-up", volumes, Volume(lesion, moved), REGIONS, stripped=False)
    made = prepared_case(raw, distance(t1c.grid, (0, 0, 0), BRAIN_RADII_MM) < 1)
    # In the phantom the lesion is brighter than all else within the brain, so that the image says where it is.
    shown = (made.images[CHANNELS.index(Sequence.T1C)] > 1.5) & made.brain
    drawn = made.labels == CORE
    assert 2 * (shown & drawn).sum() / (shown.sum() + drawn.sum()) > 0.85
    np.testing.assert_allclose(
        np.argwhere(drawn).mean(axis=0), np.argwhere(shown).mean(axis=0), atol=1.5, err_msg="mm off the lesion"
    )
