"""Each part of the augmentation against a plain calculation of what it says it does."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.interpolate import BSpline
from scipy.spatial.transform import Rotation

from ball_cases import ball_case
from zweitblick.model.prepare import CHANNELS
from zweitblick.study import Sequence
from zweitblick_training.augment.brain_mask import imperfect
from zweitblick_training.augment.curves import draw_curve
from zweitblick_training.augment.geometry import affine, control_points, cut, misregistered, rotation
from zweitblick_training.augment.patch import biased, choose_center, field_of_view, kept_sequences
from zweitblick_training.augment.resolution import applied, blur, slices
from zweitblick_training.augment.spline import basis, knot_positions, knots_for, upsampled
from zweitblick_training.augmentation import Augmentation
from zweitblick_training.recipe import Recipe

STILL = Augmentation(
    rotation_share=0,
    scale=0,
    stretch=0,
    flip_shares=(0, 0, 0),
    elastic_share=0,
    misregistered_share=0,
)
"""Nothing moves."""

CENTER = np.array([50.0, 60.0, 70.0])

SEEDS = st.integers(0, 2**32 - 1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("size", "knots"), [(32, 4), (33, 7), (96, 9)])
def test_the_spline_is_scipys(size: int, knots: int) -> None:
    # Uniform cubic B-spline: knots one interval apart, three beyond either end.
    inner = (size - 1) / (knots - 3)
    grid = (np.arange(knots + 4) - 3) * inner
    controls = rng().standard_normal(knots)
    expected = BSpline(grid, controls, 3)(np.arange(size))
    assert np.allclose(basis(size, knots) @ controls, expected, atol=1e-5)


def test_an_affine_function_of_the_control_points_is_kept() -> None:
    size, knots = 40, knots_for(40, 12)
    positions = torch.from_numpy(2.0 * knot_positions(size, knots) + 1.0)
    along = upsampled(positions.reshape(1, knots, 1, 1).expand(1, knots, knots, knots).contiguous(), size)
    assert torch.allclose(along[0, :, 5, 7], 2.0 * torch.arange(40.0) + 1.0, atol=1e-3)


def test_a_patch_that_is_not_moved_is_a_piece_of_the_case() -> None:
    case = ball_case("ball")
    what = cut(case, [0, 2], 32, numbers=STILL, rng=rng(), center=np.full(3, 35.5))
    piece = (slice(20, 52),) * 3
    assert np.allclose(what.images.numpy(), case.images[[0, 2]][(slice(None), *piece)].astype(np.float32), atol=2e-3)
    assert np.array_equal(what.labels.numpy(), case.labels[piece])
    assert np.array_equal(what.brain.numpy(), case.brain[piece])


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_a_moved_patch_is_what_scipy_interpolates(seed: int) -> None:
    case = ball_case("ball")
    numbers = replace(Augmentation(), elastic_share=0.5, misregistered_share=0)
    center = np.array([30.0, 36.0, 40.0])
    what = cut(case, [1], 24, numbers=numbers, rng=rng(seed), center=center)
    controls = control_points(center, 24, numbers, rng(seed))
    where = upsampled(torch.from_numpy(controls), 24).numpy()
    expected = ndimage.map_coordinates(case.images[1].astype(np.float64), where, order=1, cval=0)
    inside = np.all([(one > 0) & (one < 71) for one in where], axis=0)
    assert np.abs(what.images[0].numpy() - expected)[inside].max() < 0.02
    labels = ndimage.map_coordinates(case.labels, where, order=0, cval=0)
    assert np.mean(what.labels.numpy()[inside] == labels[inside]) > 0.995


@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_rotation_scale_and_flips_stay_within_their_numbers(seed: int) -> None:
    numbers = replace(Augmentation(), flip_shares=(0.0, 0.0, 1.0))
    matrix = affine(numbers, rng(seed))
    sizes = np.linalg.norm(matrix, axis=0)
    assert np.all(np.abs(sizes - 1) <= numbers.scale + numbers.stretch + 1e-9)
    turn = matrix / sizes
    assert np.allclose(turn.T @ turn, np.eye(3), atol=1e-9)
    assert np.linalg.det(matrix) < 0


def test_rotation_turns_about_its_axis() -> None:
    axis, angle = np.array([0.0, 0.0, 1.0]), 0.3
    assert np.allclose(rotation(axis, angle)[:2, :2], [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])


def where_looked_up(seed: int, size: int, numbers: Augmentation) -> torch.Tensor:
    return upsampled(torch.from_numpy(control_points(CENTER, size, numbers, rng(seed))), size)


@given(seed=SEEDS, largest_deg=st.sampled_from([2.0, 45.0]))
@settings(max_examples=40, deadline=None)
def test_misregistration_is_rigid_and_within_two_millimetres_everywhere(seed: int, largest_deg: float) -> None:
    numbers = replace(Augmentation(), elastic_share=0.5, misregistered_deg=largest_deg)
    straight = where_looked_up(seed, 32, numbers)
    moved = misregistered(straight, CENTER, numbers, rng(seed))
    before, after = (one.reshape(3, -1).T.double().numpy()[::97] for one in (straight, moved))
    assert np.linalg.norm((moved - straight).numpy(), axis=0).max() <= 2.0 + 1e-3
    rigid, rest = Rotation.align_vectors(after - after.mean(0), before - before.mean(0))
    assert rest < 0.01 * np.sqrt(len(before))
    assert np.rad2deg(rigid.magnitude()) <= numbers.misregistered_deg + 1e-2


def test_misregistration_uses_its_range() -> None:
    straight = where_looked_up(0, 32, STILL)
    errors = [
        float(torch.linalg.vector_norm(misregistered(straight, CENTER, Augmentation(), rng(n)) - straight, dim=0).max())
        for n in range(60)
    ]
    assert max(errors) > 1.5
    assert min(errors) < 0.5


def test_only_one_sequence_lies_wrong() -> None:
    case = ball_case("ball")
    case = replace(case, images=np.stack([case.images[0]] * 4))
    numbers = replace(STILL, misregistered_share=1.0)
    images = cut(case, [0, 1, 2, 3], 32, numbers=numbers, rng=rng(4), center=np.full(3, 35.5)).images
    plain = cut(case, [0], 32, numbers=STILL, rng=rng(4), center=np.full(3, 35.5)).images[0]
    assert sum(bool(torch.equal(one, plain)) for one in images) == 3


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_the_bend_is_bounded_and_does_not_fold(seed: int) -> None:
    bent, straight = (
        where_looked_up(seed, 48, replace(Augmentation(), elastic_share=1.0, elastic_mm=most)) for most in (5.0, 0.0)
    )
    assert float((bent - straight).abs().max()) <= 5.0 + 1e-3
    # Where the determinant keeps its sign (a flip makes it negative), no two voxels change places.
    slopes = np.stack([np.stack(np.gradient(axis, axis=(0, 1, 2))) for axis in bent.double().numpy()])
    signs = np.sign(np.linalg.det(np.moveaxis(slopes, (0, 1), (-2, -1))))
    assert signs.min() == signs.max() != 0


@given(seed=SEEDS, channel=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_a_curve_keeps_the_order_of_intensities(seed: int, channel: int) -> None:
    case = ball_case("ball", size=48)
    curve = draw_curve(case, channel, Augmentation(), rng(seed))
    given_values = torch.linspace(-1, 5, 500)
    passed = curve(given_values).numpy()
    assert np.all(np.diff(passed) >= -1e-6)
    assert np.isfinite(passed).all()


def test_without_any_change_a_curve_normalises_as_serving_does() -> None:
    case = ball_case("ball", size=48)
    plain = replace(
        Augmentation(), remap_share=0, gamma_share=0, inverted_gamma_share=0, fat_suppressed_share=0, contrast_share=0
    )
    inside = torch.from_numpy(case.images[0][case.brain].astype(np.float32))
    passed = draw_curve(case, 0, plain, rng())(inside).numpy()
    assert abs(passed.mean()) < 0.1
    assert abs(passed.std() - 1) < 0.1


@pytest.mark.parametrize("sigma", [0.6, 1.1])
def test_blur_is_scipys_gaussian(sigma: float) -> None:
    line = rng().standard_normal(64)
    expected = ndimage.gaussian_filter1d(line, sigma, truncate=8)
    assert np.allclose((blur(64, sigma) @ line)[8:-8], expected[8:-8], atol=1e-4)


@given(distance=st.floats(1.2, 6), coverage=st.floats(0.8, 1), first=st.floats(0, 1.5))
@settings(max_examples=40, deadline=None)
def test_slices_are_means_and_keep_what_is_constant(distance: float, coverage: float, first: float) -> None:
    matrix = slices(48, distance, thickness=distance * coverage, first=first)
    assert np.allclose(matrix.sum(axis=1), 1)
    assert matrix.min() >= 0
    # A point spreads over no more than two slices and the way between them.
    assert np.all((matrix > 0).sum(axis=1) <= 2 * distance + 3)


@given(distance=st.floats(1.2, 6), coverage=st.floats(0.5, 1), start=st.floats(0, 0.5), seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_a_thick_slice_is_the_mean_of_what_it_covers(distance: float, coverage: float, start: float, seed: int) -> None:
    line, first, thickness = rng(seed).standard_normal(40), start * distance, coverage * distance
    # Voxels are boxes of constant value: sampled a thousand times finer, a slice is a plain mean.
    fine = np.repeat(line, 1000)
    position = (np.arange(len(fine)) + 0.5) / 1000 - 0.5
    centers = np.arange(first, 39 + distance / 2, distance)
    covered = [fine[np.abs(position - center) <= thickness / 2] for center in centers]
    means = [part.mean() if len(part) else line[-1] for part in covered]
    expected = np.interp(np.arange(40), centers, means)
    assert np.allclose(slices(40, distance, thickness=thickness, first=first) @ line, expected, atol=0.02)


def test_thick_slices_are_resampled_as_simpleitk_does() -> None:
    volume = rng().standard_normal((24, 3, 3))
    thick = sitk.GetImageFromArray(volume.reshape(6, 4, 3, 3).mean(axis=1))
    thick.SetSpacing((1, 1, 4))
    thick.SetOrigin((0, 0, 1.5))
    grid = sitk.GetImageFromArray(volume)
    expected = sitk.GetArrayFromImage(sitk.Resample(thick, grid, sitk.Transform(), sitk.sitkLinear, 0.0))
    given_volume = np.einsum("ij,jkl->ikl", slices(24, 4.0, thickness=4.0, first=1.5), volume)
    # Beyond the centres of the outer slices SimpleITK has no neighbour to interpolate with.
    assert np.allclose(given_volume[2:-2], expected[2:-2])


def test_matrices_work_along_their_axis() -> None:
    image = torch.from_numpy(rng().standard_normal((12, 12, 12)).astype(np.float32))
    for axis in range(3):
        matrix = blur(12, 1.0)
        expected = np.moveaxis(np.tensordot(matrix, image.numpy(), axes=(1, axis)), 0, axis)
        assert np.allclose(applied(image, {axis: matrix}).numpy(), expected, atol=1e-5)


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_a_bias_field_is_smooth_positive_and_within_its_number(seed: int) -> None:
    numbers = Augmentation()
    field = biased(torch.ones(32, 32, 32), 0.0, numbers, rng(seed)).numpy()
    assert np.abs(np.log(field)).max() <= numbers.bias + 1e-5
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in range(3)) < 0.06
    assert torch.equal(biased(torch.full((32, 32, 32), -1.5), -1.5, numbers, rng(seed)), torch.full((32, 32, 32), -1.5))


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_brain_mask_errs_along_the_border(seed: int) -> None:
    numbers = replace(Augmentation(), missing_share=0.0)
    index = np.indices((48, 48, 48)) - 23.5
    brain = torch.from_numpy(np.linalg.norm(index, axis=0) < 18)
    mask = imperfect(brain, numbers, rng(seed))
    depth = ndimage.distance_transform_edt(brain.numpy())
    height = ndimage.distance_transform_edt(~brain.numpy())
    assert not (mask.kept & ~brain).any()
    assert not (mask.leftover & brain).any()
    # The limit and what a coarse grid of 4 mm rounds off, on a curved border.
    assert depth[(brain & ~mask.kept).numpy()].max(initial=0) <= numbers.mask_error_mm + 3
    assert height[mask.leftover.numpy()].max(initial=0) <= numbers.mask_error_mm + 3


def test_a_field_of_view_ends_in_a_plane() -> None:
    view = field_of_view(32, Augmentation(), rng(3)).numpy()
    profiles = [view.all(axis=tuple(other for other in range(3) if other != axis)) for axis in range(3)]
    partial = [profile for profile in profiles if not profile.all() and profile.any()]
    assert len(partial) <= 1
    assert view.mean() >= 1 - Augmentation().cut_extent - 1 / 32


def test_a_patch_lies_where_it_is_asked_for() -> None:
    case = ball_case("ball")
    recipe = Recipe(patch=48, tumour_share=1.0, augmentation=replace(Augmentation(), jitter=0.0))
    for seed in range(20):
        center = choose_center(case, recipe, rng(seed)).round().astype(int)
        assert case.labels[tuple(center)] > 0


def test_what_serving_refuses_is_shown_rarely() -> None:
    recipe = Recipe(sequence_dropout=1.0)
    served = {CHANNELS.index(Sequence.T1C), CHANNELS.index(Sequence.FLAIR)}
    shown = [set(kept_sequences(np.ones(4, np.bool_), recipe, rng(seed))) for seed in range(600)]
    refused = np.mean([not served & subset for subset in shown])
    # 12 of 15 subsets have T1c or FLAIR and weigh 1, three weigh a quarter.
    assert refused == pytest.approx(0.75 / 12.75, abs=0.03)
    assert all(shown)
