"""Specks go, lesions stay."""

import numpy as np
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from zweitblick.model.specks import SMALLEST_LESION_MM3, without_specks


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_simpleitk_keeps_the_same_components(seed: int) -> None:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).random((24, 24, 24)), 1.2)
    wt = np.clip((field - np.quantile(field, 0.9)) * 20 + 0.5, 0, 1).astype(np.float32)
    probabilities = np.stack([wt * 0.2, wt * 0.6, wt])
    kept = without_specks(probabilities, voxel_ml=0.001)
    components = sitk.ConnectedComponent(sitk.GetImageFromArray((wt >= 0.5).astype(np.uint8)), True)
    oracle = sitk.GetArrayFromImage(sitk.RelabelComponent(components, minimumObjectSize=int(SMALLEST_LESION_MM3) + 1))
    assert ((kept[2] >= 0.5) == (oracle > 0)).all()
    assert (kept[:, oracle > 0] == probabilities[:, oracle > 0]).all()


def test_voxel_size_counts() -> None:
    wt = np.zeros((3, 8, 8, 8), np.float32)
    wt[:, 2:4, 2:4, 2:4] = 0.9
    assert not without_specks(wt, voxel_ml=0.001)[2].any()
    assert (without_specks(wt, voxel_ml=0.01) == wt).all()
