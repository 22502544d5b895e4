"""The researcher's command, ``zweitblick-train``: from a data set to a released bundle, step by step.

Every step resumes where it was stopped. Exit codes: 0 done, 2 wrong usage, 3 refused (what is wrong on standard error,
one line for each fault), 130 interrupted.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

import torch

from zweitblick.errors import ZweitblickError
from zweitblick_training.cache import CacheError
from zweitblick_training.case import CaseError
from zweitblick_training.cli import card, evaluate, export, fit, folds, nnunet, phantoms, prepare, sequence, sign
from zweitblick_training.datasets import DataSetError
from zweitblick_training.evaluate import EvaluationError
from zweitblick_training.export import ExportError
from zweitblick_training.facts import FactsError
from zweitblick_training.learner import DivergedError
from zweitblick_training.recipe import RecipeError
from zweitblick_training.scores import UnprovenError
from zweitblick_training.splits import FoldsError, LeakError

REFUSALS = (
    ZweitblickError,
    CacheError,
    CaseError,
    DataSetError,
    DivergedError,
    EvaluationError,
    ExportError,
    FactsError,
    FoldsError,
    LeakError,
    RecipeError,
    UnprovenError,
)
EXIT_REFUSED = 3
EXIT_INTERRUPTED = 130

THREADS = torch.get_num_threads()
"""As many as PyTorch would take by itself: more than there are cores for wait for one another, ten times as long."""

DESCRIPTION = """Train the tumour network on your own cases and release it only with its figures.

  prepare   check a data set and bring every case before the network as serving would
  folds     draw folds by patient
  fit       train on all folds but one, or on everything
  export    make a bundle of a run
  evaluate  score a bundle on cases it has never seen, through the code that serves
  card      join the folds' scores into the card of the released bundle
  sign      sign a bundle, last of all
  nnunet    write a data set with its folds in nnU-Net's layout
  phantoms  write a data set of synthetic heads to try all this on
  sequence  train the network that tells T1, T1c, T2 and FLAIR by the picture

docs/retrain.md goes through it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv
        Arguments without the program's name; those of the process if None.
    """
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    try:
        arguments.run_command(arguments)
    except REFUSALS as error:
        sys.stderr.write("".join(f"error: {line}\n" for line in _told(error)))
        return EXIT_REFUSED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: the same command goes on from here\n")
        return EXIT_INTERRUPTED
    return 0


def _told(error: Exception) -> list[str]:
    """Say what is wrong, one line for each fault; notes, which say with which case, are part of the last."""
    *lines, last = str(error).splitlines() or [type(error).__name__]
    return [*lines, " ".join([last, *(f"({note})" for note in getattr(error, "__notes__", ()))])]


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; a parsed command has its function as ``run_command``."""
    top = argparse.ArgumentParser(
        prog="zweitblick-train", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    help_of_threads = "processor cores to use (default: OMP_NUM_THREADS or else all, here %(default)s)"
    top.add_argument("--threads", type=int, default=THREADS, metavar="N", help=help_of_threads)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for command in (prepare, folds, fit, export, evaluate, card, sign, nnunet, phantoms, sequence):
        command.add_to(commands)
    return top
