"""``zweitblick-train card``: join the folds' scores into the card of the bundle that is released."""

import argparse
import logging
import shutil
from pathlib import Path
from typing import Any

from zweitblick.model.bundle import default_models, load_bundle
from zweitblick_training.cli.options import add_models
from zweitblick_training.evaluate import Card, Fold, merged
from zweitblick_training.export import check_temperature, follow_precision, replacing, revise

LOG = logging.getLogger(__name__)


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
    add_models(command)
    command.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the card and the smallest size that was proven; the folds say in which precision a release is served.

    Raises
    ------
    EvaluationError, FactsError, LeakError, ExportError, BundleMissingError, BundleDamagedError
        If the scores are of other networks than the bundles beside them, a patient was scored by two folds, or a file
        of the bundles or of the trials is missing or not as it must be, or a fold's logits are divided by another
        temperature than the released bundle's. The bundle stays as it is then, and keeps its signature.
    """
    brain_mask = load_bundle((arguments.models or default_models()) / "brain-mask")
    with replacing(arguments.bundle) as part:
        judged = [Fold.read(bundle, scores, brain_mask) for bundle, scores in arguments.fold]
        records = merged(fold.records for fold in judged)
        taught = {fold.network: fold.taught for fold in judged}
        folds = [fold.bundle for fold in judged if fold.bundle.resolve() != arguments.bundle.resolve()]
        card = Card.drawn_up(records, arguments.bundle, taught=taught, folds=folds, trials=arguments.trials)
        check_temperature(arguments.bundle, folds)
        shutil.copytree(arguments.bundle, part, dirs_exist_ok=True)
        if folds:
            follow_precision(part, folds)
        card.write(part)
        revise(part, {"validated_ml": card.limit_ml})
    if card.limit_ml is None:
        LOG.warning("from which size on lesions are found is not known: validated_ml is left out")
