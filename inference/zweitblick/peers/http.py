"""HTTP as a client: connection, trust, credentials, bounds and errors of a DICOMweb or FHIR server."""

import base64
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from zweitblick.errors import (
    CertificateError,
    PeerAnswerError,
    PeerBrokenOffError,
    PeerBusyError,
    PeerCredentialsError,
    PeerError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
)
from zweitblick.peers.association import PATIENCE, Patience
from zweitblick.peers.destination import HttpDestination
from zweitblick.silence import silence
from zweitblick.tls import client_context

JSON = "application/dicom+json"
ANSWER_BYTES = 2**22
"""Longest answer in JSON that is read."""

_UNAUTHORIZED = 401
"""The credentials are not, or no longer, valid (RFC 9110 section 15.5.2); others may come."""

PASSING = frozenset({408, 429})
"""Request Timeout and Too Many Requests; all else from 400 to 499 would be said again (RFC 9110 section 15.5)."""


def client(destination: HttpDestination, patience: Patience) -> httpx.Client:
    """Return a client of a server; to be closed.

    Parameters
    ----------
    destination
        Whose trust is used.
    patience
        How long it may take to connect, and to send or take anything.

    Raises
    ------
    PeerUnreachableError
        If certificates for it cannot be used.
    """
    silence("httpx")
    silence("httpcore")
    trust = destination.trust
    try:
        context = client_context(trust.cas, certificate=trust.certificate, key=trust.key)
    except CertificateError as error:
        raise PeerUnreachableError(f"{destination.name}: {error}") from error
    timeout = httpx.Timeout(patience.answer_s, connect=patience.connection_s)
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    transport = httpx.HTTPTransport(verify=context, socket_options=options)
    # nothing but the settings decides where requests go: no proxy of the environment
    return httpx.Client(transport=transport, timeout=timeout, trust_env=False)


def authorization(destination: HttpDestination) -> dict[str, str]:
    """Return the header that shows who we are; none if nothing is to be shown.

    Raises
    ------
    PeerCredentialsError
        If the file with token or password cannot be used.
    """
    if destination.token_file is not None:
        return {"Authorization": f"Bearer {_secret(destination.token_file, destination.name)}"}
    if destination.password_file is not None:
        encoded = base64.b64encode(_secret(destination.password_file, destination.name).encode()).decode()
        return {"Authorization": f"Basic {encoded}"}
    return {}


class HttpSender:
    """What senders to servers of HTTP share.

    Parameters
    ----------
    destination
        Where.
    patience
        How long it may take.
    """

    def __init__(self, destination: HttpDestination, *, patience: Patience = PATIENCE) -> None:
        self._destination = destination
        self._patience = patience

    def _post(self, url: str, content: bytes | Iterator[bytes], headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Send something, and return the status and what the answer holds.

        Raises
        ------
        PeerError
            If there is no answer, or one that is too long.
        """
        where = self._destination.where
        headers = {**headers, **authorization(self._destination)}
        with (
            errors(where),
            client(self._destination, self._patience) as web,
            web.stream("POST", url, content=content, headers=headers) as response,
        ):
            return response.status_code, read_answer(response, where)

    def _status_of(self, url: str, *, accept: str) -> int:
        """Ask for something, so that address, trust and credentials are tried, and return the answer's status.

        Raises
        ------
        PeerCredentialsError
            If the credentials are not taken.
        PeerUnreachableError, PeerTimeoutError, PeerBrokenOffError, PeerBusyError
            If there is no answer, or one that the server is in trouble. That it does not know the request is no fault
            here.
        """
        where = self._destination.where
        headers = {"Accept": accept, **authorization(self._destination)}
        with (
            errors(where),
            client(self._destination, self._patience) as web,
            web.stream("GET", url, headers=headers) as response,
        ):
            status = response.status_code
        if status in (_UNAUTHORIZED, 403):
            raise PeerCredentialsError(f"{where} does not take the credentials (HTTP status {status}); check them")
        if status >= 500 and status != 501:
            raise PeerBusyError(f"{where} answers with HTTP status {status}; see to it")
        return status


@contextmanager
def errors(where: str) -> Iterator[None]:
    """Raise a `PeerError` of what httpx raises in the block.

    Raises
    ------
    PeerUnreachableError, PeerTimeoutError, PeerBrokenOffError
        If there is no answer.
    """
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise PeerUnreachableError(
            f"{where} cannot be reached, or its certificate is not trusted; check both"
        ) from error
    except httpx.TimeoutException as error:
        raise PeerTimeoutError(f"{where} did not answer in time; it is tried again") from error
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise PeerBrokenOffError(f"{where} broke the connection off; it is tried again") from error


def read_answer(response: httpx.Response, where: str) -> bytes:
    """Read an answer that is not long.

    Raises
    ------
    PeerAnswerError
        If it has more than `ANSWER_BYTES`.
    """
    content = bytearray()
    for piece in response.iter_bytes():
        content += piece
        if len(content) > ANSWER_BYTES:
            raise PeerAnswerError(f"{where} gave an answer of more than {ANSWER_BYTES} bytes; see to it")
    return bytes(content)


def refused(status: int, *, name: str, passing: frozenset[int] = PASSING) -> PeerError:
    """Return the error of an HTTP status that is no success, or comes with what is no answer.

    Parameters
    ----------
    status
        Not 403, but 401 alone is about the credentials: a server may forbid what is sent for other reasons (RFC 9110
        section 15.5.4).
    name
        Of the destination.
    passing
        Statuses from 400 to 499 that may pass.
    """
    if status == _UNAUTHORIZED:
        return PeerCredentialsError(f"{name} does not take the credentials (HTTP status {status}); renew them")
    if 400 <= status < 500 and status not in passing:
        return PeerRefusedError(f"{name} refused the request with HTTP status {status}; ask its administrator")
    if status in passing or status >= 500:
        return PeerBusyError(f"{name} refused the request for now with HTTP status {status}; it is tried again")
    return PeerAnswerError(f"{name} gave an answer of HTTP status {status} that cannot be read; it is tried again")


def values(item: dict[str, Any], tag: str) -> list[Any]:
    """Return the values of an attribute in the DICOM JSON model; none if it is absent, or not as it must be."""
    element = item.get(tag)
    found = element.get("Value") if isinstance(element, dict) else None
    return found if isinstance(found, list) else []


def _secret(path: Path, name: str) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PeerCredentialsError(f"{path} for {name} cannot be read ({type(error).__name__}); repair it") from error
    if not secret or not secret.isprintable():
        raise PeerCredentialsError(f"{path} for {name} holds no single line of text; repair it")
    return secret
