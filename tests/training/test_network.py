"""The tumour network's shape and order of axes."""

import pytest
import torch

from zweitblick_training.network import HalfResolutionUNet, Probabilities, pixel_shuffle, pixel_unshuffle


def test_unshuffle_matches_torch_in_the_plane() -> None:
    # torch has the two-dimensional one only: on identical slices the plane must be folded the same way.
    plane = torch.randn(1, 3, 8, 12)
    volume = plane[:, :, None].repeat(1, 1, 2, 1, 1)
    folded = pixel_unshuffle(volume).reshape(1, 3, 2, 4, 4, 6)[:, :, 0]
    assert torch.equal(folded.reshape(1, 12, 4, 6), torch.nn.functional.pixel_unshuffle(plane, 2))


def test_shuffle_undoes_unshuffle() -> None:
    image = torch.randn(2, 4, 8, 16, 32)
    assert torch.equal(pixel_shuffle(pixel_unshuffle(image)), image)


@pytest.mark.parametrize("shape", [(16, 32, 48), (32, 16, 16)])
def test_probabilities_are_nested_at_any_size_of_the_stride(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    network = Probabilities(HalfResolutionUNet((4, 6, 8, 10))).eval()
    with torch.inference_mode():
        et, tc, wt = network(torch.randn(1, 4, *shape))[0]
    assert et.shape == shape
    assert (et <= tc).all()
    assert (tc <= wt).all()
    assert et.min() >= 0
    assert wt.max() <= 1


def test_output_does_not_depend_on_what_lies_far_away() -> None:
    torch.manual_seed(0)
    network = Probabilities(HalfResolutionUNet((4, 6, 8, 10))).eval()
    image = torch.randn(1, 4, 32, 32, 128)
    other = image.clone()
    other[..., 120:] += 3
    with torch.inference_mode():
        assert torch.allclose(network(image)[..., :32], network(other)[..., :32], atol=1e-5)
