"""The C-STORE-RSP, written by hand: pydicom takes four tenths of the time of receiving half a megabyte to write it."""

import struct
from collections.abc import Iterator

from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

_COMMAND, _LAST = 0x01, 0x02
"""Bits of the message control header (PS3.8 annex E.2)."""
_PDV_OVERHEAD = 6
"""Item length, context id and control header count towards the maximum length (PS3.8 annex D.1)."""
_C_STORE_RSP = 0x8001
_NO_DATA_SET = 0x0101


def store_response(request: C_STORE, status: int) -> bytes:
    """Command set of the answer to a C-STORE-RQ (PS3.7 table 9.3-2), implicit VR little endian (section 6.3.1)."""
    body = b"".join(
        [
            _element(0x0002, _uid(str(request.AffectedSOPClassUID))),
            _element(0x0100, struct.pack("<H", _C_STORE_RSP)),
            _element(0x0120, struct.pack("<H", request.MessageID)),
            _element(0x0800, struct.pack("<H", _NO_DATA_SET)),
            _element(0x0900, struct.pack("<H", status)),
            _element(0x1000, _uid(str(request.AffectedSOPInstanceUID))),
        ]
    )
    return _element(0x0000, struct.pack("<L", len(body))) + body


def command_primitives(context_id: int, command: bytes, maximum_length: int) -> Iterator[P_DATA]:
    """Cut a command set into P-DATA primitives that the peer takes; a ``maximum_length`` of 0 means any."""
    size = maximum_length - _PDV_OVERHEAD if maximum_length else len(command)
    for start in range(0, len(command), size):
        control = _COMMAND | (_LAST if start + size >= len(command) else 0)
        primitive = P_DATA()
        primitive.presentation_data_value_list.append((context_id, bytes([control]) + command[start : start + size]))
        yield primitive


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0x0000, element, len(value)) + value


def _uid(uid: str) -> bytes:
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)
