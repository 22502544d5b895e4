"""``zweitblick-train fit``: train the tumour network, from the last checkpoint if there is one."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from zweitblick_training.cache import cached_names, load_cases
from zweitblick_training.cli.options import ALL, add_cache, add_folds, fold, sides_of
from zweitblick_training.export import load_weights
from zweitblick_training.fit import fit
from zweitblick_training.processes import announced
from zweitblick_training.recipe import Recipe, RecipeError
from zweitblick_training.run import Run
from zweitblick_training.samples import check_shared, source_shares
from zweitblick_training.sides import Sides
from zweitblick_training.splits import Folds, LeakError
from zweitblick_training.validation import Validation
from zweitblick_training.watchers import MlFlow, ProgressBar, TensorBoard, Watcher

WATCHED, WATCH_SEED = 4, 0
"""Held-back cases that are watched, and the seed that picks them."""


def add_to(commands: Any) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "fit",
        help="train the tumour network",
        description="Train on all folds but one, or on everything; the same command goes on after a stop. Many GPUs: "
        "torchrun --nproc-per-node=8 -m zweitblick_training fit ..., with a recipe whose batch is a multiple of 8",
    )
    command.add_argument("run", type=Path, help="folder of the run: checkpoint, losses, TensorBoard")
    add_cache(command)
    add_folds(command)
    command.add_argument("--fold", type=fold, required=True, help=f"fold to keep for testing, or {ALL}")
    command.add_argument("--recipe", type=Path, metavar="YAML", help="every number of the run (default: the run's own)")
    command.add_argument("--from", dest="start", type=Path, metavar="BUNDLE", help="begin with this bundle's weights")
    command.add_argument("--watch", type=int, metavar="STEPS", help="validate on held-back cases every so many steps")
    command.add_argument("--workers", type=int, default=1, metavar="N", help="processes that make samples (default: 1)")
    command.add_argument(
        "--mlflow", action="store_true", help="report to MLflow as well, at MLFLOW_TRACKING_URI (default: mlruns)"
    )
    command.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> None:
    """Train until the recipe's last step.

    Raises
    ------
    FoldsError, LeakError, CaseError, RecipeError, DivergedError, BundleMissingError, BundleDamagedError
        If what was named cannot be trained with; nothing was written, except by a run that diverged.
    """
    folds = Folds.read(arguments.folds)
    folds.check(cached_names(arguments.cache))
    sides = sides_of(folds, arguments.fold)
    run = Run(arguments.run, workers=arguments.workers)
    recipe = _recipe(arguments.recipe, run)
    if arguments.start is not None:
        sides = sides.starting_from(arguments.start, folds)
    sides = _gone_on(run, sides)
    cases = load_cases(arguments.cache, sides.train)
    rank, world = announced()
    check_shared(recipe, world)
    source_shares(cases, recipe)  # before anything is written
    watched = _validation(arguments, sides)
    start = load_weights(arguments.start) if arguments.start is not None else None
    if rank == 0:
        run.folder.mkdir(parents=True, exist_ok=True)
        sides.write(run.sides)
    with _watchers(arguments, run, recipe, first=rank == 0) as watchers:
        fit(recipe, cases, run, start=start, validation=watched, watchers=watchers)


def _recipe(path: Path | None, run: Run) -> Recipe:
    """Return the recipe that was named; a run that was begun goes on only with its own."""
    begun = Recipe.read_whole(run.recipe) if run.recipe.exists() else None
    named = Recipe.read(path) if path is not None else begun or Recipe()
    if begun is not None and named != begun:
        raise RecipeError(f"{run.folder} was begun with another recipe; name another folder, or leave --recipe out")
    return named


def _gone_on(run: Run, sides: Sides) -> Sides:
    """Return the sides with what a run that was begun says of the time before it."""
    if not run.sides.exists():
        return sides
    begun = Sides.read(run.sides)
    if (begun.train, begun.test) != (sides.train, sides.test):
        raise LeakError([f"{run.folder} was begun on other cases; name another folder"])
    return sides.after(begun.before)


def _validation(arguments: argparse.Namespace, sides: Sides) -> Validation | None:
    if arguments.watch is None or not sides.test:
        return None
    order = np.random.default_rng(WATCH_SEED).permutation(len(sides.test))[:WATCHED]
    cases = load_cases(arguments.cache, [sides.test[place] for place in sorted(order)])
    return Validation(cases, every=arguments.watch)


@contextmanager
def _watchers(arguments: argparse.Namespace, run: Run, recipe: Recipe, *, first: bool) -> Iterator[list[Watcher]]:
    """Open those who watch; with several processes only the first has any."""
    if not first:
        yield []
        return
    bar, board = ProgressBar(recipe), TensorBoard(run)
    others = [MlFlow(os.environ.get("MLFLOW_TRACKING_URI", "mlruns"), run, recipe)] if arguments.mlflow else []
    try:
        yield [bar, board, *others]
    finally:
        bar.close()
        board.close()
