"""Log-in of people at the identity provider: authorization code with PKCE (OpenID Connect Core 1.0, RFC 7636).

The verifier stays here; the browser carries a secret that ties the way back to the way there, so that nobody can be
made to finish another's log-in (RFC 9700 section 4.7).
"""

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from zweitblick.access.principal import Means, Principal
from zweitblick.access.provider import Provider
from zweitblick.access.tokens import TokenVerifier
from zweitblick.errors import ForbiddenError, TokenError

PATIENCE = timedelta(minutes=10)
"""So long somebody may take at the provider."""

MOST_UNDER_WAY = 10_000
"""Log-ins that are begun; beyond, the oldest is forgotten."""

_SECRET_BYTES = 32


@dataclass(frozen=True)
class Client:
    """What the provider knows us by.

    Parameters
    ----------
    id, secret
        Of the client; no secret if it is a public one.
    redirect_uri
        Where it sends people back to.
    """

    id: str
    redirect_uri: str
    secret: str | None = field(default=None, repr=False)

    @property
    def credentials(self) -> tuple[str, str] | None:
        """Name and password for HTTP Basic, encoded as RFC 6749 section 2.3.1 asks; None of a public client."""
        return None if self.secret is None else (quote(self.id, safe=""), quote(self.secret, safe=""))


@dataclass(frozen=True)
class Departure:
    """The way to the provider.

    Parameters
    ----------
    url
        Where the browser goes.
    binding
        What it brings back in a cookie.
    """

    url: str = field(repr=False)
    binding: str = field(repr=False)


@dataclass(frozen=True)
class Return:
    """What comes back from the provider, with the browser's cookie.

    Parameters
    ----------
    code, state
        RFC 6749 section 4.1.2.
    binding
        Of the departure.
    issuer
        RFC 9207; None if the provider does not send it.
    """

    code: str = field(repr=False)
    state: str = field(repr=False)
    binding: str = field(repr=False)
    issuer: str | None = None


@dataclass(frozen=True)
class _UnderWay:
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    binding: str = field(repr=False)
    until: datetime


class CodeFlow:
    """Log-ins that are under way; for several threads at once.

    Parameters
    ----------
    provider
        Where people log in.
    client
        What we are there.
    verifier
        Checks what the provider says of them.
    clock
        Tells the time, aware.
    """

    def __init__(
        self, provider: Provider, client: Client, verifier: TokenVerifier, clock: Callable[[], datetime]
    ) -> None:
        self._provider = provider
        self._client = client
        self._verifier = verifier
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way: dict[str, _UnderWay] = {}

    def begin(self) -> Departure:
        """Begin a log-in.

        Raises
        ------
        IdentityProviderError
            If the provider cannot be asked where.
        """
        place = self._provider.endpoint("authorization_endpoint")
        state, verifier, nonce, binding = (secrets.token_urlsafe(_SECRET_BYTES) for _ in range(4))
        now = self._clock()
        with self._lock:
            self._under_way = {key: one for key, one in self._under_way.items() if now < one.until}
            if len(self._under_way) >= MOST_UNDER_WAY:
                del self._under_way[next(iter(self._under_way))]
            self._under_way[state] = _UnderWay(verifier, nonce, binding, now + PATIENCE)
        query = {
            "response_type": "code",
            "client_id": self._client.id,
            "redirect_uri": self._client.redirect_uri,
            "scope": "openid profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
        }
        return Departure(f"{place}{'&' if '?' in place else '?'}{urlencode(query)}", binding)

    def finish(self, back: Return) -> Principal:
        """Return who has logged in; each log-in can be finished once.

        Raises
        ------
        TokenError
            If it was not begun here by the same browser, took too long, or the provider does not confirm it.
        ForbiddenError
            If they have none of our roles, or are of another tenant.
        IdentityProviderError
            If the provider cannot be asked.
        """
        begun = self._taken(back)
        form = {
            "grant_type": "authorization_code",
            "code": back.code,
            "redirect_uri": self._client.redirect_uri,
            "client_id": self._client.id,
            "code_verifier": begun.verifier,
        }
        answer = self._provider.posted("token_endpoint", form, credentials=self._client.credentials)
        claims = self._verifier.claims(str(answer.get("id_token", "")), self._client.id)
        self._check(claims, begun.nonce)
        principal = self._verifier.principal(claims, Means.PROVIDER_LOGIN)
        if not principal.roles:
            raise ForbiddenError("you are known, and have no role here; ask whoever administrates access for one")
        return principal

    def _taken(self, back: Return) -> _UnderWay:
        with self._lock:
            begun = self._under_way.pop(back.state, None)
        if begun is None or self._clock() >= begun.until:
            raise TokenError("this log-in was not begun here, was finished, or took too long; begin it anew")
        if not secrets.compare_digest(begun.binding.encode(), back.binding.encode()):
            raise TokenError("this log-in was begun in another browser; begin it anew")
        if back.issuer is not None and back.issuer != self._provider.issuer:
            raise TokenError("this log-in comes back from another identity provider; begin it anew")
        return begun

    def _check(self, claims: dict[str, Any], nonce: str) -> None:
        """Check what only ID tokens have (OpenID Connect Core 1.0 section 3.1.3.7)."""
        if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise TokenError("the identity provider answers another log-in; begin it anew")
        if claims.get("azp", self._client.id) != self._client.id:
            raise TokenError("the identity provider answers another client; begin the log-in anew")


def challenge(verifier: str) -> str:
    """Return the code challenge of a verifier by the method S256 (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
