"""Uploads: files as people have them, a zip archive or a form, each kept as it comes if it is an instance.

Nothing is written: an archive is unpacked as it streams, its names are looked at and not used, and an archive within it
is a file like any other.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pydantic import BaseModel
from stream_inflate import StreamInflateError
from stream_unzip import NO_ENCRYPTION, UnzipError, stream_unzip

from zweitblick.dicom.source import LIMITS, Budget, leaves_folder
from zweitblick.errors import (
    DamagedArchiveError,
    ForeignResultError,
    InstanceError,
    NoDicomError,
    TooManyFilesError,
    UnsafeArchiveError,
    UnsupportedMediaError,
    ZweitblickError,
)
from zweitblick.intake.file import IncomingFile
from zweitblick.intake.parts import MediaType, boundary_of, parts
from zweitblick.store.ingest import Outcome
from zweitblick.web.body import Body
from zweitblick.web.reception import Keep

DICOM, ZIP, FORM = "application/dicom", "application/zip", "multipart/form-data"
_ZIPS = (ZIP, "application/x-zip-compressed")
_LONGEST_NAME = 255


class Refused(BaseModel):
    """A file of an upload that is not kept.

    Attributes
    ----------
    number
        Its place among the upload's files, from 1.
    name
        As the upload has it.
    code, message
        Why; as in `zweitblick.errors`.
    """

    number: int
    name: str
    code: str
    message: str


class Upload(BaseModel):
    """What became of an upload.

    Attributes
    ----------
    studies
        Study Instance UIDs of what is kept now, to ask for their state by.
    kept
        Number of instances that are durable, those included that were there before.
    conflicts
        How many of these are kept apart and not read: another of their UID and other content came first.
    refused
        The other files.
    """

    studies: list[str]
    kept: int
    conflicts: int
    refused: list[Refused]


class UploadedFile(NamedTuple):
    """A file that came whole.

    Parameters
    ----------
    name
        As the upload has it; never used.
    content
        What it holds.
    fault
        Why it is not looked into, if it is not.
    """

    name: str
    content: IncomingFile
    fault: UnsafeArchiveError | None = None


def keep_upload(keep: Keep, body: Body, kind: MediaType) -> Upload:
    """Keep the instances of an upload, each durable before the next one is taken.

    Parameters
    ----------
    keep
        Keeps one.
    body
        What is uploaded.
    kind
        Its media type: a zip archive, a form with files, or one DICOM file.

    Raises
    ------
    UnsupportedMediaError
        If it is something else.
    NoDicomError
        If no file is an instance that is kept.
    DamagedArchiveError, ArchiveTooLargeError, TooManyFilesError
        If an archive cannot be taken to its end; what came before is kept.
    MalformedBodyError, BodyTooLargeError, BodyBrokenOffError
        If it cannot be taken to its end; what came before is kept.
    StoreError, VaultError, AuditError
        As from ``keep``; the same.
    """
    studies: dict[str, None] = {}
    outcomes, refused = Counter[Outcome](), []
    for number, file in enumerate(_files(body, kind), start=1):
        if number > LIMITS.files:
            raise TooManyFilesError(f"more than {LIMITS.files} files; upload one study at a time")
        try:
            study, outcome = _kept(keep, file)
        except (InstanceError, UnsafeArchiveError) as error:
            refused.append(_refused(number, file.name, error))
        else:
            studies[study] = None
            outcomes[outcome] += 1
    if not outcomes:
        raise NoDicomError(f"none of {len(refused)} files is a DICOM instance to keep; upload those of one MRI study")
    conflicts = outcomes[Outcome.CONFLICT]
    return Upload(studies=list(studies), kept=outcomes.total(), conflicts=conflicts, refused=refused)


def unpacked(body: Iterable[bytes], packed_bytes: Callable[[], int]) -> Iterator[UploadedFile]:
    """Yield the files of a zip archive as it streams, each once its checksum is right.

    Parameters
    ----------
    body
        The archive, in pieces.
    packed_bytes
        Tells how much of it has come.

    Raises
    ------
    ArchiveTooLargeError
        If it passes `zweitblick.dicom.source.LIMITS`.
    DamagedArchiveError
        If it is cut short, encrypted, of an unknown method, or no archive.
    """
    budget = Budget(LIMITS, packed_bytes)
    try:
        for raw_name, _, pieces in stream_unzip(body, allowed_encryption_mechanisms=(NO_ENCRYPTION,)):
            file, name = IncomingFile(), raw_name.decode("utf-8", "replace")
            fault = _fault_of(name)
            for piece in pieces:
                budget.spend(len(piece))
                if fault is None:
                    file.write(piece)
            if not name.endswith("/"):  # a folder
                yield UploadedFile(name, file, fault)
    except (UnzipError, StreamInflateError) as error:
        raise DamagedArchiveError(
            f"the archive cannot be unpacked ({type(error).__name__}); make it again, not encrypted. What came before "
            "is kept"
        ) from error


def _kept(keep: Keep, file: UploadedFile) -> tuple[str, Outcome]:
    """Keep an instance, and return the UID of its study and what became of it."""
    if file.fault is not None:
        raise file.fault
    instance = file.content.instance()
    outcome = keep(instance)
    if outcome is Outcome.FOREIGN:
        raise ForeignResultError("the file is a result of another zweitblick; upload the images that it was made of")
    return instance.study_instance_uid, outcome


def _files(body: Body, kind: MediaType) -> Iterator[UploadedFile]:
    if kind.essence in _ZIPS:
        yield from unpacked(body, lambda: body.taken)
    elif kind.essence == FORM:
        for part in parts(body, boundary_of(kind)):
            if part.name:
                yield UploadedFile(part.name, part.file)
    elif kind.essence == DICOM:
        file = IncomingFile()
        for piece in body:
            file.write(piece)
        yield UploadedFile("", file)
    else:
        raise UnsupportedMediaError(f"uploads are {ZIP}, {FORM} or {DICOM}; say which one it is")


def _fault_of(name: str) -> UnsafeArchiveError | None:
    if not leaves_folder(name):
        return None
    return UnsafeArchiveError("the name is an absolute path or has '..' in it; do not trust the archive")


def _refused(number: int, name: str, error: ZweitblickError) -> Refused:
    return Refused(number=number, name=name[:_LONGEST_NAME], code=error.code, message=str(error))
