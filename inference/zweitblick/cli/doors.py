"""The ways in over HTTP put together, as the settings say."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import httpx
from argon2 import PasswordHasher

from zweitblick.access.code_flow import CodeFlow
from zweitblick.access.emergencies import Emergencies
from zweitblick.access.provider import Provider
from zweitblick.access.sessions import Sessions
from zweitblick.access.tokens import TokenVerifier
from zweitblick.access.users import Users
from zweitblick.access_settings import AccessSettings, ProviderSettings
from zweitblick.errors import SettingsError
from zweitblick.tls import client_context
from zweitblick.web import Doors, one_token

TOKEN_BYTES = 32

Clock = Callable[[], datetime]


@contextmanager
def opened_doors(access: AccessSettings, *, clock: Clock) -> Iterator[Doors]:
    """Open the ways in, until the end. Where none is set it is a token that holds as long.

    Parameters
    ----------
    access
        What is set.
    clock
        Tells the time, aware.

    Raises
    ------
    SettingsError, CertificateError, UsersError
        If a file cannot be used.
    """
    if access.provider is None and access.users_file is None:
        yield replace(one_token(secrets.token_urlsafe(TOKEN_BYTES)), public_url=access.public_url)
        return
    users = None if access.users_file is None else users_of(access.users_file)
    doors = Doors(Sessions(clock), Emergencies(clock), users=users, public_url=access.public_url)
    if access.provider is None:
        yield doors
        return
    with httpx.Client(verify=client_context(access.provider.ca)) as client:
        verifier, code_flow = _known_by(access.provider, access.public_url, client, clock)
        yield replace(doors, verifier=verifier, code_flow=code_flow)


def users_of(path: Path) -> Users:
    """Return the local users, with Argon2id as RFC 9106 section 4 recommends second (64 MiB).

    Raises
    ------
    UsersError
        If there is such a file and it cannot be used.
    """
    users = Users(path, PasswordHasher())
    users.roles()
    return users


def said_of(doors: Doors) -> Mapping[str, str]:
    """Return what people must know to come in."""
    return {} if doors.token is None else {"Token": doors.token}


def access_checks(access: AccessSettings) -> Mapping[str, Callable[[], str]]:
    """Return what can be tried of the ways in, by the settings' keys."""
    found: dict[str, Callable[[], str]] = {}
    if (file := access.users_file) is not None:
        found["access.users_file"] = lambda: f"{len(users_of(file).roles())} people and machines"
    if (provider := access.provider) is not None:
        found["access.issuer"] = lambda: _asked(provider)
    return found


def _asked(settings: ProviderSettings) -> str:
    """Try whether an identity provider describes itself and can be logged in to."""
    _secret(settings.client_secret_file)
    with httpx.Client(verify=client_context(settings.ca)) as client:
        Provider(settings.issuer, client).endpoint("jwks_uri")
    return f"{settings.issuer} answers"


def _known_by(
    settings: ProviderSettings, public_url: str, client: httpx.Client, clock: Clock
) -> tuple[TokenVerifier, CodeFlow | None]:
    provider = Provider(settings.issuer, client)
    verifier = TokenVerifier(provider, settings.audience, settings.rules, clock)
    known_as = settings.client(public_url, _secret(settings.client_secret_file))
    return verifier, None if known_as is None else CodeFlow(provider, known_as, verifier, clock)


def _secret(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"access.client_secret_file: {path} cannot be read; give a file of one line") from error
