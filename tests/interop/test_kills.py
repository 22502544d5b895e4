"""A service that is killed at random moments keeps what it acknowledged, and reads and delivers each round once.

What it did is on its audit trail, which is whole. Every other service receives in two processes of their own.

`make soak` kills it 50 times (``--kills``) at any time and 25 times within a delivery, continuous integration five and
three times.
"""

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dimse.wire import RawPeer
from interop.killing_peer import MOMENTS, SENT, KillingPeer
from interop.quick_service import settings_in
from kept_study import PATIENCE_S, wait_until
from peers.fake_peers import data_of
from reading_house import RESULTS, last, renamed
from zweitblick.audit import codes
from zweitblick.audit.codes import Code
from zweitblick.audit.reader import TrailReader
from zweitblick.audit.verification import verify_trail
from zweitblick.cli.recording import audit_sealer, audit_signer, trail_folder
from zweitblick.store.life import IN_WORK, Actor, Event, State
from zweitblick.store.places import StorePlaces
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import FileKeyHolder, make_key_file

PROGRAM = [sys.executable, "-c", "from interop.quick_service import main; main()"]
"""No file, which each receiver process would import too, with all that a worker needs."""
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


@pytest.fixture
def pacs() -> Iterator[KillingPeer]:
    with KillingPeer() as peer:
        yield peer


def test_kills_lose_nothing_and_double_nothing(
    folder: Path, quick_files: list[Path], pacs: KillingPeer, request: pytest.FixtureRequest
) -> None:
    chance, sender = random.Random(6), Sender()  # noqa: S311 -- moments, no secrets
    for kill in range(request.config.getoption("--kills")):
        sender.add([renamed(path, f"study {kill}") for path in quick_files])
        with serving(folder, pacs, receivers=1 + kill % 2) as (process, port):
            killing = threading.Timer(chance.uniform(0, LONGEST_LIFE_S), process.kill)
            killing.start()
            sender.send(port)
            assert process.wait(LONGEST_LIFE_S + 10) == -signal.SIGKILL
            killing.join()
    with serving(folder, pacs) as (process, port):
        sender.send(port)
        assert sender.acknowledged == set(sender.sent)
    with opened(folder) as store:
        tokens = {study: store.token(study) for study, _ in sender.sent}
        kept = {(study, one.sop_instance_uid) for study, token in tokens.items() for one in store.instances(token)}
        assert kept == set(sender.sent)
    assert_read_and_delivered_once(folder, pacs)
    assert {event for study in tokens for event in received(study) | read_and_delivered(study)} <= on_record(folder)


def test_kills_within_a_delivery_leave_one_result(
    folder: Path, quick_files: list[Path], pacs: KillingPeer, request: pytest.FixtureRequest
) -> None:
    """The first one is between the last acknowledgement and our record of it; half as many as at any time."""
    chance, kills = random.Random(7), (request.config.getoption("--kills") + 1) // 2  # noqa: S311 -- as above
    with opened(folder) as store:
        for kill in range(kills):
            for path in quick_files:
                store.keep(renamed(path, f"study {kill}"))
    for moment in [MOMENTS, *(chance.randint(1, MOMENTS) for _ in range(kills - 1))]:
        victim: Future[subprocess.Popen[str]] = Future()
        pacs.kill(victim, at=moment)
        with serving(folder, pacs) as (process, _):
            victim.set_result(process)
            assert process.wait(PATIENCE_S) == -signal.SIGKILL
    assert_read_and_delivered_once(folder, pacs)
    assert len(pacs.received) > len(pacs.versions), "no delivery was repeated, so none was broken off"
    assert len(pacs.versions) == kills * len(SENT)
    studies = {renamed(quick_files[0], f"study {kill}").study_instance_uid for kill in range(kills)}
    assert {event for study in studies for event in read_and_delivered(study)} <= on_record(folder)


def assert_read_and_delivered_once(folder: Path, pacs: KillingPeer) -> None:
    """Let the service bring everything to its end, and look at what it has made and where that is."""
    with opened(folder) as store:
        tokens = [place.study for place in store.listing.newest(limit=10**6)]
        replay_broken_off(store, tokens)
    with serving(folder, pacs), opened(folder) as store:
        wait_until(lambda: not store.work.rounds_in([State.RECEIVING, State.DELIVERING, *IN_WORK]))
        kept: dict[str, bytes] = {}
        for token in tokens:
            assert_read_once(store, token)
            for one in store.rounds(token):
                kept |= made_for_others(store, one.id)
            assert made_for_others(store, last(store, token).id).keys() <= pacs.versions.keys()
        assert {uid: {kept[uid]} for uid in pacs.versions} == pacs.versions


def replay_broken_off(store: Store, tokens: Iterable[str]) -> None:
    """Have read what was broken off five times, as a study that stops the service would be."""
    for token in tokens:
        if last(store, token).state is State.FAILED:
            assert store.work.history(last(store, token).id)[-1].code == "worker.broken-off"
            store.advance(last(store, token).id, Event.REPLAYED, by=Actor.ADMINISTRATOR)


def assert_read_once(store: Store, token: str) -> None:
    assert last(store, token).state is State.AWAITING_REVIEW
    for one in store.rounds(token):
        made = Counter(result.name for result in store.results(one.id))
        assert made in ({}, Counter(RESULTS))
        happened = Counter(entry.event for entry in store.work.history(one.id))
        assert happened[Event.READ] == happened[Event.SEALED] == (1 if made else 0)
    assert made
    assert happened[Event.DELIVERED] == 1


def made_for_others(store: Store, round_id: str) -> dict[str, bytes]:
    """Data sets of a round's DICOM results, by their UIDs."""
    found = {}
    for result in store.results(round_id):
        if result.sop_instance_uid:
            with store.open(result.id) as file:
                found[result.sop_instance_uid] = data_of(file.read())
    return found


def received(study: str) -> set[tuple[Code, str, str]]:
    return {(codes.BEGIN_TRANSFERRING, study, "RAW")}


def read_and_delivered(study: str) -> set[tuple[Code, str, str]]:
    return {(codes.INSTANCES_ACCESSED, study, ""), (codes.BEGIN_TRANSFERRING, study, "ZWEITBLICK")}


def on_record(folder: Path) -> set[tuple[Code, str, str]]:
    """Verify the audit trail, and return its events, each with its study and the AE title of who sent that, if any."""
    settings = settings_in(folder)
    sealer, key = audit_sealer(settings, FileKeyHolder(settings.key_file)), audit_signer(settings).public_key
    whole = verify_trail(trail_folder(settings), keys=[key])
    assert whole.unfinished_bytes == 0
    entries = TrailReader(trail_folder(settings), sealer).after(0, most=whole.head.count)
    assert len(entries) == whole.head.count
    return {told(entry.message) for entry in entries}


def told(message: bytes) -> tuple[Code, str, str]:
    event = ET.fromstring(message)  # noqa: S314 -- our own
    happened = event.find("EventIdentification/EventID").attrib
    code = Code(happened["csd-code"], happened["codeSystemName"], happened["originalText"])
    study = event.find("ParticipantObjectIdentification").attrib["ParticipantObjectID"]
    title = event.find("ActiveParticipant").get("AlternativeUserID", "").removeprefix("AETITLES=")
    return code, study, title


@contextmanager
def serving(folder: Path, pacs: KillingPeer, *, receivers: int = 1) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the service until it is killed, or ends as it is told to."""
    paths = os.pathsep.join(sys.path)
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            [*PROGRAM, folder, "--deliver-to", str(pacs.destination.port), "--receivers", str(receivers)],
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
