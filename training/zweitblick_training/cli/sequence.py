"""``zweitblick-train sequence``: train the series-type network, score it and write its bundle."""

import argparse
import logging
from pathlib import Path
from typing import Any

from zweitblick.model.bundle import default_models, load_bundle
from zweitblick.model.manifest import UNSIGNED_TOO
from zweitblick_training.cases import NetworkMasks
from zweitblick_training.sequence_type import (
    SequenceTypeRecipe,
    add_figures,
    draw_masks,
    export_sequence_type,
    fit_sequence_type,
    held_back_looks,
)

LOG = logging.getLogger(__name__)


def add_to(commands: Any) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "sequence",
        help="train the network that tells T1, T1c, T2 and FLAIR by the picture",
        description="Train the series-type network on the packed data sets and score it on held-back heads. Pictures "
        "that were drawn stay in the run's folder and are not drawn again.",
    )
    command.add_argument("bundle", type=Path, help="folder of the bundle")
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the packed data sets")
    command.add_argument(
        "--run",
        type=Path,
        default=Path("runs/sequence"),
        metavar="DIR",
        help="masks and pictures (default: %(default)s)",
    )
    command.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> None:
    """Train, export and score.

    Raises
    ------
    DataSetError, ExportError, BundleMissingError, BundleDamagedError
        If data cannot be read or the exported network is not the trained one.
    """
    masks = arguments.run / "masks"
    draw_masks(arguments.data, masks, NetworkMasks(default_models() / "brain-mask"))
    recipe = SequenceTypeRecipe(arguments.data, masks, arguments.run, threads=arguments.threads)
    LOG.info("bundle %s", export_sequence_type(fit_sequence_type(recipe), arguments.bundle, arguments.data))
    looks = held_back_looks(arguments.data, masks, load_bundle(arguments.bundle, UNSIGNED_TOO).network)
    add_figures(arguments.bundle, looks, recipe)
