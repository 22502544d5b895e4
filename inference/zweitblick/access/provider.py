"""Identity provider: what it says of itself, and the keys it signs with (OpenID Connect Discovery 1.0, RFC 7517)."""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, NamedTuple

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from zweitblick.errors import IdentityProviderError, TokenError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures that a public key checks. A key that also signs would have to be shared (RFC 8725 section 3.2)."""

FRESH_S = 600.0
"""Keys are fetched again after so long, so that one that was withdrawn is not trusted much longer."""
STALE_S = 86_400.0
"""While the provider is away, its keys are trusted for so long."""
PAUSE_S = 10.0
"""Between two requests for a key that is not known: anybody may name one."""

WAIT_S = 1.0
"""While no key is trusted, others wait for the thread that asks for so long: there are few threads for all requests."""

PATIENCE_S = 5.0
LARGEST_ANSWER_BYTES = 2**20
_LEAST_MODULUS_CHARACTERS = 342
"""2048 bits in base64url: NIST SP 800-131A asks for as many."""

_KINDS: dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_SAFE_URL = re.compile(r"https://[^/\s]+(/\S*)?|http://(127\.0\.0\.1|\[::1\])(:\d+)?(/\S*)?")
"""Without TLS only on this machine."""


class Provider:
    """An identity provider; for several threads at once. Nothing is asked of it before it is needed.

    Parameters
    ----------
    issuer
        Its identifier, which its tokens name.
    client
        Asks it; its timeouts are set here.
    clock
        Seconds that only grow.
    """

    def __init__(self, issuer: str, client: httpx.Client, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.issuer = issuer
        self._client = client
        self._clock = clock
        self._asking = threading.Lock()
        self._metadata: dict[str, Any] = {}
        self._held = _Held({}, -STALE_S)
        self._tried_s = -STALE_S

    def endpoint(self, name: str) -> str:
        """Return the URL of an endpoint, by its name in the provider's metadata.

        Raises
        ------
        IdentityProviderError
            If the provider cannot be asked, or names none that is safe.
        """
        if not self._metadata:
            found = self._fetched(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != self.issuer:  # section 4.3: exactly
                raise IdentityProviderError("the identity provider names another issuer than access.issuer; correct it")
            self._metadata = found
        url = self._metadata.get(name)
        if not isinstance(url, str) or not is_safe(url):
            raise IdentityProviderError(f"the identity provider names no {name} with TLS; see to its configuration")
        return url

    def key(self, kid: str | None) -> Key:
        """Return the key that a token says it was signed with.

        Parameters
        ----------
        kid
            Id of the key; None will do if the provider has but one.

        Raises
        ------
        TokenError
            If the provider has no such key.
        IdentityProviderError
            If it cannot be asked, and no key of it is known that may still be trusted; or if it is being asked, and
            none of the id was known before.
        """
        found = self._keys_within(FRESH_S).key(kid)
        if found is None:
            found = self._keys_within(PAUSE_S).key(kid)
        if found is None and self._asking.locked():  # another thread may be about to know it
            raise _just_now()
        if found is None:
            raise TokenError("the token is signed with a key that the identity provider does not have; log in again")
        return found

    def posted(self, name: str, form: Mapping[str, str], *, credentials: tuple[str, str] | None) -> dict[str, Any]:
        """Send a form to an endpoint and return the answer.

        Raises
        ------
        TokenError
            If it is refused.
        IdentityProviderError
            If the provider cannot be asked.
        """
        request = self._client.build_request("POST", self.endpoint(name), data=dict(form), timeout=PATIENCE_S)
        return self._answered(request, auth=None if credentials is None else httpx.BasicAuth(*credentials))

    def _keys_within(self, age_s: float) -> "_Held":
        """Return the keys, fetched again if they are older.

        While that cannot be done, or is being done by another thread, they are those of before, if these still hold:
        nobody waits for a provider that is away but the thread that asks it.
        """
        held, now = self._held, self._clock()
        if held.age_s(now) < age_s:
            return held
        holds = held.age_s(now) < STALE_S
        if not self._asking.acquire(timeout=0 if holds else WAIT_S):
            if holds:
                return held
            raise _just_now()
        try:
            return self._refreshed(age_s)
        finally:
            self._asking.release()

    def _refreshed(self, age_s: float) -> "_Held":
        """Fetch the keys, as the only thread that does, unless another one has in the meantime."""
        held, now = self._held, self._clock()
        if held.age_s(now) < age_s:
            return held
        try:
            if now - self._tried_s < PAUSE_S:
                raise _just_now()
            self._tried_s = now
            self._held = _Held(_usable(self._fetched(self.endpoint("jwks_uri"))), now)
        except IdentityProviderError:
            if held.age_s(now) >= STALE_S:
                raise
        return self._held

    def _fetched(self, url: str) -> dict[str, Any]:
        try:
            return self._answered(self._client.build_request("GET", url, timeout=PATIENCE_S))
        except TokenError as error:
            raise IdentityProviderError("the identity provider refuses to describe itself; try later") from error

    def _answered(self, request: httpx.Request, *, auth: httpx.Auth | None = None) -> dict[str, Any]:
        content = bytearray()
        try:
            answer = self._client.send(request, auth=auth, stream=True, follow_redirects=False)
            with closing(answer):
                for piece in answer.iter_bytes():
                    content += piece
                    if len(content) > LARGEST_ANSWER_BYTES:
                        raise IdentityProviderError("the identity provider answers more than 1 MiB; see to it")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise IdentityProviderError(
                f"the identity provider cannot be asked ({type(error).__name__}); try later"
            ) from error
        return _object(answer, bytes(content))


class _Held(NamedTuple):
    """Keys by id, and when they were fetched."""

    keys: Mapping[str, Key]
    fetched_s: float

    def age_s(self, now_s: float) -> float:
        return now_s - self.fetched_s

    def key(self, kid: str | None) -> Key | None:
        if kid is None:
            return next(iter(self.keys.values())) if len(self.keys) == 1 else None
        return self.keys.get(kid)


def is_safe(url: str) -> bool:
    """Return whether what is sent to a URL stays between both ends."""
    return bool(_SAFE_URL.fullmatch(url))


def _just_now() -> IdentityProviderError:
    return IdentityProviderError("the identity provider could not be asked just now; try later")


def _object(answer: httpx.Response, content: bytes) -> dict[str, Any]:
    if answer.is_client_error:
        raise TokenError("the identity provider does not confirm the log-in; begin it anew")
    if not answer.is_success:
        raise IdentityProviderError(f"the identity provider answers with status {answer.status_code}; try later")
    try:
        found = json.loads(content)
    except ValueError as error:
        raise IdentityProviderError("the identity provider answers no JSON; see to access.issuer") from error
    if not isinstance(found, dict):
        raise IdentityProviderError("the identity provider answers no JSON object; see to access.issuer")
    return found


def _usable(key_set: Mapping[str, Any]) -> dict[str, Key]:
    """Return the keys that check signatures, by id; others in the set are for others."""
    listed = key_set.get("keys")
    if not isinstance(listed, list):
        raise IdentityProviderError("the identity provider publishes no key set; see to its configuration")
    found: dict[str, Key] = {}
    for one in listed:
        if isinstance(one, dict) and _may_check(one):
            try:
                found[str(one.get("kid", ""))] = _KINDS[one["kty"]].import_key(one)
            except (JoseError, ValueError, TypeError, KeyError):  # a key of a kind that nobody here knows
                continue
    return found


def _may_check(key: Mapping[str, Any]) -> bool:
    is_weak = key.get("kty") == "RSA" and len(str(key.get("n", ""))) < _LEAST_MODULUS_CHARACTERS
    return key.get("kty") in _KINDS and key.get("use", "sig") == "sig" and not is_weak
