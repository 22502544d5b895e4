"""DIMSE messages: requests put together from fragments, none longer than allowed, and their answers.

Command sets are read and written here and not by pydicom, which warns of unusual values and quotes them, and which
takes half of the time that receiving half a megabyte takes.
"""

import queue
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from zweitblick.dimse.buffer import BoundedBuffer

if TYPE_CHECKING:
    from zweitblick.dimse.acceptor import Acceptor

C_STORE, C_FIND, C_ECHO, N_EVENT_REPORT, N_SET, N_CREATE = 0x0001, 0x0020, 0x0030, 0x0100, 0x0120, 0x0140
"""(0000,0100) Command Field of the requests that are served (PS3.7 section E.1)."""

C_CANCEL = 0x0FFF
"""The one request without a response (PS3.7 section 9.3.2.3)."""

COMMAND_BYTES = 2**14
"""Longest command set, some fifty times what a C-STORE-RQ takes."""

_RESPONSE = 0x8000
_NO_DATA_SET = 0x0101
_COMMAND, _LAST = 0x01, 0x02
"""Bits of the message control header (PS3.8 annex E.2)."""
_FRAGMENT_OVERHEAD = 6
"""Item length, context id and control header count towards the maximum length (PS3.8 annex D.1)."""
_LEAST_ITEM_BYTES = 2
"""Context id and control header (PS3.8 tables 9-23 and E.2-1); a fragment may be empty."""
_SOP_CLASS, _COMMAND_FIELD, _MESSAGE_ID, _MESSAGE_ID_ANSWERED = 0x0002, 0x0100, 0x0110, 0x0120
_DATA_SET_TYPE, _STATUS, _COMMENT, _SOP_INSTANCE, _EVENT_TYPE = 0x0800, 0x0900, 0x0902, 0x1000, 0x1002
_REQUESTED_SOP_CLASS, _REQUESTED_SOP_INSTANCE, _MOVE_ORIGINATOR = 0x0003, 0x1001, 0x1030
"""Element numbers in group 0000 (PS3.7 section E.1)."""
_UID_BYTES = 64
_COMMENT_CHARACTERS = 64
_WITH_DATA_SET = 0x0001
_WITHOUT_INSTANCE = frozenset({C_ECHO, C_FIND})


class ProtocolViolationError(Exception):
    """The peer broke a rule that the association cannot outlive; never leaves this room."""


@dataclass(frozen=True)
class Request:
    """A request that is served (PS3.7 tables 9.3-1, 9.3-3 and 9.3-12, 10.3-1, 10.3-5 and 10.3-9).

    Parameters
    ----------
    context_id
        Presentation context that it came in.
    command
        `C_ECHO`, `C_STORE`, `C_FIND`, `N_EVENT_REPORT`, `N_SET` or `N_CREATE`.
    message_id
        (0000,0110).
    sop_class_uid, sop_instance_uid
        (0000,0002) and (0000,1000), of an N-SET (0000,0003) and (0000,1001); empty if absent.
    data
        The data set as it came, None if there is none.
    event_type
        (0000,1002) of an N-EVENT-REPORT, else 0.
    move_originator
        (0000,1030) of a C-STORE: AE title of who has asked for it by C-MOVE, as far as that is told; else empty.
    """

    context_id: int
    command: int
    message_id: int
    sop_class_uid: str = field(repr=False)
    sop_instance_uid: str = field(repr=False)
    data: BoundedBuffer | None = field(repr=False)
    event_type: int = 0
    move_originator: str = field(default="", repr=False)

    def let_go(self) -> None:
        """Hold the data set no longer, since the request was served or never will be."""
        if self.data is not None:
            self.data.let_go()


@dataclass(frozen=True)
class Response:
    """What is answered to a request.

    Parameters
    ----------
    status
        (0000,0900).
    data
        Data set in the context's transfer syntax; None if there is none.
    comment
        (0000,0902) Error Comment, in ASCII and of nothing but what was wrong; the first 64 characters are sent.
    """

    status: int
    data: bytes | None = field(default=None, repr=False)
    comment: str = ""


class Messages(DIMSEServiceProvider):
    """The requests of one association.

    Parameters
    ----------
    assoc
        The association.
    buffer
        Makes the buffer of a data set.
    """

    def __init__(self, assoc: "Acceptor", buffer: Callable[[], BoundedBuffer]) -> None:
        super().__init__(assoc)
        self._acceptor = assoc
        self.requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._buffer = buffer
        self._cancelled: int | None = None
        self._begin()

    def receive(self, content: memoryview) -> None:
        """Take the fragments of a P-DATA-TF (PS3.8 section 9.3.5), and queue the request that they complete.

        Parameters
        ----------
        content
            What follows its header; used no longer than here.

        Raises
        ------
        ProtocolViolationError
            If they do not follow each other as PS3.8 annex E wants, or are no request that we serve.
        """
        place = 0
        while place < len(content):
            length = int.from_bytes(content[place : place + 4], "big")
            end = place + 4 + length
            if length < _LEAST_ITEM_BYTES or end > len(content):
                raise ProtocolViolationError("an item is longer than its PDU, or has no fragment")
            self._take(content[place + 4], content[place + 5], content[place + 6 : end])
            place = end

    def answer(self, request: Request, response: Response) -> None:
        """Send a response to a request, in as many fragments as the peer wants."""
        self._send(request.context_id, _COMMAND, _command(request, response))
        if response.data is not None:
            self._send(request.context_id, 0, response.data)

    def is_cancelled(self, request: Request) -> bool:
        """Tell whether the peer no longer wants the responses to a request, by the last C-CANCEL that came."""
        return self._cancelled == request.message_id

    def let_go(self) -> None:
        """Hold no data set any more: nothing comes any more, and nothing is served."""
        while not self.requests.empty():
            self.requests.get_nowait().let_go()
        if self._data is not None:
            self._data.let_go()

    def _send(self, context_id: int, kind: int, content: bytes) -> None:
        maximum = self.maximum_pdu_size
        size = maximum - _FRAGMENT_OVERHEAD if maximum else len(content)
        for start in range(0, len(content), size):
            control = kind | (_LAST if start + size >= len(content) else 0)
            primitive = P_DATA()
            primitive.presentation_data_value_list.append(
                (context_id, bytes([control]) + content[start : start + size])
            )
            self.dul.send_pdu(primitive)

    def _begin(self) -> None:
        self._context_id: int | None = None
        self._command = BoundedBuffer(COMMAND_BYTES)
        self._elements: dict[int, bytes] = {}
        self._data: BoundedBuffer | None = None

    def _take(self, context_id: int, control: int, content: memoryview) -> None:
        if self._context_id not in (None, context_id):
            raise ProtocolViolationError("a fragment is of another context than the message's first")
        self._context_id = context_id
        if bool(control & _COMMAND) == bool(self._elements):
            raise ProtocolViolationError("a data set came before its command set, or a command set within one")
        (self._command if self._data is None else self._data).write(content)
        if not control & _LAST:
            return
        if self._data is None:
            self._elements = _elements(self._command.getvalue())
            if _number(self._elements, _DATA_SET_TYPE) != _NO_DATA_SET:
                self._data = self._buffer()
                return
        if _number(self._elements, _COMMAND_FIELD) == C_CANCEL:
            self._cancelled = _number(self._elements, _MESSAGE_ID_ANSWERED)
        else:
            self._cancelled = None
            self.requests.put(_request(context_id, self._elements, self._data))
        self._begin()
        self._acceptor.tell()


def _request(context_id: int, elements: dict[int, bytes], data: BoundedBuffer | None) -> Request:
    command = _number(elements, _COMMAND_FIELD)
    if command not in (C_ECHO, C_STORE, C_FIND, N_EVENT_REPORT, N_SET, N_CREATE):
        raise ProtocolViolationError("none of the requests that are served")
    subject = (_REQUESTED_SOP_CLASS, _REQUESTED_SOP_INSTANCE) if command == N_SET else (_SOP_CLASS, _SOP_INSTANCE)
    sop_class, sop_instance = (_uid(elements.get(element, b"")) for element in subject)
    message_id = _number(elements, _MESSAGE_ID)
    event_type = _number(elements, _EVENT_TYPE) if command == N_EVENT_REPORT else 0
    originator = elements.get(_MOVE_ORIGINATOR, b"").decode("ascii", "replace").strip()
    return Request(context_id, command, message_id, sop_class, sop_instance, data, event_type, originator)


def _elements(command: bytes) -> dict[int, bytes]:
    """Elements of a command set, by element number; always implicit VR little endian (PS3.7 section 6.3.1)."""
    elements: dict[int, bytes] = {}
    place = 0
    while place + 8 <= len(command):
        group, element, length = struct.unpack_from("<HHL", command, place)
        place += 8 + length
        if group or place > len(command):
            break
        elements[element] = command[place - length : place]
    if not elements or place != len(command):
        raise ProtocolViolationError("a command set cannot be read")
    return elements


def _number(elements: dict[int, bytes], element: int) -> int:
    value = elements.get(element, b"")
    if len(value) != 2:
        raise ProtocolViolationError("a command set lacks a number")
    return int.from_bytes(value, "little")


def _uid(value: bytes) -> str:
    uid = value.rstrip(b"\0 ")
    if len(uid) > _UID_BYTES or not uid.isascii():
        raise ProtocolViolationError("a UID of a command set is none")
    return uid.decode("ascii")


def _command(request: Request, response: Response) -> bytes:
    """Command set of the response to a request (PS3.7 tables 9.3-2, 9.3-4 and 9.3-13, 10.3-2, 10.3-6 and 10.3-10)."""
    comment = response.comment[:_COMMENT_CHARACTERS].encode("ascii", "replace")
    values = {
        _SOP_CLASS: _padded(request.sop_class_uid),
        _COMMAND_FIELD: struct.pack("<H", request.command | _RESPONSE),
        _MESSAGE_ID_ANSWERED: struct.pack("<H", request.message_id),
        _DATA_SET_TYPE: struct.pack("<H", _NO_DATA_SET if response.data is None else _WITH_DATA_SET),
        _STATUS: struct.pack("<H", response.status),
    }
    if comment:
        values[_COMMENT] = comment + b" " * (len(comment) % 2)
    if request.command not in _WITHOUT_INSTANCE:
        values[_SOP_INSTANCE] = _padded(request.sop_instance_uid)
    if request.command == N_EVENT_REPORT:
        values[_EVENT_TYPE] = struct.pack("<H", request.event_type)
    body = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in values.items())
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def _padded(uid: str) -> bytes:
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)
