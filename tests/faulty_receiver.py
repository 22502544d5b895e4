"""A receiver process with a defect; in a module of its own, since the process imports it."""

from multiprocessing.connection import Connection

from zweitblick.cli.receiving import receive
from zweitblick.settings import Settings
from zweitblick.store.ingest import Ingest


def receive_with_a_fault(settings: Settings, pipe: Connection, port: int) -> None:
    """Be a receiver process; the first of them has a defect."""
    has_failed = settings.data / "has failed"
    if not has_failed.exists():
        has_failed.touch()
        Ingest._attempt = lambda _self, _group: 1 / 0  # of this process alone
    receive(settings, pipe, port)
