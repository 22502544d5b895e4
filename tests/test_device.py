"""Every device keeps one contract, told by SciPy: the processor's kernels, and the simulated CUDA ones."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from simulated_card import simulated_card
from zweitblick.device import PROCESSOR, Device, address, cuda_card, lies_on_card
from zweitblick.errors import ProviderError

SIZES = st.tuples(*[st.integers(1, 4)] * 3)
VOXELS = SIZES.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(-1000, 1000, width=32)))
MATRICES = hnp.arrays(np.float64, (3, 4), elements=st.floats(-2, 2))
MASKS = SIZES.flatmap(lambda shape: hnp.arrays(np.bool_, shape))
# The simulator starts a thread for each voxel of each block.
FEW = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=["processor", "simulated card"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    if request.param == "processor":
        yield PROCESSOR
    else:
        with simulated_card() as card:
            yield card


def whole(matrix: np.ndarray) -> np.ndarray:
    return np.vstack([matrix, [0, 0, 0, 1]])


@FEW
@given(voxels=VOXELS, matrix=MATRICES, shape=SIZES, fill=st.floats(-10, 10))
def test_values_are_those_of_scipy(
    device: Device, voxels: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int], fill: float
) -> None:
    mine = device.interpolated(voxels, whole(matrix), shape, fill=fill)
    theirs = ndimage.affine_transform(
        voxels, matrix[:, :3], matrix[:, 3], shape, np.float32, order=1, mode="grid-constant", cval=fill
    )
    assert mine.dtype == np.float32
    np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-3)


@FEW
@given(voxels=VOXELS, matrix=MATRICES, mask=MASKS)
def test_values_within_a_mask_are_those_of_scipy(
    device: Device, voxels: np.ndarray, matrix: np.ndarray, mask: np.ndarray
) -> None:
    mine, seen = device.interpolated_within(voxels, whole(matrix), mask)
    theirs = ndimage.affine_transform(
        voxels, matrix[:, :3], matrix[:, 3], mask.shape, np.float32, order=1, mode="grid-constant"
    )
    assert (mine.dtype, seen.dtype) == (np.float32, np.bool_)
    np.testing.assert_allclose(mine, np.where(mask, theirs, 0), rtol=1e-5, atol=1e-3)
    places = np.tensordot(matrix[:, :3], np.indices(mask.shape), 1) + matrix[:, 3].reshape(3, 1, 1, 1)
    middle = (np.array(voxels.shape).reshape(3, 1, 1, 1) - 1) / 2
    outside = (np.abs(places - middle) - middle).max(axis=0)
    sure = np.abs(outside - 0.5) > 1e-6
    np.testing.assert_array_equal(seen[sure], (mask & (outside < 0.5))[sure])


def test_more_voxels_than_a_block_has_threads_are_all_computed(device: Device) -> None:
    voxels = np.random.default_rng(0).normal(0, 100, (3, 5, 35)).astype(np.float32)
    np.testing.assert_array_equal(device.interpolated(voxels, np.eye(4), voxels.shape, fill=0.0), voxels)


def test_a_card_without_its_packages_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ProviderError, match=r"install zweitblick\[gpu\]"):
        cuda_card()


def test_an_array_on_a_card_is_told_by_its_interface() -> None:
    class OnCard:
        __cuda_array_interface__ = {"data": (4096, False)}  # noqa: RUF012 -- as the protocol has it

    here = np.zeros(3, np.float32)
    assert lies_on_card(OnCard())
    assert address(OnCard()) == 4096
    assert not lies_on_card(here)
    assert address(here) == here.ctypes.data
