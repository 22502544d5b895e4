"""The tumour network's shape and order of axes."""

import pytest
import torch

from zweitblick_training.network import Probabilities, TumourUNet, pixel_shuffle, pixel_unshuffle


def test_unshuffle_matches_torch_in_the_plane() -> None:
    # torch has the two-dimensional one only: on identical slices the plane must be folded the same way.
    plane = torch.randn(1, 3, 8, 12)
    volume = plane[:, :, None].repeat(1, 1, 2, 1, 1)
    folded = pixel_unshuffle(volume, 2).reshape(1, 3, 2, 4, 4, 6)[:, :, 0]
    assert torch.equal(folded.reshape(1, 12, 4, 6), torch.nn.functional.pixel_unshuffle(plane, 2))


@pytest.mark.parametrize("cube", [1, 2, 4])
def test_shuffle_undoes_unshuffle(cube: int) -> None:
    image = torch.randn(2, 4, 8, 16, 32)
    assert torch.equal(pixel_shuffle(pixel_unshuffle(image, cube), cube), image)


@pytest.mark.parametrize("shape", [(16, 32, 48), (32, 16, 16)])
@pytest.mark.parametrize(("features", "cube"), [((4, 6, 8, 10), 2), ((2, 4, 6, 8, 10), 1)])
def test_probabilities_are_nested_at_any_size_of_the_stride(
    shape: tuple[int, int, int], features: tuple[int, ...], cube: int
) -> None:
    torch.manual_seed(0)
    network = Probabilities(TumourUNet(features, cube)).eval()
    with torch.inference_mode():
        et, tc, wt = network(torch.randn(1, 4, *shape))[0]
    assert et.shape == shape
    assert (et <= tc).all()
    assert (tc <= wt).all()
    assert et.min() >= 0
    assert wt.max() <= 1


def test_output_does_not_depend_on_what_lies_far_away() -> None:
    torch.manual_seed(0)
    network = Probabilities(TumourUNet((4, 6, 8, 10), 2)).eval()
    image = torch.randn(1, 4, 32, 32, 128)
    other = image.clone()
    other[..., 120:] += 3
    with torch.inference_mode():
        assert torch.allclose(network(image)[..., :32], network(other)[..., :32], atol=1e-5)


def test_the_candidates_stay_under_six_million_parameters() -> None:
    for features, cube in (((24, 48, 96, 192), 2), ((32, 64, 128, 192), 2), ((16, 32, 64, 128, 192), 1)):
        network = TumourUNet(features, cube)
        assert sum(weight.numel() for weight in network.parameters()) < 6e6
