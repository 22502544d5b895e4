"""STOW-RS as a user agent (PS3.18 section 10.5): instances stream out, and the answer names each of them."""

import base64
import json
import secrets
import socket
from collections.abc import Iterator, Sequence
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
from zweitblick.peers.destination import StowDestination
from zweitblick.peers.instance import Outgoing, Receipt
from zweitblick.peers.status import is_warning, refusal
from zweitblick.silence import silence
from zweitblick.tls import client_context

ANSWER_BYTES = 2**22
"""Longest answer that is read."""

_PIECE_BYTES = 2**18
_JSON = "application/dicom+json"
_FAILED, _REFERENCED = "00081198", "00081199"
_INSTANCE, _WARNING, _FAILURE = "00081155", "00081196", "00081197"
"""Failed and Referenced SOP Sequence; Referenced SOP Instance UID, Warning and Failure Reason (PS3.18 annex I.2)."""

_ANSWERED = frozenset({200, 202, 409})
"""OK, Accepted and Conflict come with a store instances response (PS3.18 section 10.5.3)."""
_PASSING = frozenset({408, 429})
"""Request Timeout and Too Many Requests; all else from 400 to 499 would be said again (RFC 9110 section 15.5)."""


class StowSender:
    """Sends by STOW-RS, in one request.

    Parameters
    ----------
    destination
        Where.
    patience
        How long it may take.
    """

    def __init__(self, destination: StowDestination, *, patience: Patience = PATIENCE) -> None:
        self._destination = destination
        self._patience = patience
        silence("httpx")
        silence("httpcore")

    def send(self, instances: Sequence[Outgoing]) -> Receipt:
        """Send instances, and return once each was acknowledged; see `zweitblick.peers.instance.Sender`.

        Raises
        ------
        PeerRefusedError
            If one was refused, and would be refused again.
        PeerError
            If one was not acknowledged for another reason; some may have been.
        """
        status, content = self._answer(instances)
        answer = _parsed(content) if status in _ANSWERED else None
        if answer is None:
            raise self._refusal(status)
        return self._receipt(answer, instances)

    def _answer(self, instances: Sequence[Outgoing]) -> tuple[int, bytes]:
        boundary = secrets.token_hex(16)
        headers = {
            "Accept": _JSON,
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(_length(instances, boundary)),
            **self._authorization(),
        }
        where = f"{self._destination.name} at {self._destination.url}"
        try:
            with (
                self._client() as client,
                client.stream(
                    "POST",
                    f"{self._destination.url.rstrip('/')}/studies",
                    content=_body(instances, boundary),
                    headers=headers,
                ) as response,
            ):
                return response.status_code, _read(response, where)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise PeerUnreachableError(
                f"{where} cannot be reached, or its certificate is not trusted; check both"
            ) from error
        except httpx.TimeoutException as error:
            raise PeerTimeoutError(f"{where} did not answer in time; it is sent again") from error
        except httpx.TransportError as error:
            raise PeerBrokenOffError(f"{where} broke the connection off; it is sent again") from error

    def _client(self) -> httpx.Client:
        trust = self._destination.trust
        try:
            context = client_context(trust.cas, certificate=trust.certificate, key=trust.key)
        except CertificateError as error:
            raise PeerUnreachableError(f"{self._destination.name}: {error}") from error
        timeout = httpx.Timeout(self._patience.answer_s, connect=self._patience.connection_s)
        options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        transport = httpx.HTTPTransport(verify=context, socket_options=options)
        # nothing but the settings decides where results go: no proxy of the environment
        return httpx.Client(transport=transport, timeout=timeout, trust_env=False)

    def _authorization(self) -> dict[str, str]:
        destination = self._destination
        if destination.token_file is not None:
            return {"Authorization": f"Bearer {self._secret(destination.token_file)}"}
        if destination.password_file is not None:
            encoded = base64.b64encode(self._secret(destination.password_file).encode()).decode()
            return {"Authorization": f"Basic {encoded}"}
        return {}

    def _secret(self, path: Path) -> str:
        try:
            secret = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise PeerCredentialsError(
                f"{path} for {self._destination.name} cannot be read ({type(error).__name__}); repair it"
            ) from error
        if not secret or not secret.isprintable():
            raise PeerCredentialsError(f"{path} for {self._destination.name} holds no single line of text; repair it")
        return secret

    def _refusal(self, status: int) -> PeerError:
        name = self._destination.name
        if 400 <= status < 500 and status not in _PASSING:
            return PeerRefusedError(f"{name} refused the request with HTTP status {status}; ask its administrator")
        if status in _PASSING or status >= 500:
            return PeerBusyError(f"{name} refused the request for now with HTTP status {status}; it is sent again")
        return PeerAnswerError(f"{name} gave an answer of HTTP status {status} that cannot be read; it is sent again")

    def _receipt(self, answer: dict[str, Any], instances: Sequence[Outgoing]) -> Receipt:
        """Look each instance up in an answer."""
        taken = {_value(item, _INSTANCE): _number(item, _WARNING) for item in _items(answer, _REFERENCED)}
        refused = {_value(item, _INSTANCE): _number(item, _FAILURE) for item in _items(answer, _FAILED)}
        warnings = []
        for one in instances:
            status = taken.get(one.sop_instance_uid, refused.get(one.sop_instance_uid))
            if one.sop_instance_uid not in taken:
                if status is None:
                    raise PeerAnswerError(f"{self._destination.name} did not name an instance; it is sent again")
                if not is_warning(status):
                    raise refusal(status, destination=self._destination.name)
            if status:
                warnings.append(status)
        return Receipt(tuple(warnings))


def _length(instances: Sequence[Outgoing], boundary: str) -> int:
    """Bytes of the body: some servers take none of unknown length."""
    return sum(len(_head(boundary)) + one.size + 2 for one in instances) + len(_tail(boundary))


def _body(instances: Sequence[Outgoing], boundary: str) -> Iterator[bytes]:
    for one in instances:
        yield _head(boundary)
        with one.open() as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
        yield b"\r\n"
    yield _tail(boundary)


def _head(boundary: str) -> bytes:
    """Head of a part; without the transfer syntax, which the file says, since Orthanc skips parts that name one."""
    return f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()


def _tail(boundary: str) -> bytes:
    return f"--{boundary}--\r\n".encode()


def _read(response: httpx.Response, where: str) -> bytes:
    content = bytearray()
    for piece in response.iter_bytes():
        content += piece
        if len(content) > ANSWER_BYTES:
            raise PeerAnswerError(f"{where} gave an answer of more than {ANSWER_BYTES} bytes; it is sent again")
    return bytes(content)


def _parsed(content: bytes) -> dict[str, Any] | None:
    """Return a store instances response as JSON (PS3.18 annex F), None if it is none."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if isinstance(answer, list) and len(answer) == 1:  # as for a search; some servers do
        answer = answer[0]
    if isinstance(answer, dict) and (_REFERENCED in answer or _FAILED in answer):
        return answer
    return None


def _items(answer: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    return [item for item in _values(answer, tag) if isinstance(item, dict)]


def _value(item: dict[str, Any], tag: str) -> str:
    return str(next(iter(_values(item, tag)), ""))


def _number(item: dict[str, Any], tag: str) -> int:
    value = next(iter(_values(item, tag)), 0)
    return value if isinstance(value, int) else 0


def _values(item: dict[str, Any], tag: str) -> list[Any]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []
