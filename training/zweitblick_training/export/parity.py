"""Two ways, one answer: the exported network gives the probabilities that torch gives."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from zweitblick.model.runtime import OnnxNetwork
from zweitblick_training.case import Case
from zweitblick_training.export.error import ExportError

PARITY = 1e-3
"""Largest difference in probability between torch and the exported network."""


def check_parity(network: torch.nn.Module, path: Path, *, channels: int, stride: int) -> float:
    """Return the largest difference between torch and the file on a noise image of another size.

    Raises
    ------
    ExportError
        If it is above `PARITY`.
    """
    return check_parity_on(network, path, [golden_input(channels, 3 * stride)])


def check_parity_on_cases(network: torch.nn.Module, path: Path, cases: Iterable[Case], *, edge: int) -> float:
    """Return the largest difference between torch and the file in the middle of real cases.

    Parameters
    ----------
    network
        In evaluation mode, giving probabilities.
    path
        The exported file.
    cases
        At least one.
    edge
        Voxels along the middle block that is compared, a multiple of the stride.

    Raises
    ------
    ExportError
        If it is above `PARITY`.
    """
    return check_parity_on(network, path, (_middle(case.images, edge) for case in cases))


def check_parity_on(network: torch.nn.Module, path: Path, images: Iterable[NDArray[np.float32]]) -> float:
    """Return the largest difference between torch and the file on images ``(1, channels, K, J, I)``.

    Raises
    ------
    ExportError
        If it is above `PARITY`, or there is no image.
    """
    served = OnnxNetwork(path)
    difference = max((_difference(network, served, image) for image in images), default=float("nan"))
    if not difference <= PARITY:
        raise ExportError(f"the exported network differs from torch by {difference:.2g} in probability")
    return difference


def golden_input(channels: int, size: int) -> NDArray[np.float32]:
    """Make a fixed input without any patient in it: smooth noise and a bright ball, ``(1, channels, size³)``."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal((1, channels, size, size, size), np.float32) * np.float32(0.3)
    distance = np.linalg.norm(np.indices((size, size, size)) - (size - 1) / 2, axis=0)
    ball = (distance < size / 4).astype(np.float32)
    return np.asarray(image + ball * np.float32(1.5), np.float32)


def _difference(network: torch.nn.Module, served: OnnxNetwork, image: NDArray[np.float32]) -> float:
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).numpy()
    return float(np.abs(served(image) - expected).max())


def _middle(images: NDArray[np.float16], edge: int) -> NDArray[np.float32]:
    starts = [max(0, (size - edge) // 2) for size in images.shape[1:]]
    block = tuple(slice(start, start + edge) for start in starts)
    return np.ascontiguousarray(images[(slice(None), *block)], np.float32)[None]
