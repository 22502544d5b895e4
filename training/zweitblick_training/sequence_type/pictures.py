"""Drawn once, shown often: the pictures of a run on disk, and how each differs whenever it is shown."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zweitblick.model.sequence_network import SHAPE, Kind, with_ranks
from zweitblick.volume import Float32
from zweitblick_training.brain_mask.draw import bias_field, noisy
from zweitblick_training.brain_mask.heads import Head
from zweitblick_training.sequence_type.draw import draw_sample
from zweitblick_training.sequence_type.recipe import SequenceTypeRecipe

Random = np.random.Generator

CHUNK = 250
"""Pictures in one file; so many are lost at most when a run is killed while they are drawn."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """What a run learns from.

    Parameters
    ----------
    values
        ``(N, *SHAPE)`` float16, from `zweitblick.model.sequence_network.head_picture`.
    kinds
        ``(N,)`` places in `Kind`.
    """

    values: NDArray[np.float16]
    kinds: NDArray[np.int64]


def drawn_pictures(recipe: SequenceTypeRecipe, heads: list[Head]) -> Pictures:
    """Draw the pictures of a run, or read those that an earlier start drew, from ``pictures`` in its folder.

    Parameters
    ----------
    recipe
        Its ``pictures`` says how many.
    heads
        Those to learn from.
    """
    folder = recipe.run / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [_chunk(folder, heads, recipe, start) for start in range(0, recipe.pictures, CHUNK)]
    return Pictures(
        np.concatenate([chunk.values for chunk in chunks]), np.concatenate([chunk.kinds for chunk in chunks])
    )


def shown(picture: Float32, random: Random) -> Float32:
    """Turn a picture over and change it cheaply, and return the network's input ``(2, *SHAPE)``."""
    values = picture[:, :: random.choice((-1, 1)), :: random.choice((-1, 1))]
    if random.random() < 0.3:
        values = values.swapaxes(1, 2)
    values = np.sign(values) * np.abs(values) ** np.float32(np.exp(random.uniform(-0.2, 0.2)))
    if random.random() < 0.5:
        values = values * bias_field(values.shape, random)
    if random.random() < 0.3:
        values = noisy(values, random, float(random.uniform(0.01, 0.08)))
    return with_ranks(np.ascontiguousarray(values * np.float32(np.exp(random.uniform(-0.15, 0.15))), np.float32))


def _chunk(folder: Path, heads: list[Head], recipe: SequenceTypeRecipe, start: int) -> Pictures:
    """Written under a temporary name first, so that a file that is there is whole."""
    path = folder / f"{start:05}.npz"
    if not path.exists():
        _write(
            path,
            _drawn(heads, np.random.default_rng((recipe.seed, start // CHUNK)), min(CHUNK, recipe.pictures - start)),
        )
    with np.load(path, allow_pickle=False) as stored:
        return Pictures(stored["values"], stored["kinds"])


def _drawn(heads: list[Head], random: Random, count: int) -> Pictures:
    values, kinds = np.empty((count, *SHAPE), np.float16), np.empty(count, np.int64)
    for number in range(count):
        values[number], kind = draw_sample(heads, random)
        kinds[number] = list(Kind).index(kind)
    return Pictures(values, kinds)


def _write(path: Path, pictures: Pictures) -> None:
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        np.savez(file, values=pictures.values, kinds=pictures.kinds)
    unfinished.replace(path)
