"""``zweitblick deidentify``: MR images without what tells whose they are, for research."""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from zweitblick.cli.output import check_folder, folder_to_be
from zweitblick.dicom.source import opened

DESCRIPTION = (
    "Write MR images without what tells whose they are: PS3.15 annex E, Basic Profile, dates moved by patient. "
    "Whatever may have names burnt in is left out. A head can be recognised by its surface, so all but the brain "
    "becomes background, and a series in which no whole brain is found is left out."
)
REPORT = "report.json"


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "deidentify",
        parents=[shared],
        allow_abbrev=False,
        help="take names and dates off MR images",
        description=DESCRIPTION,
    )
    command.add_argument("source", nargs="+", type=Path, metavar="STUDY", help="folders, zip archives or files")
    command.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where they go")
    command.add_argument(
        *("--key", "-k"),
        required=True,
        type=Path,
        metavar="FILE",
        help="secret of the pseudonyms, made if it is not there; keep it, and apart from the images",
    )
    command.add_argument("--keep-faces", action="store_true", help="leave pixels as they are; the header says so")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """De-identify; write all or nothing.

    Raises
    ------
    ZweitblickError
        See `zweitblick.errors`.
    """
    from zweitblick.cli.research import (  # noqa: PLC0415 -- an optional dependency
        brain_finder,
        pseudonyms_of,
        write_defaced,
        write_deidentified,
    )

    check_folder(arguments.out)
    pseudonyms = pseudonyms_of(arguments.key)
    with opened(arguments.source) as paths, folder_to_be(arguments.out) as folder:
        if arguments.keep_faces:
            report = write_deidentified(paths, pseudonyms, folder)
        else:
            report = write_defaced(paths, pseudonyms, folder, brain_finder())
        (folder / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    left_out = sum(report["left_out"].values())
    done = f"{report['images']} images written, {left_out} files left out"
    Console().print(f"{done}; {arguments.out / REPORT} says what was changed")
