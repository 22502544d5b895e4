"""CommitmentReport: what a peer says of the instances that it was asked to keep (PS3.4 annex J)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import UID

from zweitblick.dicom.header import DAMAGE, quietly
from zweitblick.errors import DamagedInstanceError

STORAGE_COMMITMENT = UID("1.2.840.10008.1.20.1")
"""Storage Commitment Push Model SOP Class."""
COMMITMENT_INSTANCE = UID("1.2.840.10008.1.20.1.1")
"""Its well-known instance."""


@dataclass(frozen=True)
class CommitmentReport:
    """What a peer says of a request (PS3.4 table J.3-2).

    Parameters
    ----------
    transaction_uid
        Of the request.
    failures
        Failure Reason (0008,1197) of each instance that it does not commit itself to keep.
    """

    transaction_uid: str = field(repr=False)
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


def commitment_report(information: Dataset) -> CommitmentReport:
    """Read the Event Information of a report.

    Raises
    ------
    DamagedInstanceError
        If it names no transaction, or cannot be read.
    """
    with quietly():
        try:
            failed = information.get("FailedSOPSequence") or []
            return CommitmentReport(
                str(information.TransactionUID), tuple(int(item.get("FailureReason", 0x0110)) for item in failed)
            )
        except (*DAMAGE, OSError) as error:  # pydicom raises OSError where a sequence is cut short
            raise DamagedInstanceError("a storage commitment report cannot be read; repair its sender") from error
