"""``zweitblick serve``: studies come in over DICOM, findings and reports are there over HTTP."""

import argparse
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from zweitblick.cli.log import log_to
from zweitblick.settings import load_settings

DESCRIPTION = (
    "Receive studies over DICOM, read them, and serve findings and reports over HTTP. Without settings it listens on "
    "this machine only."
)


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "serve", parents=[shared], allow_abbrev=False, help="receive and read studies", description=DESCRIPTION
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="settings, as TOML (docs/serve.md)")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT; then finish what was begun.

    Raises
    ------
    ZweitblickError
        If it cannot start; see `zweitblick.errors`.
    """
    from zweitblick.cli.service import serving  # noqa: PLC0415 -- heavy, and no other command needs it

    settings = load_settings(arguments.config)
    log_to(sys.stderr, log_format=settings.log_format)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    with serving(settings) as addresses:
        for name, address in addresses.items():
            sys.stdout.write(f"{name}: {address}\n")
        sys.stdout.flush()
        stopped.wait()
