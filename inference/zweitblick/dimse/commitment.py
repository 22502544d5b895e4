"""N-EVENT-REPORT of the Storage Commitment Push Model (PS3.4 section J.3.3): what was committed is handed on."""

import logging
from collections.abc import Callable

from pynetdicom.presentation import PresentationContext

from zweitblick.dicom.commitment import (
    REPORT_NOT_TAKEN,
    REPORT_TAKEN,
    CommitmentReport,
    commitment_report,
    report_status_of,
)
from zweitblick.dimse.data_set import data_set_of
from zweitblick.dimse.messages import Request
from zweitblick.errors import ZweitblickError

log = logging.getLogger(__name__)

Committed = Callable[[CommitmentReport], None]
"""Is told what a peer reports; called from several threads at once. Raises `ZweitblickError` if it cannot take it."""


def serve_report(request: Request, context: PresentationContext, committed: Committed) -> int:
    """Hand a report on, and return the status for its sender: 0x0000 only once it was taken."""
    try:
        committed(_report(request, context))
    except ZweitblickError as error:
        log.warning("a storage commitment report was refused: %s", error.code)
        return report_status_of(error)
    except Exception as error:  # noqa: BLE001  # the request's edge: the sender must be told that nothing was taken
        log.error("taking a storage commitment report failed by %s", type(error).__name__)  # noqa: TRY400  # may quote
        return REPORT_NOT_TAKEN
    return REPORT_TAKEN


def _report(request: Request, context: PresentationContext) -> CommitmentReport:
    return commitment_report(
        data_set_of(request, context),
        event_type=request.event_type,
        sop_instance_uid=request.sop_instance_uid,
    )
