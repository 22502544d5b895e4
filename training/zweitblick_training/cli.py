"""The researcher's command: prepare cases, fit, export, evaluate. Each step resumes where it was stopped."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from zweitblick.model.bundle import load_bundles
from zweitblick_training.case import Case
from zweitblick_training.cases import packed_names, prepare_all, read_packed, split
from zweitblick_training.evaluate import evaluate, write_evaluation
from zweitblick_training.export import release
from zweitblick_training.fit import fit
from zweitblick_training.recipe import Recipe
from zweitblick_training.run import Run

HELD_BACK = 11
SPLIT_SEED = 7
NO_TUMOUR_TRAIN, NO_TUMOUR_TEST = "MS_patient07", "MS_patient19"


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``zweitblick-train``; return the exit status."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    arguments.act(arguments)
    return 0


def splits(data: Path) -> dict[str, list[str]]:
    """Split every packed case into ``train`` and ``test``: a fifth of the BraTS patients and one without tumour."""
    drawn = split(packed_names(data, "brats"), held_back=HELD_BACK, seed=SPLIT_SEED)
    return {
        "train": [*drawn["train"], *packed_names(data, "lgg"), NO_TUMOUR_TRAIN],
        "test": [*drawn["test"], NO_TUMOUR_TEST],
    }


def _prepare(arguments: argparse.Namespace) -> None:
    prepare_all(arguments.data, arguments.teacher, arguments.cache, workers=arguments.threads)


def _fit(arguments: argparse.Namespace) -> None:
    names = splits(arguments.data)["train"]
    cases = [Case.load(arguments.cache / f"{name}.npz") for name in names]
    fit(Recipe(steps=arguments.steps), cases, Run(arguments.folder))


def _export(arguments: argparse.Namespace) -> None:
    release(Run(arguments.folder), arguments.models / "tumour", splits(arguments.data))


def _evaluate(arguments: argparse.Namespace) -> None:
    bundle = arguments.models / "tumour"
    names = json.loads((bundle / "splits.json").read_text(encoding="utf-8"))["test"]
    cases = (read_packed(arguments.data, "nontumour" if name == NO_TUMOUR_TEST else "brats", name) for name in names)
    write_evaluation(evaluate(cases, load_bundles(arguments.models)), bundle)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zweitblick-train", description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="processor cores to use (default: 2)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the packed data sets")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    prepare = commands.add_parser("prepare", help="bring every case onto the network's grid, once")
    prepare.add_argument("--teacher", type=Path, required=True, help="brain masks of the whole heads, CASE.npz each")
    prepare.set_defaults(act=_prepare)
    train = commands.add_parser("fit", help="train the tumour network; run again to go on after a stop")
    train.add_argument("--steps", type=int, default=Recipe.steps, help=f"steps in all (default: {Recipe.steps})")
    train.set_defaults(act=_fit)
    for command in (prepare, train):
        command.add_argument("--cache", type=Path, default=Path("runs/cases"), help="prepared cases")

    export = commands.add_parser("export", help="release a finished run as models/tumour")
    export.set_defaults(act=_export)
    for command in (train, export):
        command.add_argument("--run", dest="folder", type=Path, default=Path("runs/tumour"), help="folder of the run")

    score = commands.add_parser("evaluate", help="score the released bundle on its held-back cases, write its card")
    score.set_defaults(act=_evaluate)
    for command in (export, score):
        command.add_argument("--models", type=Path, default=Path("models"), help="folder of the bundles")
    return parser
