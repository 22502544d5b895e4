"""A service that is killed at random moments keeps what it acknowledged, and reads each round once.

`make soak` kills it 50 times (``--kills``), continuous integration five times.
"""

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dimse.wire import RawPeer
from kept_study import wait_until
from reading_house import RESULTS, last, renamed
from zweitblick.store.life import IN_WORK, Actor, Event, State
from zweitblick.store.places import StorePlaces
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import FileKeyHolder, make_key_file

PROGRAM = Path(__file__).with_name("quick_service.py")
LONGEST_LIFE_S = 20.0
"""Long enough that some lives see a whole reading."""

Key = tuple[str, str]
"""Study and SOP Instance UID."""


class Sender:
    """Sends each study until all of it is acknowledged, as a PACS does."""

    def __init__(self) -> None:
        self.sent: dict[Key, ReceivedInstance] = {}
        self.acknowledged: set[Key] = set()

    def add(self, instances: list[ReceivedInstance]) -> None:
        self.sent |= {(one.study_instance_uid, one.sop_instance_uid): one for one in instances}

    def send(self, port: int) -> None:
        """Send what is not acknowledged yet, until the connection is gone."""
        missing = [key for key in self.sent if key not in self.acknowledged]
        if not missing:
            return
        first = self.sent[missing[0]]
        try:
            with RawPeer(port) as peer:
                peer.associate((first.sop_class_uid, [first.transfer_syntax_uid]))
                for key in missing:
                    if peer.store(self.sent[key].data, self.sent[key].sop_instance_uid) == 0:
                        self.acknowledged.add(key)
                peer.release()
        except (OSError, AssertionError):  # killed: the connection is gone, or what came is no answer
            return


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_key_file(tmp_path / "key")
    return tmp_path


def test_kills_lose_nothing_and_double_nothing(
    folder: Path, quick_files: list[Path], request: pytest.FixtureRequest
) -> None:
    chance, sender = random.Random(6), Sender()  # noqa: S311 -- moments, no secrets
    for kill in range(request.config.getoption("--kills")):
        sender.add([renamed(path, f"study {kill}") for path in quick_files])
        with serving(folder) as (process, port):
            killing = threading.Timer(chance.uniform(0, LONGEST_LIFE_S), process.kill)
            killing.start()
            sender.send(port)
            assert process.wait(LONGEST_LIFE_S + 10) == -signal.SIGKILL
            killing.join()
    with serving(folder) as (process, port):
        sender.send(port)
        assert sender.acknowledged == set(sender.sent)
    with opened(folder) as store:
        tokens = {study: store.token(study) for study, _ in sender.sent}
        kept = {(study, one.sop_instance_uid) for study, token in tokens.items() for one in store.instances(token)}
        assert kept == set(sender.sent)
        for token in tokens.values():  # that was broken off five times, as a study that stops the service would be
            if last(store, token).state is State.FAILED:
                assert store.work.history(last(store, token).id)[-1].code == "worker.broken-off"
                store.advance(last(store, token).id, Event.REPLAYED, by=Actor.ADMINISTRATOR)
    with serving(folder), opened(folder) as store:
        wait_until(lambda: not store.work.rounds_in([State.RECEIVING, *IN_WORK]))
        for token in tokens.values():
            assert_read_once(store, token)


def assert_read_once(store: Store, token: str) -> None:
    assert last(store, token).state is State.AWAITING_REVIEW
    for one in store.rounds(token):
        made = Counter(result.name for result in store.results(one.id))
        assert made in ({}, Counter(RESULTS))
        happened = Counter(entry.event for entry in store.work.history(one.id))
        assert happened[Event.READ] == happened[Event.SEALED] == (1 if made else 0)
    assert made


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the service until it is killed, or ends as it is told to."""
    paths = os.pathsep.join(sys.path)
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, PROGRAM, folder],
            env=os.environ | {"PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        try:
            yield process, int(process.stdout.readline())
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) in (0, -signal.SIGKILL)
        finally:
            process.kill()


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    with Store(
        StorePlaces.within(folder),
        FileKeyHolder(folder / "key"),
        clock=lambda: datetime.now(UTC),
        quiet_time=lambda _: timedelta(seconds=1),
    ) as store:
        yield store
