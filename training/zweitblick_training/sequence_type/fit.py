"""Train the series-type network: filters learnt without labels, then a linear classifier of how often each answers.

With some sixty heads a deep network learnt next to nothing in the minutes it was given; filters found by spherical
k-means on whitened patches (Coates and Ng, 2012) need no labels, and the classifier on top has one best solution.
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from zweitblick.model.brain_mask import FOREGROUND
from zweitblick.model.sequence_network import Kind
from zweitblick.volume import Float32
from zweitblick_training.brain_mask.heads import Head
from zweitblick_training.sequence_type.heads import training_heads
from zweitblick_training.sequence_type.pictures import Pictures, drawn_pictures, shown
from zweitblick_training.sequence_type.recipe import SequenceTypeRecipe

LOG = logging.getLogger(__name__)

INPUTS = 2
"""The picture and its ranks."""

LEAST_TISSUE = 0.3
"""Share of a square that is brighter than air for filters to be learnt from it."""


class SequenceTypeNetwork(nn.Module):
    """Answers of fixed filters within slices at two scales, pooled over the volume, and a linear classifier of them.

    Mean, root mean square and the slices' mean maximum are pooled: vessels are small, so the mean alone misses them.

    Parameters
    ----------
    fine, coarse
        Filters of the slices, and of slices at half their resolution.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, fine: "Filters", coarse: "Filters") -> None:
        super().__init__()
        self.fine, self.coarse = fine.convolution(), coarse.convolution()
        count = 3 * (len(fine.thresholds) + len(coarse.thresholds))
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("deviation", torch.ones(count))
        self.head = nn.Linear(count, len(Kind))

    def features(self, x: Tensor) -> Tensor:
        """Pool the filters' answers to ``(batch, 2, K, J, I)``: ``(batch, feature)``."""
        return torch.cat([_pooled(self.fine(x)), _pooled(self.coarse(halved(x)))], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(batch, kind)``."""
        logits: Tensor = self.head((self.features(x) - self.mean) / self.deviation)
        return logits


@dataclass(frozen=True, eq=False)
class Filters:
    """Filters ``(F, 2, E, E)`` and the thresholds ``(F,)`` above which each answers."""

    weights: Tensor
    thresholds: Tensor

    def convolution(self) -> nn.Conv3d:
        """Apply them to every second place of every slice."""
        count, inputs, edge, _ = self.weights.shape
        layer = nn.Conv3d(inputs, count, (1, edge, edge), stride=(1, 2, 2))
        layer.weight.data, layer.bias = self.weights[:, :, None].contiguous(), nn.Parameter(-self.thresholds)
        return layer.requires_grad_(requires_grad=False)


def halved(x: Tensor) -> Tensor:
    """Halve the resolution within slices of ``(batch, 2, K, J, I)``."""
    return functional.avg_pool3d(x, (1, 2, 2))


def _pooled(answers: Tensor) -> Tensor:
    answers = functional.relu(answers)
    squares = answers.square().mean((2, 3, 4)).sqrt()
    return torch.cat([answers.mean((2, 3, 4)), squares, answers.amax((3, 4)).mean(2)], 1)


@dataclass(frozen=True, eq=False)
class Lessons:
    """Features ``(N, feature)`` of what was shown and places in `Kind` ``(N,)``."""

    features: Tensor
    kinds: Tensor


def fit_sequence_type(recipe: SequenceTypeRecipe) -> SequenceTypeNetwork:
    """Train, and return the network in evaluation mode.

    Parameters
    ----------
    recipe
        Every number of the run; its ``run`` folder keeps the drawn pictures, which take most of the time.
    """
    return fit_on_heads(recipe, training_heads(recipe.data, recipe.teacher))


def fit_on_heads(recipe: SequenceTypeRecipe, heads: list[Head]) -> SequenceTypeNetwork:
    """Train on given heads; the same recipe and heads give the same network."""
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    pictures = drawn_pictures(recipe, heads)
    fine, coarse = patches(pictures, recipe)
    network = SequenceTypeNetwork(
        learnt_filters(fine, recipe.fine_filters, recipe), learnt_filters(coarse, recipe.coarse_filters, recipe)
    )
    lessons = shown_lessons(network, pictures, recipe)
    fit_head(network, lessons, recipe)
    return network.eval()


def patches(pictures: Pictures, recipe: SequenceTypeRecipe) -> tuple[Tensor, Tensor]:
    """Cut squares of tissue from random slices, ``(N, 2 E²)``, at full and at half resolution."""
    random = np.random.default_rng((recipe.seed, 1))
    fine, coarse = [], []
    for values in pictures.values[::2]:
        picture = shown(values.astype(np.float32), random)
        fine += _squares(picture, recipe, random)
        coarse += _squares(halved(torch.from_numpy(picture)[None])[0].numpy(), recipe, random)
    return torch.from_numpy(np.stack(fine)), torch.from_numpy(np.stack(coarse))


def _squares(picture: Float32, recipe: SequenceTypeRecipe, random: np.random.Generator) -> list[Float32]:
    """Of so many squares those that show tissue, flat."""
    squares = []
    for _ in range(recipe.patches):
        k, j, i = (
            random.integers(size) for size in np.array(picture.shape[1:]) - (0, recipe.edge - 1, recipe.edge - 1)
        )
        squares.append(picture[:, k, j : j + recipe.edge, i : i + recipe.edge])
    return [square.ravel() for square in squares if (square[0] > FOREGROUND).mean() > LEAST_TISSUE]


def learnt_filters(squares: Tensor, count: int, recipe: SequenceTypeRecipe) -> Filters:
    """Find directions in which whitened patches lie, by spherical k-means.

    Parameters
    ----------
    squares
        ``(N, 2 E²)``.
    count
        How many to find.
    recipe
        How strongly weak directions are damped, and how often k-means repeats.
    """
    center = squares.mean(0)
    values, axes = torch.linalg.eigh(torch.cov((squares - center).T))
    whitening = axes @ torch.diag((values + recipe.whitening).rsqrt()) @ axes.T
    white = (squares - center) @ whitening
    unit = functional.normalize(white, dim=1)
    middles = unit[torch.randperm(len(unit))[:count]]
    for _ in range(recipe.rounds):
        nearest = (unit @ middles.T).argmax(1)
        middles = functional.normalize(torch.zeros_like(middles).index_add_(0, nearest, white), dim=1)
    filters = middles @ whitening
    thresholds = filters @ center + 0.5 * (white @ middles.T).std(0)
    return Filters(filters.reshape(-1, INPUTS, recipe.edge, recipe.edge), thresholds)


@torch.no_grad()
def shown_lessons(network: SequenceTypeNetwork, pictures: Pictures, recipe: SequenceTypeRecipe) -> Lessons:
    """Show every picture several times, differently each time, and keep the features."""
    rows = []
    for showing in range(recipe.showings):
        random = np.random.default_rng((recipe.seed, 2, showing))
        inputs = (torch.from_numpy(shown(values.astype(np.float32), random)) for values in pictures.values)
        rows += [network.features(x[None])[0] for x in inputs]
        LOG.info("showing %d of %d", showing + 1, recipe.showings)
    return Lessons(torch.stack(rows), torch.from_numpy(pictures.kinds).repeat(recipe.showings))


def fit_head(network: SequenceTypeNetwork, lessons: Lessons, recipe: SequenceTypeRecipe) -> None:
    """Fit scale and classifier: cross-entropy with a penalty on the weights, which has one minimum."""
    network.mean.copy_(lessons.features.mean(0))
    network.deviation.copy_(lessons.features.std(0) + 1e-6)
    scaled = (lessons.features - network.mean) / network.deviation
    optimizer = torch.optim.LBFGS(network.head.parameters(), max_iter=recipe.steps)

    def loss() -> Tensor:
        optimizer.zero_grad()
        misfit = functional.cross_entropy(network.head(scaled), lessons.kinds)
        total: Tensor = misfit + recipe.penalty * network.head.weight.square().sum()
        total.backward()
        return total

    nn.init.zeros_(network.head.weight)
    optimizer.step(loss)
    LOG.info("loss %.4f", loss().item())
