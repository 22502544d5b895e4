"""Storage commitment as a user (PS3.4 annex J): a peer is asked to keep what it took."""

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from zweitblick.dicom.commitment import (
    COMMITMENT_INSTANCE,
    FAILURES_EXIST,
    REPORT_TAKEN,
    STORAGE_COMMITMENT,
    CommitmentReport,
    commitment_report,
    commitment_request,
    report_status_of,
)
from zweitblick.errors import NotCommittedError, PeerBrokenOffError, PeerError, PeerTimeoutError, ZweitblickError
from zweitblick.peers.association import PATIENCE, Patience, associated
from zweitblick.peers.destination import StoreDestination
from zweitblick.peers.instance import Outgoing
from zweitblick.peers.status import SUCCESS, is_warning, refusal

log = logging.getLogger(__name__)

_REQUEST_COMMITMENT = 1
"""Action Type ID (PS3.4 table J.3-1)."""


def ask_commitment(
    destination: StoreDestination,
    instances: Sequence[Outgoing],
    *,
    transaction_uid: str,
    others: Callable[[CommitmentReport], None],
    patience: Patience = PATIENCE,
) -> CommitmentReport | None:
    """Ask a destination to commit itself to keep instances that it took, and wait a moment for its report.

    Parameters
    ----------
    destination
        Whom.
    instances
        What.
    transaction_uid
        Names the request.
    others
        Is told what the destination reports of other requests meanwhile, in another thread. Raises `ZweitblickError` if
        it cannot take that.
    patience
        How long it may take; after ``report_s`` the association is released.

    Returns
    -------
    Its report, or None if it will report on an association that it requests itself.

    Raises
    ------
    PeerError
        If it does not take the request.
    """
    reports: list[CommitmentReport] = []
    is_answered = threading.Event()

    def sent(_: evt.Event) -> None:
        if reports:  # and this was our answer, so that the association may be released
            is_answered.set()

    def take(event: evt.Event) -> tuple[int, None]:
        try:
            report = _reported(event)
            if report.transaction_uid != transaction_uid:
                others(report)
                return REPORT_TAKEN, None
        except ZweitblickError as error:
            log.warning("a storage commitment report was refused: %s", error.code)
            return report_status_of(error), None
        reports.append(report)
        return REPORT_TAKEN, None

    context = build_context(STORAGE_COMMITMENT, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    handlers = [(evt.EVT_N_EVENT_REPORT, take), (evt.EVT_PDU_SENT, sent)]
    with associated(destination, [context], patience, handlers=handlers) as association:
        _ask(association, destination, instances, transaction_uid)
        is_answered.wait(patience.report_s)
    return reports[0] if reports else None  # also one that came as the association ended


def check_commitment(report: CommitmentReport, asked: Collection[str], *, destination: str) -> None:
    """Check that a destination commits itself to keep every instance that it was asked to keep.

    Only what a report names as committed is. Orthanc and dcm4chee name each instance, in a report of failures too, and
    Table J.3-2 of PS3.4 wants it. Instances are told apart by their UIDs alone, since no two have the same, whatever
    class a report says; that it names others as well is no fault of ours.

    Parameters
    ----------
    report
        Of the destination.
    asked
        SOP Instance UIDs of the instances that it was asked to keep.
    destination
        Its name in the settings.

    Raises
    ------
    NotCommittedError
        If it does not.
    """
    if report.event_type == FAILURES_EXIST or report.failures:
        reasons = ", ".join(f"0x{reason:04X}" for reason in sorted(set(report.failures))) or "none named"
        raise NotCommittedError(f"{destination} reports failures ({reasons}); it is sent and asked again")
    lacking = len(set(asked) - report.committed)
    if lacking:
        raise NotCommittedError(f"{destination} does not name {lacking} of {len(asked)} instances; it is asked again")


def _reported(event: evt.Event) -> CommitmentReport:
    request: Any = event.request
    return commitment_report(
        event.event_information, event_type=request.EventTypeID, sop_instance_uid=str(request.AffectedSOPInstanceUID)
    )


def _ask(
    association: Association, destination: StoreDestination, instances: Sequence[Outgoing], transaction_uid: str
) -> None:
    wanted = commitment_request(transaction_uid, [(one.sop_class_uid, one.sop_instance_uid) for one in instances])
    answer, _ = association.send_n_action(wanted, _REQUEST_COMMITMENT, STORAGE_COMMITMENT, COMMITMENT_INSTANCE)
    status = answer.get("Status")
    if status is None:
        raise _silence_of(association, destination)
    if status != SUCCESS and not is_warning(status):
        raise refusal(status, destination=destination.name)


def _silence_of(association: Association, destination: StoreDestination) -> PeerError:
    if association.acse.is_aborted() or not association.dul.is_alive():
        return PeerBrokenOffError(f"{destination.name} broke the association off; it is asked again")
    return PeerTimeoutError(f"{destination.name} did not answer in time; it is asked again")
