"""Specks go, lesions stay."""

import numpy as np
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from zweitblick.model.specks import SMALLEST_LESION_MM3, without_specks
from zweitblick.volume import Bool, Float32


def larger(mask: Bool) -> NDArray[np.bool_]:
    """Components of more than `SMALLEST_LESION_MM3` voxels, by SimpleITK."""
    components = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), True)
    kept = sitk.RelabelComponent(components, minimumObjectSize=int(SMALLEST_LESION_MM3) + 1)
    return np.asarray(sitk.GetArrayFromImage(kept) > 0)


def blobs(seed: int) -> Float32:
    """Nested regions of blobs about as large as a speck, each region by a field of its own."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.random((24, 24, 24)), 1.2) for _ in range(3)]
    soft = [
        np.clip((one - np.quantile(one, q)) * 20 + 0.5, 0, 1) for one, q in zip(fields, (0.7, 0.6, 0.8), strict=True)
    ]
    return np.minimum.accumulate(np.stack(soft[::-1]), axis=0)[::-1].astype(np.float32)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_simpleitk_keeps_the_same_components_of_every_region(seed: int) -> None:
    probabilities = blobs(seed)
    et, tc, wt = without_specks(probabilities, voxel_ml=0.001) >= 0.5
    before = probabilities >= 0.5
    kept_wt = larger(before[2])
    kept_tc = larger(before[1] & kept_wt)
    assert np.array_equal(wt, kept_wt)
    assert np.array_equal(tc, kept_tc)
    assert np.array_equal(et, larger(before[0] & kept_tc))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_a_probability_stays_or_becomes_0_and_regions_stay_nested(seed: int) -> None:
    probabilities = blobs(seed)
    after = without_specks(probabilities, voxel_ml=0.001)
    assert ((after == probabilities) | (after == 0)).all()
    assert (np.diff(after, axis=0) >= 0).all()
    assert (after[:, probabilities[2] < 0.5] == probabilities[:, probabilities[2] < 0.5]).all()


def test_voxel_size_counts() -> None:
    wt = np.zeros((3, 8, 8, 8), np.float32)
    wt[:, 2:4, 2:4, 2:4] = 0.9
    assert not without_specks(wt, voxel_ml=0.001).any()
    assert (without_specks(wt, voxel_ml=0.01) == wt).all()


def test_without_a_tumour_nothing_changes() -> None:
    faint = np.full((3, 4, 4, 4), 0.4, np.float32)
    assert np.array_equal(without_specks(faint, voxel_ml=0.001), faint)
