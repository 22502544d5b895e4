"""``zweitblick-train card``: join the folds' scores into the card of the bundle that is released."""

import argparse
from pathlib import Path
from typing import Any

from zweitblick_training.evaluate import limit_ml, merged, stored, write_card
from zweitblick_training.export import follow_precision, revise


def add_to(commands: Any) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "card",
        help="join the folds' scores into a bundle's card",
        description="Join the scores of one or more folds and write the bundle's card and evaluation.json from them.",
    )
    command.add_argument("bundle", type=Path, help="folder of the bundle that is released")
    command.add_argument(
        "--fold",
        nargs=2,
        type=Path,
        action="append",
        required=True,
        metavar=("BUNDLE", "SCORES"),
        help="a fold's bundle and the folder of its scores; once for each fold",
    )
    command.add_argument(
        "--trials", type=Path, metavar="DIR", help="holds candidates.json, ideas.json and remarks.md (default: none)"
    )
    command.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the card and the smallest size that was proven; a release on all cases is served as its folds are.

    Raises
    ------
    EvaluationError
        If a patient was scored by two folds.
    UnprovenError
        If there are too few lesions to say from which size on they are found.
    """
    records = merged(stored(scores) for _, scores in arguments.fold)
    folds = [judged for judged, _ in arguments.fold if judged.resolve() != arguments.bundle.resolve()]
    if folds:
        follow_precision(arguments.bundle, folds)
    write_card(records, arguments.bundle, folds=folds, trials=arguments.trials)
    revise(arguments.bundle, {"validated_ml": limit_ml(records)})
