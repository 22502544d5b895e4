"""Program that tests kill: what `zweitblick serve` is made of, without HTTP and with a network that computes nothing.

python quick_service.py FOLDER                      on SQLite; prints the port of its DICOM server
python quick_service.py FOLDER --deliver-to PORT    the same; results go to a C-STORE provider, AE title PEER
python quick_service.py FOLDER --receivers COUNT    the same; so many processes receive
python quick_service.py FOLDER DATABASE KEYS        on PostgreSQL; it receives nothing, and its networks do not answer
"""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from quick_reading import Box, quick
from zweitblick.cli.receiving import receiving, store_of
from zweitblick.cli.recording import audit_sealer, recording
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.route import Route
from zweitblick.metrics import Metrics
from zweitblick.model.bundle import default_models, load_bundles
from zweitblick.peers.destination import StoreDestination
from zweitblick.retrieval.lookup import PriorLookup
from zweitblick.settings import DicomSettings, Settings
from zweitblick.vault.keyholders import FileKeyHolder
from zweitblick.worker import Partners, Worker, WorkPlace

QUIET = timedelta(seconds=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("urls", nargs="*")
    parser.add_argument("--deliver-to", type=int)
    parser.add_argument("--receivers", type=int, default=1)
    given = parser.parse_args()
    serve(settings_in(given.folder, given.urls, given.receivers), given.deliver_to)


def settings_in(folder: Path, urls: Sequence[str] = (), receivers: int = 1) -> Settings:
    """Return what a service in a folder is set to."""
    database, keys = urls or (None, None)
    dicom = DicomSettings(port=0, receivers=receivers)
    return Settings(folder, folder / "key", quiet_time=QUIET, database=database, keys_database=keys, dicom=dicom)


def serve(settings: Settings, deliver_to: int | None) -> None:
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopped.set())
    network = Box(stopped.wait) if settings.database else Box()
    holder = FileKeyHolder(settings.key_file)
    work = WorkPlace(settings.data / "data" / "work", queue=settings.database)
    bundles = quick(load_bundles(default_models()), network)
    routes = [Route(StoreDestination("PACS", "127.0.0.1", deliver_to, "PEER"))] if deliver_to else []
    with ExitStack() as stack:
        trail = stack.enter_context(recording(settings, audit_sealer(settings, holder), clock=now))
        store = stack.enter_context(store_of(settings, holder, audit=trail))
        metrics, lookup = Metrics(store.standing, clock=now), PriorLookup(store, (), clock=now, audit=trail)
        partners = Partners(Deliverer(store, routes, audit=trail), metrics, trail, lookup)
        stack.enter_context(Worker(store, bundles, work, clock=now, partners=partners))
        receives = receiving(settings, store, partners, listening=threading.Event())
        port = 0 if settings.database else stack.enter_context(receives)
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        while not stopped.wait(1):  # a signal that another thread was given wakes nobody
            pass


def now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
