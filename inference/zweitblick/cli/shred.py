"""What ``zweitblick keys shred`` does: studies are destroyed for good."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from zweitblick.cli.keyholder import opened_holder
from zweitblick.cli.places import store_places
from zweitblick.cli.recording import audit_sealer, recording
from zweitblick.errors import NotConfirmedError
from zweitblick.settings import load_settings
from zweitblick.store.lost import LOST
from zweitblick.store.store import Store

WORD = "shred"


def run(arguments: argparse.Namespace) -> None:
    """Say what will be destroyed, ask, and destroy it.

    Raises
    ------
    NotConfirmedError
        If the answer is another than the word that is asked for.
    UnknownStudyError
        If no such study is kept.
    ZweitblickError
        If the store or the key holder cannot be used.
    """
    settings = load_settings(arguments.config)
    with ExitStack() as stack:
        holder = stack.enter_context(opened_holder(settings))
        places = store_places(settings)
        trail = stack.enter_context(recording(settings, audit_sealer(settings, holder), clock=_now))
        store = stack.enter_context(Store(places, holder, clock=_now, audit=trail))
        tokens = _tokens(store, arguments)
        for token in tokens:
            sys.stdout.write(f"{_description(store, token)}\n")
        if not tokens:
            sys.stdout.write("No study of this patient is kept.\n")
            return
        if not arguments.yes:
            _ask(len(tokens))
        for token in tokens:
            store.shred(token)
            sys.stdout.write(f"Destroyed study {token}.\n")


def _now() -> datetime:
    return datetime.now(UTC)


def _tokens(store: Store, arguments: argparse.Namespace) -> Sequence[str]:
    if arguments.study is not None:
        return [store.token(arguments.study)]
    studies = store.all_studies_of_patient(arguments.patient)
    for token in studies.unopened:
        sys.stdout.write(f"Study {token} cannot be opened any more, so whose it is cannot be told. It is left.\n")
    return studies.found


def _description(store: Store, token: str) -> str:
    """Describe a study by its token, since a terminal may be recorded."""
    try:
        results = sum(len(store.results(each.id)) for each in store.rounds(token))
        return f"Study {token}: its key, {len(store.instances(token))} images and {results} results."
    except LOST as error:
        return f"Study {token}: what is left of it, since it cannot be opened any more ({error.code})."


def _ask(count: int) -> None:
    what = "this study" if count == 1 else "these studies"
    sys.stdout.write(f"No backup of the data brings {what} back. What was delivered elsewhere stays there.\n")
    sys.stdout.write(f"Type {WORD} to go on: ")
    sys.stdout.flush()
    if sys.stdin.readline().strip() != WORD:
        raise NotConfirmedError(f"nothing was destroyed; type {WORD}, or say --yes")
