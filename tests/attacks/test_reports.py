"""Hostile storage commitment reports: each is taken or refused by its status, and nothing is made up."""

from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pynetdicom.presentation import build_context

from zweitblick.dicom.commitment import (
    COMMITMENT_INSTANCE,
    FAILURES_EXIST,
    STORAGE_COMMITMENT,
    CommitmentReport,
)
from zweitblick.dimse.buffer import BoundedBuffer
from zweitblick.dimse.commitment import serve_report
from zweitblick.dimse.data_set import LONGEST_BYTES
from zweitblick.dimse.messages import N_EVENT_REPORT, Request

EXPLICIT = "1.2.840.10008.1.2.1"
STATUSES = {0x0000, 0x0115}


def served(data: bytes) -> tuple[int, list[CommitmentReport]]:
    buffer = BoundedBuffer(2**30)
    buffer.write(data)
    reports: list[CommitmentReport] = []
    request = Request(1, N_EVENT_REPORT, 1, STORAGE_COMMITMENT, COMMITMENT_INSTANCE, buffer, FAILURES_EXIST)
    status = serve_report(request, build_context(STORAGE_COMMITMENT, [EXPLICIT]), reports.append)
    return status, reports


def encoded(report: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, report)
    return buffer.getvalue()


def valid() -> bytes:
    report, item = Dataset(), Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID, item.FailureReason = "1.2", "1.3", 0x0112
    report.TransactionUID = "2.25.4711"
    report.FailedSOPSequence = [item]
    kept = Dataset()
    kept.ReferencedSOPClassUID, kept.ReferencedSOPInstanceUID = "1.2", "1.4"
    report.ReferencedSOPSequence = [kept]
    return encoded(report)


def test_a_valid_one_is_taken() -> None:
    assert served(valid()) == (0x0000, [CommitmentReport("2.25.4711", FAILURES_EXIST, frozenset({"1.4"}), (0x0112,))])


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_taken(data: bytes) -> None:
    status, reports = served(data)
    assert status in STATUSES
    assert bool(reports) == (status == 0x0000)


@given(st.data())
def test_a_valid_one_that_is_damaged_is_refused_or_taken(data: st.DataObject) -> None:
    damaged = bytearray(valid())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    status, reports = served(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    assert status in STATUSES
    assert bool(reports) == (status == 0x0000)


def test_one_that_is_too_long_is_not_read() -> None:
    assert served(bytes(LONGEST_BYTES + 1)) == (0x0213, [])
