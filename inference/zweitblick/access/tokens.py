"""Tokens of an identity provider: whether they hold, and whom they name (RFC 7519, RFC 8725, RFC 9068)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import GuestProtocol, Key
from joserfc.jws import JWSRegistry

from zweitblick.access.principal import Means, Principal, Role
from zweitblick.access.provider import ALGORITHMS, Provider
from zweitblick.errors import ForbiddenError, TokenError

SKEW_S = 60
"""Our clock and the provider's may differ by so much (RFC 7519 section 4.1.4: "usually no more than a few minutes")."""

LONGEST_S = 86_400
"""A token that holds for longer is refused: nobody can call it back."""

LONGEST_TOKEN = 16_384
"""Characters."""

_SIGNED = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
"""Headers that nobody knows are passed over, unless they are said to be critical (RFC 7515 section 4)."""

_SCOPE = "scope"
"""The one claim whose value is a list of words in one string; a value of another may have blanks."""

_SUBJECT = re.compile(r"[\x21-\x7E]{1,255}")
"""OpenID Connect Core 1.0 section 2, and nothing that could forge a line of a log."""


@dataclass(frozen=True)
class ClaimRules:
    """What claims mean here.

    Parameters
    ----------
    roles_claim
        Where roles are: the name of a claim, or names parted by dots for claims within claims.
    roles
        Our roles by the provider's; None if it has ours.
    tenant_claim, tenant
        A claim, and the value that it must have or contain: whom this service belongs to. None if the provider has no
        other tenants.
    """

    roles_claim: str = "roles"
    roles: Mapping[str, Role] | None = None
    tenant_claim: str | None = None
    tenant: str | None = None

    def roles_of(self, claims: Mapping[str, Any]) -> frozenset[Role]:
        """Return the roles that claims give; none of ours, none."""
        known = {str(role): role for role in Role} if self.roles is None else self.roles
        return frozenset(known[value] for value in _values(claims, self.roles_claim) if value in known)

    def check_tenant(self, claims: Mapping[str, Any]) -> None:
        """Let pass who belongs here.

        Raises
        ------
        ForbiddenError
            If the claims name another tenant, or none.
        """
        if self.tenant_claim is not None and self.tenant not in _values(claims, self.tenant_claim):
            raise ForbiddenError("the token is of another tenant, whose studies are not here; ask your own service")


class TokenVerifier:
    """Checks tokens; for several threads at once.

    Parameters
    ----------
    provider
        Who must have signed them.
    audience
        Whom access tokens must be meant for.
    rules
        What their claims mean.
    clock
        Tells the time, aware.
    """

    def __init__(self, provider: Provider, audience: str, rules: ClaimRules, clock: Callable[[], datetime]) -> None:
        self._provider = provider
        self._audience = audience
        self._rules = rules
        self._clock = clock

    def verified(self, token: str) -> Principal:
        """Return whom an access token names.

        Raises
        ------
        TokenError
            If it does not hold.
        ForbiddenError
            If it is of another tenant.
        IdentityProviderError
            If the provider's keys are not to be had.
        """
        return self.principal(self.claims(token, self._audience), Means.ACCESS_TOKEN)

    def claims(self, token: str, audience: str) -> dict[str, Any]:
        """Return the claims of a token of the provider's that is meant for somebody, and holds now.

        Raises
        ------
        TokenError
            If it does not.
        IdentityProviderError
            If the provider's keys are not to be had.
        """
        if len(token) > LONGEST_TOKEN:
            raise TokenError(f"the token has more than {LONGEST_TOKEN} characters; fetch a smaller one")
        now = int(self._clock().timestamp())
        try:
            claims: dict[str, Any] = jwt.decode(token, self._key_of, registry=_SIGNED).claims
            _registry(now, issuer=self._provider.issuer, audience=audience).validate(claims)
        except ExpiredTokenError as error:
            raise TokenError("the token has expired; fetch a new one") from error
        except (JoseError, ValueError, TypeError) as error:  # TypeError: a header whose parts are of other kinds
            raise TokenError("the token does not hold here; fetch one for this service") from error
        if claims["exp"] > now + LONGEST_S + SKEW_S:
            raise TokenError("the token holds for more than a day; have shorter ones issued")
        return claims

    def principal(self, claims: Mapping[str, Any], means: Means) -> Principal:
        """Return whom claims name.

        Raises
        ------
        TokenError
            If they name nobody.
        ForbiddenError
            If they are of another tenant.
        """
        self._rules.check_tenant(claims)
        if not _SUBJECT.fullmatch(claims["sub"]):
            raise TokenError("the token names nobody; have 'sub' be 1 to 255 visible ASCII characters")
        domain = urlsplit(self._provider.issuer).hostname
        name = claims.get("name") or claims.get("preferred_username") or ""
        return Principal(f"{claims['sub']}@{domain}", self._rules.roles_of(claims), means, str(name)[:255])

    def _key_of(self, token: GuestProtocol) -> Key:
        header = token.headers()
        if header.get("alg") not in ALGORITHMS:  # before a key is looked for, so that no key meets another algorithm
            raise ValueError
        kid = header.get("kid")
        return self._provider.key(None if kid is None else str(kid))


def _registry(now: int, *, issuer: str, audience: str) -> jwt.JWTClaimsRegistry:
    return jwt.JWTClaimsRegistry(
        now=now,
        leeway=SKEW_S,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        sub={"essential": True},
        exp={"essential": True},
    )


def _values(claims: Mapping[str, Any], name: str) -> list[str]:
    """Return a claim's values: of a list, one, or the words of ``scope`` (RFC 8693 section 4.2)."""
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return found.split() if name == _SCOPE else [found]
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
