"""Tumours made fainter or without enhancement, against plain NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ball_cases import ball_case
from zweitblick.model.prepare import CHANNELS
from zweitblick.prediction import CORE, ENHANCING, OEDEMA
from zweitblick.study import Sequence
from zweitblick_training.augment.geometry import Cut
from zweitblick_training.augment.lesion import altered, softened
from zweitblick_training.augmentation import Augmentation

SEQUENCES = [0, 1, 2, 3]
T1C = CHANNELS.index(Sequence.T1C)
NEVER = replace(Augmentation(), unenhanced_share=0, faint_share=0)
UNENHANCED = replace(NEVER, unenhanced_share=1, solid_share=0)
SOLID = replace(UNENHANCED, solid_share=1, levelled=(1.0, 1.0))


def patch(sequences: list[int] = SEQUENCES) -> Cut:
    case = ball_case("ball")
    images = torch.from_numpy(case.images[sequences].astype(np.float32))
    return Cut(images, torch.from_numpy(case.brain), torch.from_numpy(case.labels))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_tumour_without_enhancement_is_core_and_oedema() -> None:
    before, after = patch(), altered(patch(), SEQUENCES, UNENHANCED, rng())
    old, new = before.labels.numpy(), after.labels.numpy()
    assert set(np.unique(new)) == {0, CORE, OEDEMA}
    assert np.array_equal(new == OEDEMA, old == OEDEMA)
    assert np.array_equal(new > 0, old > 0)
    assert new.dtype == old.dtype


def test_only_t1c_loses_the_enhancement_and_there_the_rim_is_as_the_oedema_was() -> None:
    before, after = patch(), altered(patch(), SEQUENCES, UNENHANCED, rng())
    others = [n for n in SEQUENCES if n != T1C]
    assert torch.equal(after.images[others], before.images[others])
    rim = before.labels == ENHANCING
    level = before.images[T1C][before.labels == OEDEMA].mean()
    assert before.images[T1C][rim].mean() - level > 0.9
    assert abs(float(after.images[T1C][rim].mean() - level)) < 0.1


def test_far_from_the_rim_nothing_changes() -> None:
    before, after = patch(), altered(patch(), SEQUENCES, UNENHANCED, rng())
    near = ndimage.binary_dilation(before.labels.numpy() == ENHANCING, np.ones((3, 3, 3)))
    assert np.array_equal(after.images.numpy()[:, ~near], before.images.numpy()[:, ~near])


def test_what_is_not_shown_with_contrast_agent_keeps_its_labels() -> None:
    without = [n for n in SEQUENCES if n != T1C]
    before, after = patch(without), altered(patch(without), without, UNENHANCED, rng())
    assert torch.equal(after.labels, before.labels)
    assert torch.equal(after.images, before.images)


def test_a_solid_tumour_is_all_core_and_of_one_level_in_every_sequence() -> None:
    case, before, after = patch(), *(altered(patch(), SEQUENCES, numbers, rng()) for numbers in (UNENHANCED, SOLID))
    assert np.array_equal(after.labels.numpy(), np.where(case.labels.numpy() > 0, CORE, 0))
    inner = ndimage.binary_erosion(before.labels.numpy() == CORE, np.ones((3, 3, 3)))
    for image, old in zip(after.images.numpy(), before.images.numpy(), strict=True):
        assert np.allclose(image[inner], old[case.labels.numpy() == OEDEMA].mean(), atol=1e-3)


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
@settings(max_examples=10, deadline=None)
def test_a_faint_tumour_keeps_that_share_of_its_contrast(seed: int, share: float) -> None:
    numbers = replace(NEVER, faint_share=1, faint=(share, share))
    before, after = patch(), altered(patch(), SEQUENCES, numbers, rng(seed))
    labels = before.labels.numpy()
    healthy = before.brain.numpy() & (labels == 0)
    inner = ndimage.binary_erosion(labels == OEDEMA, np.ones((3, 3, 3)))
    for new, old in zip(after.images.numpy(), before.images.numpy(), strict=True):
        moved = (share - 1) * (old[labels == OEDEMA].mean() - old[healthy].mean())
        assert np.allclose(new[inner] - old[inner], moved, atol=1e-3)
    assert torch.equal(after.labels, before.labels)


@pytest.mark.parametrize("numbers", [NEVER, replace(UNENHANCED, faint_share=1)], ids=["never", "healthy"])
def test_a_patch_is_left_alone(numbers: Augmentation) -> None:
    before = patch()
    if numbers is not NEVER:
        before = Cut(before.images, before.brain, torch.zeros_like(before.labels))
    after = altered(before, SEQUENCES, numbers, rng())
    assert torch.equal(after.images, before.images)
    assert torch.equal(after.labels, before.labels)


def test_softened_is_scipys_mean() -> None:
    where = rng().random((9, 9, 9)) < 0.3
    expected = ndimage.uniform_filter(where.astype(np.float32), 3, mode="constant")
    assert np.allclose(softened(torch.from_numpy(where)).numpy(), expected, atol=1e-6)
