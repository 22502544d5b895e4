"""CommitmentReport: what a peer says of the instances that it was asked to keep (PS3.4 annex J)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import UID

from zweitblick.dicom.header import DAMAGE, quietly
from zweitblick.errors import (
    CommitmentEventError,
    CommitmentInstanceError,
    DamagedInstanceError,
    InstanceTooLargeError,
    KeyHolderError,
    StoreFullError,
    ZweitblickError,
)
from zweitblick.errors.root import status_in

STORAGE_COMMITMENT = UID("1.2.840.10008.1.20.1")
"""Storage Commitment Push Model SOP Class."""
COMMITMENT_INSTANCE = UID("1.2.840.10008.1.20.1.1")
"""Its well-known instance."""
ALL_COMMITTED, FAILURES_EXIST = 1, 2
"""Event Type IDs of reports (PS3.4 table J.3-2)."""

REPORT_TAKEN, REPORT_NOT_TAKEN = 0x0000, 0x0110
REPORT_STATUS: dict[type[ZweitblickError], int] = {
    # PS3.7 section C.5, in the order of its codes; what has none here is a processing failure, REPORT_NOT_TAKEN
    CommitmentInstanceError: 0x0112,
    CommitmentEventError: 0x0113,
    DamagedInstanceError: 0x0115,
    # Resource limitation
    StoreFullError: 0x0213,
    KeyHolderError: 0x0213,
    InstanceTooLargeError: 0x0213,
}
"""Of an N-EVENT-REPORT (PS3.7 section 10.1.1.1.8)."""


@dataclass(frozen=True)
class CommitmentReport:
    """What a peer says of a request (PS3.4 table J.3-2).

    Parameters
    ----------
    transaction_uid
        Of the request.
    event_type
        `ALL_COMMITTED` or `FAILURES_EXIST`.
    committed
        SOP Instance UIDs of the instances that it commits itself to keep.
    failures
        Failure Reason (0008,1197) of each instance that it does not commit itself to keep.
    """

    transaction_uid: str = field(repr=False)
    event_type: int
    committed: frozenset[str] = field(default=frozenset(), repr=False)
    failures: tuple[int, ...] = ()


def commitment_request(transaction_uid: str, instances: Sequence[tuple[str, str]]) -> Dataset:
    """Compose the Action Information of a request (PS3.4 table J.3-1).

    Parameters
    ----------
    transaction_uid
        Names it.
    instances
        SOP Class and SOP Instance UIDs.
    """
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = []
    for sop_class_uid, sop_instance_uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class_uid
        item.ReferencedSOPInstanceUID = sop_instance_uid
        request.ReferencedSOPSequence.append(item)
    return request


def commitment_report(information: Dataset, *, event_type: int | None, sop_instance_uid: str) -> CommitmentReport:
    """Read a report.

    A sequence that is absent counts as empty: what is not named is not committed then, which is told to the sender of
    the instances and not to that of the report, who would only repeat it.

    Parameters
    ----------
    information
        Event Information.
    event_type
        Event Type ID; None if there is none.
    sop_instance_uid
        Affected SOP Instance UID.

    Raises
    ------
    CommitmentInstanceError
        If it is not of the well-known instance.
    CommitmentEventError
        If its event type is none of storage commitment.
    DamagedInstanceError
        If it names no transaction, or cannot be read.
    """
    if sop_instance_uid != COMMITMENT_INSTANCE:
        raise CommitmentInstanceError("a storage commitment report is of no such instance; repair its sender")
    if event_type not in (ALL_COMMITTED, FAILURES_EXIST):
        raise CommitmentEventError(f"a storage commitment report has no event type {event_type}; repair its sender")
    with quietly():
        try:
            return CommitmentReport(
                str(information.TransactionUID),
                event_type,
                frozenset(_instance_of(item) for item in information.get("ReferencedSOPSequence") or []),
                # Failure Reason is of type 1; an instance without one has failed all the same
                tuple(int(item.get("FailureReason", 0x0110)) for item in information.get("FailedSOPSequence") or []),
            )
        except (*DAMAGE, OSError) as error:  # pydicom raises OSError where a sequence is cut short
            raise DamagedInstanceError("a storage commitment report cannot be read; repair its sender") from error


def report_status_of(error: ZweitblickError) -> int:
    """Status of a report that is refused; that of the nearest class in `REPORT_STATUS`, else `REPORT_NOT_TAKEN`."""
    return status_in(REPORT_STATUS, error, default=REPORT_NOT_TAKEN)


def _instance_of(item: Dataset) -> str:
    return str(item.ReferencedSOPInstanceUID)
