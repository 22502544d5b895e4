"""DIMSE status of every error that ends a request, as one table for each kind of request."""

from collections.abc import Mapping

from zweitblick.errors import (
    AuditError,
    DamagedInstanceError,
    InstanceTooLargeError,
    KeyHolderError,
    MismatchedInstanceError,
    ReceptionFullError,
    RequestError,
    StepAttributeError,
    StepEndedError,
    StepExistsError,
    StepUidError,
    StepValueError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    TooManyMatchesError,
    UnknownStepError,
    ZweitblickError,
)
from zweitblick.errors.root import status_in

SUCCESS = 0x0000
PENDING, CANCELLED = 0xFF00, 0xFE00
"""Of a C-FIND (PS3.4 table C.4-1)."""
PROCESSING_FAILURE = 0x0110
"""PS3.7 section C.4.2."""
TOO_LARGE = 0xC001
"""Of a C-STORE whose data set is longer than `zweitblick.dimse.ListenerConfig.maximum_instance_bytes`."""
UNABLE_TO_PROCESS = 0xC001
"""Of a C-FIND that fails by what is no fault of its identifier (PS3.4 table C.4-1)."""

STATUS: dict[type[ZweitblickError], int] = {
    # Refused: Out of Resources, A7xx (PS3.4 table B.2-1); a sender tries these again
    StoreFullError: 0xA700,
    AuditError: 0xA700,
    ReceptionFullError: 0xA700,
    KeyHolderError: 0xA700,
    # Error: Data Set does not match SOP Class, A9xx (PS3.4 table B.2-1)
    MismatchedInstanceError: 0xA900,
    # Error: Cannot understand, Cxxx (PS3.4 table B.2-1)
    DamagedInstanceError: 0xC000,
    InstanceTooLargeError: TOO_LARGE,  # by our limit, not for want of room: sent again it would be refused again
    # Processing failure (PS3.7 section C.4.2): nothing is wrong with the instance
    StoreUnavailableError: PROCESSING_FAILURE,
    StoreError: PROCESSING_FAILURE,
}
"""Of a C-STORE."""

STEP_STATUS: dict[type[ZweitblickError], int] = {
    # PS3.7 section C.5, in the order of its codes
    StepValueError: 0x0106,
    StepEndedError: PROCESSING_FAILURE,  # as PS3.4 table F.7.2-2 has it
    DamagedInstanceError: PROCESSING_FAILURE,
    StoreError: PROCESSING_FAILURE,
    StepExistsError: 0x0111,
    UnknownStepError: 0x0112,
    StepUidError: 0x0117,
    MismatchedInstanceError: 0x0118,
    StepAttributeError: 0x0120,
    # Resource limitation; a sender may try these again, but for one that is too long
    StoreFullError: 0x0213,
    AuditError: 0x0213,
    ReceptionFullError: 0x0213,
    KeyHolderError: 0x0213,
    InstanceTooLargeError: 0x0213,
}
"""Of an N-CREATE or N-SET of a performed procedure step."""

FIND_STATUS: dict[type[ZweitblickError], int] = {
    # Refused: Out of Resources (PS3.4 table C.4-1)
    TooManyMatchesError: 0xA700,
    AuditError: 0xA700,
    KeyHolderError: 0xA700,
    StoreFullError: 0xA700,
    # Error: Identifier does not match SOP Class (PS3.4 table C.4-1)
    RequestError: 0xA900,
    # Unable to process, Cxxx (PS3.4 table C.4-1)
    DamagedInstanceError: 0xC000,
    StoreError: UNABLE_TO_PROCESS,
}


def status_of(error: ZweitblickError, statuses: Mapping[type[ZweitblickError], int] = STATUS) -> int:
    """Status that the sender is given; that of the nearest class in a table, else 0x0110."""
    return status_in(statuses, error, default=PROCESSING_FAILURE)


def find_status_of(error: ZweitblickError) -> int:
    """Status of a C-FIND; that of the nearest class in `FIND_STATUS`, else 0xC001."""
    return status_in(FIND_STATUS, error, default=UNABLE_TO_PROCESS)
