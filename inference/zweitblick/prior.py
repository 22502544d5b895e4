"""Prior and Timepoint: what must be known of an earlier reading to tell what has changed since."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from zweitblick.errors import PriorOrderError, PriorPatientError
from zweitblick.findings import Findings
from zweitblick.reading import ModelIdentity, Notice
from zweitblick.study import Patient, Sequence, Series, Study
from zweitblick.volume import Float64, Volume


class Role(StrEnum):
    """What a reading is in the course of a treatment."""

    BASELINE = "baseline"
    """The study that response is measured from; that there is one says that treatment followed it."""
    FOLLOW_UP = "follow-up"


@dataclass(frozen=True)
class Timepoint:
    """One reading in the course of a patient.

    Parameters
    ----------
    study_uid, started_at, patient
        Whose study, and of when; None where the header has no date.
    findings
        What was measured.
    with_contrast
        Whether T1 with contrast was there; without it enhancing tumour is not known.
    models
        What read it.
    role
        Known to whoever knows of the treatment.
    """

    study_uid: str = field(repr=False)
    started_at: datetime | None = field(repr=False)
    patient: Patient
    findings: Findings
    with_contrast: bool
    models: tuple[ModelIdentity, ...]
    role: Role = Role.FOLLOW_UP

    @property
    def studied_on(self) -> date | None:
        """Day of the study."""
        return self.started_at.date() if self.started_at else None


@dataclass(frozen=True, eq=False)
class PriorImage:
    """A series of the earlier study that the present one can be aligned to.

    Parameters
    ----------
    part
        Its only volume; pixels are decoded when it is used.
    own_from_reference_lps
        ``(4, 4)`` rigid map from the earlier reference's LPS mm to its own.
    """

    part: Series
    own_from_reference_lps: Float64


@dataclass(frozen=True, eq=False)
class Prior:
    """An earlier reading of the same patient.

    Parameters
    ----------
    timepoint
        What was measured, and when.
    labels
        Label map of the whole outline (`zweitblick.prediction.CORE` and others) on the slices of the earlier reference
        series, in its own patient coordinates.
    images
        Series that the earlier reading used, for registration; empty where the earlier images are not at hand.
    course
        Further readings of this patient since a baseline, if anyone knows of a treatment; none later than this one.
    notices
        What must be known of how it was found.

    Raises
    ------
    PriorPatientError, PriorOrderError
        If a reading of the course may be another patient's, or is later than this one.
    """

    timepoint: Timepoint
    labels: Volume
    images: Mapping[Sequence, PriorImage]
    course: tuple[Timepoint, ...] = ()
    notices: tuple[Notice, ...] = ()

    def __post_init__(self) -> None:
        own = self.timepoint
        for other in self.course:
            check_same_patient(other.patient, own.patient)
            if own.studied_on and other.studied_on and other.studied_on > own.studied_on:
                raise PriorOrderError("a reading of the course is later than the prior; the prior must be the last one")


def check_same_patient(one: Patient, other: Patient) -> None:
    """Refuse to compare what may be two people.

    Patient ID, birth date and sex must agree where both are known. Names are not compared: they change, and are spelt
    in many ways.

    Raises
    ------
    PriorPatientError
        If one of them differs.
    """
    pairs = {
        "Patient ID (0010,0020)": (one.id, other.id),
        "Patient's Birth Date (0010,0030)": (one.birth_date, other.birth_date),
        "Patient's Sex (0010,0040)": (one.sex, other.sex),
    }
    for name, (first, second) in pairs.items():
        if first and second and first != second:
            raise PriorPatientError(f"{name} of the earlier study differs; it is not compared with another patient's")


def check_comparable(before: Timepoint, study: Study) -> None:
    """Refuse an earlier reading that is another patient's, or not earlier; one of the same day is let pass.

    Raises
    ------
    PriorPatientError, PriorOrderError
        If it may be; see `check_same_patient`.
    """
    check_same_patient(before.patient, study.patient)
    started = study.started_at.date() if study.started_at else None
    if started and before.studied_on and before.studied_on > started:
        days = (before.studied_on - started).days
        raise PriorOrderError(f"the earlier study is {days} days later than this one; exchange the two")
