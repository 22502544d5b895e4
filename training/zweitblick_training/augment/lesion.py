"""Lesion: the same tumour, fainter, or without enhancement as most lower-grade gliomas are.

Data sets of gliomas hold mostly glioblastomas, whose ring and necrosis tell where they are. A network that has seen
little else misses a homogeneous tumour that hardly differs from the brain; so some tumours are made to look like one.
"""

from collections.abc import Sequence as Row

import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from zweitblick.model.prepare import CHANNELS
from zweitblick.prediction import CORE, ENHANCING, OEDEMA
from zweitblick.study import Sequence
from zweitblick_training.augment.geometry import Cut
from zweitblick_training.augmentation import Augmentation

LEAST_VOXELS = 64
"""Fewer voxels of a label, or of healthy brain, give no level to go by."""

TEXTURE = 0.3
"""Share of the enhancing rim's own variation that stays: about that of the tissue about it."""

PARTIAL = 3.0
"""A voxel that borders on the rim with a third of its neighbours is taken to enhance in full."""


def altered(what: Cut, shown: Row[int], numbers: Augmentation, rng: Generator) -> Cut:
    """Take the enhancement from some tumours and contrast from some.

    Parameters
    ----------
    what
        A patch; not written to.
    shown
        Channel of each of its images.
    numbers, rng
        How far, and the draw.
    """
    contrast_agent = CHANNELS.index(Sequence.T1C)
    if rng.random() < numbers.unenhanced_share and contrast_agent in shown:
        what = _unenhanced(what, list(shown).index(contrast_agent), numbers, rng)
    if rng.random() < numbers.faint_share:
        what = _fainter(what, numbers, rng)
    return what


def _unenhanced(what: Cut, channel: int, numbers: Augmentation, rng: Generator) -> Cut:
    """Level the enhancing rim with what lies about it in T1c, and call it core."""
    rim, core, oedema = (what.labels == label for label in (ENHANCING, CORE, OEDEMA))
    about = oedema if int(oedema.sum()) >= LEAST_VOXELS else core
    if int(rim.sum()) < LEAST_VOXELS or int(about.sum()) < LEAST_VOXELS:
        return what
    images = what.images.clone()
    image, weight = images[channel], (PARTIAL * softened(rim)).clamp_(max=1)
    level, own = image[about].mean(), image[rim].mean()
    image += weight * (level - own + (TEXTURE - 1) * (image - own))
    unenhanced = Cut(images, what.brain, torch.where(rim, CORE, what.labels).to(what.labels.dtype))
    return _solid(unenhanced, about, numbers, rng) if rng.random() < numbers.solid_share else unenhanced


def _solid(what: Cut, about: Tensor, numbers: Augmentation, rng: Generator) -> Cut:
    """Level the core with what lies ``about`` it in every sequence, and call all of the tumour core."""
    images = what.images.clone()
    weight = softened(what.labels == CORE)
    for image in images:
        image.add_(rng.uniform(*numbers.levelled) * weight * (image[about].mean() - image))
    return Cut(images, what.brain, torch.where(what.labels == OEDEMA, CORE, what.labels).to(what.labels.dtype))


def _fainter(what: Cut, numbers: Augmentation, rng: Generator) -> Cut:
    """Move the mean of each part of the tumour towards healthy brain, by another share in each sequence."""
    healthy = what.brain & (what.labels == 0)
    if int(healthy.sum()) < LEAST_VOXELS:
        return what
    images = what.images.clone()
    kept = [rng.uniform(*numbers.faint) for _ in images]
    levels = [image[healthy].mean() for image in what.images]
    for label in (CORE, OEDEMA, ENHANCING):
        part = what.labels == label
        if not bool(part.any()):
            continue
        weight = softened(part)
        for image, before, share, level in zip(images, what.images, kept, levels, strict=True):
            image.add_(weight * (1 - share) * (level - before[part].mean()))
    return Cut(images, what.brain, what.labels)


def softened(where: Tensor) -> Tensor:
    """``(P, P, P)`` float32: the share of a voxel's 27 neighbours that ``where`` holds."""
    return functional.avg_pool3d(where[None, None].float(), 3, stride=1, padding=1)[0, 0]
