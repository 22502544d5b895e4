"""A peer is asked to keep what it took; its report is taken on the association of the request, and on another."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.sop_class import MRImageStorage, StorageCommitmentPushModel

from dimse.wire import Kept
from peers.fake_peers import COMMITMENT, SEG, SR, CommittingPeer, StorePeer, free_port, made
from zweitblick.dicom.commitment import ALL_COMMITTED, FAILURES_EXIST, CommitmentReport
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.dimse.services import Services
from zweitblick.errors import (
    NotCommittedError,
    PeerBusyError,
    PeerContextError,
    PeerRefusedError,
    PeerUnreachableError,
    UnknownRoundError,
)
from zweitblick.peers.association import Patience
from zweitblick.peers.commitment import ask_commitment, check_commitment

PATIENT = Patience(connection_s=5, association_s=5, answer_s=20, report_s=20)
HASTY = replace(PATIENT, report_s=0.1)
TRANSACTION = "2.25.4711"


def unknown(_report: CommitmentReport) -> None:
    raise UnknownRoundError("no such delivery is kept")


def ask(
    peer: StorePeer, patience: Patience = PATIENT, others: Callable[[CommitmentReport], None] = unknown
) -> CommitmentReport | None:
    instances = [made(SEG)[0], made(SR)[0]]
    return ask_commitment(peer.destination, instances, transaction_uid=TRANSACTION, others=others, patience=patience)


def uids(peer: CommittingPeer) -> list[str]:
    """What the peer was last asked to keep."""
    return [item.ReferencedSOPInstanceUID for item in peer.asked[-1].ReferencedSOPSequence]


def all_kept(peer: CommittingPeer) -> CommitmentReport:
    return CommitmentReport(TRANSACTION, ALL_COMMITTED, frozenset(uids(peer)))


def test_a_report_may_come_on_the_same_association() -> None:
    with CommittingPeer() as peer:
        assert ask(peer) == all_kept(peer)
        (asked,) = peer.asked
    assert peer.answers == [0x0000]
    assert asked.TransactionUID == TRANSACTION
    assert [item.ReferencedSOPClassUID for item in asked.ReferencedSOPSequence] == [SEG, SR]


def test_reports_of_other_requests_are_handed_on_and_do_not_stand_in_for_ours() -> None:
    known: list[CommitmentReport] = []
    with CommittingPeer() as peer:
        peer.before = ["2.25.1", "2.25.2"]
        assert ask(peer, others=known.append) == all_kept(peer)
        assert known == [CommitmentReport("2.25.1", ALL_COMMITTED), CommitmentReport("2.25.2", ALL_COMMITTED)]
        assert ask(peer) == all_kept(peer)
    assert peer.answers == [0x0000, 0x0000, 0x0000, 0x0110, 0x0110, 0x0000]


def test_what_the_peer_will_not_keep_is_told() -> None:
    with CommittingPeer() as peer:
        peer.failures = [0x0112]
        report = ask(peer)
        kept = frozenset(uids(peer)[1:])
    assert report == CommitmentReport(TRANSACTION, FAILURES_EXIST, kept, (0x0112,))


def test_a_report_may_come_on_another_association() -> None:
    reports: list[CommitmentReport] = []
    server = DicomServer(ListenerConfig(port=0), Kept(), services=Services(reports.append))
    with server, CommittingPeer(report_to=server.port) as peer:
        peer.failures = [0x0213]
        assert ask(peer, HASTY) is None
    assert peer.answers == [0x0000]
    assert reports == [CommitmentReport(TRANSACTION, FAILURES_EXIST, frozenset(uids(peer)[1:]), (0x0213,))]


@pytest.mark.parametrize("named", [{"1.2.1", "1.2.2"}, {"1.2.1", "1.2.2", "1.2.3"}], ids=["all", "and another"])
def test_what_is_named_is_committed(named: set[str]) -> None:
    check_commitment(CommitmentReport(TRANSACTION, ALL_COMMITTED, frozenset(named)), ["1.2.1", "1.2.2"], destination="")


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (CommitmentReport(TRANSACTION, ALL_COMMITTED), "PACS does not name 2 of 2 instances"),
        (CommitmentReport(TRANSACTION, ALL_COMMITTED, frozenset({"1.2.2"})), "PACS does not name 1 of 2 instances"),
        (CommitmentReport(TRANSACTION, FAILURES_EXIST, frozenset({"1.2.1", "1.2.2"})), r"failures \(none named\)"),
        (
            CommitmentReport(TRANSACTION, ALL_COMMITTED, frozenset({"1.2.1", "1.2.2"}), (0x0213, 0x0112, 0x0213)),
            r"PACS reports failures \(0x0112, 0x0213\)",
        ),
    ],
    ids=["names none", "one is not named", "failures that are not named", "success with failures"],
)
def test_what_is_not_named_or_has_failed_is_not_committed(report: CommitmentReport, message: str) -> None:
    with pytest.raises(NotCommittedError, match=message):
        check_commitment(report, ["1.2.1", "1.2.2"], destination="PACS")


@pytest.mark.parametrize(("status", "error"), [(0x0110, PeerBusyError), (0x0122, PeerRefusedError)])
def test_a_request_may_be_refused(status: int, error: type[Exception]) -> None:
    with CommittingPeer() as peer:
        peer.action_status = status
        with pytest.raises(error):
            ask(peer)


def test_a_peer_may_not_offer_it_or_not_be_there() -> None:
    with StorePeer() as peer:
        with pytest.raises(PeerContextError):
            ask(peer)
        peer.destination = replace(peer.destination, port=free_port())
        with pytest.raises(PeerUnreachableError):
            ask(peer)


def reported(server: DicomServer, report: Dataset, *, kind: int = 1, instance: str = COMMITMENT[1]) -> int | None:
    """Send a report, and return the status that it was answered with; None if it was not."""
    entity = AE("PEER")
    entity.add_requested_context(StorageCommitmentPushModel)
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    association = entity.associate("127.0.0.1", server.port, ext_neg=[role])
    assert association.is_established
    answer, _ = association.send_n_event_report(report, kind, StorageCommitmentPushModel, instance)
    association.release()
    return answer.get("Status")


def test_a_report_that_nobody_waits_for_is_refused() -> None:
    report = Dataset()
    report.TransactionUID = TRANSACTION
    with DicomServer(ListenerConfig(port=0), Kept(), services=Services(unknown)) as server:
        assert reported(server, report) == 0x0110


def test_a_report_of_failures_without_their_list_is_taken_as_one() -> None:
    reports: list[CommitmentReport] = []
    report = Dataset()
    report.TransactionUID = TRANSACTION
    with DicomServer(ListenerConfig(port=0), Kept(), services=Services(reports.append)) as server:
        assert reported(server, report, kind=2) == 0x0000
    assert reports == [CommitmentReport(TRANSACTION, FAILURES_EXIST)]


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ("no transaction", 0x0115),
        ("no such instance", 0x0112),
        ("no such event type", 0x0113),
        ("failures that are none", 0x0115),
        ("an instance without its UID", 0x0115),
    ],
)
def test_a_report_that_is_none_is_refused(case: str, status: int) -> None:
    reports: list[CommitmentReport] = []
    report = Dataset()
    report.TransactionUID = TRANSACTION
    instance = "1.2.3" if case == "no such instance" else COMMITMENT[1]
    if case == "no transaction":
        del report.TransactionUID
        report.RetrieveAETitle = "PEER"
    if case == "failures that are none":
        report.FailedSOPSequence = [Dataset()]
        report.FailedSOPSequence[0].FailureReason = None
    if case == "an instance without its UID":
        report.ReferencedSOPSequence = [Dataset()]
        report.ReferencedSOPSequence[0].ReferencedSOPClassUID = SEG
    kind = 3 if case == "no such event type" else 1
    with DicomServer(ListenerConfig(port=0), Kept(), services=Services(reports.append)) as server:
        assert reported(server, report, kind=kind, instance=instance) == status
    assert reports == []


def test_a_report_that_is_none_is_refused_on_the_association_of_the_request_too() -> None:
    with CommittingPeer() as peer:
        peer.kinds = [3]
        assert ask(peer, replace(PATIENT, report_s=1)) is None
    assert peer.answers == [0x0113]


def test_a_server_that_asks_nobody_takes_no_reports() -> None:
    entity = AE("PEER")
    entity.add_requested_context(StorageCommitmentPushModel)
    entity.add_requested_context(MRImageStorage)
    with DicomServer(ListenerConfig(port=0), Kept()) as server:
        association = entity.associate("127.0.0.1", server.port)
        assert [one.abstract_syntax for one in association.accepted_contexts] == [MRImageStorage]
        association.release()
