"""Program that tests kill: what `zweitblick serve` is made of, without HTTP and with a network that computes nothing.

python quick_service.py FOLDER                      on SQLite; prints the port of its DICOM server
python quick_service.py FOLDER --deliver-to PORT    the same; results go to a C-STORE provider, AE title PEER
python quick_service.py FOLDER DATABASE KEYS        on PostgreSQL; it receives nothing, and its networks do not answer
"""

import argparse
import signal
import sys
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from quick_reading import Box, quick
from zweitblick.audit.auditor import Unrecorded
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.route import Route
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.metrics import Metrics
from zweitblick.model.bundle import default_models, load_bundles
from zweitblick.peers.destination import StoreDestination
from zweitblick.retrieval.lookup import PriorLookup
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import FileKeyHolder
from zweitblick.worker import Partners, Worker, WorkPlace

QUIET = timedelta(seconds=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("urls", nargs="*")
    parser.add_argument("--deliver-to", type=int)
    given = parser.parse_args()
    serve(given.folder, given.urls, given.deliver_to)


def serve(folder: Path, urls: list[str], deliver_to: int | None) -> None:
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopped.set())
    network = Box(stopped.wait) if urls else Box()
    places = StorePlaces(*urls, folder / "objects") if urls else StorePlaces.within(folder)
    work = WorkPlace(folder / "work", queue=urls[0] if urls else None)
    with ExitStack() as stack:
        store = stack.enter_context(Store(places, FileKeyHolder(folder / "key"), clock=now, quiet_time=lambda _: QUIET))
        bundles = quick(load_bundles(default_models()), network)
        routes = [Route(StoreDestination("PACS", "127.0.0.1", deliver_to, "PEER"))] if deliver_to else []
        metrics, lookup = Metrics(store.standing, clock=now), PriorLookup(store, (), clock=now)
        partners = Partners(Deliverer(store, routes), metrics, Unrecorded(), lookup)
        stack.enter_context(Worker(store, bundles, work, clock=now, partners=partners))
        port = 0 if urls else stack.enter_context(DicomServer(ListenerConfig(port=0), store)).port
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        while not stopped.wait(1):  # a signal that another thread was given wakes nobody
            pass


def now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
