"""``zweitblick keys``: key-encryption keys are made, rotated, backed up and restored, and studies shredded."""

import argparse
from pathlib import Path
from typing import Any

DESCRIPTION = "Make, rotate, back up and restore the key-encryption keys, and shred studies (docs/keys.md)."


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command and its own sub-commands to argparse's."""
    keys = commands.add_parser("keys", allow_abbrev=False, help="administrate keys", description=DESCRIPTION)
    parsers = keys.add_subparsers(required=True, metavar="COMMAND", dest="keys_command")

    def added(name: str, explained: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = parsers.add_parser(
            name, parents=[shared], allow_abbrev=False, help=explained, description=f"{explained.capitalize()}."
        )
        parser.add_argument("--config", type=Path, metavar="FILE", help="settings, as TOML (docs/serve.md)")
        parser.set_defaults(run=run)
        return parser

    _add_shares(added("init", "make the first key-encryption key"), required=False)
    added("status", "show the holder, its keys, and how many data keys are under each")
    rotating = added("rotate", "make a newer key-encryption key and wrap all data keys anew")
    rotating.add_argument("--destroy-old", action="store_true", help="then destroy the older ones for good")
    _add_shares(rotating, required=False)
    _add_choice(added("shred", "destroy the keys of studies, and all that is kept of them, for good"))
    _add_shares(added("backup", "write the key file's keys as shares for several people"), required=True)
    restoring = added("restore", "put keys from shares back into the holder")
    restoring.add_argument(
        "files", type=Path, nargs="+", metavar="SHARE", help="files of shares, as many as are needed"
    )


def run(arguments: argparse.Namespace) -> None:
    """Do what the sub-command says.

    Raises
    ------
    ZweitblickError
        See `zweitblick.cli.key_commands`.
    """
    from zweitblick.cli.key_commands import COMMANDS  # noqa: PLC0415 -- heavy, and no other command needs it

    COMMANDS[arguments.keys_command](arguments)


def _add_shares(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--shares", type=int, metavar="N", required=required, help="so many people get a share")
    parser.add_argument("--threshold", type=int, metavar="M", required=required, help="so many of them restore the key")
    parser.add_argument("--out", type=Path, metavar="FOLDER", required=required, help="where shares are written: new")


def _add_choice(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--study", metavar="UID", help="the study of exactly this Study Instance UID")
    which.add_argument("--patient", metavar="ID", help="all studies of exactly this Patient ID")
    parser.add_argument("--yes", action="store_true", help="do not ask")
