"""Storage commitment as a user (PS3.4 annex J): a peer is asked to keep what it took."""

import logging
import threading
from collections.abc import Callable, Sequence

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from zweitblick.dicom.commitment import (
    COMMITMENT_INSTANCE,
    STORAGE_COMMITMENT,
    CommitmentReport,
    commitment_report,
    commitment_request,
)
from zweitblick.errors import PeerBrokenOffError, PeerError, PeerTimeoutError, ZweitblickError
from zweitblick.peers.association import PATIENCE, Patience, associated
from zweitblick.peers.destination import StoreDestination
from zweitblick.peers.instance import Outgoing
from zweitblick.peers.status import SUCCESS, is_warning, refusal

log = logging.getLogger(__name__)

_REQUEST_COMMITMENT = 1
"""Action Type ID (PS3.4 table J.3-1)."""
_TAKEN, _NOT_TAKEN = 0x0000, 0x0110


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
    is_there = threading.Event()

    def take(event: evt.Event) -> tuple[int, None]:
        try:
            report = commitment_report(event.event_information)
            if report.transaction_uid != transaction_uid:
                others(report)
                return _TAKEN, None
        except ZweitblickError as error:
            log.warning("a storage commitment report was refused: %s", error.code)
            return _NOT_TAKEN, None
        reports.append(report)
        is_there.set()
        return _TAKEN, None

    context = build_context(STORAGE_COMMITMENT, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    handlers = [(evt.EVT_N_EVENT_REPORT, take)]
    with associated(destination, [context], patience, handlers=handlers) as association:
        _ask(association, destination, instances, transaction_uid)
        is_there.wait(patience.report_s)
    return reports[0] if reports else None  # also one that came as the association ended


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
