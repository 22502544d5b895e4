"""Auditor: what those who act ask of a trail."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from zweitblick.audit.events import failed
from zweitblick.audit.message import AuditEvent, Participant
from zweitblick.errors.root import code_of


class Auditor(Protocol):
    """Puts events on record; for several threads at once. `zweitblick.audit.trail.Trail` does."""

    @property
    def process(self) -> Participant:
        """The process that acts."""
        ...

    def record(self, event: AuditEvent, /) -> int:
        """Return once an event is durable, with its number.

        Raises
        ------
        AuditError
            If it is not. What it tells of must not happen.
        """
        ...


class Unrecorded:
    """Records nothing: for parts that are used without the service."""

    process = Participant("0")

    def record(self, event: AuditEvent, /) -> int:  # noqa: ARG002 -- as an Auditor has it
        """Do nothing."""
        return 0


@contextmanager
def recorded(auditor: Auditor, event: AuditEvent) -> Iterator[None]:
    """Put an event on record before the block, which does what it tells of; if that fails, so is that.

    Raises
    ------
    AuditError
        If it cannot be put on record. The block is then not entered.
    """
    auditor.record(event)
    try:
        yield
    except BaseException as error:
        auditor.record(failed(event, code_of(error)))
        raise
