"""De-identification of MR images for research: the Basic Application Level Confidentiality Profile of PS3.15 annex E.

With some of its options. *Retain Longitudinal Temporal Information with Modified Dates*: all dates of a patient move by
the same number of days, times of day stay. *Clean Pixel Data*, by leaving out whatever may have names burnt into it:
objects that are no MR images, secondary captures, images that say so, overlays. Faces stay, and the header says so,
unless pixels without them are given (`zweitblick.dicom.deface`): *Clean Recognizable Visual Features*.
The actions are those of Table E.1-1 in its edition 2026c, as dicom-anonymizer lists them.
"""

import hashlib
import hmac
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

import numpy as np
import pydicom
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from numpy.typing import NDArray
from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import BaseTag
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, LegacyConvertedEnhancedMRImageStorage
from pydicom.uid import MRImageStorage as MRImage

from zweitblick.dicom.codes import item
from zweitblick.dicom.header import DAMAGE, quietly, texts
from zweitblick.errors import DamagedInstanceError, NotDeidentifiableError

KEY_BYTES = 32
LONGEST_SHIFT_DAYS = 3650

_IMAGES = frozenset({MRImage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage})
_REQUIRED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_DUMMY = {"PN": "Anonymous", "DA": "19000101", "DT": "19000101000000", "TM": "000000", "AS": "000Y"}
_NUMBERS = frozenset({"DS", "IS", "FL", "FD", "SL", "SS", "UL", "US", "SV", "UV"})
_BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


_OF_OTHER_PIXELS = (
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelDataProviderURL",
)
"""What was true of pixels before they were replaced."""


class Action(StrEnum):
    """What Table E.1-1 asks for; where it gives a choice by the attribute's type, the one that every type allows."""

    REMOVED = "removed"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    NEW_UID = "new UID"
    SHIFTED = "shifted"
    DEFACED = "defaced"
    """Of pixel data: not of the table, but what the Clean Recognizable Visual Features Option asks for."""


def _actions() -> Mapping[int, Action]:
    listed = (
        (Action.REMOVED, table.X_TAGS),
        (Action.EMPTIED, [*table.Z_TAGS, *table.X_Z_TAGS]),
        (Action.REPLACED, [*table.D_TAGS, *table.Z_D_TAGS, *table.X_D_TAGS, *table.X_Z_D_TAGS]),
        (Action.NEW_UID, table.U_TAGS),
    )
    return MappingProxyType({tag[0] << 16 | tag[1]: action for action, tags in listed for tag in tags if len(tag) == 2})


ACTIONS = _actions()
"""By tag. Attributes of repeating groups (curves, overlays) are removed with their groups."""


@dataclass(frozen=True)
class Pseudonyms:
    """Names that stand for patients and objects: the same for the same key, and without it linked to nobody.

    Parameters
    ----------
    key
        32 random bytes; whoever has them and a list of patients can tell who is who.
    """

    key: bytes = field(repr=False)

    def patient(self, patient_id: str) -> str:
        """Pseudonym of a patient: 16 hexadecimal digits of HMAC-SHA256 (RFC 2104) after ``ZB-``."""
        return f"ZB-{self._digest('patient', patient_id).hex()[:16]}"

    def uid(self, uid: str) -> str:
        """UID that stands for another: ``2.25.`` and 122 bits of HMAC-SHA256 as a UUID (PS3.5 section B.2)."""
        number = int.from_bytes(self._digest("uid", uid)[:16], "big")
        version_8 = number & ~(0xF << 76) | 8 << 76
        return f"2.25.{version_8 & ~(3 << 62) | 2 << 62}"

    def shift(self, patient_id: str) -> timedelta:
        """By how much a patient's dates move into the past: 1 to 3650 days."""
        number = int.from_bytes(self._digest("shift", patient_id)[:8], "big")
        return timedelta(days=1 + number % LONGEST_SHIFT_DAYS)

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.new(self.key, f"{kind}\0{value}".encode(), hashlib.sha256).digest()


@dataclass(frozen=True)
class Deidentified:
    """An instance without what tells whose it is.

    Parameters
    ----------
    file
        Part 10 bytes, Explicit VR Little Endian unless pixels are compressed.
    patient, study_uid, series_uid, sop_instance_uid
        As they are now.
    changed
        How many attributes, at every depth, each action concerned, by keyword or tag.
    """

    file: bytes = field(repr=False)
    patient: str
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    changed: Mapping[tuple[str, Action], int] = field(repr=False)


def deidentified(file: bytes, pseudonyms: Pseudonyms, defaced: NDArray[np.integer] | None = None) -> Deidentified:
    """De-identify an instance.

    Parameters
    ----------
    file
        A Part 10 file.
    pseudonyms
        What stands for patient and UIDs.
    defaced
        Stored values ``(rows, columns)`` in place of the file's own, without what a face could be known by; None keeps
        those.

    Raises
    ------
    NotDeidentifiableError
        If it may hold names that this does not find: no MR image, a secondary capture, or burnt-in annotation.
    DamagedInstanceError
        If it cannot be read.
    """
    try:
        with quietly():
            dataset = pydicom.dcmread(io.BytesIO(file))
            _check(dataset)
            _check_named(dataset)
            whose = _whose(dataset)
            cleaner = _Cleaner(pseudonyms, pseudonyms.shift(whose))
            cleaner.clean(dataset)
            if defaced is not None:
                _replace_pixels(dataset, defaced)
                cleaner.changed["PixelData", Action.DEFACED] += 1
            _settle(dataset, pseudonyms.patient(whose))
            if defaced is not None:
                _say_defaced(dataset)
            buffer = io.BytesIO()
            dataset.save_as(buffer, enforce_file_format=True)
    except DAMAGE as error:
        raise DamagedInstanceError(f"an instance cannot be read ({type(error).__name__}); leave it out") from error
    return Deidentified(
        buffer.getvalue(),
        str(dataset.PatientID),
        str(dataset.StudyInstanceUID),
        str(dataset.SeriesInstanceUID),
        str(dataset.SOPInstanceUID),
        cleaner.changed,
    )


def _check(dataset: Dataset) -> None:
    if dataset.get("SOPClassUID") not in _IMAGES:
        raise NotDeidentifiableError("it is no MR image and may show or tell anything; leave it out")
    kinds = {kind.upper() for kind in texts(dataset, "ImageType")}
    if "SECONDARY" in kinds or texts(dataset, "ConversionType"):
        raise NotDeidentifiableError("it is derived by hand or a capture, which may show names; leave it out")
    if "YES" in texts(dataset, "BurnedInAnnotation"):
        raise NotDeidentifiableError("it says that annotation is burnt into its pixels; leave it out")


def _check_named(dataset: Dataset) -> None:
    missing = [keyword for keyword in _REQUIRED if not dataset.get(keyword)]
    if missing:
        raise DamagedInstanceError(f"an instance has no {missing[0]}; leave it out")
    if not UID(str(dataset.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian))).is_transfer_syntax:
        raise DamagedInstanceError("an instance has no transfer syntax that is known; leave it out")


def _whose(dataset: Dataset) -> str:
    """Return the Patient ID, or the study's UID where there is none: patients without one are not one patient."""
    return next(iter(texts(dataset, "PatientID")), "") or str(dataset.StudyInstanceUID)


class _Cleaner:
    """Carries the actions out, at every depth."""

    def __init__(self, pseudonyms: Pseudonyms, shift: timedelta) -> None:
        self.changed: Counter[tuple[str, Action]] = Counter()
        self._pseudonyms = pseudonyms
        self._shift = shift

    def clean(self, dataset: Dataset) -> None:
        for tag in list(dataset.keys()):
            action = self._action(dataset, tag)
            if action is not None:
                self.changed[_name(tag), action] += 1
                self._act(dataset, tag, action)
            elif dataset[tag].VR == "SQ":
                for nested in dataset[tag].value:
                    self.clean(nested)

    @staticmethod
    def _action(dataset: Dataset, tag: BaseTag) -> Action | None:
        if tag.is_private or tag.group & 0xFF00 in (0x5000, 0x6000) or not dictionary_has_tag(tag):
            return Action.REMOVED
        listed = ACTIONS.get(int(tag))
        if listed is not None and dataset[tag].VR in ("DA", "DT", "TM") and dataset[tag].keyword != "PatientBirthDate":
            return Action.SHIFTED
        if listed is Action.REPLACED and dataset[tag].VR == "SQ":
            return Action.REMOVED
        return listed

    def _act(self, dataset: Dataset, tag: BaseTag, action: Action) -> None:
        if action is Action.REMOVED:
            del dataset[tag]
            return
        element = dataset[tag]
        if action is Action.EMPTIED:
            element.value = [] if element.VR == "SQ" else None
        elif action is Action.REPLACED:
            element.value = _dummy(element)
        elif action is Action.NEW_UID:
            element.value = _each(element, self._pseudonyms.uid)
        else:
            element.value = _each(element, self._moved) if element.VR != "TM" else element.value

    def _moved(self, written: str) -> str:
        """Move a DA or DT value some days back; empty what is none."""
        try:
            day = datetime.strptime(written[:8], "%Y%m%d")  # noqa: DTZ007 -- a day alone
            return (day - self._shift).strftime("%Y%m%d") + written[8:]
        except (ValueError, OverflowError):
            return ""


def _each(element: DataElement, change: object) -> object:
    if element.value is None or not callable(change):
        return None
    if element.VM > 1:
        return [change(str(one)) for one in element.value]
    return change(str(element.value)) if element.value else element.value


def _dummy(element: DataElement) -> object:
    if element.VR in _NUMBERS:
        return 0
    if element.VR in _BYTES:
        return b"\0\0"
    return _DUMMY.get(element.VR, "REMOVED")


def _settle(dataset: Dataset, pseudonym: str) -> None:
    """Say whose it is now, and what was done (PS3.15 section E.2, PS3.3 section C.12.1)."""
    dataset.PatientName = dataset.PatientID = pseudonym
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    dataset.RecognizableVisualFeatures = "YES"
    dataset.BurnedInAnnotation = "NO"
    dataset.DeidentificationMethod = "zweitblick: PS3.15 annex E, table of 2026c"
    dataset.DeidentificationMethodCodeSequence = [
        item(Code("113100", "DCM", "Basic Application Confidentiality Profile")),
        item(Code("113101", "DCM", "Clean Pixel Data Option")),
        item(Code("113107", "DCM", "Retain Longitudinal Temporal Information Modified Dates Option")),
    ]
    dataset.preamble = bytes(128)
    syntax = dataset.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian)
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def _replace_pixels(dataset: Dataset, values: NDArray[np.integer]) -> None:
    """Write stored values as native pixel data (PS3.5 section 8.1.1), whatever they were compressed by."""
    if values.shape != (dataset.Rows, dataset.Columns):
        raise DamagedInstanceError(f"pixels of shape {values.shape} do not fit the image; leave it out")
    for keyword in _OF_OTHER_PIXELS:
        if keyword in dataset:
            delattr(dataset, keyword)
    word = np.dtype(f"<{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}")
    content = values.astype(word).tobytes()
    dataset.add_new("PixelData", "OW", content + b"\0" * (len(content) % 2))
    dataset.HighBit = dataset.BitsStored - 1
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _say_defaced(dataset: Dataset) -> None:
    dataset.RecognizableVisualFeatures = "NO"
    option = Code("113102", "DCM", "Clean Recognizable Visual Features Option")
    dataset.DeidentificationMethodCodeSequence.append(item(option))


def _name(tag: BaseTag) -> str:
    """Keyword of an attribute; of a private or repeated one its tag, whose value tells nothing."""
    return pydicom.datadict.keyword_for_tag(tag) or str(tag)
