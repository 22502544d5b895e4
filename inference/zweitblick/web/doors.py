"""Doors: the ways in, and who comes by which."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from fastapi.requests import HTTPConnection

from zweitblick.access.code_flow import CodeFlow
from zweitblick.access.emergencies import Emergencies
from zweitblick.access.principal import Means, Principal, Role
from zweitblick.access.sessions import Session, Sessions
from zweitblick.access.tokens import TokenVerifier
from zweitblick.access.users import MACHINE_PREFIX, Users
from zweitblick.errors import TokenError

BEARER = "bearer of the token"
"""Who asks, where one token is for all."""

EVERY_ROLE = frozenset(Role)


class Visitor(NamedTuple):
    """Who asks.

    Attributes
    ----------
    principal
        Who it is.
    session
        By which they do; None if the request itself proves who asks.
    """

    principal: Principal
    session: Session | None


@dataclass(frozen=True)
class Doors:
    """The ways in; each that is not given is shut.

    Parameters
    ----------
    sessions
        Of those who have logged in.
    emergencies
        Studies that somebody sees without the right to.
    token
        That is for all, with every role: for a machine of one person.
    verifier
        Checks access tokens of an identity provider.
    code_flow
        Log-in at the provider.
    users
        Local users and machines.
    public_url
        How browsers reach the service; empty if they are on this machine.
    ticks
        Seconds that only grow: what limits are counted by.
    """

    sessions: Sessions
    emergencies: Emergencies
    token: str | None = field(default=None, repr=False)
    verifier: TokenVerifier | None = None
    code_flow: CodeFlow | None = None
    users: Users | None = None
    public_url: str = ""
    ticks: Callable[[], float] = time.monotonic

    @property
    def is_over_tls(self) -> bool:
        """Whether browsers come by TLS, which a proxy speaks."""
        return self.public_url.startswith("https://")

    @property
    def cookie(self) -> str:
        """Name of the session's cookie; over TLS one that no other host can set (RFC 6265bis section 4.1.3.2)."""
        return "__Host-zweitblick" if self.is_over_tls else "zweitblick"

    @property
    def binding_cookie(self) -> str:
        """Name of the cookie that ties the way back from the provider to the way there; over TLS as `cookie` is."""
        return f"{self.cookie}-login"

    def is_own_origin(self, connection: HTTPConnection) -> bool:
        """Return whether a page of this service asks (RFC 6454); a proxy may have changed the host's name."""
        own = self.public_url or f"http://{connection.headers.get('host', '')}"
        return connection.headers.get("origin") == own

    def visitor(self, connection: HTTPConnection) -> Visitor:
        """Return who asks.

        Raises
        ------
        TokenError
            If nothing that holds says who.
        ForbiddenError
            If they belong elsewhere.
        IdentityProviderError, UsersError
            If it cannot be found out.
        """
        return self._visitor(connection, self.sessions.find)

    def listener(self, connection: HTTPConnection) -> Principal:
        """Return who has asked, of a connection that stays open, if that still holds; a session is thereby not in use.

        Raises
        ------
        TokenError, ForbiddenError, IdentityProviderError, UsersError
            As `visitor` does.
        """
        return self._visitor(connection, self.sessions.check).principal

    def _visitor(self, connection: HTTPConnection, found: Callable[[str], Session]) -> Visitor:
        if given := connection.headers.get("authorization"):
            return Visitor(self._bearer(given), None)
        if secret := connection.cookies.get(self.cookie):
            session = found(secret)
            if session.principal.means is Means.PASSWORD and self.users is not None:
                self.users.check_current(session.principal)
            return Visitor(session.principal, session)
        raise TokenError("the request does not say who asks; log in, or send 'Authorization: Bearer' with a token")

    def _bearer(self, given: str) -> Principal:
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer":
            raise TokenError("the request has no bearer token; send 'Authorization: Bearer' with one")
        # the comparison takes the same time wherever the two differ
        if self.token is not None and secrets.compare_digest(token.encode(), self.token.encode()):
            return Principal(BEARER, EVERY_ROLE, Means.ONE_TIME_TOKEN)
        if self.users is not None and token.startswith(MACHINE_PREFIX):
            return self.users.machine(token)
        if self.verifier is not None:
            return self.verifier.verified(token)
        raise TokenError("the token does not hold here; send the one that 'zweitblick serve' printed")


def one_token(token: str) -> Doors:
    """Return the ways in of a machine of one person: a token for everything."""
    return Doors(Sessions(_now), Emergencies(_now), token=token)


def _now() -> datetime:
    return datetime.now(UTC)
