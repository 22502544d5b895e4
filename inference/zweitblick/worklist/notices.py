"""Notices: event reports of work items (PS3.4 section CC.2.4, PS3.18 section 11.13), handed to whoever listens."""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from pydicom import Dataset

from zweitblick.worklist.content import PROGRESS

EVENT_SOP_CLASS = "1.2.840.10008.5.1.4.34.6.4"
"""Unified Procedure Step - Event."""

Listener = Callable[[dict[str, Any]], None]
"""Takes one event report in DICOM JSON; must not wait."""


class EventType(IntEnum):
    """Event Type ID (PS3.4 Table CC.2.4-1)."""

    STATE_REPORT = 1
    CANCEL_REQUESTED = 2
    PROGRESS_REPORT = 3


_REPORTED = {
    EventType.STATE_REPORT: (
        *("ProcedureStepState", "InputReadinessState", "ReasonForCancellation"),
        "ProcedureStepDiscontinuationReasonCodeSequence",
    ),
    EventType.CANCEL_REQUESTED: (
        *("ReasonForCancellation", "ProcedureStepDiscontinuationReasonCodeSequence"),
        *("ContactURI", "ContactDisplayName"),
    ),
    EventType.PROGRESS_REPORT: (PROGRESS,),
}
"""Attributes that each kind of report carries (PS3.4 Table CC.2.4-1), of those that it is made from; those of a
cancellation are in the progress information of a work item, and beside it in a report."""


class Notices:
    """Who listens now, by AE title; for several threads at once.

    Whoever does not listen when something happens is not told later: the standard leaves that open, and the state can
    be asked for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, list[Listener]] = {}
        self._numbers = itertools.count(1)

    @contextmanager
    def listening(self, ae_title: str, listener: Listener) -> Iterator[None]:
        """Have a listener told what its AE title has subscribed to, until the end."""
        with self._lock:
            self._listeners.setdefault(ae_title, []).append(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners[ae_title].remove(listener)

    def publish(self, ae_titles: Iterable[str], kind: EventType, *, uid: str, about: Dataset) -> None:
        """Tell all of some subscribers who listen.

        Parameters
        ----------
        ae_titles
            Of the subscribers.
        kind
            What happened.
        uid
            Of the work item.
        about
            Where the attributes of the report are taken from.
        """
        with self._lock:
            told = [listener for title in ae_titles for listener in self._listeners.get(title, ())]
            number = next(self._numbers)
        if told:
            report = _report(kind, uid, about, number)
            for listener in told:
                listener(report)


def _report(kind: EventType, uid: str, about: Dataset, number: int) -> dict[str, Any]:
    report = Dataset()
    for source in (*(about.get(PROGRESS) or ()), about):
        for keyword in _REPORTED[kind]:
            if keyword in source:
                report[keyword] = source[keyword]
    command = {
        "00000002": {"vr": "UI", "Value": [EVENT_SOP_CLASS]},
        "00000110": {"vr": "US", "Value": [number % 2**16]},
        "00001000": {"vr": "UI", "Value": [uid]},
        "00001002": {"vr": "US", "Value": [int(kind)]},
    }
    return command | report.to_json_dict()
