"""Preparation: the grid holds the brain, nothing is interpolated twice, intensities are those of the definition."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from phantoms import ball, head_volume
from strategies import itk_image
from zweitblick.errors import NotAHeadError, VoxelError
from zweitblick.model.prepare import CHANNELS, MARGIN_MM, STRIDE, Prepared, canonical_grid, normalised, prepare
from zweitblick.study import Sequence
from zweitblick.volume import Grid, Volume, axis_aligned_grid


@given(
    degrees=st.tuples(*[st.floats(-40, 40)] * 3),
    spacing=st.tuples(st.floats(1, 6), st.floats(0.5, 1.5), st.floats(0.5, 1.5)),
)
@settings(max_examples=25, deadline=None)
def test_the_grid_holds_the_brain_and_its_margin(
    degrees: tuple[float, float, float], spacing: tuple[float, float, float]
) -> None:
    grid = turned(degrees, spacing)
    brain = ball(grid, grid.center_lps, 30.0)
    canonical = canonical_grid(brain, grid)
    assert np.allclose(canonical.spacing_mm, 1.0)
    assert all(size % STRIDE == 0 for size in canonical.shape)
    inside = canonical.index(grid.lps(np.argwhere(brain)))
    assert inside.min() >= MARGIN_MM - 1
    assert (np.array(canonical.shape) - 1 - inside.max(axis=0)).min() >= MARGIN_MM - 2


def test_a_brain_on_a_millimetre_grid_is_cropped_not_interpolated() -> None:
    grid = axis_aligned_grid((3.25, -7.5, 11.0), (80, 90, 100), 1.0)
    mirrored = Grid(grid.shape, grid.lps_from_index @ np.diag([1.0, -1.0, -1.0, 1.0]))
    for source in (grid, mirrored):
        volume = Volume(np.random.default_rng(0).random(source.shape, np.float32), source)
        brain = ball(source, source.center_lps, 25.0)
        placed = volume.resampled(canonical_grid(brain, source)).voxels
        assert np.isin(placed[placed > 0], volume.voxels).all()


def test_intensities_are_the_scores_of_clipped_values() -> None:
    rng = np.random.default_rng(1)
    voxels = rng.normal(500, 80, (20, 20, 20)).astype(np.float32)
    voxels[0, 0, :3] = 1e6
    brain = np.zeros(voxels.shape, np.bool_)
    brain[2:18, 2:18, 2:18] = True
    scaled = normalised(voxels, brain)
    assert scaled[brain].mean() == pytest.approx(0, abs=1e-4)
    assert scaled[brain].std() == pytest.approx(1, abs=1e-4)
    assert not scaled[~brain].any()
    assert np.allclose(normalised(voxels * 3 + 17, brain), scaled, atol=1e-3)


def test_a_single_value_is_refused() -> None:
    brain = np.ones((4, 4, 4), np.bool_)
    with pytest.raises(VoxelError, match="single value"):
        normalised(np.full((4, 4, 4), 7, np.float32), brain)


def test_no_brain_is_refused() -> None:
    grid = axis_aligned_grid((0, 0, 0), (8, 8, 8), 1.0)
    with pytest.raises(NotAHeadError, match="no brain voxel"):
        canonical_grid(np.zeros(grid.shape, np.bool_), grid)


def test_a_registered_series_is_placed_as_simpleitk_places_it() -> None:
    reference = head_volume()
    brain = reference.voxels > reference.voxels.mean()
    turn = np.deg2rad(10)
    moving_from_reference = np.eye(4)
    moving_from_reference[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    moving_from_reference[:3, 3] = (6, -4, 9)
    prepared = prepare(
        {Sequence.T1C: reference, Sequence.FLAIR: reference},
        brain,
        reference=reference.grid,
        own_from_reference={Sequence.T1C: np.eye(4), Sequence.FLAIR: moving_from_reference},
    )
    everywhere = Volume(np.ones(reference.shape, np.float32), reference.grid)
    shown = prepared.brain & (simpleitk_resampled(everywhere, prepared.grid, moving_from_reference) > 0)
    oracle = normalised(simpleitk_resampled(reference, prepared.grid, moving_from_reference), shown)
    difference = np.abs(prepared.images[Sequence.FLAIR].voxels - oracle)[shown]
    assert np.quantile(difference, 0.99) < 1e-2


def test_a_missing_sequence_is_a_channel_of_zeros() -> None:
    volume = head_volume()
    brain = volume.voxels > volume.voxels.mean()
    prepared = prepare(
        {Sequence.FLAIR: volume}, brain, reference=volume.grid, own_from_reference={Sequence.FLAIR: np.eye(4)}
    )
    tensor = prepared.tensor
    assert tensor.shape == (1, 4, *prepared.grid.shape)
    assert [bool(channel.any()) for channel in tensor[0]] == [sequence is Sequence.FLAIR for sequence in CHANNELS]


def test_only_some_sequences_are_the_head_as_if_the_others_had_not_come() -> None:
    volume = head_volume()
    brain = volume.voxels > volume.voxels.mean()

    def prepared(*sequences: Sequence) -> Prepared:
        own = dict.fromkeys(sequences, np.eye(4))
        return prepare(dict.fromkeys(sequences, volume), brain, reference=volume.grid, own_from_reference=own)

    every, one = prepared(Sequence.T1C, Sequence.FLAIR), prepared(Sequence.FLAIR)
    only = every.only({Sequence.FLAIR})
    np.testing.assert_array_equal(only.tensor, one.tensor)
    assert (only.seen, list(only.images)) == (one.seen, list(one.images))
    assert every.tensor[0, CHANNELS.index(Sequence.T1C)].any()


def turned(degrees: tuple[float, float, float], spacing_mm: tuple[float, float, float]) -> Grid:
    lps_from_index = np.eye(4)
    lps_from_index[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()[:, ::-1] * spacing_mm
    lps_from_index[:3, 3] = (-70, 30, 15)
    shape = tuple(int(100 / spacing) for spacing in spacing_mm)
    return Grid((shape[0], shape[1], shape[2]), lps_from_index)


def simpleitk_resampled(volume: Volume, grid: Grid, moving_from_reference: np.ndarray) -> np.ndarray:
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(moving_from_reference[:3, :3].ravel().tolist())
    transform.SetTranslation(moving_from_reference[:3, 3].tolist())
    resampled = sitk.Resample(itk_image(volume), itk_image(Volume(np.zeros(grid.shape, np.float32), grid)), transform)
    return sitk.GetArrayFromImage(resampled)


def test_brain_that_a_series_does_not_show_counts_for_nothing() -> None:
    volume = head_volume()
    brain = volume.voxels > volume.voxels.mean()
    upper = volume.shape[0] // 2
    half = Volume(
        volume.voxels[upper:], volume.grid.cropped((upper, 0, 0), (volume.shape[0] - upper, *volume.shape[1:]))
    )
    prepared = prepare(
        {Sequence.T1C: volume, Sequence.FLAIR: half},
        brain,
        reference=volume.grid,
        own_from_reference={Sequence.T1C: np.eye(4), Sequence.FLAIR: np.eye(4)},
    )
    shown = prepared.images[Sequence.FLAIR].voxels
    inside = prepared.brain & (shown != 0)
    assert prepared.seen[Sequence.T1C] == 1.0
    assert prepared.seen[Sequence.FLAIR] == pytest.approx(inside.sum() / prepared.brain.sum(), abs=0.01)
    assert shown[inside].mean() == pytest.approx(0, abs=1e-3)
    assert shown[inside].std() == pytest.approx(1, abs=1e-2)
