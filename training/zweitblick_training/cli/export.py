"""``zweitblick-train export``: a run becomes a bundle that ``zweitblick`` serves."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zweitblick_training.cache import load_cases
from zweitblick_training.cli.options import add_cache
from zweitblick_training.export import add_int8, check_release, choose_precision, release, replacing, undrawn
from zweitblick_training.facts import UNSTATED, Facts
from zweitblick_training.run import Run
from zweitblick_training.sides import Sides

LOG = logging.getLogger(__name__)

CALIBRATED_ON, CHECKED_ON, CASES_SEED = 12, 2, 0
"""Training cases that set the ranges of the 8-bit network, cases on which each file is compared with torch, and the
seed that picks them."""


def add_to(commands: Any) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "export",
        help="make a bundle of a run",
        description="Write a run as a bundle: ONNX in float32 and 8 bits, weights to train on from, a self-test. The "
        "same run gives the same bytes. An older bundle in that folder is replaced.",
    )
    command.add_argument("run", type=Path, help="folder of the run")
    command.add_argument("bundle", type=Path, help="folder of the bundle")
    add_cache(command)
    command.add_argument(
        "--temperature", type=float, default=1.0, metavar="T", help="by which logits are divided (default: 1)"
    )
    command.add_argument(
        "--facts", type=Path, metavar="YAML", help="what is said of version, data and licence (default: not stated)"
    )
    command.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> None:
    """Export the run; 8 bits are served only where held-back cases show that little is lost.

    Raises
    ------
    FactsError, LeakError, CaseError, ExportError
        If the facts cannot be read, the run does not say what it learnt from, a case is missing, or what was written
        differs from the run. An older bundle stays as it is then.
    """
    facts = Facts.read(arguments.facts) if arguments.facts else UNSTATED
    source = Run(arguments.run)
    sides = Sides.read(source.sides)
    taught = load_cases(arguments.cache, _picked(sides.train, CALIBRATED_ON))
    held_back = load_cases(arguments.cache, sides.test)
    with replacing(arguments.bundle) as part:
        temperature = (arguments.temperature,) * 3
        digest = release(source, part, sides.said(), temperature=temperature, facts=facts)
        off = check_release(source, part, taught[:CHECKED_ON])
        add_int8(source, part, taught)
        LOG.info("%s: digest %s, off from torch by %.1e", arguments.bundle, digest[:12], off)
        if held_back:
            LOG.info("served: %s", choose_precision(part, held_back))
            if unjudged := undrawn(held_back):
                LOG.warning("8 bits are not served: %s drawn in no held-back case", ", ".join(unjudged))


def _picked(names: Sequence[str], count: int) -> list[str]:
    order = np.random.default_rng(CASES_SEED).permutation(len(names))[:count]
    return [names[place] for place in sorted(order)]
