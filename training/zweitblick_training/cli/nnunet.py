"""``zweitblick-train nnunet``: the same cases and folds for nnU-Net."""

import argparse
import logging
from pathlib import Path
from typing import Any

from zweitblick_training.cli.options import add_data, add_folds, masks_of
from zweitblick_training.datasets import LAYOUTS
from zweitblick_training.nnunet import export_nnunet
from zweitblick_training.splits import Folds

LOG = logging.getLogger(__name__)


def add_to(commands: Any) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "nnunet",
        help="write a data set in nnU-Net's layout",
        description="Write nnU-Net v2's raw data set and its splits, so that both are trained on the same folds.",
    )
    add_data(command)
    add_folds(command)
    command.add_argument("target", type=Path, help="folder that receives nnUNet_raw and nnUNet_preprocessed")
    command.add_argument("--number", type=int, default=500, help="number of the data set (default: %(default)s)")
    command.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the data set.

    Raises
    ------
    DataSetError, FoldsError, LeakError
        See `export_nnunet`.
    """
    exported = export_nnunet(
        LAYOUTS[arguments.layout],
        arguments.data,
        folds=Folds.read(arguments.folds),
        masks=masks_of(arguments),
        target=arguments.target,
        number=arguments.number,
    )
    LOG.info("%d cases written, %d left out", len(exported.cases), len(exported.left_out))
