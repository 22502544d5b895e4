"""Training patches: made again from the same generator, labels that stay on their tumour."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ball_cases import ball_case
from zweitblick.prediction import OEDEMA
from zweitblick_training.augment import held, sample
from zweitblick_training.augmentation import Augmentation
from zweitblick_training.recipe import Recipe

RECIPE = Recipe(patch=48)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_a_sample_can_be_made_again(seed: int) -> None:
    case = ball_case("ball")
    first, second = (sample(case, RECIPE, np.random.default_rng(seed)) for _ in range(2))
    assert torch.equal(first.image, second.image)
    assert torch.equal(first.target, second.target)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_regions_are_nested_and_images_finite(seed: int) -> None:
    one = sample(ball_case("ball", seed=seed % 7), RECIPE, np.random.default_rng(seed))
    assert one.image.shape == (4, 48, 48, 48)
    assert torch.isfinite(one.image).all()
    et, tc, wt = one.target
    assert (et <= tc).all()
    assert (tc <= wt).all()


def test_nothing_is_shown_outside_of_the_mask() -> None:
    # Where all of the brain is oedema, the target of the whole tumour is the mask.
    case = ball_case("ball")
    case = replace(case, labels=case.brain.astype(np.uint8) * np.uint8(OEDEMA))
    stripped, left = (
        replace(
            RECIPE, sequence_dropout=0.0, augmentation=replace(Augmentation(), mask_share=1.0, leftover_share=share)
        )
        for share in (0.0, 1.0)
    )
    beyond = 0
    for seed in range(12):
        one = sample(case, stripped, np.random.default_rng(seed))
        assert not one.image[:, one.target[2] == 0].any()
        assert one.image[:, one.target[2] == 1].any()
        one = sample(case, left, np.random.default_rng(seed))
        beyond += int(torch.count_nonzero(one.image[:, one.target[2] == 0]))
    assert beyond > 0


def test_labels_move_with_the_image() -> None:
    # The only bright voxels are the tumour's, so the two must lie at one place whatever turn and flip was drawn.
    case = ball_case("ball")
    bright = np.where(case.labels > 0, np.float16(10), np.float16(0))
    case = replace(case, images=np.stack([bright] * 4))
    recipe = replace(RECIPE, sequence_dropout=0.0, tumour_share=1.0)
    indices = torch.stack(torch.meshgrid(*[torch.arange(48.0)] * 3, indexing="ij"))
    distances = []
    for seed in range(12):
        one = sample(case, recipe, np.random.default_rng(seed))
        weight = one.image.mean(0).clamp(min=0)
        weight = torch.where(weight > weight.max() / 2, weight, 0)
        if one.target[2].sum() > 500:
            center = (indices * weight).sum((1, 2, 3)) / weight.sum()
            truth = (indices * one.target[2]).sum((1, 2, 3)) / one.target[2].sum()
            distances.append(float((center - truth).norm()))
    assert len(distances) >= 5
    assert np.median(distances) < 0.7


def test_every_sequence_is_withheld_at_times_but_never_all() -> None:
    case = ball_case("ball")
    recipe = replace(RECIPE, sequence_dropout=1.0)
    kept = np.array(
        [[bool(channel.any()) for channel in sample(case, recipe, np.random.default_rng(n)).image] for n in range(40)]
    )
    assert kept.any(axis=1).all()
    assert not kept.all(axis=0).any()
    assert kept.any(axis=0).all()


def test_the_noise_of_two_sequences_has_nothing_in_common_at_any_offset() -> None:
    size = 48
    case = ball_case("ball")
    case = replace(case, images=np.zeros_like(case.images), brain=np.ones_like(case.brain))
    still = {field: 0 for field in Augmentation.__dataclass_fields__ if field.endswith("_share")}
    numbers = replace(Augmentation(), **{**still, "noise_share": 1.0})
    recipe = replace(RECIPE, patch=size, sequence_dropout=0.0, augmentation=numbers)
    channels = sample(case, recipe, np.random.default_rng(3)).image.reshape(4, -1).double()
    # A patch may reach beyond the case, where nothing is shown; correlation at every offset, by Fourier transform.
    spectra = torch.fft.rfft((channels - channels.mean(1, keepdim=True)) / channels.std(1, keepdim=True))
    for one in range(4):
        for other in range(one):
            correlation = torch.fft.irfft(spectra[one] * spectra[other].conj(), n=size**3) / size**3
            assert correlation.abs().max() < 0.1


def test_a_device_that_keeps_the_case_makes_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a GPU does, in the memory of the processor.
    case = ball_case("ball")
    with monkeypatch.context() as patched:
        patched.setattr(held, "_has_room", lambda _: True)
        kept = [sample(case, RECIPE, np.random.default_rng(seed)) for seed in range(6)]
    again = ball_case("ball")
    for seed, one in enumerate(kept):
        other = sample(again, RECIPE, np.random.default_rng(seed))
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.target, other.target)
