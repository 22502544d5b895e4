"""Several processes receive on one port; one that dies takes nothing with it and is started again."""

import errno
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from multiprocessing import Pipe
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.sop_class import StorageCommitmentPushModel

from dimse import receiving
from dimse.wire import ABORT, TIMEOUT_S, Counts, RawPeer, encoded, instance
from kept_study import wait_until
from zweitblick.dicom.commitment import ALL_COMMITTED, COMMITMENT_INSTANCE, CommitmentReport
from zweitblick.dimse import Crew, Receivers, ServiceLink
from zweitblick.dimse.receivers import LONGEST_DELAY_S, Run, back_off
from zweitblick.errors import (
    DimseSettingError,
    KeyHolderError,
    ReceiverError,
    StoreUnavailableError,
    UnknownRoundError,
)

HOST = "127.0.0.1"
NO_SUCH_OBJECT, RESOURCE_LIMITATION = 0x0112, 0x0213
TRANSACTION = "1.2.826.0.1.3680043.8.498.77"
INSTANCE = "1.2.3.4.1"


class Service:
    """Two receivers, and what they tell."""

    def __init__(self, folder: Path, run: Run | None = None) -> None:
        self.folder = folder
        self.counts, self.listening = Counts(), threading.Event()
        self.reports: list[CommitmentReport] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        crew = Crew(HOST, 0, 2, run or partial(receiving.receive, folder), delay_s=lambda _failures: 0.0)
        self.receivers = Receivers(crew, self.counts, self.committed, listening=self.listening)

    def committed(self, report: CommitmentReport) -> None:
        assert self.goes_on.wait(TIMEOUT_S)
        if report.failures == (NO_SUCH_OBJECT,):
            raise UnknownRoundError("no such delivery is kept")
        if report.failures:
            raise ArithmeticError(TRANSACTION)
        self.reports.append(report)

    def kept_by(self) -> dict[str, int]:
        """Process by UID of what it has kept."""
        files = [path for path in self.folder.iterdir() if path.name.isdecimal()]
        return {uid: int(file.name) for file in files for uid in file.read_text().split()}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    found = Service(tmp_path_factory.mktemp("receivers"))
    with found.receivers:
        yield found


@contextmanager
def peers(service: Service, count: int) -> Iterator[list[RawPeer]]:
    """So many associations at once."""
    with ExitStack() as stack:
        found = [stack.enter_context(RawPeer(service.receivers.port)) for _ in range(count)]
        for peer in found:
            peer.associate()
        yield found


def test_every_receiver_is_given_connections_and_tells_what_it_did(service: Service) -> None:
    before = len(service.counts.statuses)
    sent = {f"1.2.3.4.{number}": encoded(instance(number)) for number in range(32)}
    with peers(service, len(sent)) as senders:
        for peer, (uid, data) in zip(senders, sent.items(), strict=True):
            assert peer.store(data, uid) == 0x0000
            peer.release()
    kept = service.kept_by()
    assert set(kept) >= set(sent)
    # each goes to one of two by a hash of its address: all to the same once in 2**31 times
    assert {kept[uid] for uid in sent} == set(service.receivers.processes)
    wait_until(lambda: len(service.counts.statuses) == before + len(sent))
    assert service.counts.statuses[before:] == [0x0000] * len(sent)
    assert sorted(service.counts.sizes[before:]) == sorted(map(len, sent.values()))
    service.counts.wait_for_end(service.counts.accepted)


def test_one_that_is_killed_is_started_again_while_others_go_on(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    before = service.receivers.processes
    open_before = service.counts.accepted - service.counts.over
    with peers(service, 16) as senders:
        by_process: dict[int, list[RawPeer]] = {}
        for number, peer in enumerate(senders, start=100):
            assert peer.store(encoded(instance(number)), f"1.2.3.4.{number}") == 0x0000
            by_process.setdefault(service.kept_by()[f"1.2.3.4.{number}"], []).append(peer)
        killed, alive = before
        wait_until(lambda: service.counts.accepted - service.counts.over == open_before + len(senders))
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: service.listening.is_set() and killed not in service.receivers.processes)
        assert len(set(service.receivers.processes) - {alive}) == 1
        assert all(peer.receive()[0] == 0 for peer in by_process.get(killed, []))
        for number, peer in enumerate(by_process.get(alive, []), start=200):
            assert peer.store(encoded(instance(number)), f"1.2.3.4.{number}") == 0x0000
            peer.release()
    # those of the dead one count as ended too
    wait_until(lambda: service.counts.accepted == service.counts.over)
    assert f"receiver 1 ended by {signal.SIGKILL.name}" in caplog.text


def answer_to_report(service: Service, *failures: int) -> int:
    """Status that a peer is answered with that reports so many failures."""
    report = Dataset()
    report.TransactionUID = TRANSACTION
    report.ReferencedSOPSequence = [Dataset()]
    report.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = INSTANCE
    report.FailedSOPSequence = [Dataset() for _ in failures]
    for item, reason in zip(report.FailedSOPSequence, failures, strict=True):
        item.FailureReason = reason
    entity = AE("PEER")
    entity.add_requested_context(StorageCommitmentPushModel)
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    association = entity.associate(HOST, service.receivers.port, ext_neg=[role])
    answer, _ = association.send_n_event_report(
        report, 2 if failures else 1, StorageCommitmentPushModel, COMMITMENT_INSTANCE
    )
    association.release()
    return int(answer.Status)


def test_what_a_peer_reports_is_taken_by_the_service(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    assert answer_to_report(service, NO_SUCH_OBJECT) == 0x0110
    # whatever goes wrong in the service is told, its text is not, and the next report is taken
    for _ in service.receivers.processes * 4:
        assert answer_to_report(service, RESOURCE_LIMITATION) == 0x0110
    assert "ArithmeticError" in caplog.text
    assert TRANSACTION not in caplog.text
    assert service.reports == []
    assert answer_to_report(service) == 0x0000
    assert service.reports == [CommitmentReport(TRANSACTION, ALL_COMMITTED, frozenset({INSTANCE}))]
    service.reports.clear()


def test_a_report_that_takes_long_keeps_nothing_else_up(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.goes_on.clear()
    with service.receivers, ThreadPoolExecutor() as pool:
        answer = pool.submit(answer_to_report, service)
        with peers(service, 16):  # each receiver has one of them, but once in 2**15 times
            wait_until(lambda: service.counts.accepted == 17)
            assert not answer.done()
            service.goes_on.set()
            assert answer.result() == 0x0000


class Scarce:
    """Receives; the system has no process to spare at some of the starts, counted from 1."""

    def __init__(self, folder: Path, *starts: int) -> None:
        self.folder, self.starts = folder, starts
        self._number = 0

    def __reduce__(self) -> tuple[object, ...]:  # whoever starts a process pickles what it does
        self._number += 1
        if self._number in self.starts:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return partial, (receiving.receive, self.folder)


def test_one_that_the_system_does_not_start_is_started_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = Service(tmp_path, Scarce(tmp_path, 3, 4))
    with service.receivers:
        killed, _ = service.receivers.processes
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: service.listening.is_set() and killed not in service.receivers.processes)
        assert caplog.text.count(os.strerror(errno.EAGAIN)) == 2


def test_one_that_the_system_does_not_start_at_first_keeps_all_from_starting(tmp_path: Path) -> None:
    with pytest.raises(ReceiverError, match=os.strerror(errno.EAGAIN)):
        Service(tmp_path, Scarce(tmp_path, 2))


def test_a_port_that_others_receive_on_is_not_shared(service: Service) -> None:
    """Without this a second service would be given half of the first one's connections."""
    with pytest.raises(DimseSettingError, match=str(service.receivers.port)):
        receivers(receiving.die, port=service.receivers.port)


def test_a_port_in_use_is_named() -> None:
    with closing(socket.create_server((HOST, 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(DimseSettingError, match=str(port)):
            receivers(receiving.die, port=port)


@pytest.mark.parametrize(("run", "error"), [(receiving.refuse, KeyHolderError), (receiving.die, ReceiverError)])
def test_what_keeps_one_from_starting_is_raised(run: Run, error: type[Exception]) -> None:
    with pytest.raises(error):
        receivers(run)


def receivers(run: Run, *, port: int = 0) -> Receivers:
    crew = Crew(HOST, port, 1, run)
    return Receivers(crew, Counts(), lambda _report: None, listening=threading.Event())


def test_closing_aborts_associations_and_ends_the_processes(tmp_path: Path) -> None:
    service = Service(tmp_path)
    processes = service.receivers.processes
    with peers(service, 4) as senders:
        service.receivers.close()
        assert [peer.receive()[0] for peer in senders] == [ABORT] * len(senders)
    assert not service.listening.is_set()
    assert service.receivers.processes == []
    assert not any(Path(f"/proc/{process}").exists() for process in processes)
    # the last counts came too
    assert service.counts.accepted == service.counts.over == len(senders)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, service.receivers.port))


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "stops"])
def test_a_receiver_ends_with_its_service_and_takes_no_report_any_more(gone: bool) -> None:
    ours, theirs = Pipe()
    link = ServiceLink(theirs)
    stopped = threading.Event()
    serving = threading.Thread(target=link.serve, args=(stopped.is_set,))
    serving.start()
    if gone:
        ours.close()
    else:
        stopped.set()
    serving.join(TIMEOUT_S)
    assert not serving.is_alive()
    with pytest.raises(StoreUnavailableError):
        link.committed(CommitmentReport("1.2", ALL_COMMITTED))
    link.close()
    ours.close()


def test_the_delay_grows_and_is_bounded() -> None:
    delays = [back_off(failures) for failures in range(1, 2000)]
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(delays) == delays[-1] == LONGEST_DELAY_S
    assert delays == sorted(delays)
