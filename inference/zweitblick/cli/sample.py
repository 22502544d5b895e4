"""``zweitblick sample``: a synthetic four-sequence DICOM study with a known lesion."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from zweitblick.cli.output import check_folder, folder_to_be
from zweitblick.prediction import REGIONS
from zweitblick.sample import SampleLesion, SampleSpec, SampleTruth, follow_up, write_sample

DESCRIPTION = "Write a synthetic head with a lesion of known size as four DICOM series. Needs the extra [sample]."


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "sample", parents=[shared], allow_abbrev=False, help="write a synthetic study", description=DESCRIPTION
    )
    command.add_argument("out", type=Path, metavar="OUT", help="folder for the study: new or empty")
    command.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of everything random, UIDs included (default 0)"
    )
    command.add_argument("--no-lesion", action="store_true", help="a healthy head")
    command.add_argument(
        "--follow-up", action="store_true", help="the same head 90 days later: moved, its lesion grown"
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the study, or raise and write nothing.

    Raises
    ------
    ZweitblickError
        See `zweitblick.errors`.
    """
    check_folder(arguments.out)
    spec = SampleSpec(lesion=None if arguments.no_lesion else SampleLesion(), seed=arguments.seed)
    with folder_to_be(arguments.out) as folder:
        truth = write_sample(folder, spec=follow_up(spec) if arguments.follow_up else spec)
    Console(markup=False, highlight=False).print(f"{arguments.out}: {_lesion(truth)}", soft_wrap=True)


def _lesion(truth: SampleTruth) -> str:
    if truth.side is None:
        return "a head without lesion"
    volumes = ", ".join(f"{region} {truth.volume_ml[region]:.1f} ml" for region in reversed(REGIONS))
    return f"a head with a lesion on the {truth.side}, {volumes}"
