"""DIMSE status of every error that ends a C-STORE or a C-FIND, as one table each."""

from zweitblick.errors import (
    AuditError,
    DamagedInstanceError,
    InstanceTooLargeError,
    KeyHolderError,
    MismatchedInstanceError,
    RequestError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    TooManyMatchesError,
    ZweitblickError,
)

SUCCESS = 0x0000
PENDING, CANCELLED = 0xFF00, 0xFE00
"""Of a C-FIND (PS3.4 table C.4-1)."""
PROCESSING_FAILURE = 0x0110
"""PS3.7 section C.4.2."""
UNABLE_TO_PROCESS = 0xC001
"""Of a C-FIND that fails by what is no fault of its identifier (PS3.4 table C.4-1)."""

STATUS: dict[type[ZweitblickError], int] = {
    # Refused: Out of Resources, A7xx (PS3.4 table B.2-1); a sender tries these again
    StoreFullError: 0xA700,
    AuditError: 0xA700,
    InstanceTooLargeError: 0xA700,
    KeyHolderError: 0xA700,
    # Error: Data Set does not match SOP Class, A9xx (PS3.4 table B.2-1)
    MismatchedInstanceError: 0xA900,
    # Error: Cannot understand, Cxxx (PS3.4 table B.2-1)
    DamagedInstanceError: 0xC000,
    # Processing failure (PS3.7 section C.4.2): nothing is wrong with the instance
    StoreUnavailableError: PROCESSING_FAILURE,
    StoreError: PROCESSING_FAILURE,
}


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


def status_of(error: ZweitblickError) -> int:
    """Status that the sender is given; that of the nearest class in `STATUS`, else 0x0110."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), PROCESSING_FAILURE)


def find_status_of(error: ZweitblickError) -> int:
    """Status of a C-FIND; that of the nearest class in `FIND_STATUS`, else 0xC001."""
    return next((FIND_STATUS[kind] for kind in type(error).__mro__ if kind in FIND_STATUS), UNABLE_TO_PROCESS)
