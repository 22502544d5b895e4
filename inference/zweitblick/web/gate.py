"""Gate: every request passes it. It finds out who asks, what they want to do, and whether they may."""

import logging
import secrets
from typing import Protocol

from fastapi import WebSocketException
from fastapi.requests import HTTPConnection

from zweitblick.access.policy import Permission, able, allows
from zweitblick.access.principal import Principal
from zweitblick.access.rates import Limit, Rate
from zweitblick.access.sessions import Session
from zweitblick.audit import codes
from zweitblick.audit.auditor import Auditor
from zweitblick.audit.codes import Outcome
from zweitblick.audit.events import security_alert
from zweitblick.audit.message import Participant
from zweitblick.errors import CsrfError, ForbiddenError, TokenError, ZweitblickError
from zweitblick.web.doors import Doors, Visitor
from zweitblick.web.permissions import OPEN, PERMISSIONS, STUDY_PARAMETERS, WEBSOCKET

log = logging.getLogger(__name__)

REQUESTS = Rate(per_s=500, burst=5000)
"""Of each who is known: a viewer fetches the images of a study one by one."""
REFUSALS = Rate(per_s=1, burst=60)
"""Of each address: credentials that do not hold. Beyond, all that is answered is that it is too much."""

CSRF_HEADER = "X-CSRF-Token"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
UNAUTHORISED = 3000
"""WebSocket close code (IANA registry)."""


class AccessObserver(Protocol):
    """Is told what happens at the gate."""

    def refused(self, code: str) -> None:
        """Somebody was not let in, or not that far."""
        ...

    def emergency_opened(self) -> None:
        """Somebody has broken the glass."""
        ...


class Gate:
    """Lets requests pass, or not; a dependency of every route. Who asks is then `principal_of` the request.

    Parameters
    ----------
    doors
        The ways in.
    audit
        Has it on record if somebody who is known may not do something.
    observer
        Is told of each refusal.
    """

    def __init__(self, doors: Doors, audit: Auditor, observer: AccessObserver) -> None:
        self._doors = doors
        self._audit = audit
        self._observer = observer
        self._requests = Limit(REQUESTS, doors.ticks)
        self._refusals = Limit(REFUSALS, doors.ticks)

    def __call__(self, connection: HTTPConnection) -> None:
        """Let a request pass.

        Raises
        ------
        TokenError
            If it does not say who asks.
        ForbiddenError, CsrfError
            If they may not do it, or not in this way.
        TooManyRequestsError
            If they ask too often.
        WebSocketException
            For any of these, where a WebSocket is asked for.
        """
        try:
            self._pass(connection)
        except ZweitblickError as error:
            self._observer.refused(error.code)
            if connection.scope["type"] == "websocket":
                raise WebSocketException(UNAUTHORISED) from error
            raise

    def check_again(self, connection: HTTPConnection) -> None:
        """Check that who was let pass still would be, of a connection that stays open.

        Raises
        ------
        TokenError, ForbiddenError
            If their session or token has ended, or their right.
        IdentityProviderError, UsersError
            If it cannot be found out.
        """
        try:
            route = (WEBSOCKET, connection.scope["route"].path)
            self._check(connection, self._doors.listener(connection), PERMISSIONS[route])
        except ZweitblickError as error:
            self._observer.refused(error.code)
            raise

    def _pass(self, connection: HTTPConnection) -> None:
        route = (connection.scope.get("method", WEBSOCKET), connection.scope["route"].path)
        if route in OPEN:
            return
        visitor = self._visitor(connection)
        self._requests.take(visitor.principal.user_id)
        if visitor.session is not None:
            self._check_own_page(connection, visitor.session)
        if route not in PERMISSIONS:
            raise ForbiddenError("nobody may do this yet; the route is missing in the table of permissions")
        self._check(connection, visitor.principal, PERMISSIONS[route])
        connection.state.principal = visitor.principal
        connection.state.session = visitor.session

    def _visitor(self, connection: HTTPConnection) -> Visitor:
        has_credentials = "authorization" in connection.headers or self._doors.cookie in connection.cookies
        try:
            return self._doors.visitor(connection)
        except (TokenError, ForbiddenError):
            if has_credentials:
                self._refusals.take(address_of(connection))
            raise

    def _check_own_page(self, connection: HTTPConnection, session: Session) -> None:
        """Check that a page of our own asks: a browser sends cookies for whoever asks it to."""
        if connection.scope["type"] == "websocket":
            if not self._doors.is_own_origin(connection):
                raise CsrfError("the WebSocket is asked for by a page that is not of this service")
        elif connection.scope["method"] not in _SAFE_METHODS:
            given = connection.headers.get(CSRF_HEADER, "")
            if not secrets.compare_digest(given.encode(), session.csrf_token.encode()):
                raise CsrfError(f"a session's request that changes something needs {CSRF_HEADER}; see /api/v1/session")

    def _check(self, connection: HTTPConnection, principal: Principal, needed: Permission) -> None:
        if allows(principal.roles, needed):
            return
        if needed is Permission.VIEW and self._is_emergency(connection, principal):
            return
        self._audit.record(
            security_alert(
                codes.USE_OF_RESTRICTED_FUNCTION,
                person_of(principal, connection),
                subject=self._audit.process.user_id,
                text=str(needed),
                outcome=Outcome.MINOR_FAILURE,
            )
        )
        raise ForbiddenError(f"this is for the roles {', '.join(able(needed))}; ask whoever administrates access")

    def _is_emergency(self, connection: HTTPConnection, principal: Principal) -> bool:
        if not allows(principal.roles, Permission.BREAK_GLASS):  # who may no longer open it sees no more by it
            return False
        named = [connection.path_params[name] for name in STUDY_PARAMETERS if name in connection.path_params]
        return any(self._doors.emergencies.is_open(principal.user_id, uid) for uid in named)


def principal_of(connection: HTTPConnection) -> Principal:
    """Return who asks, once the gate let them pass."""
    found: Principal = connection.state.principal
    return found


def person_of(principal: Principal, connection: HTTPConnection) -> Participant:
    """Return who asks as audit messages have them."""
    return Participant(principal.user_id, user_name=principal.name, address=address_of(connection), is_requestor=True)


def requestor_of(connection: HTTPConnection) -> Participant:
    """Return who asks, and has been let in, as audit messages have them."""
    return person_of(principal_of(connection), connection)


def address_of(connection: HTTPConnection) -> str:
    """Return the address that asks; empty if there is none."""
    return connection.client.host if connection.client else ""
