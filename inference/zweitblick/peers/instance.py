"""Outgoing: a file to send, and what a peer said when it took some."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO, Protocol

from pydicom.filereader import read_partial

from zweitblick.errors import DamagedInstanceError
from zweitblick.report import fhir_parts
from zweitblick.signing import jws

DICOM, P7M = "application/dicom", "application/pkcs7-mime"
FHIR, JOSE = fhir_parts.MEDIA_TYPE, jws.MEDIA_TYPE
"""Media types of what is sent: DICOM (RFC 3240), FHIR (R4 section 3.1.0.1), and each sealed (RFC 8551 section 3.2,
RFC 7515 section 9.2.1)."""

_PREAMBLE_BYTES = 132
_GROUP_LENGTH = struct.Struct("<HH2sHL")
"""(0002,0000), the first element of each DICOM file (PS3.10 section 7.1)."""


@dataclass(frozen=True)
class Outgoing:
    """A DICOM file to send, a sealed one, or a document.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid
        Of its file meta information. Of a sealed file the instance's is a keyed hash of that, the others are those of
        what is inside. Empty of a document.
    data_at
        Byte at which its data set begins.
    size
        Bytes of the file.
    open
        Opens the file from its first byte; may be called again.
    media_type
        `DICOM`, or `P7M` for a sealed file, which goes to folders alone; `FHIR` or `JOSE` for a document.
    """

    sop_class_uid: str
    sop_instance_uid: str = field(repr=False)
    transfer_syntax_uid: str
    data_at: int
    size: int
    open: Callable[[], BinaryIO] = field(repr=False)
    media_type: str = DICOM


@dataclass(frozen=True)
class Receipt:
    """That a peer has acknowledged every instance.

    Parameters
    ----------
    warnings
        Status of each instance that was taken with a warning (PS3.4 table B.2-1).
    """

    warnings: tuple[int, ...] = ()


class Sender(Protocol):
    """Sends to one destination; for several threads at once."""

    def send(self, instances: Sequence[Outgoing]) -> Receipt:
        """Send instances, and return once each was acknowledged.

        Raises
        ------
        PeerRefusedError, PeerContextError
            If one was refused, and would be refused again.
        PeerError
            If one was not acknowledged for another reason; some may have been.
        """
        ...


def outgoing(open_file: Callable[[], BinaryIO], *, size: int) -> Outgoing:
    """Read what a file says of itself before its data set.

    Parameters
    ----------
    open_file
        Opens the file from its first byte.
    size
        Its bytes.

    Raises
    ------
    DamagedInstanceError
        If it does not begin as PS3.10 section 7.1 wants.
    """
    with open_file() as file:
        head = file.read(_PREAMBLE_BYTES + _GROUP_LENGTH.size)
        if len(head) < _PREAMBLE_BYTES + _GROUP_LENGTH.size or head[128:132] != b"DICM":
            raise DamagedInstanceError("a result is no DICOM file; a defect in zweitblick")
        group, element, vr, _, length = _GROUP_LENGTH.unpack_from(head, _PREAMBLE_BYTES)
        if (group, element, vr) != (2, 0, b"UL"):
            raise DamagedInstanceError("a result's file meta information has no length; a defect in zweitblick")
        meta = read_partial(BytesIO(head + file.read(length))).file_meta
    return Outgoing(
        sop_class_uid=str(meta.MediaStorageSOPClassUID),
        sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
        transfer_syntax_uid=str(meta.TransferSyntaxUID),
        data_at=_PREAMBLE_BYTES + _GROUP_LENGTH.size + length,
        size=size,
        open=open_file,
    )


def document(open_file: Callable[[], BinaryIO], *, size: int, media_type: str) -> Outgoing:
    """Describe what is no DICOM instance.

    Parameters
    ----------
    open_file
        Opens it from its first byte.
    size
        Its bytes.
    media_type
        `FHIR` or `JOSE`.
    """
    return Outgoing("", "", "", data_at=0, size=size, open=open_file, media_type=media_type)
