"""Study, Series, Instance and Frame: what the scanner sent, as its headers say, without pixels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path


class Sequence(StrEnum):
    """The four MR contrasts that the tumour model reads."""

    T1 = "T1"
    T1C = "T1c"
    T2 = "T2"
    FLAIR = "FLAIR"


class Priority(StrEnum):
    """How urgent a study is, the most urgent first: (0040,1003) Requested Procedure Priority, PS3.3 table C.4-11."""

    STAT = "stat"
    HIGH = "high"
    ROUTINE = "routine"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True)
class Patient:
    """Whom the study shows. Nothing of it appears in a ``repr``.

    Parameters
    ----------
    name, id, birth_date, sex
        As in (0010,0010), (0010,0020), (0010,0030) and (0010,0040); empty or None where absent.
    age_years
        At the time of the study, from (0010,1010) or the dates; None if neither is known.
    """

    name: str = field(default="", repr=False)
    id: str = field(default="", repr=False)
    birth_date: date | None = field(default=None, repr=False)
    sex: str = field(default="", repr=False)
    age_years: float | None = field(default=None, repr=False)


@dataclass(frozen=True)
class NativePixels:
    """Where grey pixel data lie in a file as plain little-endian words (PS3.5 section 8.1.1 and annex A.1, A.2).

    Parameters
    ----------
    offset
        First byte in the file.
    shape
        Frames, rows and columns that are announced.
    allocated, stored, high
        Bits Allocated (8 or 16), Bits Stored and High Bit.
    signed
        Whether values are in two's complement.
    """

    offset: int
    shape: tuple[int, int, int]
    allocated: int
    stored: int
    high: int
    signed: bool


@dataclass(frozen=True)
class Instance:
    """One SOP instance and where its bytes are.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid
        (0008,0016), (0008,0018) and (0002,0010).
    number
        Instance Number (0020,0013), None if absent.
    source
        File, or the Part 10 bytes themselves.
    samples_per_pixel
        (0028,0002): 1 grey, 3 colour; 0 where the instance holds no pixel data.
    native
        Where its pixels can be read without a decoder; None where they cannot.
    """

    sop_class_uid: str
    sop_instance_uid: str = field(repr=False)
    transfer_syntax_uid: str
    number: int | None
    source: Path | bytes = field(repr=False)
    samples_per_pixel: int = 1
    native: NativePixels | None = None


@dataclass(frozen=True)
class Frame:
    """One plane of pixels and its geometry (Image Plane, PS3.3 C.7.6.2; Plane Position and Orientation macros).

    Parameters
    ----------
    instance
        The instance that holds it.
    number
        Frame number within the instance, from 1.
    position_lps
        Image Position (Patient): centre of the first pixel, mm.
    orientation_lps
        Image Orientation (Patient): direction along a row (i grows), then down a column (j grows).
    spacing_mm
        Pixel Spacing: distance between rows (j), then between columns (i).
    shape
        Rows and columns.
    image_type
        Image Type of this frame, upper case.
    volume_key
        What tells this frame's volume from others in the same series (echo, b-value, temporal position, stack,
        acquisition, phase or magnitude); equal keys belong together, unequal ones part frames that share a place.
    rescale
        Rescale Slope and Intercept: a voxel's value is slope × stored value + intercept (PS3.3 C.7.6.16.2.9).
    """

    instance: Instance
    number: int
    position_lps: tuple[float, float, float]
    orientation_lps: tuple[float, float, float, float, float, float]
    spacing_mm: tuple[float, float]
    shape: tuple[int, int]
    image_type: tuple[str, ...] = ()
    volume_key: tuple[str, ...] = ()
    rescale: tuple[float, float] = (1.0, 0.0)


@dataclass(frozen=True)
class Physics:
    """How the contrast was made (MR Image module, PS3.3 C.8.3.1). None or empty where the header is silent.

    Times in ms, angle in degrees, b-value in s/mm², field strength in tesla.
    """

    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    inversion_time_ms: float | None = None
    flip_angle_deg: float | None = None
    echo_train_length: int | None = None
    b_value: float | None = None
    field_strength_t: float | None = None
    scanning_sequence: tuple[str, ...] = ()
    sequence_variant: tuple[str, ...] = ()
    sequence_name: str = ""
    image_type: tuple[str, ...] = ()
    contrast_agent: str = ""
    acquisition_type: str = ""


@dataclass(frozen=True)
class Series:
    """One series of a study, as its headers say.

    Parameters
    ----------
    uid, number, description, protocol, modality, body_part
        (0020,000E), (0020,0011), (0008,103E), (0018,1030), (0008,0060), (0018,0015).
    frame_of_reference_uid
        (0020,0052); series that share it were scanned without moving the coordinate system. Empty if absent.
    acquired_at
        When its first image was acquired, None if unknown; only the order within a study is used.
    physics
        Of its first image.
    instances
        All of them, in no particular order.
    frames
        Every plane with a complete geometry, in no particular order; empty where there is none.
    """

    uid: str = field(repr=False)
    number: int | None
    modality: str
    instances: tuple[Instance, ...] = field(repr=False)
    frames: tuple[Frame, ...] = field(default=(), repr=False)
    description: str = field(default="", repr=False)
    protocol: str = field(default="", repr=False)
    body_part: str = ""
    frame_of_reference_uid: str = field(default="", repr=False)
    acquired_at: datetime | None = field(default=None, repr=False)
    physics: Physics = field(default_factory=Physics)

    @property
    def name(self) -> str:
        """How messages call this series: by its Series Number, which PS3.15 Table E.1-1 does not list."""
        return f"series {self.number}" if self.number is not None else "a series without number"


@dataclass(frozen=True)
class Study:
    """One study of one patient.

    Parameters
    ----------
    uid
        Study Instance UID.
    patient
        Whom it shows.
    series
        Sorted by Series Number, then UID.
    description, accession_number, started_at
        (0008,1030), (0008,0050), Study Date and Time; empty or None where absent.
    unreadable
        Files that were no usable DICOM instance, by name and reason; they were left out.
    """

    uid: str = field(repr=False)
    patient: Patient
    series: tuple[Series, ...]
    description: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)
    started_at: datetime | None = field(default=None, repr=False)
    unreadable: Mapping[str, str] = field(default_factory=dict, repr=False)

    def series_by_uid(self, uid: str) -> Series:
        """Return the series with this Series Instance UID.

        Raises
        ------
        KeyError
            If the study has no such series.
        """
        for series in self.series:
            if series.uid == uid:
                return series
        raise KeyError("no series with that UID in this study")
