"""Cancellation: when and why a procedure step was discontinued, within its progress information (PS3.3 C.30.1)."""

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.sr.coding import Code

from zweitblick.worklist.content import PROGRESS

UNSPECIFIED = Code("110513", "DCM", "Discontinued for unspecified reason")
"""Where no reason is given (PS3.16 CID 9300): what is cancelled must have a coded one (PS3.4 Table CC.2.5-3), and yet
may be cancelled by who sets nothing before (the note of section CC.2.5.1.3.2)."""


def discontinuation(content: Dataset, at: str, *, reason: str = "", codes: Sequence[Dataset] = ()) -> Dataset:
    """Return the change by which a work item says that it was discontinued, as it must before it is cancelled.

    What it says of its progress, and of why and when it was discontinued, stays where nothing else is given.

    Parameters
    ----------
    content
        What the work item says; changed.
    at
        Procedure Step Cancellation DateTime, if there is none yet.
    reason
        Reason For Cancellation; there need not be one.
    codes
        Procedure Step Discontinuation Reason Code Sequence; `UNSPECIFIED` if there are none and were none.
    """
    progress = (content.get(PROGRESS) or [Dataset()])[0]
    if not progress.get("ProcedureStepCancellationDateTime"):
        progress.ProcedureStepCancellationDateTime = at
    if reason:
        progress.ReasonForCancellation = reason
    told = list(codes) or progress.get("ProcedureStepDiscontinuationReasonCodeSequence")
    progress.ProcedureStepDiscontinuationReasonCodeSequence = told or [_item(UNSPECIFIED)]
    change = Dataset()
    change.ProcedureStepProgressInformationSequence = [progress]
    return change


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item
