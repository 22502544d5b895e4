"""A patient who is easy to tell from anything else, and a search for whatever names her, in any of many forms."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom

from kept_study import files_of

FAMILY, GIVEN = "Wüstenhagen", "Rosalinde"
PHYSICIAN = "Thannhäuser"
HEADER = {
    "SpecificCharacterSet": "ISO_IR 100",
    "PatientName": f"{FAMILY}^{GIVEN}",
    "PatientID": "PID-88120467",
    "PatientBirthDate": "19530817",
    "AccessionNumber": "ACC-40717733",
    "ReferringPhysicianName": f"{PHYSICIAN}^Ottokar",
}
IMAGES = 3
"""Of so many of a study the UIDs are looked for."""
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def given_to(patient: Mapping[str, str], files: Iterable[Path]) -> None:
    """Make files those of a patient."""
    for path in files:
        data = pydicom.dcmread(path)
        for keyword, value in patient.items():
            setattr(data, keyword, value)
        data.save_as(path)


def identifiers_of(study: Path) -> dict[str, str]:
    """Whatever names the patient or one of her first images, by what it is."""
    found = {
        "family name": FAMILY,
        "given name": GIVEN,
        "referring physician": PHYSICIAN,
        "patient id": HEADER["PatientID"],
        "birth date": HEADER["PatientBirthDate"],
        "birth date, ISO 8601": "1953-08-17",
        "accession number": HEADER["AccessionNumber"],
    }
    return found | values_of(files_of(study)[:IMAGES], UIDS)


def values_of(images: Iterable[Path], keywords: Sequence[str]) -> dict[str, str]:
    """Values of some attributes of images, each value once, by keyword and number of the image."""
    found = {}
    for number, path in enumerate(images):
        data = pydicom.dcmread(path, stop_before_pixels=True)
        found |= {f"{keyword} {number}": str(data.get(keyword)) for keyword in keywords}
    return {what: value for value, what in {value: what for what, value in found.items()}.items()}


def forms(value: str) -> dict[str, bytes]:
    """Byte strings of which one is in whatever holds a value in a form; the text ones and hex in lower case."""
    plain = value.encode()
    text = {encoding: value.lower().encode(encoding) for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be")}
    return text | {"hex": plain.hex().encode()} | {f"base64, {shift}": _base64(plain, shift) for shift in range(3)}


def _base64(plain: bytes, shift: int) -> bytes:
    """The digits that come of a value alone where so many bytes of a group of three precede it."""
    first = -(-8 * shift // 6)
    last = 8 * (shift + len(plain)) // 6
    return base64.b64encode(bytes(shift) + plain + bytes(2))[first:last]


@dataclass(frozen=True)
class Search:
    """Looks for values in all their forms, whatever their case."""

    values: Mapping[str, str]

    def within(self, content: bytes) -> list[str]:
        lower = content.lower()
        return [
            f"{what} ({form})"
            for what, value in self.values.items()
            for form, needle in forms(value).items()
            if needle in (content if form.startswith("base64") else lower)
        ]

    def below(self, *places: Path) -> list[str]:
        """Look into names and contents of all files below some folders; files that go meanwhile hold nothing."""
        found = []
        for place in places:
            for path in [place, *place.rglob("*")]:
                found += [f"{path}: {what}" for what in self.within(str(path.relative_to(place)).encode())]
                try:
                    content = path.read_bytes() if path.is_file() else b""
                except FileNotFoundError:
                    continue
                found += [f"{path}: {what}" for what in self.within(content)]
        return found
