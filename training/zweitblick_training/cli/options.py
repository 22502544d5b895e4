"""Options that several commands share, so that one name means one thing."""

import argparse
from pathlib import Path

from zweitblick.model.bundle import default_models
from zweitblick_training.cases import Masks, NetworkMasks, TeacherMasks
from zweitblick_training.datasets import LAYOUTS
from zweitblick_training.sides import Sides
from zweitblick_training.splits import Folds

ALL = "all"


def add_data(command: argparse.ArgumentParser) -> None:
    """Add the data set: its folder, its layout and where the brain masks of whole heads come from."""
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data set")
    command.add_argument("--layout", choices=sorted(LAYOUTS), required=True, help="how it lies there")
    command.add_argument(
        "--masks",
        type=Path,
        metavar="DIR",
        help="brain masks of whole heads, CASE.npz each (default: drawn by the released network)",
    )


def add_models(command: argparse.ArgumentParser) -> None:
    """Add the bundles that a command reads besides its own."""
    command.add_argument("--models", type=Path, metavar="DIR", help="model bundles (default: the released ones)")


def add_cache(command: argparse.ArgumentParser) -> None:
    """Add the folder of the prepared cases."""
    command.add_argument(
        "--cache", type=Path, default=Path("runs/prepared"), metavar="DIR", help="prepared cases (default: %(default)s)"
    )


def add_folds(command: argparse.ArgumentParser) -> None:
    """Add the file that holds the folds."""
    command.add_argument(
        "--folds",
        type=Path,
        default=Path("training/folds.json"),
        metavar="FILE",
        help="folds, by patient (default: %(default)s)",
    )


def masks_of(arguments: argparse.Namespace) -> Masks:
    """Whoever draws the brain masks."""
    if arguments.masks is not None:
        return TeacherMasks(arguments.masks)
    return NetworkMasks(default_models() / "brain-mask")


def sides_of(folds: Folds, fold: str) -> Sides:
    """Sides of a fold given as a number or as ``all``."""
    return Sides.of_all(folds) if fold == ALL else Sides.of_fold(folds, int(fold))


def fold(text: str) -> str:
    """Check a fold's name on the command line; argparse reports the error."""
    if text != ALL and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor {ALL!r}")
    return text
