"""``zweitblick serve`` with two receiver processes, of which one is killed while several senders send at once."""

import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

from dimse.wire import EXPLICIT, MR, RawPeer, encoded, instance
from interop.service import Service, serving
from kept_study import PATIENCE_S, wait_until
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import FileKeyHolder

SENDERS = 6
INSTANCES = 20
"""Of one sender and one study."""
SHARED = "1.2.3"
"""Study that all senders send instances of."""


class Sender(threading.Thread):
    """Sends instances of a shared study and of one of its own, in turn, each until it is acknowledged."""

    def __init__(self, number: int, port: int) -> None:
        super().__init__()
        self.port, self.study = port, f"1.2.{100 + number}"
        numbers = range(number * INSTANCES, (number + 1) * INSTANCES)
        self.missing = [instance(one, study=study) for one in numbers for study in (SHARED, self.study)]
        self.acknowledged: list[str] = []
        self.refused: list[int] = []
        self.started_well = threading.Event()

    def run(self) -> None:
        while self.missing:
            try:
                with RawPeer(self.port) as peer:
                    peer.associate((MR, [EXPLICIT]))
                    self._send(peer)
                    peer.release()
            except (OSError, AssertionError):  # the receiver was killed, or what came is no answer
                continue

    def _send(self, peer: RawPeer) -> None:
        while self.missing:
            data = self.missing[0]
            status = peer.store(encoded(data), data.SOPInstanceUID)
            if status != 0:
                self.refused.append(status)
                return
            self.acknowledged.append(str(self.missing.pop(0).SOPInstanceUID))
            if len(self.acknowledged) == INSTANCES // 2:
                self.started_well.set()


def receivers_of(service: Service) -> set[int]:
    """Ids of the processes that it has started to receive."""
    found = set()
    for file in Path(f"/proc/{service.process.pid}/task").glob("*/children"):
        for child in file.read_text().split():
            if b"--multiprocessing-fork" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.add(int(child))
    return found


def test_a_receiver_that_is_killed_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    settings = {"ZWEITBLICK_DICOM_RECEIVERS": "2", "ZWEITBLICK_QUIET_TIME_S": "3600"}
    with serving(tmp_path, **settings) as service:
        first = receivers_of(service)
        assert len(first) == 2
        assert ready(service) == 200
        senders = [Sender(number, int(service.port)) for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        for sender in senders:
            assert sender.started_well.wait(PATIENCE_S)
        killed = min(first)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: ready(service) == 503)
        wait_until(lambda: ready(service) == 200)
        assert len(receivers_of(service) - first) == 1
        for sender in senders:
            sender.join(PATIENCE_S)
        last = receivers_of(service)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE_S) == 0
    assert not any(Path(f"/proc/{process}").exists() for process in last)
    assert "ended by SIGKILL" in (tmp_path / "log").read_text()
    assert [sender.refused for sender in senders] == [[]] * SENDERS
    assert_kept(tmp_path, senders)


def ready(service: Service) -> int:
    return service.client.get("/ready").status_code


def assert_kept(home: Path, senders: list[Sender]) -> None:
    holder = FileKeyHolder(home / ".config" / "zweitblick" / "key")
    places = StorePlaces.within(home / ".local" / "share" / "zweitblick")
    with Store(places, holder, clock=lambda: datetime.now(UTC)) as store:
        kept = []
        for study in (SHARED, *(sender.study for sender in senders)):
            token = store.token(study)
            assert [one.number for one in store.rounds(token)] == [1]
            kept += [one.sop_instance_uid for one in store.instances(token)]
    assert sorted(kept) == sorted(uid for sender in senders for uid in sender.acknowledged)
    assert len(kept) == SENDERS * INSTANCES * 2
