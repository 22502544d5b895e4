"""Log-in and log-out of people with browsers: at the identity provider, or with a local password."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, Field, SecretStr

from zweitblick.access.code_flow import CodeFlow, Return
from zweitblick.access.principal import Principal, Role
from zweitblick.access.rates import Limit, Rate
from zweitblick.access.users import Users
from zweitblick.audit.events import failed, logged_in, logged_out
from zweitblick.audit.message import Participant
from zweitblick.errors import (
    CsrfError,
    ForbiddenError,
    LoginError,
    TokenError,
    TooManyRequestsError,
    ZweitblickError,
)
from zweitblick.web.doors import Doors
from zweitblick.web.form import described_form, form_of
from zweitblick.web.gate import AccessObserver, address_of, person_of, principal_of, requestor_of
from zweitblick.web.private import PRIVATE
from zweitblick.web.problems import described
from zweitblick.web.service import Service

ATTEMPTS = Rate(per_s=1 / 30, burst=5)
"""Of one name from one address."""
ATTEMPTS_OF_ADDRESS = Rate(per_s=1 / 5, burst=30)

THROTTLED = Rate(per_s=1 / 60, burst=1)
"""Of one address: log-ins beyond these rates that are put on record, so that nobody fills the trail."""

_REFUSALS = (LoginError, TokenError, ForbiddenError)
_BINDING_S = 600
_CALLBACK = "/login/callback"
_PROBLEMS = described(*(HTTPStatus(status) for status in (400, 401, 403, 413, 429, 503)))


class Credentials(BaseModel):
    """What a local user logs in with."""

    name: str = Field(min_length=1, max_length=64)
    password: SecretStr


class Account(BaseModel):
    """Who asks.

    Attributes
    ----------
    user
        As audit messages have it.
    name
        For people.
    roles
        What they are here for.
    csrf_token
        That unsafe requests of a session bear as ``X-CSRF-Token``; empty if the request itself proves who asks.
    """

    user: str
    name: str
    roles: list[Role]
    csrf_token: str = ""


def router(service: Service, doors: Doors, observer: AccessObserver) -> APIRouter:
    """Make the routes, of the ways in that there are."""
    routes = APIRouter(tags=["access"], responses=_PROBLEMS)
    entrance = Entrance(service, doors, observer)
    if doors.users is not None:
        _add_password(routes, entrance, doors.users)
    if doors.code_flow is not None:
        _add_provider(routes, entrance, doors.code_flow)
    _add_account(routes, entrance)
    return routes


class Entrance:
    """Puts log-ins on record, and opens sessions.

    Parameters
    ----------
    service
        Holds the record.
    doors
        Holds the sessions.
    observer
        Is told of each refusal.
    """

    def __init__(self, service: Service, doors: Doors, observer: AccessObserver) -> None:
        self._audit = service.audit
        self._doors = doors
        self._observer = observer
        self._throttled = self.limit(THROTTLED)
        self.binding_cookie = doors.binding_cookie

    def limit(self, rate: Rate) -> Limit:
        """Return a limit of log-ins."""
        return Limit(rate, self._doors.ticks)

    def let_in(self, request: Request, principal: Principal, answer: Response) -> None:
        """Open a session, and have its secret in a cookie; the session of before ends.

        Raises
        ------
        AuditError
            If it cannot be put on record. Nobody is let in then.
        """
        self._audit.record(logged_in(person_of(principal, request), self._audit.process))
        self._doors.sessions.close(request.cookies.get(self._doors.cookie, ""))
        secret = self._doors.sessions.open(principal)
        self.set_cookie(answer, self._doors.cookie, secret)

    def set_cookie(self, answer: Response, name: str, value: str, *, age_s: int | None = None) -> None:
        """Have a browser bring something back that no page can read."""
        answer.set_cookie(
            name, value, max_age=age_s, path="/", httponly=True, samesite="lax", secure=self._doors.is_over_tls
        )

    def check_own_page(self, request: Request) -> None:
        """Check that no page of others logs somebody in, as whom that page likes.

        Raises
        ------
        CsrfError
            If one asks.
        """
        if "origin" in request.headers and not self._doors.is_own_origin(request):
            raise CsrfError("the log-in is asked for by a page that is not of this service")

    @contextmanager
    def watched(self, request: Request, user_id: str = "unknown") -> Iterator[None]:
        """Count whoever is not let in within this block, and put it on record.

        Of log-ins that are too many there is one on record for each address and minute.
        """
        try:
            yield
        except ZweitblickError as error:
            self._observer.refused(error.code)
            if isinstance(error, _REFUSALS) or self._begins_to_be_throttled(request, error):
                who = Participant(user_id, address=address_of(request))
                self._audit.record(failed(logged_in(who, self._audit.process), error.code))
            raise

    def _begins_to_be_throttled(self, request: Request, error: ZweitblickError) -> bool:
        if not isinstance(error, TooManyRequestsError):
            return False
        try:
            self._throttled.take(address_of(request))
        except TooManyRequestsError:
            return False
        return True

    def let_out(self, request: Request, answer: Response) -> None:
        """End a session."""
        self._audit.record(logged_out(requestor_of(request), self._audit.process))
        self._doors.sessions.close(request.cookies.get(self._doors.cookie, ""))
        self.set_cookie(answer, self._doors.cookie, "", age_s=0)


def _add_password(routes: APIRouter, entrance: Entrance, users: Users) -> None:
    attempts, attempts_of_address = entrance.limit(ATTEMPTS), entrance.limit(ATTEMPTS_OF_ADDRESS)

    @routes.post("/login", openapi_extra=described_form(Credentials), status_code=204, response_class=Response)
    def log_in(request: Request, given: Annotated[Credentials, Depends(form_of(Credentials))]) -> Response:
        """Log in with a local password; the session is in a cookie."""
        address = address_of(request)
        with entrance.watched(request, given.name):
            entrance.check_own_page(request)
            attempts_of_address.take(address)
            attempts.take((given.name, address))
            principal = users.logged_in(given.name, given.password.get_secret_value())
        attempts.forget((given.name, address))
        answer = Response(status_code=204, headers=PRIVATE)
        entrance.let_in(request, principal, answer)
        return answer


def _add_provider(routes: APIRouter, entrance: Entrance, flow: CodeFlow) -> None:
    attempts = entrance.limit(ATTEMPTS_OF_ADDRESS)

    @routes.get("/login", status_code=303, response_class=RedirectResponse)
    def begin(request: Request) -> Response:
        """Go to the identity provider to log in."""
        with entrance.watched(request):
            attempts.take(address_of(request))
            departure = flow.begin()
        answer = RedirectResponse(departure.url, 303, PRIVATE)
        entrance.set_cookie(answer, entrance.binding_cookie, departure.binding, age_s=_BINDING_S)
        return answer

    @routes.get(_CALLBACK, status_code=303, response_class=RedirectResponse)
    def finish(request: Request, state: str = "", code: str = "", iss: str | None = None) -> Response:
        """Come back from the identity provider; the session is in a cookie."""
        with entrance.watched(request):
            attempts.take(address_of(request))
            principal = flow.finish(Return(code, state, request.cookies.get(entrance.binding_cookie, ""), iss))
        answer = RedirectResponse("/api/v1/session", 303, PRIVATE)
        entrance.let_in(request, principal, answer)
        entrance.set_cookie(answer, entrance.binding_cookie, "", age_s=0)
        return answer


def _add_account(routes: APIRouter, entrance: Entrance) -> None:
    @routes.get("/api/v1/session", response_model=Account)
    def account(request: Request) -> Response:
        """Tell who asks, and what a session's unsafe requests must bear."""
        principal, session = principal_of(request), request.state.session
        shown = Account(
            user=principal.user_id,
            name=principal.name,
            roles=sorted(principal.roles),
            csrf_token=session.csrf_token if session else "",
        )
        return JSONResponse(shown.model_dump(), headers=PRIVATE)

    @routes.delete("/api/v1/session", status_code=204, response_class=Response)
    def log_out(request: Request) -> Response:
        """Log out; a request that bears a token has nothing to end."""
        answer = Response(status_code=204, headers=PRIVATE)
        if request.state.session is not None:
            entrance.let_out(request, answer)
        return answer
