"""ReceivedInstance: one instance as it came over the wire, and how it becomes a file."""

import struct
from dataclasses import dataclass, field
from typing import Protocol

from zweitblick.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION

_PREAMBLE = bytes(128) + b"DICM"
_VERSION = b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"
"""(0002,0001) File Meta Information Version: 00 01."""
_GROUP_LENGTH = struct.Struct("<HH2sHL")
_SHORT_ELEMENT = struct.Struct("<HH2sH")
"""Tag, value representation and length (PS3.5 table 7.1-2)."""


class Received(Protocol):
    """What the store asks of an instance; `ReceivedInstance` says what each of these is."""

    @property
    def sop_class_uid(self) -> str:
        """Of the request."""
        ...

    @property
    def sop_instance_uid(self) -> str:
        """Of the request."""
        ...

    @property
    def transfer_syntax_uid(self) -> str:
        """Of the presentation context."""
        ...

    @property
    def study_instance_uid(self) -> str:
        """Of the data set."""
        ...

    @property
    def series_instance_uid(self) -> str:
        """Of the data set."""
        ...

    @property
    def calling_ae_title(self) -> str:
        """Of the association."""
        ...

    @property
    def data(self) -> bytes:
        """As it came."""
        ...

    @property
    def is_fetched(self) -> bool:
        """Whether it came because this service has asked an archive for it."""
        ...


@dataclass(frozen=True)
class ReceivedInstance:
    """An instance as it came. Nothing that could point to the patient appears in a ``repr``.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid
        Affected SOP Class and Instance UID of the C-STORE request, and the presentation context's transfer syntax.
    study_instance_uid, series_instance_uid
        (0020,000D) and (0020,000E) of the data set.
    calling_ae_title
        Who sent it; empty if it did not come over DIMSE.
    data
        The data set, encoded in the transfer syntax, without preamble and file meta information.
    patient_id
        (0010,0020) of the data set, for the record only.
    is_fetched
        Whether it came because this service has asked an archive for it.
    """

    sop_class_uid: str
    sop_instance_uid: str = field(repr=False)
    transfer_syntax_uid: str
    study_instance_uid: str = field(repr=False)
    series_instance_uid: str = field(repr=False)
    calling_ae_title: str = field(repr=False)
    data: bytes = field(repr=False)
    patient_id: str = field(default="", repr=False)
    is_fetched: bool = False


def part10_head(instance: Received) -> bytes:
    """Return what stands before the data set in a DICOM file: preamble, prefix, file meta information (PS3.10 7.1).

    UIDs are written as they came, also those that PS3.5 9.1 does not allow: a file that says otherwise than its data
    set would be worse. They are written here and not by pydicom, which takes a quarter of a millisecond.
    """
    elements = [_VERSION]
    for element, vr, value in (
        (0x0002, b"UI", instance.sop_class_uid),
        (0x0003, b"UI", instance.sop_instance_uid),
        (0x0010, b"UI", instance.transfer_syntax_uid),
        (0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
        (0x0013, b"SH", IMPLEMENTATION_VERSION),
        (0x0016, b"AE", instance.calling_ae_title),
    ):
        if value:
            elements.append(_element(element, vr, value))
    group = b"".join(elements)
    return b"".join((_PREAMBLE, _GROUP_LENGTH.pack(0x0002, 0x0000, b"UL", 4, len(group)), group))


def _element(element: int, vr: bytes, value: str) -> bytes:
    """Encode a text of group 0002, always in explicit VR little endian (PS3.10 section 7.1), to an even length."""
    text = value.encode("iso8859-1", "replace")
    padding = b"\0" if vr == b"UI" else b" "
    text += padding * (len(text) % 2)
    return _SHORT_ELEMENT.pack(0x0002, element, vr, len(text)) + text
