"""A label map drawn as outlines over a grey picture: the same colours in every report."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from zweitblick.prediction import CORE, ENHANCING, OEDEMA
from zweitblick.volume import Float32

LABEL_NAMES = {CORE: "Necrotic or non-enhancing core", OEDEMA: "Oedema", ENHANCING: "Enhancing tumour"}
"""What each value of a label map is called in reports."""

LABEL_RGB = {CORE: (240, 228, 66), OEDEMA: (86, 180, 233), ENHANCING: (230, 97, 0)}
"""sRGB of each label: yellow, sky blue and orange stay apart for colour-blind readers (Okabe and Ito 2008)."""

_DRAWING_ORDER = (OEDEMA, CORE, ENHANCING)


def window(values: ArrayLike, inside: ArrayLike) -> tuple[float, float]:
    """Values shown as black and white: 0 (or less) and the 99.5th percentile inside a mask.

    Parameters
    ----------
    values
        Intensities of a whole volume, any shape.
    inside
        Bool of the same shape, where the brain is; an empty mask stands for the whole volume.
    """
    image, mask = np.asarray(values), np.asarray(inside)
    brain = image[mask] if mask.any() else image.ravel()
    low = min(0.0, float(np.percentile(brain, 0.5)))
    return low, max(float(np.percentile(brain, 99.5)), low + 1e-6)


def grey(values: Float32, shown: tuple[float, float]) -> NDArray[np.uint8]:
    """Intensities ``(H, W)`` as 8-bit grey within a window."""
    low, high = shown
    return np.asarray(np.rint(np.clip((values - low) / (high - low), 0, 1) * 255), np.uint8)


def coloured(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey picture ``(H, W)`` as RGB ``(H, W, 3)``."""
    return np.repeat(picture[..., None], 3, axis=-1)


def outlined(picture: NDArray[np.uint8], labels: NDArray[np.uint8], *, pixels: int = 1) -> NDArray[np.uint8]:
    """Grey picture ``(H, W)`` as RGB ``(H, W, 3)`` with an outline about each label.

    The outline lies on the label's own outermost pixels, so nothing outside a region is covered.

    Parameters
    ----------
    picture, labels
        ``(H, W)`` uint8 of the same size.
    pixels
        Width of the outline.
    """
    rgb = coloured(picture)
    for label in _DRAWING_ORDER:
        region = labels == label
        rgb[region & ~ndimage.binary_erosion(region, iterations=pixels)] = LABEL_RGB[label]
    return rgb
