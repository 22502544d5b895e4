"""STOW-RS as a user agent (PS3.18 section 10.5): instances stream out, and the answer names each of them."""

import json
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from zweitblick.errors import PeerAnswerError
from zweitblick.peers.http import JSON, HttpSender, refused, values
from zweitblick.peers.instance import Outgoing, Receipt
from zweitblick.peers.status import is_warning, refusal

_PIECE_BYTES = 2**18
_FAILED, _REFERENCED = "00081198", "00081199"
_INSTANCE, _WARNING, _FAILURE = "00081155", "00081196", "00081197"
"""Failed and Referenced SOP Sequence; Referenced SOP Instance UID, Warning and Failure Reason (PS3.18 annex I.2)."""

_ANSWERED = frozenset({200, 202, 409})
"""OK, Accepted and Conflict come with a store instances response (PS3.18 section 10.5.3)."""


class StowSender(HttpSender):
    """Sends by STOW-RS, in one request; see `zweitblick.peers.http.HttpSender`."""

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
            raise refused(status, name=self._destination.name)
        return self._receipt(answer, instances)

    def check(self) -> None:
        """Ask for one study (QIDO-RS), so that address, trust and credentials are tried; nothing is sent.

        Raises
        ------
        PeerError
            If there is no answer, or the credentials are not taken. That it does not know QIDO-RS is no fault.
        """
        self._status_of(self._destination.address("studies?limit=1"), accept=JSON)

    def _answer(self, instances: Sequence[Outgoing]) -> tuple[int, bytes]:
        boundary = secrets.token_hex(16)
        headers = {
            "Accept": JSON,
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(_length(instances, boundary)),
        }
        return self._post(self._destination.address("studies"), _body(instances, boundary), headers)

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
    return [item for item in values(answer, tag) if isinstance(item, dict)]


def _value(item: dict[str, Any], tag: str) -> str:
    return str(next(iter(values(item, tag)), ""))


def _number(item: dict[str, Any], tag: str) -> int:
    value = next(iter(values(item, tag)), 0)
    return value if isinstance(value, int) else 0
