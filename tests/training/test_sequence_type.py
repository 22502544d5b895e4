"""The series-type network's trainer: what it draws, that it resumes exactly, that its bundle serves it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from zweitblick.model.bundle import load_bundle
from zweitblick.model.manifest import UNSIGNED_TOO
from zweitblick.model.sequence_network import SHAPE, Kind, with_ranks
from zweitblick.study import Sequence
from zweitblick.volume import Volume, axis_aligned_grid
from zweitblick_training.brain_mask.heads import Head
from zweitblick_training.sequence_type.draw import draw_sample, reoriented, thickened
from zweitblick_training.sequence_type.evaluate import Look, summary
from zweitblick_training.sequence_type.export import KindProbabilities, add_figures, export_sequence_type
from zweitblick_training.sequence_type.fit import (
    INPUTS,
    Filters,
    SequenceTypeNetwork,
    fit_on_heads,
    learnt_filters,
)
from zweitblick_training.sequence_type.heads import sides
from zweitblick_training.sequence_type.other import MAKERS, draw_other
from zweitblick_training.sequence_type.pictures import drawn_pictures, shown
from zweitblick_training.sequence_type.recipe import SequenceTypeRecipe

LEVELS = {
    Sequence.T1: (40, 60, 90),
    Sequence.T1C: (40, 60, 120),
    Sequence.T2: (120, 60, 40),
    Sequence.FLAIR: (10, 60, 70),
}
"""Fluid, brain and vessels or white matter of a toy head."""


def toy_heads() -> list[Head]:
    """Return a whole and a stripped head: a shell about a ball with a core and a tube."""
    grid = axis_aligned_grid((0, 0, 0), (44, 44, 44), 4.0)
    distance = np.linalg.norm(grid.lps(np.moveaxis(np.indices(grid.shape), 0, -1)), axis=-1)
    brain, fluid, shell = distance < 65, distance < 18, (distance > 72) & (distance < 80)
    tube = np.zeros(grid.shape, bool)
    tube[:, 20:22, 30:32] = True

    def image(levels: tuple[int, int, int]) -> np.ndarray:
        parts = [shell, fluid, tube & brain, brain]
        values = np.select(parts, [150, levels[0], levels[2], levels[1]], 1)
        return (values + np.random.default_rng(0).integers(0, 6, grid.shape)).astype(np.uint8)

    images = {sequence: image(levels) for sequence, levels in LEVELS.items()}
    whole = Head("whole", {one: images[one] for one in images if one is not Sequence.T2}, brain, grid, stripped=False)
    cut = {sequence: values * brain for sequence, values in images.items()}
    return [whole, Head("stripped", cut, brain, grid, stripped=True)]


@pytest.fixture(scope="module")
def heads() -> list[Head]:
    return toy_heads()


@pytest.fixture
def recipe(tmp_path: Path) -> SequenceTypeRecipe:
    return SequenceTypeRecipe(
        Path("data"),
        Path("teacher"),
        tmp_path / "run",
        pictures=12,
        fine_filters=6,
        coarse_filters=4,
        rounds=3,
        steps=20,
    )


def test_samples_are_pictures_of_every_kind_and_depend_on_the_seed_alone(heads: list[Head]) -> None:
    samples = [draw_sample(heads, np.random.default_rng(seed)) for seed in range(25)]
    assert {kind for _, kind in samples} == set(Kind)
    assert all(picture.shape == SHAPE and np.isfinite(picture).all() for picture, _ in samples)
    again, _ = draw_sample(heads, np.random.default_rng(3))
    np.testing.assert_array_equal(again, samples[3][0])


def test_every_other_kind_is_drawn_finite(heads: list[Head]) -> None:
    random = np.random.default_rng(1)
    for maker in MAKERS:
        assert np.isfinite(maker(heads[1], random).voxels).all()
    assert draw_other(heads, random).voxels.std() > 0


def test_reorienting_keeps_voxels_size_and_centre(heads: list[Head]) -> None:
    grid = heads[0].grid
    for seed in range(10):
        turned = reoriented(grid, np.random.default_rng(seed))
        assert sorted(turned.spacing_mm) == pytest.approx(sorted(grid.spacing_mm))
        np.testing.assert_allclose(turned.center_lps, grid.center_lps, atol=1e-9)


def test_thick_slices_cover_the_same_head(heads: list[Head]) -> None:
    volume = Volume(np.ones(heads[0].grid.shape, np.float32), replace(heads[0].grid))
    for seed in range(10):
        thick = thickened(volume, np.random.default_rng(seed))
        extent = np.array(thick.shape) * thick.spacing_mm
        np.testing.assert_allclose(extent, np.array(volume.shape) * volume.spacing_mm, rtol=0.1)


def test_what_is_shown_differs_each_time_but_not_from_one_seed_to_the_same(heads: list[Head]) -> None:
    picture, _ = draw_sample(heads, np.random.default_rng(2))
    first, second, other = (shown(picture, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_filters_are_the_directions_in_which_squares_lie(recipe: SequenceTypeRecipe) -> None:
    """Squares of noise along a few directions: each filter answers one of them, and each direction has a filter."""
    torch.manual_seed(0)
    count = INPUTS * recipe.edge**2
    directions = torch.linalg.qr(torch.randn(count, 3))[0].T
    which = torch.arange(600) % 3
    squares = directions[which] * (1 + torch.rand(600, 1)) * torch.sign(torch.randn(600, 1))
    squares += 0.001 * torch.randn(600, count)
    filters = learnt_filters(squares, 6, replace(recipe, whitening=1e-3, rounds=10)).weights.reshape(6, count)
    agreement = (torch.nn.functional.normalize(filters, dim=1) @ directions.T).abs()
    assert (agreement.max(0).values > 0.9).all()


def test_the_same_recipe_and_heads_give_the_same_network(heads: list[Head], recipe: SequenceTypeRecipe) -> None:
    first = fit_on_heads(recipe, heads).state_dict()
    again = fit_on_heads(replace(recipe, run=recipe.run.with_name("again")), heads).state_dict()
    assert all(torch.equal(again[name], first[name]) for name in first)


def test_the_classifier_learns_what_it_was_shown(heads: list[Head], recipe: SequenceTypeRecipe) -> None:
    longer = replace(recipe, pictures=40, fine_filters=24, coarse_filters=16, steps=60)
    network = fit_on_heads(longer, heads)
    pictures = drawn_pictures(longer, [])
    inputs = torch.from_numpy(np.stack([with_ranks(values.astype(np.float32)) for values in pictures.values]))
    with torch.inference_mode():
        right = network(inputs).argmax(1) == torch.from_numpy(pictures.kinds)
    # The commonest kind is less than a quarter of what is drawn.
    assert right.float().mean() > 0.5


def test_pictures_are_drawn_once_and_a_lost_file_again(heads: list[Head], recipe: SequenceTypeRecipe) -> None:
    first = drawn_pictures(recipe, heads)
    assert drawn_pictures(recipe, []).values.tobytes() == first.values.tobytes()
    (recipe.run / "pictures" / "00000.npz").unlink()
    assert drawn_pictures(recipe, heads).values.tobytes() == first.values.tobytes()


def test_the_bundle_opens_and_serves_the_network(tmp_path: Path, recipe: SequenceTypeRecipe) -> None:
    (tmp_path / "data").mkdir()
    for source in ("lgg", "brats", "nontumour"):
        (tmp_path / "data" / source).mkdir()
        names = {f"{source}_{number}": {} for number in range(9)}
        (tmp_path / "data" / source / "index.json").write_text(json.dumps(names))
    torch.manual_seed(0)
    fine, coarse = (Filters(torch.randn(n, INPUTS, 7, 7), torch.rand(n)) for n in (6, 4))
    network = SequenceTypeNetwork(fine, coarse).eval()
    digest = export_sequence_type(network, tmp_path / "sequence", tmp_path / "data")
    add_figures(tmp_path / "sequence", [Look("a", "BraTS", "as stored", "T1", "T1", 0.95)], recipe)
    bundle = load_bundle(tmp_path / "sequence", UNSIGNED_TOO)
    assert bundle.digest == digest
    assert "1 of 1 opinions are right" in (tmp_path / "sequence" / "docs" / "README.md").read_text()
    x = np.random.default_rng(0).standard_normal((1, 2, *SHAPE)).astype(np.float32)
    with torch.inference_mode():
        expected = KindProbabilities(network)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(bundle.network(x), expected, atol=1e-3)
    assert bundle.network(x).sum() == pytest.approx(1, abs=1e-5)


def test_the_summary_counts_right_and_sure_opinions() -> None:
    looks = [
        Look("a", "BraTS", "as stored", "T1", "T1", 0.95),
        Look("b", "BraTS", "as stored", "T1", "T1c", 0.92),
        Look("c", "BraTS", "as stored", "T1", "T1", 0.6),
    ]
    (row,) = summary(looks)
    assert (row["images"], row["right"], row["sure"], row["sure_and_right"]) == (3, 2, 2, 1)


@pytest.mark.real
def test_no_patient_is_on_two_sides(shared_data: Path) -> None:
    parts = sides(shared_data)
    assert not set(parts.train) & {*parts.test, *parts.left_out}
    assert not any(name.startswith("TCGA_FG_6692") for name in (*parts.train, *parts.test))
    may_be_tested = ("Brats18_TCIA10_", "Brats18_TCIA13_", "BraTS2021_0147", "BraTS2021_0148")
    assert not any(name.startswith(may_be_tested) for name in parts.train)
