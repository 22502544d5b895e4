"""A structured report as an instance that archives keep and cannot read: encrypted attributes of PS3.15 E.1.

The new instance has nothing of the original in clear but its SOP class: a new SOP Instance UID, a pseudonym, constant
dummy values, and a root container with one item that says where the content is. The original is in its Encrypted
Attributes Sequence (0400,0500) twice: attribute by attribute in the Modified Attributes Sequence (0400,0550), as
PS3.15 E.1.1 asks, so that any program that follows E.1.2 restores it, and as signed bytes in a private attribute beside
that, since the standard's envelope is not authenticated (PS3.3 C.12.1.1.4.2). We return only what was signed.
"""

import hmac
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, Comprehensive3DSRStorage, ExplicitVRLittleEndian

from zweitblick.dicom import codes
from zweitblick.dicom.context import MANUFACTURER, SR, part10
from zweitblick.dicom.header import DAMAGE, quietly, read_header, tags_of
from zweitblick.errors import AlteredError, CmsFormatError, CmsKeyError, DamagedInstanceError
from zweitblick.reading import UID_ROOT

SECRET_BYTES = 32
"""Shortest key of HMAC-SHA256 that keeps its strength (RFC 2104 section 3)."""

PRIVATE_GROUP, PRIVATE_CREATOR, SIGNED_INSTANCE = 0x0401, "zweitblick signed instance", 0x01
"""Where the Encrypted Attributes Data Set holds the signed original; OB."""

_DUMMY_DATE, _DUMMY_TIME = "19000101", "000000"
_DUMMY = "removed"
_PLACEHOLDER = "The content of this report is encrypted: see Encrypted Attributes Sequence (0400,0500)."

Verified = TypeVar("Verified")


@dataclass(frozen=True)
class Filing:
    """Under what an encrypted instance is kept where nobody may know whose it is.

    Parameters
    ----------
    pseudonym
        Patient ID and Patient's Name, the same for every study of a patient: a keyed hash that the caller makes, of at
        most 64 letters and digits. A plain hash of a Patient ID is found by trying (PS3.15 E.1.1 note 3).
    secret
        Key, at least 32 random bytes, from which new UIDs are derived.
    study_uid
        Study Instance UID; None: derived from the original's, so that the encrypted instances of a study stay together
        in a study of their own.

    Raises
    ------
    CmsKeyError
        If the secret is too short.
    """

    pseudonym: str
    secret: bytes = field(repr=False)
    study_uid: str | None = None

    def __post_init__(self) -> None:
        if len(self.secret) < SECRET_BYTES:
            raise CmsKeyError(f"the secret has {len(self.secret)} bytes; take {SECRET_BYTES} random ones")

    def uid(self, original: str) -> UID:
        """UID that stands for another; without the secret the two are not linked.

        `UID_ROOT`, by which we know the instance when it is sent back to us, and 63 bits of the original's HMAC-SHA256,
        as in `zweitblick.reading.Stamp.uid`.
        """
        digest = hmac.digest(self.secret, b"zweitblick encrypted instance\0" + original.encode(), "sha256")
        return UID(f"{UID_ROOT}.{int.from_bytes(digest[:8]) >> 1}")


def encrypted_instance(
    content: bytes, filing: Filing, *, signed: Callable[[bytes], bytes], enveloped: Callable[[bytes], bytes]
) -> bytes:
    """Write a structured report as a new instance with encrypted attributes.

    Every attribute is protected (PS3.15 E.1.1), none is retained: the result says that Patient Identity was Removed,
    by the Basic Application Confidentiality Profile. The same report and filing give the same UIDs; the encrypted bytes
    differ each time.

    Parameters
    ----------
    content
        Part 10 bytes of a Comprehensive 3D SR.
    filing
        Under what it is kept.
    signed
        Signs bytes: `zweitblick.vault.cms.signed.signed` with a signer and a time.
    enveloped
        Envelops bytes: `zweitblick.vault.cms.enveloped.enveloped` with recipients and a time.

    Returns
    -------
    bytes
        Part 10 bytes of another Comprehensive 3D SR.

    Raises
    ------
    CmsFormatError
        If the content is anything but a Comprehensive 3D SR: pixels and documents have no place to hide in an object
        of their own class; seal them as files.
    """
    original = _original(content)
    dataset = _stand_in(filing, original)
    item = Dataset()
    item.EncryptedContentTransferSyntaxUID = ExplicitVRLittleEndian
    item.EncryptedContent = _even(enveloped(_encrypted_attributes(original, signed(content))))
    dataset.EncryptedAttributesSequence = [item]
    return part10(dataset)


def reidentified(
    content: bytes, *, decrypted: Callable[[bytes], bytes], verified: Callable[[bytes], Verified]
) -> Verified:
    """Return the original of an instance that `encrypted_instance` made, byte for byte.

    What the instance says in clear (pseudonym, UIDs) is neither signed nor looked at: whose report it is, the original
    says.

    Parameters
    ----------
    content
        Part 10 bytes.
    decrypted
        Decrypts an envelope: `zweitblick.vault.cms.enveloped.decrypted` with a recipient.
    verified
        Verifies what was signed: `zweitblick.vault.cms.signed.verified` with a trust and a time.

    Returns
    -------
    What ``verified`` returns of the signed original.

    Raises
    ------
    CmsFormatError
        If the instance has no encrypted attributes.
    AlteredError
        If there is no signed original in them, or anything is wrong with them.
    """
    try:
        with quietly():
            dataset = read_header(content, tags_of(["EncryptedAttributesSequence"])).data
            envelope = bytes(dataset.EncryptedAttributesSequence[0].EncryptedContent)
    except (*DAMAGE, DamagedInstanceError) as error:
        raise CmsFormatError("this is no DICOM instance with encrypted attributes; give a sealed one") from error
    return verified(_signed_instance(decrypted(envelope)))


def _original(content: bytes) -> Dataset:
    try:
        with quietly():
            dataset = pydicom.dcmread(io.BytesIO(content))
            sop_class = dataset.SOPClassUID
    except DAMAGE as error:
        raise CmsFormatError("this is no DICOM instance; give a structured report") from error
    if sop_class != Comprehensive3DSRStorage:
        raise CmsFormatError(
            f"this is a {UID(sop_class).name}, not a Comprehensive 3D SR, and its attributes are not encrypted; "
            "seal it as a file"
        )
    return dataset


def _encrypted_attributes(original: Dataset, signed_instance: bytes) -> bytes:
    """Encrypted Attributes Data Set (PS3.3 Table C.12-7), encoded; the meta information is no part of it."""
    dataset, item = Dataset(), Dataset()
    item.update(original)
    dataset.ModifiedAttributesSequence = [item]
    block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    block.add_new(SIGNED_INSTANCE, "OB", _even(signed_instance))
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    with quietly():
        write_dataset(buffer, dataset)
    return buffer.getvalue()


def _signed_instance(encoded: bytes) -> bytes:
    """Take the signed original out of an Encrypted Attributes Data Set that may be anybody's."""
    try:
        with quietly():
            dataset = read_dataset(io.BytesIO(encoded), is_implicit_VR=False, is_little_endian=True)
            return bytes(dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR)[SIGNED_INSTANCE].value)
    except DAMAGE:
        raise AlteredError from None


def _stand_in(filing: Filing, original: Dataset) -> Dataset:
    """Everything that is in clear: constants, the pseudonym and derived UIDs."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = Comprehensive3DSRStorage
    dataset.SOPInstanceUID = filing.uid(original.SOPInstanceUID)
    dataset.SeriesInstanceUID = filing.uid(original.SeriesInstanceUID)
    dataset.StudyInstanceUID = filing.study_uid or filing.uid(original.StudyInstanceUID)
    dataset.PatientName, dataset.PatientID = f"{filing.pseudonym}^", filing.pseudonym
    for keyword in (
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "AccessionNumber",
        "ReferringPhysicianName",
    ):
        setattr(dataset, keyword, "")
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethodCodeSequence = [codes.item(codes.BASIC_CONFIDENTIALITY)]
    dataset.Manufacturer = dataset.ManufacturerModelName = MANUFACTURER
    dataset.DeviceSerialNumber = dataset.SoftwareVersions = _DUMMY
    _put_document(dataset)
    return dataset


def _put_document(dataset: Dataset) -> None:
    """SR Document Series, General and Content Modules (PS3.3 C.17.1, C.17.2, C.17.3) of dummy values."""
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "SR", SR.number, 1
    dataset.ContentDate, dataset.ContentTime = _DUMMY_DATE, _DUMMY_TIME
    dataset.CompletionFlag, dataset.VerificationFlag = "PARTIAL", "UNVERIFIED"
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.PerformedProcedureCodeSequence = []
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = [codes.item(codes.IMAGING_STUDY)]
    placeholder = Dataset()
    placeholder.RelationshipType, placeholder.ValueType = "CONTAINS", "TEXT"
    placeholder.ConceptNameCodeSequence = [codes.item(codes.COMMENT)]
    placeholder.TextValue = _PLACEHOLDER
    dataset.ContentSequence = [placeholder]


def _even(value: bytes) -> bytes:
    """Pad OB to even length (PS3.5 section 6.2); DER tells its own end."""
    return value + b"\0" * (len(value) % 2)
