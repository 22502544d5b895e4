"""``zweitblick work``: a worker more for studies that other processes receive."""

import argparse
from pathlib import Path
from typing import Any

from zweitblick.cli.serve import until_stopped
from zweitblick.settings import load_settings

DESCRIPTION = (
    "Read studies that `zweitblick serve` receives, on this machine or another, and receive none. Several workers "
    "share databases of PostgreSQL and a folder of objects."
)


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "work", parents=[shared], allow_abbrev=False, help="read studies, receive none", description=DESCRIPTION
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="settings, as TOML (docs/serve.md)")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Read studies until SIGTERM or SIGINT; then finish what was begun, or hand it back.

    Raises
    ------
    ZweitblickError
        If it cannot start; see `zweitblick.errors`.
    """
    from zweitblick.cli.service import working  # noqa: PLC0415 -- heavy, and few commands need it

    until_stopped(working, load_settings(arguments.config))
