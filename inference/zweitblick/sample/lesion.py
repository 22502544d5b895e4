"""A ring-enhancing lesion with known voxels."""

import numpy as np
from numpy.typing import NDArray

from zweitblick.prediction import CORE, ENHANCING, OEDEMA
from zweitblick.sample.head import Head, axes_mm, smooth_field
from zweitblick.sample.spec import SampleLesion
from zweitblick.sample.tissues import Tissue
from zweitblick.volume import Float32

EDGE_MM = 2.0
"""Oedema fades out over this distance on either side of its border."""


def with_lesion(head: Head, lesion: SampleLesion, rng: np.random.Generator) -> Head:
    """Return the head with the lesion drawn into it. CSF and vessels are spared; cortex takes up half the oedema."""
    radius = _radius_mm(lesion, rng)
    solid = (radius < lesion.rim_mm) & head.brain & (head.mixture[2] < 140) & (head.labels == Tissue.WHITE_MATTER)
    labels = head.labels.copy()
    labels[solid] = Tissue.RIM
    labels[solid & (radius < lesion.core_mm)] = Tissue.CORE
    return Head(labels, _with_oedema(head, lesion, radius), head.brain)


def truth_labels(head: Head) -> NDArray[np.uint8]:
    """Label map ``(K, J, I)`` uint8 on the head's grid: 0 none, 1 core, 2 oedema (at least half), 3 enhancing."""
    truth = np.zeros(head.labels.shape, np.uint8)
    truth[(head.mixture[3] >= 128) & (head.labels == Tissue.WHITE_MATTER)] = OEDEMA
    truth[head.labels == Tissue.CORE] = CORE
    truth[head.labels == Tissue.RIM] = ENHANCING
    return truth


def _radius_mm(lesion: SampleLesion, rng: np.random.Generator) -> Float32:
    """Distance from the centre, stretched over direction and bumpy: its level sets are the lesion's outlines."""
    x, y, z = (axis - c for axis, c in zip(axes_mm(), lesion.center_mm, strict=True))
    distance = np.sqrt(x**2 + y**2 + z**2)
    bumps = smooth_field(rng, 9.0) * 0.6 + smooth_field(rng, 22.0)
    return np.asarray(distance * (1.0 + lesion.irregularity * np.clip(bumps, -2.0, 2.0)), np.float32)


def _with_oedema(head: Head, lesion: SampleLesion, radius: Float32) -> NDArray[np.uint8]:
    swelling = np.clip(0.5 + (lesion.oedema_mm - radius) / (2.0 * EDGE_MM), 0.0, 1.0)
    where = np.nonzero(swelling)
    white, grey = head.mixture[0][where].astype(np.float32), head.mixture[1][where].astype(np.float32)
    from_white = swelling[where] * white
    from_grey = swelling[where] * grey * np.clip(white / 128.0, 0.0, 0.7)
    mixture = head.mixture.copy()
    for part, left in enumerate((white - from_white, grey - from_grey)):
        mixture[part][where] = np.rint(left)
    mixture[3][where] = np.rint(from_white + from_grey)
    return mixture
