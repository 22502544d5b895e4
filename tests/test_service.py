"""The service put together: what it tells while it stops, and what senders are told then."""

import sqlite3
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from access.identity_provider import AUDIENCE, IdentityProvider
from dimse.wire import (
    ABORT,
    ASSOCIATE_AC,
    EXPLICIT,
    MR,
    RawPeer,
    associate_rq,
    encoded,
    fragment,
    instance,
    message,
    store_rq,
)
from kept_study import wait_until
from zweitblick.access.principal import Role
from zweitblick.access_settings import USUAL_ACCESS, AccessSettings, ProviderSettings
from zweitblick.cli.doors import users_of
from zweitblick.cli.service import serving
from zweitblick.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from zweitblick.settings import DicomSettings, HttpSettings, Settings

FIRST, SECOND, THIRD = (encoded(instance(number)) for number in (1, 2, 3))


class Running:
    """A service in this process, until it is told to stop."""

    def __init__(self, folder: Path, access: AccessSettings = USUAL_ACCESS) -> None:
        settings = Settings(
            data=folder / "data",
            key_file=folder / "key",
            dicom=DicomSettings(port=0),
            http=HttpSettings(port=0),
            access=access,
        )
        self.folder, self._stop, self._started = folder, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, args=(settings,))
        self.thread.start()
        assert self._started.wait(60)

    def _run(self, settings: Settings) -> None:
        with serving(settings) as addresses:
            self.port, self.http = int(addresses["DICOM"].split()[-1]), addresses["HTTP"]
            self.token = addresses.get("Token")
            self._started.set()
            self._stop.wait()

    def stop(self) -> None:
        self._stop.set()

    def close(self) -> None:
        self.stop()
        self.thread.join(60)
        assert not self.thread.is_alive()

    def status(self, path: str) -> int:
        return httpx.get(f"{self.http}{path}").status_code

    def written(self) -> int:
        """Bytes of sealed objects."""
        return sum(path.stat().st_size for path in (self.folder / "data" / "data" / "objects").rglob("*"))

    @contextmanager
    def unwritable(self) -> Iterator[None]:
        """Hold the lock that whoever writes to the database waits for."""
        with closing(sqlite3.connect(self.folder / "data" / "data" / "store.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with closing(Running(tmp_path)) as service:
        yield service


def test_what_is_being_kept_is_acknowledged_and_what_is_not_whole_is_aborted(running: Running) -> None:
    assert (running.status("/health"), running.status("/ready")) == (200, 200)
    with RawPeer(running.port) as busy, RawPeer(running.port) as midway:
        busy.associate((MR, [EXPLICIT]))
        midway.associate((MR, [EXPLICIT]))
        assert busy.store(FIRST, "1.2.3.4.1") == 0x0000
        midway.send(fragment(1, 3, store_rq("1.2.3.4.3")) + fragment(1, 0, THIRD[:100]))
        with running.unwritable():
            before = running.written()
            busy.send(message(1, store_rq("1.2.3.4.2"), SECOND))
            wait_until(lambda: running.written() > before)
            running.stop()
            # nobody is sent to it any more, while it still answers whom it has begun to serve
            wait_until(lambda: running.status("/ready") == 503)
            assert running.status("/health") == 200
        assert busy.status() == 0x0000
        assert busy.receive()[0] == ABORT
        assert midway.receive()[0] == ABORT
    running.thread.join(60)
    with closing(sqlite3.connect(running.folder / "data" / "data" / "store.sqlite")) as store:
        assert store.execute("SELECT count(*) FROM objects").fetchone() == (2,)


def test_metrics_are_told_to_who_has_the_token(running: Running) -> None:
    with RawPeer(running.port) as peer:
        peer.associate((MR, [EXPLICIT]))
        assert peer.store(FIRST, "1.2.3.4.1") == 0x0000
    assert running.status("/metrics") == 401
    answer = httpx.get(f"{running.http}/metrics", headers={"Authorization": f"Bearer {running.token}"})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    (instances,) = families["zweitblick_dicom_instances"].samples[:1]
    assert (instances.labels, instances.value) == ({"status": "0x0000"}, 1)
    assert {"zweitblick_rounds", "zweitblick_stage_seconds", "process_resident_memory_bytes"} <= set(families)


def test_with_a_provider_and_local_machines_no_token_is_printed_and_theirs_open(tmp_path: Path) -> None:
    users = tmp_path / "users"
    token = users_of(users).add_machine("prometheus", [Role.SERVICE])
    with closing(IdentityProvider()) as provider:
        provider.begin(lambda: datetime.now(UTC))
        access = AccessSettings(ProviderSettings(provider.issuer, AUDIENCE), users)
        with closing(Running(tmp_path, access)) as service:
            assert service.token is None
            statuses = [
                httpx.get(f"{service.http}{path}", headers={"Authorization": f"Bearer {bearer}"}).status_code
                for path, bearer in (
                    ("/metrics", token),
                    ("/metrics", f"{token}x"),
                    ("/api/v1/reads", provider.access_token(roles=["radiologist"])),
                    ("/api/v1/reads", provider.access_token(roles=["auditor"])),
                )
            ]
    assert statuses == [200, 401, 200, 403]


def test_an_association_is_told_whose_implementation_answers(running: Running) -> None:
    """PS3.7 annex D.3.3.2: items 0x52 and 0x55 of the user information."""
    with RawPeer(running.port) as peer:
        peer.send(associate_rq([(MR, [EXPLICIT])]))
        kind, content = peer.receive()
    assert kind == ASSOCIATE_AC
    for item, value in ((0x52, IMPLEMENTATION_CLASS_UID), (0x55, IMPLEMENTATION_VERSION)):
        assert struct.pack(">BBH", item, 0, len(value)) + value.encode() in content
