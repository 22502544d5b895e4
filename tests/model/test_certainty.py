"""Enhancing tumour stays where the network is sure of some of it, and is core elsewhere."""

import numpy as np
import pytest

from zweitblick.model.certainty import SURE, without_doubtful_enhancement
from zweitblick.volume import Float32


def rim(*, sure: int, doubtful: int = 400) -> Float32:
    """A tumour whose enhancing part has so many voxels of each kind; all of it is core with .99."""
    probabilities = np.zeros((3, 20, 20, 20), np.float32)
    probabilities[1:, 5:15, 5:15, 5:15] = 0.99
    enhancing = probabilities[0, 5:15, 5:15, 5:15].reshape(-1)
    enhancing[: sure + doubtful] = 0.9
    enhancing[:sure] = SURE
    probabilities[0, 5:15, 5:15, 5:15] = enhancing.reshape(10, 10, 10)
    return probabilities


@pytest.mark.parametrize(("sure", "voxel_ml", "stays"), [(51, 0.001, True), (50, 0.001, False), (26, 0.002, True)])
def test_more_than_50_mm3_must_be_sure(sure: int, voxel_ml: float, stays: bool) -> None:
    before = rim(sure=sure)
    after = without_doubtful_enhancement(before, voxel_ml=voxel_ml)
    assert np.array_equal(after[1:], before[1:])
    assert np.array_equal(after[0], before[0] if stays else np.zeros_like(before[0]))


def test_what_was_given_is_not_written_to() -> None:
    before = rim(sure=0)
    kept = before.copy()
    assert not without_doubtful_enhancement(before, voxel_ml=0.001)[0].any()
    assert np.array_equal(before, kept)


def test_a_large_rim_of_which_nothing_is_sure_goes_too() -> None:
    assert not without_doubtful_enhancement(rim(sure=0, doubtful=1000), voxel_ml=0.001)[0].any()
