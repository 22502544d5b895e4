"""Candidates: which of an archive's studies may be the last earlier MR study of a head, the last first."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from zweitblick.catalogue.catalogue import Catalogue, first
from zweitblick.dicom.header import moment
from zweitblick.peers.archive import RemoteSeries, RemoteStudy
from zweitblick.store.store import Store

BODY_PARTS = frozenset({"", "BRAIN", "HEAD", "SKULL", "HEADNECK", "WHOLEBODY", "NEURO"})
"""Body Part Examined (0018,0015) of series that may show a head; most of them do not say."""

_MR = "MR"
_AMBIGUOUS = frozenset("*?\\")
"""In a query these stand for other characters, or for several values (PS3.4 section C.2.2.2)."""


@dataclass(frozen=True)
class Present:
    """What is known of the study that is about to be read; nothing of it is in its ``repr``.

    Parameters
    ----------
    uid, patient_id, birth_date, sex
        As one of its headers has them.
    started_at
        Study Date and Time; None if there is no date.
    """

    uid: str = field(repr=False)
    patient_id: str = field(repr=False)
    birth_date: str = field(repr=False)
    sex: str = field(repr=False)
    started_at: datetime | None = field(repr=False)

    @property
    def can_be_asked_for(self) -> bool:
        """Whether its Patient ID finds this patient and nobody else, and there is a date to be earlier than."""
        return bool(self.patient_id) and not _AMBIGUOUS & set(self.patient_id) and self.started_at is not None


def present(store: Store, token: str) -> Present:
    """Read what a study's MR images say of it; empty where there is none.

    Raises
    ------
    StoreError, VaultError
        If it cannot be opened.
    """
    headers = [one.header for one in Catalogue(store).series(token) if first(one.header, "00080060") == _MR]
    header = headers[0] if headers else {}
    return Present(
        uid=first(header, "0020000D"),
        patient_id=first(header, "00100020"),
        birth_date=first(header, "00100030"),
        sex=first(header, "00100040"),
        started_at=moment(first(header, "00080020"), first(header, "00080030")),
    )


def earlier(study: Present, found: Iterable[RemoteStudy]) -> list[RemoteStudy]:
    """Return those that began earlier and may be of the same patient, the last first.

    Patient ID must be the same, and birth date and sex where both are known, as `zweitblick.prior.check_same_patient`
    asks later of what is read.
    """
    limit = study.started_at or datetime.min  # noqa: DTZ901 -- DICOM's dates have no zone
    before = [one for one in found if _may_be(study, one) and datetime.min < began(one) < limit]  # noqa: DTZ901 -- as said
    return sorted(before, key=began, reverse=True)


def began(study: RemoteStudy) -> datetime:
    """Return when a study began; the earliest time that there is if it does not say."""
    return moment(study.date, study.time) or datetime.min  # noqa: DTZ901 -- as said


def of_head(series: Iterable[RemoteSeries]) -> list[RemoteSeries]:
    """Return the MR series that may show a head."""
    return [one for one in series if one.modality == _MR and one.body_part.upper() in BODY_PARTS]


def _may_be(study: Present, other: RemoteStudy) -> bool:
    pairs = ((study.birth_date, other.birth_date), (study.sex, other.sex))
    return (
        other.uid != study.uid
        and other.patient_id == study.patient_id
        and all(not one or not another or one == another for one, another in pairs)
        and (not other.modalities or _MR in other.modalities)
    )
