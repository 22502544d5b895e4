"""Access: who is shown what of a study, on record before it is shown."""

import threading
import time
from dataclasses import replace

from fastapi import Request
from fastapi.requests import HTTPConnection

from zweitblick.audit.codes import Action
from zweitblick.audit.events import AuditedStudy, accessed, queried
from zweitblick.web.gate import address_of, principal_of, requestor_of
from zweitblick.web.permissions import WEBSOCKET
from zweitblick.web.service import Service

AGAIN_S = 300.0
"""Who looks through a study fetches it instance by instance: one access, as long as it does not rest so long."""

MOST_WATCHED = 10_000
"""Persons at an address who see a study, and are remembered; then all are forgotten, and go on record once more."""


def record_access(service: Service, request: Request, study: str, *, action: Action = Action.READ) -> None:
    """Put an access to a study on record; both who asks and this process take part (PS3.15 section A.5.3.6).

    Parameters
    ----------
    service
        Holds the study, and the record.
    request
        Who asks.
    study
        Token of the study.
    action
        What is done.

    Raises
    ------
    AuditError
        If it cannot be put on record. Nothing must be shown then.
    """
    service.audit.record(
        accessed(
            audited(service, study),
            requestor_of(request),
            replace(service.audit.process, is_requestor=False),
            action=action,
        )
    )


def audited(service: Service, study: str) -> AuditedStudy:
    """Return a study as audit messages name it, by its token."""
    return service.store.study(study).audited


class Viewings:
    """Accesses to studies that come in many requests, on record once; for several threads at once.

    Parameters
    ----------
    service
        Holds the studies, and the record.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._last: dict[tuple[str, str, str], float] = {}

    def record(self, request: Request, study: str) -> None:
        """Put an access on record, unless the same person had accessed the study shortly before.

        Raises
        ------
        AuditError
            If it cannot be put on record. Nothing must be shown then.
        """
        viewing, now = (principal_of(request).user_id, address_of(request), study), time.monotonic()
        with self._lock:
            before = self._last.get(viewing)
        if before is None or now - before > AGAIN_S:
            record_access(self._service, request, study)
        with self._lock:
            if len(self._last) >= MOST_WATCHED:
                self._last.clear()
            self._last[viewing] = now


def record_query(service: Service, request: Request, *, form: str = "") -> None:
    """Put a search on record, with what is searched for (PS3.15 section A.5.3.10).

    Parameters
    ----------
    service
        Holds the record.
    request
        Who asks; its address has what is searched for,
    form
        or the form that it brings.

    Raises
    ------
    AuditError
        If it cannot be put on record. Nothing must be shown then.
    """
    query = f"{request.url.path}?{form or request.url.query}".encode()
    service.audit.record(queried(requestor_of(request), service.audit.process, query=query))


def record_subscription(service: Service, connection: HTTPConnection) -> None:
    """Put on record that somebody is told of work items, or no more: a query that stands (PS3.15 section A.5.3.10).

    Parameters
    ----------
    service
        Holds the record.
    connection
        Who asks; its method and path have for what.

    Raises
    ------
    AuditError
        If it cannot be put on record. Nothing must be told then.
    """
    query = f"{connection.scope.get('method', WEBSOCKET)} {connection.url.path}".encode()
    service.audit.record(queried(requestor_of(connection), service.audit.process, query=query))
