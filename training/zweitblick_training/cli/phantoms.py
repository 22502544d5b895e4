"""``zweitblick-train phantoms``: a data set of synthetic heads to try every step on."""

import argparse
from pathlib import Path
from typing import Any

from zweitblick_training.phantoms import write_phantoms


def add_to(commands: Any) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "phantoms",
        help="write synthetic heads with known tumours",
        description="Write synthetic heads with known tumours as a BIDS data set.",
    )
    command.add_argument("folder", type=Path, help="folder of the data set")
    command.add_argument("--count", type=int, default=4, metavar="N", help="heads (default: %(default)s)")
    command.add_argument("--seed", type=int, default=0, help="of everything drawn (default: %(default)s)")
    command.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the heads.

    Raises
    ------
    SampleError
        If the tissue maps are not installed.
    """
    write_phantoms(arguments.folder, arguments.count, seed=arguments.seed)
