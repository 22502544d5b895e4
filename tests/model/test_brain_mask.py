"""Brain masks of phantoms with known truth, and of real heads, in any orientation."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from zweitblick.errors import NotAHeadError
from zweitblick.model.brain_mask import brain_mask, intensity_range, network_grid, network_input
from zweitblick.model.bundle import load_bundle
from zweitblick.study import Sequence
from zweitblick.volume import Grid, Volume, axis_aligned_grid
from zweitblick_training.cases import stripped_brain
from zweitblick_training.datasets.packed import read_packed

BUNDLE = Path(__file__).parents[2] / "models" / "brain-mask"
BRAIN_MM = np.array([66.0, 80.0, 62.0])
"""Half axes along x, y and z: 1371 ml."""
CENTER_LPS = np.array([12.0, -9.0, 30.0])


def head_on(grid):
    """A phantom on any grid: grey ellipsoid (40), dark skull, bright scalp (90), faint air; and the true brain."""
    places = grid.lps(np.stack(np.indices(grid.shape), axis=-1)) - CENTER_LPS
    size = np.linalg.norm(places / BRAIN_MM, axis=-1)
    values = np.select([size < 1, size < 1.12, size < 1.22], [40.0, 4.0, 90.0], 1.0)
    return Volume(values.astype(np.float32), grid), size < 1


def grey(x):
    """A network that takes mid-grey for brain; scalp is more than twice as bright."""
    return ((x > 0.5) & (x < 1.3)).astype(np.float32)


def turned(degrees, shape, spacing):
    """Grid of a stack about the phantom, its k, j, i axes those of an axial one turned by Euler angles."""
    axes = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()[:, [2, 1, 0]]
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = CENTER_LPS - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


STACKS = {
    "axial": turned([0, 0, 0], (36, 220, 200), (5.0, 1.0, 1.0)),
    "sagittal": turned([0, 90, 0], (40, 100, 100), (5.0, 2.2, 2.2)),
    "coronal": turned([90, 0, 0], (48, 100, 100), (5.0, 2.2, 2.2)),
    "oblique": turned([17, -6, 4], (36, 120, 110), (5.5, 1.8, 1.9)),
    "reversed": turned([180, 0, 0], (36, 120, 110), (5.0, 1.8, 1.9)),
}


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("name", STACKS)
def test_mask_lies_where_the_brain_is(name):
    volume, truth = head_on(STACKS[name])
    found = brain_mask(volume, grey)
    assert found.shape == volume.shape
    assert dice(found, truth) > 0.97
    centroid = volume.grid.lps(np.argwhere(found).mean(axis=0))
    np.testing.assert_allclose(centroid, CENTER_LPS, atol=0.6)


def test_cavities_are_filled_and_islands_left_out():
    volume, truth = head_on(STACKS["axial"])
    values = volume.voxels.copy()
    values[16:19, 100:120, 90:110] = 4.0
    values[17, 5:12, 5:12] = 40.0
    found = brain_mask(Volume(values, volume.grid), grey)
    assert found[17, 110, 100]
    assert not found[17, :14, :14].any()
    assert dice(found, truth) > 0.97


@given(scale=st.floats(0.01, 1e4), offset=st.floats(-500, 500))
@settings(max_examples=10, deadline=None)
def test_scale_and_offset_of_the_scanner_do_not_matter(scale, offset):
    volume, _ = head_on(axis_aligned_grid(CENTER_LPS, (20, 24, 20), 8.0))
    other = Volume(volume.voxels * np.float32(scale) + np.float32(offset * scale), volume.grid)
    grid = network_grid(volume)
    np.testing.assert_allclose(network_input(other, grid), network_input(volume, grid), atol=2e-3)


def test_air_is_zero_and_what_is_bright_is_about_one():
    volume, truth = head_on(axis_aligned_grid(CENTER_LPS, (100, 120, 110), 2.0))
    x = network_input(volume, volume.grid)
    assert x[0, 0, 0] == 0.0
    above = volume.voxels > volume.voxels.mean()
    assert x[above].mean() == pytest.approx(1.0, abs=1e-5)
    assert intensity_range(volume)[0] == 1.0
    assert np.ptp(x[truth]) < 1e-6


@pytest.mark.parametrize("name", STACKS)
def test_a_stripped_brain_keeps_a_tumour_that_the_network_leaves_out(name):
    head, brain = head_on(STACKS[name])
    places = STACKS[name].lps(np.stack(np.indices(head.shape), axis=-1)) - CENTER_LPS
    tumour = brain & (np.linalg.norm(places - [50.0, 10.0, 10.0], axis=-1) < 25)
    values = np.where(tumour, 90, np.where(brain, head.voxels, 0)).astype(np.float32)
    np.testing.assert_array_equal(brain_mask(Volume(values, head.grid), grey), brain)


@pytest.mark.parametrize("name", STACKS)
def test_the_grid_holds_the_head_in_steps_of_sixteen(name):
    volume, truth = head_on(STACKS[name])
    grid = network_grid(volume)
    assert all(size % 16 == 0 and size <= 128 for size in grid.shape)
    assert grid.spacing_mm == (2.0, 2.0, 2.0)
    brain = grid.index(volume.grid.lps(np.argwhere(truth)))
    assert brain.min() > 4
    assert (brain.max(axis=0) < np.array(grid.shape) - 5).all()


def test_air_around_the_head_changes_nothing():
    volume, _ = head_on(axis_aligned_grid(CENTER_LPS, (44, 56, 46), 4.0))
    wide = Volume(np.pad(volume.voxels, 9, constant_values=1.0), volume.grid.cropped([-9] * 3, (62, 74, 64)))
    narrow, large = network_grid(volume), network_grid(wide)
    assert narrow.shape == large.shape
    np.testing.assert_allclose(narrow.center_lps, large.center_lps, atol=4.0)


def test_a_long_view_is_cut_to_the_head():
    grid = axis_aligned_grid(CENTER_LPS - [0, 0, 130], (130, 90, 90), 3.5)
    volume, truth = head_on(grid)
    values = volume.voxels.copy()
    values[:60, 30:60, 30:60] = 60.0
    long = Volume(values, grid)
    assert network_grid(long).shape[0] * 2.0 <= 256 < 130 * 3.5
    assert dice(brain_mask(long, grey) & (np.arange(130) > 62)[:, None, None], truth) > 0.93


@pytest.mark.parametrize(("answer", "words"), [(0.0, "found 0 ml"), (1.0, r"found \d{4,5} ml")])
def test_what_is_no_brain_is_refused(answer, words):
    volume, _ = head_on(STACKS["oblique"])
    with pytest.raises(NotAHeadError, match=words):
        brain_mask(volume, lambda x: np.full_like(x, answer))


def test_a_constant_picture_is_refused():
    grid = STACKS["axial"]
    with pytest.raises(NotAHeadError, match="constant at 7"):
        brain_mask(Volume(np.full(grid.shape, 7.0, np.float32), grid), grey)


def test_a_picture_larger_than_any_scanner_is_refused_before_memory_is_taken():
    volume, _ = head_on(axis_aligned_grid(CENTER_LPS, (20, 20, 20), 1000.0))
    with pytest.raises(NotAHeadError, match="19000 mm"):
        brain_mask(volume, grey)


@pytest.mark.real
@pytest.mark.parametrize("name", ["Brats18_2013_3_1", "BraTS2021_00014", "MS_patient19"])
def test_a_stripped_brain_is_kept_whole(shared_data, name):
    source = "nontumour" if name.startswith("MS") else "brats"
    packed = read_packed(shared_data, source, name)
    truth = stripped_brain(packed.volumes.values())
    network = load_bundle(BUNDLE).network
    for sequence in (Sequence.T1C, Sequence.FLAIR):
        assert dice(brain_mask(packed.volumes[sequence], network), truth) > 0.98


@pytest.mark.real
def test_two_sequences_of_one_head_give_one_brain(shared_data):
    folder = shared_data / "raw" / "TCGA-FG-6692"
    network = load_bundle(BUNDLE).network
    volumes = [Volume.from_nifti(folder / f"{name}.nii.gz") for name in ("t1", "t1c")]
    masks = [brain_mask(volume, network) for volume in volumes]
    assert dice(*masks) > 0.92
    for volume, mask in zip(volumes, masks, strict=True):
        assert 1200 < mask.sum() * volume.grid.voxel_ml < 1800
