"""Samples: the endless row of training patches, each known by its number alone."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from zweitblick_training.augment import Sample, sample
from zweitblick_training.case import Case
from zweitblick_training.processes import ALONE, Place
from zweitblick_training.recipe import Recipe, RecipeError


class Batch(NamedTuple):
    """Samples of one step, stacked: ``(B, 4, P, P, P)``, ``(B, 3, P, P, P)``, ``(B, 3)``, all float32."""

    image: Tensor
    target: Tensor
    labelled: Tensor


def batches(cases: Sequence[Case], recipe: Recipe, *, done: int, place: Place = ALONE, workers: int) -> Iterator[Batch]:
    """Yield one process's share of each step from step ``done`` to the recipe's last.

    Parameters
    ----------
    cases
        Training cases.
    recipe
        Which are drawn how often, and what is done to them.
    done
        Steps that an earlier start of the run has made.
    place
        Sample ``n`` of a step goes to process ``n`` modulo their number, so that all together see what one would. A GPU
        makes its samples itself, faster than a dozen processor cores would.
    workers
        Processes that make samples ahead for a processor; 0 makes them in this one.

    Raises
    ------
    RecipeError
        If the batch cannot be shared out equally, or as `source_shares` raises it.
    """
    check_shared(recipe, place.world)
    processes = workers if place.device.type == "cpu" else 0
    loader = DataLoader(
        _Samples(cases, recipe, place.device),
        batch_sampler=_Numbers(recipe, done, place),
        num_workers=processes,
        # A fork copies locks that other threads hold, and what waits for them waits for ever.
        multiprocessing_context="spawn" if processes else None,
        collate_fn=_stacked,
        worker_init_fn=_single_threaded,
        # Else a start would draw from the generator that the network's dropout draws from.
        generator=torch.Generator(),
    )
    return islice(iter(loader), recipe.steps - done)


def check_shared(recipe: Recipe, world: int) -> None:
    """Refuse a batch that a number of processes cannot share out equally.

    Raises
    ------
    RecipeError
        If it is no multiple of the number.
    """
    if recipe.batch % world:
        raise RecipeError(
            f"batch: {recipe.batch} patches cannot be shared equally by {world} processes; take a multiple of {world}"
        )


def source_shares(cases: Sequence[Case], recipe: Recipe) -> dict[str, float]:
    """Say how often each data set among the cases is drawn from, in relation to the others.

    Raises
    ------
    RecipeError
        Naming each data set that would never be drawn from, although its cases count as learnt.
    """
    counts = Counter(case.source for case in cases)
    if not recipe.shares:
        return {source: float(counts[source]) for source in sorted(counts)}
    shares = {source: share for source, share in recipe.shares if source in counts}
    never = [f"{source} ({counts[source]} cases)" for source in sorted(counts) if not shares.get(source)]
    if never:
        raise RecipeError(f"shares: none for {', '.join(never)}; give each a share, or leave `shares` out")
    return shares


class _Samples(Dataset[Sample]):
    """Sample ``n``, drawn from a generator that is seeded with the recipe's seed and ``n``."""

    def __init__(self, cases: Sequence[Case], recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        shares = source_shares(cases, recipe)
        self.cases = {source: [case for case in cases if case.source == source] for source in shares}
        self.sources = list(shares)
        self.chances = np.array(list(shares.values())) / sum(shares.values())

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng((self.recipe.seed, number))
        among = self.cases[str(rng.choice(self.sources, p=self.chances))]
        with self.device:
            return sample(among[int(rng.integers(len(among)))], self.recipe, rng)


class _Numbers:
    """The numbers of one process's samples, step by step."""

    def __init__(self, recipe: Recipe, done: int, place: Place) -> None:
        self.recipe, self.done, self.place = recipe, done, place

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.done, self.recipe.steps):
            numbers = range(step * self.recipe.batch, (step + 1) * self.recipe.batch)
            yield list(numbers[self.place.rank :: self.place.world])


def _stacked(samples: list[Sample]) -> Batch:
    return Batch(
        torch.stack([one.image for one in samples]),
        torch.stack([one.target for one in samples]),
        torch.stack([one.labelled for one in samples]),
    )


def _single_threaded(worker: int) -> None:
    """Leave the other cores to the network."""
    del worker
    torch.set_num_threads(1)
