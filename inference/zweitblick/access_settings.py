"""The settings' section ``[access]``: who is let in over HTTP, and how that is known."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zweitblick.access.code_flow import Client
from zweitblick.access.principal import Role
from zweitblick.access.provider import is_safe
from zweitblick.access.tokens import ClaimRules

CALLBACK = "/login/callback"
"""Path below `AccessSettings.public_url` that the identity provider must know."""


@dataclass(frozen=True)
class ProviderSettings:
    """An identity provider.

    Parameters
    ----------
    issuer
        Its identifier: the URL below which it describes itself.
    audience
        Whom its access tokens must be meant for.
    client_id
        What it knows us by, for people with browsers; None if only machines ask.
    client_secret_file
        File of the client's secret; None of a public client.
    ca
        PEM file of the authorities that vouch for its certificate; those of the system if None.
    rules
        What claims mean.
    """

    issuer: str
    audience: str
    client_id: str | None = None
    client_secret_file: Path | None = None
    ca: Path | None = None
    rules: ClaimRules = field(default_factory=ClaimRules)

    def client(self, public_url: str, secret: str | None) -> Client | None:
        """Return what we are at the provider; None if people do not log in there."""
        return None if self.client_id is None else Client(self.client_id, public_url + CALLBACK, secret)


@dataclass(frozen=True)
class AccessSettings:
    """Who is let in over HTTP. Without a provider and a file of users it is who has the token that is printed.

    Parameters
    ----------
    provider
        Who knows people and machines.
    users_file
        Of local people and machines, as `zweitblick.access.users.Users` writes it.
    public_url
        How browsers reach the proxy with TLS; empty if they are on this machine.
    """

    provider: ProviderSettings | None = None
    users_file: Path | None = None
    public_url: str = ""


USUAL_ACCESS = AccessSettings()


def access_faults(values: Mapping[str, Any]) -> list[str]:
    """Return the faults of settings together, by key.

    Parameters
    ----------
    values
        What was read without fault, by the settings' keys.
    """
    given = {key.removeprefix("access.") for key in values if key.startswith("access.")}
    faults = [f"access.{key} needs access.{other}" for key, other in _NEEDS if key in given and other not in given]
    if values.get("access.audience") == values.get("access.client_id") is not None:
        faults.append("access.audience is access.client_id, so that a log-in would be an access token; give another")
    return faults


def composed_access(values: Mapping[str, Any]) -> AccessSettings:
    """Put the settings together.

    Parameters
    ----------
    values
        What was read, by the keys of the section, and let pass by `access_faults`.
    """
    provider = None
    if "issuer" in values:
        rules = ClaimRules(
            values.get("roles_claim", ClaimRules.roles_claim),
            values.get("roles"),
            values.get("tenant_claim"),
            values.get("tenant"),
        )
        provider = ProviderSettings(
            values["issuer"],
            values["audience"],
            values.get("client_id"),
            values.get("client_secret_file"),
            values.get("ca"),
            rules,
        )
    return AccessSettings(provider, values.get("users_file"), values.get("public_url", ""))


def _issuer(raw: object) -> str:
    if not isinstance(raw, str) or not is_safe(raw):
        raise ValueError(f"{raw!r} is no address such as https://login.example/realms/hospital")
    return raw


def _public_url(raw: object) -> str:
    """Take an origin, what pages and cookies belong to, and write it as browsers do (RFC 6454 section 6.2)."""
    if not isinstance(raw, str) or not re.fullmatch(r"https://[^/\s?#]+|http://(127\.0\.0\.1|localhost)(:\d+)?", raw):
        raise ValueError(f"{raw!r} is no address such as https://zweitblick.example, without a path")
    return raw.lower().removesuffix(":443" if raw.startswith("https:") else ":80")


def _word(raw: object) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"[\x21-\x7E]{1,255}", raw):
        raise ValueError(f"{raw!r} is not 1 to 255 visible ASCII characters")
    return raw


def _roles(raw: object) -> dict[str, Role]:
    """Take a table, or ``THEIRS=ours`` parted by commas."""
    table = dict(part.partition("=")[::2] for part in raw.split(",")) if isinstance(raw, str) else raw
    if not isinstance(table, dict):
        raise ValueError(f"{raw!r} is no table of roles")  # noqa: TRY004 -- one error for all faults
    return {_word(theirs.strip()): _role(ours) for theirs, ours in table.items()}


def _role(raw: object) -> Role:
    try:
        return Role(str(raw).strip())
    except ValueError:
        raise ValueError(f"{raw!r} is no role; give {', '.join(Role)}") from None


READERS: dict[str, Callable[[object], Any]] = {
    "access.issuer": _issuer,
    "access.audience": _word,
    "access.client_id": _word,
    "access.roles_claim": _word,
    "access.roles": _roles,
    "access.tenant_claim": _word,
    "access.tenant": _word,
    "access.public_url": _public_url,
}
"""The section's keys but for paths, and how their values are read; raise ValueError that says what to give."""

_NEEDS = (
    ("issuer", "audience"),
    *((key, "issuer") for key in ("audience", "client_id", "ca", "roles_claim", "roles", "tenant_claim")),
    ("client_id", "public_url"),
    ("client_secret_file", "client_id"),
    ("tenant_claim", "tenant"),
    ("tenant", "tenant_claim"),
)
"""What a setting cannot do without."""
