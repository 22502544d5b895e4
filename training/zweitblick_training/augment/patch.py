"""Patch: the order in which a training patch is made."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from zweitblick.model.prepare import CHANNELS
from zweitblick.prediction import CORE, ENHANCING, OEDEMA
from zweitblick.study import Sequence
from zweitblick_training.augment.brain_mask import Mask, imperfect, texture
from zweitblick_training.augment.curves import Curve, draw_curve
from zweitblick_training.augment.geometry import Cut, cut
from zweitblick_training.augment.lesion import altered
from zweitblick_training.augment.resolution import applied, draw_matrices
from zweitblick_training.augment.spline import upsampled
from zweitblick_training.augmentation import Augmentation
from zweitblick_training.case import BRAIN, Case
from zweitblick_training.recipe import Recipe

BIAS_KNOTS = 5
"""Control points of a bias field along an edge: it changes over half a patch."""

SERVED = (CHANNELS.index(Sequence.T1C), CHANNELS.index(Sequence.FLAIR))
"""Serving refuses a study that has neither."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One training patch.

    Parameters
    ----------
    image
        ``(4, P, P, P)`` float32.
    target
        ``(3, P, P, P)`` float32, ET, TC, WT as 0 or 1.
    labelled
        ``(3,)`` float32, 1 where the region was drawn by an expert.
    """

    image: Tensor
    target: Tensor
    labelled: Tensor


def sample(case: Case, recipe: Recipe, rng: Generator) -> Sample:
    """Draw a patch: sequences, place, position, look of the tumour, brain mask, intensities.

    Parameters
    ----------
    case
        The patient.
    recipe
        ``patch``, ``tumour_share``, ``sequence_dropout`` and ``augmentation`` are used.
    rng
        Every draw comes from here: the same generator makes the same sample.
    """
    numbers = recipe.augmentation
    shown = kept_sequences(case.present, recipe, rng)
    what = cut(case, shown, recipe.patch, numbers=numbers, rng=rng, center=choose_center(case, recipe, rng))
    what = altered(what, shown, numbers, rng)
    curves = [draw_curve(case, sequence, numbers, rng) for sequence in shown]
    mask = Mask(what.brain, torch.zeros_like(what.brain))
    if rng.random() < numbers.mask_share:
        mask = imperfect(what.brain, numbers, rng)
    image = torch.zeros(len(case.images), *what.brain.shape)
    image[shown] = _scanned(what, curves, mask, numbers=numbers, rng=rng)
    # Serving reports nothing outside the mask, so nothing there is asked for.
    labels = what.labels * mask.kept
    target = torch.stack([labels == ENHANCING, (labels == ENHANCING) | (labels == CORE), labels > 0])
    return Sample(image, target.float(), torch.as_tensor(case.labelled.astype(np.float32)))


def kept_sequences(present: NDArray[np.bool_], recipe: Recipe, rng: Generator) -> list[int]:
    """Channels that are shown: all there are, or in some samples any subset of them but the empty one."""
    there = np.flatnonzero(present)
    if rng.random() >= recipe.sequence_dropout:
        return [int(channel) for channel in there]
    subsets = [[int(there[n]) for n in range(len(there)) if bits >> n & 1] for bits in range(1, 2 ** len(there))]
    rare = recipe.augmentation.unserved_weight
    weights = np.array([1.0 if set(SERVED) & set(subset) else rare for subset in subsets])
    return subsets[int(rng.choice(len(subsets), p=weights / weights.sum()))]


def choose_center(case: Case, recipe: Recipe, rng: Generator) -> NDArray[np.float64]:
    """Index of the case for the patch's centre: near a tumour voxel, each label as likely, or anywhere in the brain."""
    chosen = BRAIN
    if rng.random() < recipe.tumour_share:
        # The first label that the case has, in random order, is each of those it has with the same chance.
        there = (int(label) for label in rng.permutation((CORE, OEDEMA, ENHANCING)) if case.counts[label].any())
        chosen = next(there, BRAIN)
    voxel = _voxel(case, chosen, int(rng.integers(case.counts[chosen].sum())))
    reach = recipe.augmentation.jitter * recipe.patch
    return np.clip(voxel + rng.uniform(-reach, reach, 3), 0, np.array(case.labels.shape) - 1)


def _voxel(case: Case, chosen: int, number: int) -> NDArray[np.intp]:
    """Index of voxel ``number``, in the order of the array, of those with a label or of all of the `BRAIN`."""
    counts = case.counts[chosen]
    k = int(np.searchsorted(counts.cumsum(), number, side="right"))
    plane = case.brain[k] if chosen == BRAIN else case.labels[k] == chosen
    place = np.flatnonzero(plane)[number - counts[:k].sum()]
    return np.array((k, *np.unravel_index(place, plane.shape)))


def _scanned(what: Cut, curves: list[Curve], mask: Mask, *, numbers: Augmentation, rng: Generator) -> Tensor:
    """Give every sequence the intensities that another scanner would have shown inside the mask."""
    size = len(what.brain)
    thick = bool(rng.random() < numbers.thick_share)
    tissue = texture(size, rng) if bool(mask.leftover.any()) else None
    noise = _noise(len(curves), size, numbers, rng)
    images = torch.empty_like(what.images)
    for channel, curve in enumerate(curves):
        voxels = curve(what.images[channel])
        if tissue is not None:
            voxels = torch.where(mask.leftover, _leftover(tissue, curve, rng), voxels)
        voxels = applied(voxels, draw_matrices(size, numbers, rng, thick=thick))
        if rng.random() < numbers.bias_share:
            voxels = biased(voxels, curve.low_end, numbers, rng)
        if channel in noise:
            voxels = voxels + noise[channel]
        torch.mul(voxels, mask.seen, out=images[channel])
    if len(curves) > 1 and rng.random() < numbers.cut_share:
        images[int(rng.integers(len(curves)))] *= field_of_view(size, numbers, rng)
    return images


def _leftover(tissue: Tensor, curve: Curve, rng: Generator) -> Tensor:
    """Intensities of leftover tissue: anything from air to fat, not the same in every sequence."""
    low, high = float(curve.table[0]), float(curve.table[-1])
    level, spread = rng.uniform(low, high), rng.uniform(0, (high - low) / 4)
    return (tissue * spread + level).clamp_(low, high)


def biased(image: Tensor, dark: float, numbers: Augmentation, rng: Generator) -> Tensor:
    """Multiply by a smooth field, as a receiving coil does.

    Parameters
    ----------
    image
        ``(P, P, P)`` float32, normalised.
    dark
        Normalised intensity of what gives no signal: the field multiplies what lies above it.
    numbers, rng
        How far, and the draw.
    """
    knots = np.exp(rng.uniform(-numbers.bias, numbers.bias, (1, BIAS_KNOTS, BIAS_KNOTS, BIAS_KNOTS)))
    field = upsampled(torch.as_tensor(knots.astype(np.float32)), len(image))[0]
    return (image - dark).mul_(field).add_(dark)


def field_of_view(size: int, numbers: Augmentation, rng: Generator) -> Tensor:
    """``(P, P, P)`` bool: a field of view that ends in a plane across the patch, mostly with its slices."""
    axis = int(rng.choice(3, p=numbers.thick_axis_shares))
    lost = rng.uniform(0, numbers.cut_extent) * size
    along = torch.arange(size) if rng.random() < 0.5 else torch.arange(size - 1, -1, -1)
    shape = [1, 1, 1]
    shape[axis] = size
    return (along >= lost).reshape(shape).expand(size, size, size)


def _noise(count: int, size: int, numbers: Augmentation, rng: Generator) -> dict[int, Tensor]:
    """Gaussian noise ``(P, P, P)`` of the sequences that get some, each from a generator of its own."""
    levels = {n: rng.uniform(0, numbers.noise) for n in range(count) if rng.random() < numbers.noise_share}
    if not levels:
        return {}
    seed = int(rng.integers(2**63))
    return {n: _gaussian(size, (seed + n) % 2**63) * level for n, level in levels.items()}


def _gaussian(size: int, seed: int) -> Tensor:
    """White noise ``(P, P, P)`` of deviation 1; torch draws it more than twice as fast as NumPy."""
    source = torch.Generator(torch.get_default_device()).manual_seed(seed)
    return torch.randn(size, size, size, generator=source)
