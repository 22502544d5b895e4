"""Windows say what the whole pass says, within their budget, or say that they cannot."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from zweitblick.dicom.read import read_study
from zweitblick.dicom.stack import stack
from zweitblick.errors import NetworkMemoryError
from zweitblick.model.bundle import Bundle, Bundles, default_models
from zweitblick.model.prepare import STRIDE, Prepared
from zweitblick.model.runtime import OnnxNetwork, Tensor
from zweitblick.model.windows import BUDGET_BYTES, BYTES_PER_VOXEL, HALO, Windowed
from zweitblick.pipeline import outlined, prepared_head
from zweitblick.sample import SampleTruth
from zweitblick.volume import Grid

CHANNEL_WEIGHTS = np.array([[1, 5, -2], [3, -1, 7]])
KERNEL = np.arange(27).reshape(3, 3, 3) % 11 - 4


class Stencil:
    """Integers through folded cubes and a convolution of known reach: exact, and sensitive to a window's phase.

    Each output depends on the cube of ``stride`` voxels that it lies in and the next ``cells`` cubes on all sides.
    """

    def __init__(self, stride: int, cells: int) -> None:
        self.stride, self.cells = stride, cells
        self.voxels: list[int] = []

    @property
    def reach(self) -> int:
        return self.stride * (self.cells + 1) - 1

    def __call__(self, x: Tensor) -> Tensor:
        self.voxels.append(x.shape[0] * math.prod(x.shape[2:]))
        mixed = np.einsum("oc,bckji->bokji", CHANNEL_WEIGHTS, x.astype(np.int64))
        return np.stack([[self.channel(one) for one in batch] for batch in mixed]).astype(np.float32)

    def channel(self, image: np.ndarray) -> np.ndarray:
        s = self.stride
        k, j, i = (size // s for size in image.shape)
        place = np.arange(1, s**3 + 1).reshape(1, s, 1, s, 1, s)
        cubes = image.reshape(k, s, j, s, i, s)
        low = (cubes * place).sum(axis=(1, 3, 5))
        for _ in range(self.cells):
            low = ndimage.convolve(low, KERNEL, mode="constant") % 1009
        return (np.kron(low, np.ones((s, s, s), np.int64)) + 3 * image) % 1009


@st.composite
def crops(draw: st.DrawFn) -> tuple[Stencil, Tensor]:
    stencil = Stencil(draw(st.sampled_from([1, 2, 4])), draw(st.integers(1, 2)))
    shape = tuple(stencil.stride * draw(st.integers(1, 24 // stencil.stride)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return stencil, rng.integers(-50, 50, (draw(st.integers(1, 2)), 3, *shape)).astype(np.float32)


@given(crops(), st.integers(1, 24**3), st.integers(1, 3))
def test_windows_are_the_whole_pass_within_the_budget_or_an_error(
    crop: tuple[Stencil, Tensor], voxels: int, bytes_per_voxel: int
) -> None:
    stencil, x = crop
    whole = stencil(x)
    stencil.voxels.clear()
    halo = math.ceil(stencil.reach / stencil.stride) * stencil.stride
    smallest = x.shape[0] * math.prod(min(size, 2 * halo + stencil.stride) for size in x.shape[2:])
    windowed = Windowed(
        stencil,
        budget_bytes=voxels * bytes_per_voxel,
        bytes_per_voxel=bytes_per_voxel,
        halo=stencil.reach,
        stride=stencil.stride,
    )
    if smallest > voxels:
        with pytest.raises(NetworkMemoryError, match="allow more memory"):
            windowed(x)
        assert not stencil.voxels
        return
    assert (windowed(x) == whole).all()
    assert max(stencil.voxels) <= voxels
    assert (len(stencil.voxels) == 1) == (whole[:, 0].size <= voxels)


def test_a_halo_below_the_reach_leaves_seams() -> None:
    """Equality above is due to the halo: the stencil does look as far as it says."""
    stencil = Stencil(stride=2, cells=2)
    x = np.random.default_rng(0).integers(-50, 50, (1, 3, 40, 8, 8)).astype(np.float32)
    short = Windowed(stencil, budget_bytes=12 * 64, bytes_per_voxel=1, halo=2, stride=2)
    assert (short(x) != stencil(x)).any()


def test_the_cut_computes_no_more_than_it_must() -> None:
    """A long thin crop is cut across its length, and the last window is as short as can be."""
    stencil = Stencil(stride=2, cells=1)
    Windowed(stencil, budget_bytes=20 * 64, bytes_per_voxel=1, halo=4, stride=2)(np.zeros((1, 3, 30, 8, 8), np.float32))
    assert stencil.voxels == [20 * 64, 18 * 64]


def test_the_halo_covers_what_the_released_network_sees() -> None:
    """NaN passes every operator of the fp32 network, so that it marks all that an output depends on."""
    network = OnnxNetwork(default_models() / "tumour" / "models" / "model.onnx")
    x = np.random.default_rng(0).standard_normal((1, 4, 2 * HALO + 3 * STRIDE, 32, 32)).astype(np.float32)
    x[:, :, :STRIDE] = x[:, :, -STRIDE:] = np.nan
    seen = np.isnan(network(x)).any(axis=(0, 1, 3, 4))
    assert not seen[STRIDE + HALO : 2 * STRIDE + HALO].any()
    assert seen[HALO : STRIDE + HALO].any()


def test_no_head_is_cut_by_default() -> None:
    """The longest adult brain is under 200 mm (with margins 216), and none is a cube of that edge."""
    assert 224 * 240 * 224 * BYTES_PER_VOXEL < BUDGET_BYTES


def test_the_pipeline_gives_a_network_no_crop_above_the_budget() -> None:
    """A brain mask that took in the whole view would make such a crop."""
    shape = (256, 256, 240)
    voxels = []

    def network(x: Tensor) -> Tensor:
        voxels.append(math.prod(x.shape[2:]))
        return np.ones((1, 3, *x.shape[2:]), np.float32)

    prepared = Prepared(np.zeros((1, 4, *shape), np.float32), np.ones(shape, np.bool_), Grid(shape, np.eye(4)), {})
    assert (outlined(prepared, Bundle("tumour", "0", "", network, 0.0, "none")) == 1).all()
    assert len(voxels) > 1
    assert max(voxels) * BYTES_PER_VOXEL <= BUDGET_BYTES


def test_the_pipeline_leaves_out_enhancing_tumour_of_which_the_network_is_not_sure() -> None:
    shape = (32, 32, 32)
    prepared = Prepared(np.zeros((1, 4, *shape), np.float32), np.ones(shape, np.bool_), Grid(shape, np.eye(4)), {})
    doubtful = np.full((1, 3, *shape), 0.9, np.float32)
    found = outlined(prepared, Bundle("tumour", "0", "", lambda _: doubtful, 0.0, "none"))
    assert not found[0].any()
    assert (found[1:] == np.float32(0.9)).all()


@pytest.mark.parametrize("file", ["model.onnx", "model-int8.onnx"])
def test_a_head_in_windows_is_the_head_in_one_pass(file: str, head: Tensor) -> None:
    network = OnnxNetwork(default_models() / "tumour" / "models" / file)
    calls = []

    def counted(x: Tensor) -> Tensor:
        calls.append(x.shape)
        return network(x)

    k, j, i = head.shape[2:]
    smallest = math.prod(min(size, 2 * HALO + STRIDE) for size in (k, j, i))
    windowed = Windowed(counted, budget_bytes=smallest * BYTES_PER_VOXEL)(head)
    whole = network(head)
    assert len(calls) > 1
    assert (np.abs(windowed - whole) < 1e-3).mean() >= 0.999
    for ours, reference in zip(windowed[0] > 0.5, whole[0] > 0.5, strict=True):
        assert reference.sum() > 1000
        assert 2 * (ours & reference).sum() / (ours.sum() + reference.sum()) >= 0.999


@pytest.fixture(scope="module")
def head(sample: SampleTruth, bundles: Bundles) -> Tensor:
    """A sagittal slab of the sample head, 48 mm thick, as the network sees it; whole it would only take longer."""
    volumes = {
        sequence: stack(read_study(sorted(series.folder.iterdir())).series[0])
        for sequence, series in sample.series.items()
    }
    prepared, _ = prepared_head(volumes, bundles)
    tumour_i = int(np.argwhere(outlined(prepared, bundles.tumour)[1] > 0.5)[:, 2].mean())
    start = (tumour_i - 24) // STRIDE * STRIDE
    return prepared.tensor[..., start : start + 48]
