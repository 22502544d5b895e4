"""DIMSE status of every error that ends a C-STORE, as one table."""

from zweitblick.errors import (
    DamagedInstanceError,
    InstanceTooLargeError,
    KeyHolderError,
    MismatchedInstanceError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    ZweitblickError,
)

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
"""PS3.7 section C.4.2."""

STATUS: dict[type[ZweitblickError], int] = {
    # Refused: Out of Resources, A7xx (PS3.4 table B.2-1); a sender tries these again
    StoreFullError: 0xA700,
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


def status_of(error: ZweitblickError) -> int:
    """Status that the sender is given; that of the nearest class in `STATUS`, else 0x0110."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), PROCESSING_FAILURE)
