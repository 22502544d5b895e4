"""Absence: what says that store, key holder or record are away, and steps that wait until they are there."""

import threading
from collections.abc import Callable

from zweitblick.errors import AuditError, KeyHolderError, StoreFullError, StoreUnavailableError

AWAY = (StoreUnavailableError, StoreFullError, KeyHolderError, AuditError)
"""These say nothing of a study; it waits, however long."""

AWAY_S = 5.0
"""After so long it is tried again."""


class HandedBack(BaseException):
    """The service is closing. No `Exception`: DBOS records no outcome, and resumes the workflow at its next start."""


def until_there(step: Callable[[], str], closing: threading.Event, waits: Callable[[str], None]) -> str:
    """Do a step of a workflow, again for as long as something is away, and return what it returns.

    Parameters
    ----------
    step
        May be done several times.
    closing
        Set when the service closes.
    waits
        Is told the code of what is away, each time.

    Raises
    ------
    HandedBack
        If the service closes meanwhile.
    """
    while True:
        try:
            return step()
        except AWAY as error:
            waits(error.code)
            if closing.wait(AWAY_S):
                raise HandedBack from error
