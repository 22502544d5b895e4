"""Reception over HTTP: what one request brings, each study on record before its first instance is kept."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import Request

from zweitblick.audit.reception import Reception
from zweitblick.store.ingest import Outcome
from zweitblick.store.received import ReceivedInstance
from zweitblick.web.gate import requestor_of
from zweitblick.web.service import Service

Keep = Callable[[ReceivedInstance], Outcome]
"""Keeps an instance as `zweitblick.store.store.Store.keep` does; raises what that does, and AuditError."""


@contextmanager
def receiving(service: Service, request: Request) -> Iterator[Keep]:
    """Give what keeps the instances of a request; in the end what came is on record, however its body ended.

    Parameters
    ----------
    service
        Keeps instances, and the record.
    request
        Who sends.
    """
    reception, sender = Reception(service.audit), requestor_of(request)

    def keep(instance: ReceivedInstance) -> Outcome:
        with reception.of(instance, sender=sender):
            outcome = service.store.keep(instance)
        if outcome is Outcome.CONFLICT:
            service.conflicted()
        return outcome

    try:
        yield keep
    finally:
        reception.end()
