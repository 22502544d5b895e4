"""``zweitblick jobs``: which studies wait, are read or have failed; read one again, or not at all.

It works on the store itself, beside a running service or without one. The store says what is to be done, and workers
look there twice a second; HTTP would ask for a token that is printed once, and for a service that runs.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zweitblick.errors import UnknownRoundError, UnknownStudyError
from zweitblick.settings import load_settings
from zweitblick.store.life import IN_WORK, Actor, Event, State

if TYPE_CHECKING:
    from zweitblick.store.rounds import Round
    from zweitblick.store.store import Store
    from zweitblick.store.work import Job

UNFINISHED = frozenset({State.RECEIVING, *IN_WORK, State.DELIVERING, State.FAILED, State.CANCELLED})
"""What is listed if nothing is asked for."""

HEADINGS = ("ROUND", "STUDY", "NO", "STATE", "SINCE", "ATTEMPTS", "ERROR")

_TOKEN = re.compile(r"[0-9a-f]{32}")


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    description = "See to studies that wait, are read or have failed. Names no patient."
    jobs = commands.add_parser("jobs", allow_abbrev=False, help="list, retry, cancel readings", description=description)
    kinds = jobs.add_subparsers(required=True, metavar="COMMAND")
    settings = argparse.ArgumentParser(add_help=False)
    settings.add_argument("--config", type=Path, metavar="FILE", help="settings, as TOML (docs/serve.md)")
    parents = [shared, settings]
    listing = kinds.add_parser(
        "list", parents=parents, allow_abbrev=False, help="list what is unfinished or has failed"
    )
    listing.add_argument(
        "--state", action="append", choices=[*State], metavar="STATE", help=f"only these: {', '.join(State)}"
    )
    listing.set_defaults(run=show)
    for name, run, text in (
        ("retry", retry, "read or deliver again what has failed or was cancelled"),
        ("cancel", cancel, "do not read it, or stop doing so"),
    ):
        command = kinds.add_parser(name, parents=parents, allow_abbrev=False, help=text)
        command.add_argument(
            "study", metavar="STUDY", help="Study Instance UID, or id of a round or study from the list"
        )
        command.set_defaults(run=run)


def show(arguments: argparse.Namespace) -> None:
    """Print the jobs, those that came first first.

    Raises
    ------
    ZweitblickError
        If settings or store cannot be used.
    """
    with _store(arguments) as store:
        jobs = store.work.jobs_in([State(one) for one in arguments.state or UNFINISHED])
    _print([HEADINGS, *map(_cells, jobs)])


def retry(arguments: argparse.Namespace) -> None:
    """Have the last round of a study read or delivered again.

    Raises
    ------
    EventError
        If it has not failed and was not cancelled.
    ZweitblickError
        If settings or store cannot be used, or there is no such study.
    """
    _happen(arguments, Event.REPLAYED)


def cancel(arguments: argparse.Namespace) -> None:
    """Have the last round of a study not read or not delivered.

    Raises
    ------
    EventError
        If it is done.
    ZweitblickError
        If settings or store cannot be used, or there is no such study.
    """
    _happen(arguments, Event.CANCELLED)


def _happen(arguments: argparse.Namespace, event: Event) -> None:
    with _store(arguments) as store:
        one = _round(store, arguments.study)
        state = store.advance(one.id, event, by=Actor.ADMINISTRATOR)
    sys.stdout.write(f"round {one.id} of study {one.study} is {state}\n")


def _store(arguments: argparse.Namespace) -> AbstractContextManager["Store"]:
    from zweitblick.cli.service import opened_store  # noqa: PLC0415 -- heavy, and few commands need it

    return opened_store(load_settings(arguments.config))


def _round(store: "Store", named: str) -> "Round":
    """Return the round of an id, or the last one of a study."""
    if not _TOKEN.fullmatch(named):
        named = store.token(named)
    rounds = store.rounds(named)
    if rounds:
        return rounds[-1]
    try:
        return store.work.round(named)
    except UnknownRoundError as error:
        raise UnknownStudyError("neither a round nor a study of this id is kept; see `zweitblick jobs list`") from error


def _cells(job: "Job") -> tuple[str, ...]:
    since = job.since.astimezone(UTC).isoformat(timespec="seconds")
    one = job.round
    return one.id, one.study, str(one.number), one.state, since, str(job.attempts), job.code or "-"


def _print(rows: Sequence[Iterable[str]]) -> None:
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")
