"""ReceivedInstance: one instance as it came over the wire, and how it becomes a file."""

import io
from dataclasses import dataclass, field
from typing import Protocol

from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_file_meta_info

from zweitblick.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION


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
    """

    sop_class_uid: str
    sop_instance_uid: str = field(repr=False)
    transfer_syntax_uid: str
    study_instance_uid: str = field(repr=False)
    series_instance_uid: str = field(repr=False)
    calling_ae_title: str = field(repr=False)
    data: bytes = field(repr=False)


def part10_head(instance: Received) -> bytes:
    """Return what stands before the data set in a DICOM file: preamble, prefix, file meta information (PS3.10 7.1).

    UIDs are written as they came, also those that PS3.5 9.1 does not allow: a file that says otherwise than its data
    set would be worse.
    """
    meta = FileMetaDataset()
    for tag, vr, value in (
        (0x00020002, "UI", instance.sop_class_uid),
        (0x00020003, "UI", instance.sop_instance_uid),
        (0x00020010, "UI", instance.transfer_syntax_uid),
        (0x00020012, "UI", IMPLEMENTATION_CLASS_UID),
        (0x00020013, "SH", IMPLEMENTATION_VERSION),
        (0x00020016, "AE", instance.calling_ae_title),
    ):
        if value:
            meta.add(DataElement(tag, vr, value, validation_mode=IGNORE))
    buffer = io.BytesIO(bytes(128) + b"DICM")
    buffer.seek(0, io.SEEK_END)
    write_file_meta_info(DicomFileLike(buffer), meta)
    return buffer.getvalue()
