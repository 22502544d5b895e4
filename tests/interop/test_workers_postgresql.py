"""Workers of several processes share PostgreSQL and a folder; one that is killed, or a restart, loses nothing."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from interop.postgresql import Server, running_server
from kept_study import Clock, wait_until
from quick_reading import Box, quick
from reading_house import RESULTS, fails_at_once, keep, keep_renamed, last, reached
from zweitblick.errors import EventError
from zweitblick.model.bundle import Bundles
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import FileKeyHolder, make_key_file
from zweitblick.worker import BEAT, DEAD, Worker, WorkPlace

PROGRAM = Path(__file__).with_name("quick_service.py")


class House:
    """A store on PostgreSQL, and workers of this process and of others."""

    def __init__(self, folder: Path, server: Server, bundles: Bundles) -> None:
        self.folder, self.bundles, self.clock = folder, bundles, Clock()
        self.urls = server.new_database(), server.new_database()
        make_key_file(folder / "key")

    def store(self) -> Store:
        places = StorePlaces(*self.urls, self.folder / "data" / "objects")
        return Store(places, FileKeyHolder(self.folder / "key"), clock=self.clock)

    def worker(self, store: Store, network: Box | None = None) -> Worker:
        place = WorkPlace(self.folder / "data" / "work", queue=self.urls[0])
        return Worker(store, quick(self.bundles, network), place, clock=self.clock)

    @contextmanager
    def stuck_worker(self) -> Iterator[subprocess.Popen[str]]:
        """Another process, which begins what it finds and never ends it."""
        process = subprocess.Popen(
            [sys.executable, PROGRAM, self.folder, *self.urls],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with process:
            try:
                process.stdout.readline()
                yield process
            finally:
                process.kill()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def house(tmp_path: Path, server: Server, bundles: Bundles) -> House:
    return House(tmp_path, server, bundles)


def complete(store: Store, token: str) -> None:
    with suppress(EventError):  # by the other process's clock the quiet time is over, and it may be faster
        store.advance(last(store, token).id, Event.COMPLETED, by=Actor.WORKER)


def test_what_a_killed_worker_had_begun_is_read_by_the_other(house: House, quick_files: list[Path]) -> None:
    with house.store() as store, house.stuck_worker() as killed:
        begun = keep(store, quick_files)
        complete(store, begun)
        reached(store, begun, State.READING)
        with house.worker(store) as worker:
            assert len(store.work.beats()) == 2
            more = keep_renamed(store, quick_files, "another")
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            complete(store, more)
            reached(store, more, State.AWAITING_REVIEW)
            pass_by(house, worker, DEAD - BEAT)
            assert last(store, begun).state is State.READING
            pass_by(house, worker, 2 * BEAT)
            reached(store, begun, State.AWAITING_REVIEW)
        for token in (begun, more):
            assert_read_once(store, token)
        assert store.work.beats() == {}


def test_a_worker_that_was_thought_dead_changes_nothing_more(house: House, quick_files: list[Path]) -> None:
    with house.store() as store, house.stuck_worker() as paused:
        token = keep(store, quick_files)
        complete(store, token)
        reached(store, token, State.READING)
        paused.send_signal(signal.SIGSTOP)
        with house.worker(store) as worker:
            pass_by(house, worker, DEAD + BEAT)
            reached(store, token, State.AWAITING_REVIEW)
            before = {one.id for one in store.results(last(store, token).id)}
            paused.send_signal(signal.SIGCONT)
            paused.send_signal(signal.SIGTERM)  # lets its networks answer
            assert paused.wait(120) == 0
        assert {one.id for one in store.results(last(store, token).id)} == before
        assert_read_once(store, token)


def test_a_restart_of_the_database_under_way_loses_nothing(
    house: House, server: Server, quick_files: list[Path]
) -> None:
    waits, goes_on = threading.Event(), threading.Event()

    def until_restarted() -> None:
        waits.set()
        assert goes_on.wait(120)

    with house.store() as store:
        with house.worker(store, Box(until_restarted)):
            token = keep(store, quick_files)
            complete(store, token)
            assert waits.wait(60)
            server.stop()
            goes_on.set()
            server.start()
            reached(store, token, State.AWAITING_REVIEW)
            after = keep_renamed(store, quick_files, "after")
            complete(store, after)
            reached(store, after, State.AWAITING_REVIEW)
        assert_read_once(store, token)
        assert_read_once(store, after)


def test_two_commands_work_with_one_folder_and_one_database(house: House, quick_files: list[Path]) -> None:
    settings = {
        "DATA": house.folder,
        "KEY_FILE": house.folder / "key",
        "DATABASE": house.urls[0],
        "KEYS_DATABASE": house.urls[1],
    }
    environment = os.environ | {f"ZWEITBLICK_{name}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "zweitblick", "work"]
    with ExitStack() as stack:
        workers = [
            stack.enter_context(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
            for _ in range(2)
        ]
        for worker in workers:
            stack.callback(worker.kill)
            assert worker.stdout.readline() == f"Data: {house.folder}\n"
        places = StorePlaces(*house.urls, house.folder / "data" / "objects")
        store = stack.enter_context(Store(places, FileKeyHolder(house.folder / "key"), clock=house.clock))
        assert len(store.work.beats()) == 2
        token = fails_at_once(store, quick_files[0], "one image")
        complete(store, token)
        reached(store, token, State.FAILED)
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(120) == 0
        assert store.work.beats() == {}


def assert_read_once(store: Store, token: str) -> None:
    [one] = store.rounds(token)
    assert Counter(result.name for result in store.results(one.id)) == Counter(RESULTS)
    happened = Counter(entry.event for entry in store.history(token))
    assert happened[Event.READ] == happened[Event.SEALED] == happened[Event.REVIEW_ASKED] == 1


def pass_by(house: House, worker: Worker, time: timedelta) -> None:
    """Let a time pass during which a worker looks for the others as often as it does."""
    for _ in range(time // BEAT):
        before = worker._fleet._looked_at
        house.clock.move(BEAT.total_seconds())
        wait_until(lambda then=before: worker._fleet._looked_at > then)
