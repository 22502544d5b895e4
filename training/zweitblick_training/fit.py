"""Fit: the training loop, top to bottom."""

import time
from collections.abc import Mapping, Sequence

from torch import Tensor

from zweitblick_training.case import Case
from zweitblick_training.learner import Learner, rate_at
from zweitblick_training.processes import placed
from zweitblick_training.recipe import Recipe
from zweitblick_training.run import Run
from zweitblick_training.samples import batches
from zweitblick_training.validation import Validation
from zweitblick_training.watchers import Losses, Step, Watcher


def fit(
    recipe: Recipe,
    cases: Sequence[Case],
    run: Run,
    *,
    start: Mapping[str, Tensor] | None = None,
    validation: Validation | None = None,
    watchers: Sequence[Watcher] = (),
) -> None:
    """Train until ``recipe.steps``, from the last checkpoint if there is one.

    Parameters
    ----------
    recipe
        Every number of the run.
    cases
        Training cases only.
    run
        Where checkpoints go; killed at any moment, a run loses the steps since the last one.
    start
        Weights to begin with in place of random ones; a checkpoint goes before them.
    validation
        Cases of the same fold that are not trained on, to watch.
    watchers
        Told of every step and validation, besides the run's own file of losses.

    Raises
    ------
    RecipeError, DivergedError
        If the recipe does not fit the cases or the processes, or the loss or its gradient grows beyond all numbers.
    """
    with placed() as place:
        learner = Learner(recipe, place, start)
        done = learner.resume(run)
        told: list[Watcher] = []
        if place.first:
            run.folder.mkdir(parents=True, exist_ok=True)
            recipe.write(run.recipe)
            told = [Losses(run, done), *watchers]
        started = time.perf_counter()
        for step, batch in enumerate(batches(cases, recipe, done=done, place=place, workers=run.workers), done):
            loss = learner.learn(step, batch)
            seconds = time.perf_counter() - started
            last = step + 1 == recipe.steps
            for watcher in told:
                watcher.stepped(Step(step, loss, rate_at(step, recipe), seconds))
            if validation and place.first and (last or (step + 1) % validation.every == 0):
                dice = validation.dice(learner.average, place)
                for watcher in told:
                    watcher.validated(step, dice)
            # Last of all: a step that a checkpoint has is not made, and not told, again.
            if place.first and (last or (step + 1) % run.save_every == 0):
                learner.save(run, step + 1)
            started = time.perf_counter()
