"""The trainer's parts against what they promise: samples, schedule, resuming, export, scoring."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from zweitblick.model.runtime import OnnxNetwork
from zweitblick.study import Sequence
from zweitblick.volume import Grid, Volume, axis_aligned_grid
from zweitblick_training.brain_mask.draw import bias_field, draw_sample, noisy
from zweitblick_training.brain_mask.evaluate import Scan, dice_of, evaluate_brain_mask, summary
from zweitblick_training.brain_mask.export import Probability, export_brain_mask, splits, synthetic_head
from zweitblick_training.brain_mask.fit import build_network, fit_on_heads, learning_rate, mask_loss
from zweitblick_training.brain_mask.heads import TEST_STRIPPED, TEST_WHOLE, Head, averaged, coarse
from zweitblick_training.brain_mask.recipe import BrainMaskRecipe
from zweitblick_training.recipe import RecipeError

NOWHERE = BrainMaskRecipe(Path("data"), Path("teacher"), Path("run"))
DATA = Path(__file__).parents[3] / "shared" / "data"


def ball(shape, *, spacing_mm, radius_mm):
    """A grey ball within a bright shell and its exact mask."""
    grid = axis_aligned_grid((0, 0, 0), shape, spacing_mm)
    places = grid.lps(np.stack(np.indices(shape), axis=-1))
    distance = np.linalg.norm(places, axis=-1)
    shell = (distance > radius_mm + 8) & (distance < radius_mm + 14)
    return grid, np.where(shell, 90, np.where(distance < radius_mm, 40, 1)), distance < radius_mm


def heads():
    grid, image, brain = ball((60, 60, 60), spacing_mm=3.0, radius_mm=65)
    whole = Head("whole", {Sequence.T1: image.astype(np.uint8)}, brain, grid, stripped=False)
    return [whole, replace(whole, name="stripped", sequences={Sequence.T2: image * brain}, stripped=True)]


@pytest.mark.parametrize("seed", range(12))
def test_a_sample_shows_its_target(seed):
    x, target = draw_sample(heads(), np.random.default_rng(seed), (80, 96, 80))
    assert x.shape == target.shape == (80, 96, 80)
    assert x.dtype == target.dtype == np.float32
    assert set(np.unique(target)) == {0.0, 1.0}
    brain_ml, whole_ball_ml = target.sum() * 0.008, 4 / 3 * np.pi * 6.5**3
    # Scaling .85 to 1.2 in three axes, slices .8 to 1.25, a cut of up to a fifth at two ends.
    assert 0.35 * whole_ball_ml < brain_ml < 1.25 * 1.2**3 * whole_ball_ml
    assert np.median(x[target > 0]) > np.median(x[target == 0])


def test_crops_suit_the_network():
    with pytest.raises(RecipeError, match="crops: 32 is no multiple of 16 from 48 up"):
        replace(NOWHERE, crops=((80, 96, 80), (48, 32, 64)))


def test_a_sample_depends_on_its_seed_alone():
    one, other = (draw_sample(heads(), np.random.default_rng((3, 5)), (32, 32, 32))[0] for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_rician_noise_in_air_has_the_rayleigh_mean():
    air = noisy(np.zeros((40, 50, 60), np.float32), np.random.default_rng(0), 2.0)
    assert air.mean() == pytest.approx(2.0 * np.sqrt(np.pi / 2), rel=0.01)


def test_bias_field_is_smooth_and_positive():
    field = bias_field((20, 30, 40), np.random.default_rng(0))
    assert field.shape == (20, 30, 40)
    assert field.min() > 0.1
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in range(3)) < 0.2


def test_averaging_keeps_places_and_values():
    grid = Grid((4, 6, 9), np.array([[0, 0, 1.0, 5], [0, 2.0, 0, 6], [3.0, 0, 0, 7], [0, 0, 0, 1]]))
    ramp = grid.lps(np.stack(np.indices(grid.shape), axis=-1))[..., 2].astype(np.float32)
    thick = averaged(Volume(ramp, grid), (2, 1, 3))
    assert thick.shape == (2, 6, 3)
    assert thick.spacing_mm == pytest.approx((6, 2, 3))
    places = thick.grid.lps(np.stack(np.indices(thick.shape), axis=-1))
    np.testing.assert_allclose(thick.voxels, places[..., 2], rtol=1e-6)


def test_coarse_heads_keep_their_volume():
    grid, image, brain = ball((90, 90, 90), spacing_mm=1.0, radius_mm=30)
    head = coarse(Head("fine", {Sequence.T1: image.astype(np.uint8)}, brain, grid, stripped=False))
    assert head.grid.spacing_mm == (2.0, 2.0, 2.0)
    assert head.brain.sum() * 8 == pytest.approx(brain.sum(), rel=0.02)


def test_the_rate_rises_then_falls_to_zero():
    rates = [learning_rate(NOWHERE, step) for step in range(NOWHERE.steps + 1)]
    assert max(rates) == pytest.approx(NOWHERE.learning_rate)
    assert np.argmax(rates) in (NOWHERE.warmup - 1, NOWHERE.warmup)
    assert rates[-1] == pytest.approx(0, abs=1e-12)


def test_loss_prefers_the_truth():
    truth = torch.zeros(1, 1, 8, 8, 8)
    truth[..., 2:6, 2:6, 2:6] = 1
    right, unsure, wrong = (mask_loss(scale * (truth - 0.5), truth) for scale in (20.0, 0.0, -20.0))
    assert right < 0.01 < unsure < wrong


def test_network_is_small_and_keeps_the_size():
    network = build_network(NOWHERE.channels)
    assert sum(parameter.numel() for parameter in network.parameters()) < 500_000
    assert network(torch.zeros(2, 1, 16, 32, 48)).shape == (2, 1, 16, 32, 48)


def test_a_run_goes_on_where_its_checkpoint_stopped(tmp_path):
    # Later losses are not compared: bfloat16 kernels sum in an order that depends on where memory lies.
    small = replace(NOWHERE, run=tmp_path, crops=((48, 48, 48),), channels=(4, 4, 4, 4, 4))
    first = fit_on_heads(small, heads(), until=2).state_dict()
    again = fit_on_heads(small, [], until=2).state_dict()
    for name, weights in first.items():
        torch.testing.assert_close(again[name], weights, rtol=0, atol=0)
    fit_on_heads(small, heads(), until=3)
    stored = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert (stored["step"], len(stored["losses"])) == (3, 3)


# torch's exporter warns of its own use of a class that it is about to rename.
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec:FutureWarning")
@pytest.mark.real
def test_exported_network_answers_as_torch_does(tmp_path):
    torch.manual_seed(0)
    network = build_network((4, 8, 8, 8, 8)).eval()
    assert export_brain_mask(network, tmp_path, DATA) < 1e-3
    served = OnnxNetwork(tmp_path / "models" / "model.onnx")
    two = np.concatenate([synthetic_head((16, 32, 48)), -synthetic_head((16, 32, 48))])
    with torch.inference_mode():
        expected = Probability(network)(torch.from_numpy(two)).numpy()
    np.testing.assert_allclose(served(two), expected, atol=1e-3)


@pytest.mark.real
def test_no_patient_is_on_two_sides():
    sides = splits(DATA)
    assert not set(sides["train"]) & (set(sides["test"]) | set(sides["left_out"]))
    assert not any(name.startswith("TCGA_FG_6692") for name in sides["train"])
    assert set(TEST_WHOLE) | set(TEST_STRIPPED) <= set(sides["test"])


def test_dice_of_known_overlaps():
    left, both = np.zeros((2, 2, 2), bool), np.ones((2, 2, 2), bool)
    left[..., 0] = True
    assert dice_of(left, both) == pytest.approx(2 * 4 / 12)
    assert dice_of(left, ~left) == 0.0
    assert dice_of(~both, ~both) == 1.0


def test_a_network_that_sees_grey_scores_on_a_grey_ball():
    grid, image, brain = ball((40, 44, 40), spacing_mm=4.0, radius_mm=64)
    scan = Scan("ball", "phantom", Sequence.T1, Volume(image.astype(np.float32), grid), brain)
    tissue = 0.6 * 40 / image[image > image.mean()].mean()
    scores = evaluate_brain_mask([scan] * 3, lambda x: ((x > tissue) & (x < 2 * tissue)).astype(np.float32))
    assert {score.condition for score in scores} == {"as stored", "cropped", "noisy", "zero background"}
    found = {score.condition: score.dice for score in scores}
    assert found["as stored"] > 0.97
    assert found["cropped"] > 0.97
    rows = {row["condition"]: row for row in summary(scores)}
    assert rows["as stored"]["scans"] == 3
    assert rows["as stored"]["dice_worst"] == pytest.approx(found["as stored"], abs=1e-4)
