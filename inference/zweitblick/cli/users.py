"""``zweitblick users add | remove | list``: people and machines that no identity provider knows."""

import argparse
import getpass
import sys
from pathlib import Path
from typing import Any

from zweitblick.access.principal import Role
from zweitblick.errors import SettingsError
from zweitblick.settings import load_settings

DESCRIPTION = "Add and remove local people and machines, in the file that access.users_file names (docs/access.md)."


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command and its own sub-commands to argparse's."""
    users = commands.add_parser("users", allow_abbrev=False, help="administrate local users", description=DESCRIPTION)
    parsers = users.add_subparsers(required=True, metavar="COMMAND", dest="users_command")

    def added(name: str, explained: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = parsers.add_parser(
            name, parents=[shared], allow_abbrev=False, help=explained, description=f"{explained.capitalize()}."
        )
        parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings (docs/serve.md)")
        parser.set_defaults(run=run)
        return parser

    adding = added("add", "add a person, whose password is asked for or read, or a machine, whose token is printed")
    adding.add_argument("name")
    adding.add_argument("--role", action="append", required=True, choices=list(Role), help="again for each")
    adding.add_argument("--machine", action="store_true", help="make a token instead of a password")
    added("remove", "remove a person or a machine").add_argument("name")
    added("list", "list names and roles")


def run(arguments: argparse.Namespace) -> None:
    """Do what the sub-command says.

    Raises
    ------
    SettingsError, UsersError
        If there is no file to write to, or a name or password will not do.
    """
    from zweitblick.cli.doors import users_of  # noqa: PLC0415 -- heavy, and few commands need it

    path = load_settings(arguments.config).access.users_file
    if path is None:
        raise SettingsError("access.users_file is not set; say there where local users are to be kept")
    users = users_of(path)
    if arguments.users_command == "list":
        for name, roles in users.roles().items():
            sys.stdout.write(f"{name}  {', '.join(sorted(roles))}\n")
    elif arguments.users_command == "remove":
        users.remove(arguments.name)
    elif arguments.machine:
        sys.stdout.write(f"{users.add_machine(arguments.name, map(Role, arguments.role))}\n")
    else:
        users.add_person(arguments.name, _password(), map(Role, arguments.role))


def _password() -> str:
    """Ask for a password, or read it from standard input where nobody can be asked; arguments are seen by all."""
    return getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
