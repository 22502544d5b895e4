"""``zweitblick check``: try everything that ``serve`` needs, and say what is wrong and what to do."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zweitblick.errors import CheckError, ZweitblickError
from zweitblick.settings import Settings, load_settings

DESCRIPTION = (
    "Try everything that `serve` needs, and say in one line each whether it is as it must be. Changes nothing; may be "
    "used while the service runs. Exit code 3 if there is a fault."
)


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "check", parents=[shared], allow_abbrev=False, help="say what is wrong with a setup", description=DESCRIPTION
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="settings, as TOML (docs/serve.md)")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Say a line of everything that is tried.

    Raises
    ------
    CheckError
        If there is a fault.
    """
    loaded: list[Settings] = []
    if not _passes("settings", lambda: _loaded(arguments.config, loaded)):
        raise CheckError("the settings cannot be used, so nothing else was tried; repair them first")
    from zweitblick.cli.checks import checks  # noqa: PLC0415 -- heavy, and no other command needs it

    outcomes = [_passes(name, check) for name, check in checks(loaded[0]).items()]
    if faults := outcomes.count(False):
        raise CheckError(f"{faults} of {len(outcomes)} checks found a fault; the lines that begin with FAULT say which")


def _loaded(file: Path | None, loaded: list[Settings]) -> str:
    loaded.append(load_settings(file))
    return f"{file or 'no file'}, and the environment over it"


def _passes(name: str, check: Callable[[], str]) -> bool:
    try:
        detail = check()
    except ZweitblickError as error:
        _say("FAULT", name, f"{error.code}: {error}")
        return False
    _say("ok", name, detail)
    return True


def _say(word: str, name: str, detail: str) -> None:
    sys.stdout.write(f"{word:<6} {name:<18} {' '.join(detail.split())}\n")
    sys.stdout.flush()
