"""``zweitblick-train evaluate``: score a bundle on cases that it has never seen, through the code that serves."""

import argparse
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from zweitblick.model.bundle import default_models, load_bundle, load_bundles
from zweitblick.model.manifest import UNSIGNED_TOO
from zweitblick_training.cli.options import add_models
from zweitblick_training.datasets import LAYOUTS, Layout, Listing, RawCase
from zweitblick_training.evaluate import ALL, SUBSETS, EvaluationError, draw_worst, evaluate
from zweitblick_training.sides import Sides

LOG = logging.getLogger(__name__)


def add_to(commands: Any) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "evaluate",
        help="score a bundle on cases that it has never seen",
        description="Read each case of a data set of whose patient the bundle has not learnt, as serving would, and "
        "score it.",
    )
    command.add_argument("bundle", type=Path, help="folder of the tumour bundle")
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data set")
    command.add_argument("--layout", choices=sorted(LAYOUTS), required=True, help="how it lies there")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the scores and pictures")
    command.add_argument("--all-sequences", action="store_true", help="leave out the other subsets of the sequences")
    add_models(command)
    command.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> None:
    """Score the cases; those that the same networks and code scored before are not read again.

    Raises
    ------
    EvaluationError
        If the bundle has learnt of every patient, or leaves them to other folds.
    DataSetError, LeakError, BundleMissingError, BundleDamagedError
        If data or bundle cannot be read.
    """
    bundles = replace(
        load_bundles(arguments.models or default_models()), tumour=load_bundle(arguments.bundle, UNSIGNED_TOO)
    )
    layout = LAYOUTS[arguments.layout]
    unseen = _unseen(layout, arguments.data, Sides.read(arguments.bundle / "splits.json"))
    subsets = (ALL,) if arguments.all_sequences else SUBSETS
    records = evaluate(_read(layout, unseen), bundles, arguments.out, subsets=subsets)
    for picture in draw_worst(_read(layout, unseen), bundles, records, arguments.out / "worst"):
        LOG.info("%s", picture)


def _unseen(layout: Layout, folder: Path, sides: Sides) -> list[Listing]:
    listed = layout.listed(folder)
    unseen = sides.unseen(listed)
    if not unseen:
        raise EvaluationError(
            "the bundle has learnt of every patient there, or another fold tests it; evaluate that fold's bundle"
        )
    left = len(listed) - len(unseen)
    LOG.info("%d of %d cases left out: learnt from, or for another fold to test", left, len(listed))
    return unseen


def _read(layout: Layout, listings: list[Listing]) -> Iterator[RawCase]:
    for number, listing in enumerate(listings, start=1):
        LOG.info("%s, %d of %d", listing.name, number, len(listings))
        yield layout.read(listing)
