"""Where a destination is to commit itself a round is delivered once it has, to all that it was asked to keep."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from delivery.test_deliverer import DELIVERY, PATIENT, delivering, events_of, read_round, shown
from kept_study import files_of, wait_until
from peers.fake_peers import CommittingPeer, StorePeer
from reading_house import House, last, reached
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.route import Route
from zweitblick.dicom.commitment import ALL_COMMITTED, CommitmentReport
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.dimse.services import Services
from zweitblick.errors import UnknownRoundError
from zweitblick.store.life import Event, State
from zweitblick.store.store import Store


def test_a_destination_that_commits_itself_has_it_only_then(house: House, study: Path) -> None:
    """The first time it does not, and everything is sent and asked again."""
    with house.store() as store, ExitStack() as stack:
        reports: list[CommitmentReport] = []
        server = stack.enter_context(DicomServer(ListenerConfig(port=0), store, services=Services(reports.append)))
        peer = stack.enter_context(CommittingPeer(report_to=server.port))
        peer.failures = [0x0110]
        deliverer = Deliverer(
            store, [Route(peer.destination)], delay_s=lambda _: 0.01, patience=replace(PATIENT, report_s=0.01)
        )
        one, results = read_round(store, files_of(study, "T1")[0])
        with house.worker(store, deliverer=deliverer) as worker:
            worker.submit(one)
            for count in (1, 2):
                wait_until(lambda: len(reports) == count)  # noqa: B023 -- called before the next round
                wait_until(lambda: shown(store, one)[0][1:3] == ("committing", count))  # noqa: B023 -- as before
                assert last(store, one.study).state is State.DELIVERING
                deliverer.committed(reports[-1])
            reached(store, one.study, State.AWAITING_REVIEW)
        assert peer.taken == results
        assert len(peer.received) == 6
        assert len({report.transaction_uid for report in reports}) == 2
        assert events_of(store, one.study) == [DELIVERY[0], Event.ATTEMPT_FAILED, *DELIVERY[1:]]
        with pytest.raises(UnknownRoundError):
            deliverer.committed(CommitmentReport("2.25.1", ALL_COMMITTED))


@pytest.mark.parametrize(
    "fault", [("kinds", 2), ("left_out", 1), ("left_out", 3)], ids=["failures", "two of three", "none named"]
)
@pytest.mark.parametrize("where", ["same association", "our port"])
def test_a_report_that_does_not_name_everything_as_committed_commits_nobody(
    house: House, study: Path, fault: tuple[str, int], where: str
) -> None:
    """Everything is sent and asked again, and what is then reported as committed is delivered."""
    with house.store() as store, ExitStack() as stack:

        def committed(report: CommitmentReport) -> None:
            deliverer.committed(report)

        server = stack.enter_context(DicomServer(ListenerConfig(port=0), store, services=Services(committed)))
        peer = stack.enter_context(CommittingPeer(report_to=None if where == "same association" else server.port))
        name, value = fault
        setattr(peer, name, [value])
        patience = replace(PATIENT, report_s=20.0 if where == "same association" else 0.01)
        deliverer = Deliverer(store, [Route(peer.destination)], delay_s=lambda _: 0.01, patience=patience)
        one, results = read_round(store, files_of(study, "T1")[0])
        with house.worker(store, deliverer=deliverer) as worker:
            worker.submit(one)
            reached(store, one.study, State.AWAITING_REVIEW)
        assert peer.taken == results
        assert len(peer.received) == 6
        assert shown(store, one) == [("PACS", "delivered", 2, None)]
        assert codes_of(store, one.study) == ["peer.not-committed"]
    assert peer.answers == [0x0000, 0x0000], "a report that was understood is taken"


def codes_of(store: Store, study: str) -> list[str]:
    return [entry.code for entry in store.history(study) if entry.code]


def test_a_destination_that_does_not_offer_what_it_is_said_to_refuses(house: House, study: Path) -> None:
    with house.store() as store, StorePeer() as peer:
        one, results = read_round(store, files_of(study, "T1")[0])
        route = Route(replace(peer.destination, storage_commitment=True))
        with house.worker(store, deliverer=delivering(store, route)) as worker:
            worker.submit(one)
            reached(store, one.study, State.FAILED)
        assert peer.taken == results
        assert shown(store, one) == [("PACS", "refused", 1, "peer.context")]


def test_a_destination_that_never_reports_is_asked_again(house: House, study: Path) -> None:
    with house.store() as store, CommittingPeer(report_to=0) as peer:
        patience = replace(PATIENT, report_s=1.0, commitment_s=0.01)  # long enough for a report that does come
        deliverer = Deliverer(store, [Route(peer.destination)], delay_s=lambda _: 0.01, patience=patience)
        one, _ = read_round(store, files_of(study, "T1")[0])
        with house.worker(store, deliverer=deliverer) as worker:
            worker.submit(one)
            wait_until(lambda: len(peer.asked) == 2)
            peer.report_to = None
            reached(store, one.study, State.AWAITING_REVIEW)
        assert Event.ATTEMPT_FAILED in events_of(store, one.study)
