"""``zweitblick audit show | head``: the audit trail for whoever may open it, and where it leads to."""

import argparse
import getpass
import socket
import sys
from pathlib import Path
from typing import Any

from zweitblick.settings import Settings, load_settings

DESCRIPTION = (
    "Show the messages of the audit trail, or its signed head. Messages name patients; that they are shown goes on "
    "record first. Needs the settings and keys of the service."
)
BATCH = 64
"""Entries in memory at once."""


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "audit", parents=[shared], allow_abbrev=False, help="show the audit trail", description=DESCRIPTION
    )
    command.add_argument("what", choices=("show", "head"), help="messages as XML, one a line; or signed head, as JSON")
    command.add_argument("--config", type=Path, metavar="FILE", help="settings, as TOML (docs/serve.md)")
    command.add_argument("--after", type=int, default=0, metavar="NUMBER", help="show what follows this entry")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Show what was asked for.

    Raises
    ------
    ZweitblickError
        If the trail cannot be opened, or that it is shown cannot be put on record.
    """
    settings = load_settings(arguments.config)
    if arguments.what == "head":
        _write_head(settings)
    else:
        _show(settings, arguments.after)


def _write_head(settings: Settings) -> None:
    from zweitblick.cli.recording import opened_trail  # noqa: PLC0415 -- heavy, and no other command needs it

    with opened_trail(settings) as (trail, _):
        sys.stdout.write(f"{trail.signed_head().json().decode()}\n")


def _show(settings: Settings, number: int) -> None:
    from zweitblick.audit.events import audit_log_used  # noqa: PLC0415 -- as above
    from zweitblick.audit.message import Participant  # noqa: PLC0415 -- as above
    from zweitblick.cli.recording import opened_trail, trail_folder  # noqa: PLC0415 -- as above

    name = getpass.getuser()
    person = Participant(f"{name}@{socket.getfqdn()}", user_name=name)
    with opened_trail(settings) as (trail, reader):
        last = trail.record(audit_log_used(person, uri=trail_folder(settings).resolve().as_uri()))
        while number < last and (batch := reader.after(number, most=BATCH)):
            for one in batch:
                sys.stdout.write(f"{one.number}\t{one.message.decode()}\n")
            number = batch[-1].number
