"""``zweitblick-train folds``: draw folds by patient and write them down."""

import argparse
from pathlib import Path
from typing import Any

from zweitblick_training.cli.options import add_data
from zweitblick_training.datasets import LAYOUTS
from zweitblick_training.splits import FoldsError, draw


def add_to(commands: Any) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "folds",
        help="draw folds by patient",
        description="Draw folds by patient, each with its share of every site, and write them to a file to be kept.",
    )
    add_data(command)
    command.add_argument("file", type=Path, help="file to write")
    command.add_argument("--count", type=int, default=5, metavar="N", help="folds (default: %(default)s)")
    command.add_argument("--seed", type=int, default=0, help="of the draw (default: %(default)s)")
    command.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> None:
    """Draw the folds.

    Raises
    ------
    DataSetError, FoldsError, LeakError
        See `draw`; an existing file is not replaced, since figures may rest on it.
    """
    if arguments.file.exists():
        raise FoldsError(f"{arguments.file} exists already; name another file")
    listings = LAYOUTS[arguments.layout].listed(arguments.data)
    draw(listings, arguments.count, seed=arguments.seed).write(arguments.file)
