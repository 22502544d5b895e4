"""An auditor that keeps events in a list, and can be away."""

import math

from zweitblick.audit.message import AuditEvent, Participant
from zweitblick.errors import AuditWriteError


class Book:
    """Keeps up to ``most`` events; refuses them while ``is_away``, and counts how often it has refused some."""

    process = Participant("4242")

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.is_away = False
        self.most = math.inf
        self.refusals = 0

    def record(self, event: AuditEvent, /) -> int:
        if self.is_away or len(self.events) >= self.most:
            self.refusals += 1
            raise AuditWriteError("away")
        self.events.append(event)
        return len(self.events)

    def told(self) -> list[tuple[str, str, int]]:
        """Return event, action and outcome of each."""
        return [(event.id.meaning, event.action, int(event.outcome)) for event in self.events]


def study_of(event: AuditEvent) -> str:
    return event.objects[0].id


def patient_of(event: AuditEvent) -> str:
    return event.objects[1].id


def counts_of(event: AuditEvent) -> dict[str, int]:
    return dict(event.objects[0].description.sop_classes)
