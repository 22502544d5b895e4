"""``zweitblick-train prepare``: check every case of a data set, then prepare each once."""

import argparse
from typing import Any

from zweitblick_training.cache import prepare_all
from zweitblick_training.cli.options import add_cache, add_data, masks_of
from zweitblick_training.datasets import LAYOUTS

PROCESSES = 2
"""Unless asked for more: each holds a whole head, and its network takes every core by itself."""


def add_to(commands: Any) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "prepare",
        help="check a data set and prepare its cases",
        description="Check every case first and list all that is wrong with any; then prepare each as serving would.",
    )
    add_data(command)
    add_cache(command)
    command.add_argument(
        "--cache-gb", type=float, default=100.0, metavar="GB", help="largest size of the cache (default: %(default)s)"
    )
    help_of_workers = f"processes, a case each (default: {PROCESSES}, or 1 where --threads is 1)"
    command.add_argument("--workers", type=int, metavar="N", help=help_of_workers)
    command.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> None:
    """Prepare the data set.

    Raises
    ------
    DataSetError, CacheError
        See `prepare_all`.
    """
    prepare_all(
        LAYOUTS[arguments.layout],
        arguments.data,
        cache=arguments.cache,
        masks=masks_of(arguments),
        limit_gb=arguments.cache_gb,
        workers=arguments.workers or min(PROCESSES, arguments.threads),
    )
