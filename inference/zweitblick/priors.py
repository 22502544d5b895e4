"""Priors: the last earlier reading of a patient that the store keeps, for the one that is about to be made.

Which one it is depends on what had been read before a given time, and on nothing that happens later: a step that is
repeated after a crash finds the same one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from zweitblick.dicom.read import read_study
from zweitblick.earlier import prior_from
from zweitblick.errors import (
    NoDicomError,
    PriorError,
    PriorPartialError,
    PriorPatientError,
    StudyError,
    UnknownRoundError,
)
from zweitblick.followup import ALIGNED_ON
from zweitblick.prior import Prior, Timepoint, check_comparable
from zweitblick.reading import Notice
from zweitblick.report.findings_reader import read_findings
from zweitblick.store.life import Event
from zweitblick.store.lookups import LookupOutcome
from zweitblick.store.lost import LOST
from zweitblick.store.results import FINDINGS
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.study import Study

SEGMENTATION = "seg"
"""Name of the result that holds the SEG."""

UNUSABLE = (*LOST, UnknownRoundError, PriorError, StudyError, NoDicomError)
"""These say that an earlier study is no longer kept whole, or cannot be compared; this one is read all the same."""


@dataclass(frozen=True, eq=False)
class _Kept:
    """An earlier reading as the store keeps it, without its images."""

    round: Round
    read_at: datetime
    segmentation: bytes
    findings: bytes
    timepoint: Timepoint


def prior_of(store: Store, token: str, study: Study, *, before: datetime) -> Prior | Notice | None:
    """Find the last earlier reading of the same patient, by the exact Patient ID.

    Of several studies it is the last that began before this one. One whose birth date or sex
    differs is another patient's: it is not used, and a notice says that there is one.

    Parameters
    ----------
    store
        Where it is kept.
    token
        Of the study that is about to be read.
    study
        Its headers.
    before
        Only what was read before this time counts.

    Returns
    -------
    The reading; where none can be used, why, or nothing if there is none.

    Raises
    ------
    StoreUnavailableError, KeyHolderError
        If the store cannot be used now.
    """
    others = store.studies_of_patient(study.patient.id) if study.patient.id else []
    notices: list[Notice] = []
    kept: list[_Kept] = []
    for other in others:
        if other != token:
            with _noted(notices):
                kept += _last_reading(store, other, before)
    for one in _newest_first(kept, study, notices):
        with _noted(notices):
            return replace(_compared(store, one, study), notices=tuple(notices))
    return notices[0] if notices else None


def with_lookup(prior: Prior | Notice | None, outcome: str | None) -> Prior | Notice | None:
    """Say what came of looking for an earlier study elsewhere, where that is not the prior itself.

    Parameters
    ----------
    prior
        As from `prior_of`.
    outcome
        As from `zweitblick.store.lookups.Lookups.outcome`.
    """
    notice = _of_lookup(outcome)
    if notice is None:
        return prior
    if isinstance(prior, Prior):
        return replace(prior, notices=(*prior.notices, notice))
    return prior or notice


def _of_lookup(outcome: str | None) -> Notice | None:
    if outcome in (None, LookupOutcome.HAD):
        return None
    if outcome == LookupOutcome.NONE:
        return Notice("prior-none", "No earlier MR study of this patient was found in the archive.")
    text = f"The last earlier study of this patient was looked for in the archive and could not be had ({outcome})."
    return Notice("prior-not-had", text)


@contextmanager
def _noted(notices: list[Notice]) -> Iterator[None]:
    """Pass over an earlier reading that cannot be used, and note why."""
    try:
        yield
    except PriorPatientError as error:
        notices.append(Notice("prior-other-patient", f"An earlier study has this Patient ID, but {error}."))
    except UNUSABLE as error:
        text = f"An earlier study of this patient was not compared ({error.code}): {error}."
        notices.append(Notice("prior-unusable", text))


def _last_reading(store: Store, token: str, before: datetime) -> list[_Kept]:
    """Find what was made of a study last, before a time; nothing if it had not been read by then."""
    read = [entry for entry in store.history(token) if entry.event is Event.READ and entry.at < before]
    if not read:
        return []
    (one,) = (each for each in store.rounds(token) if each.id == read[-1].round)
    results = {result.name: result.id for result in store.results(one.id)}
    if not {SEGMENTATION, FINDINGS} <= set(results):
        return []
    segmentation, findings = (_content(store, results[name]) for name in (SEGMENTATION, FINDINGS))
    return [_Kept(one, read[-1].at, segmentation, findings, prior_from(segmentation, findings).timepoint)]


def _newest_first(kept: list[_Kept], study: Study, notices: list[Notice]) -> list[_Kept]:
    """Sort those that are earlier than a study by date, the last first; of one time, the one read last first."""
    if kept and study.started_at is None:
        notices.append(Notice("prior-undated", "There are other studies of this patient, but this one has no date."))
    dated = [
        (one.timepoint.started_at, one.read_at, one)
        for one in kept
        if study.started_at and one.timepoint.started_at and one.timepoint.started_at < study.started_at
    ]
    return [one for *_, one in sorted(dated, key=lambda each: each[:2], reverse=True)]


def _compared(store: Store, kept: _Kept, study: Study) -> Prior:
    """Add the images that the two heads can be aligned on."""
    check_comparable(kept.timepoint, study)
    if store.lookups.is_partial(kept.timepoint.study_uid):
        raise PriorPartialError("not all of its images have come from the archive")
    series = read_findings(kept.findings).series
    wanted = [series[sequence].uid for sequence in ALIGNED_ON if sequence in series]
    instances = [
        instance
        for uid in wanted
        for instance in store.instances(kept.round.study, series_instance_uid=uid)
        if instance.round <= kept.round.number and instance.conflicts_with is None
    ]
    # by UID, as the study itself is read
    ordered = sorted(instances, key=lambda one: one.sop_instance_uid)
    images = read_study([_content(store, instance.id) for instance in ordered])
    return prior_from(kept.segmentation, kept.findings, images)


def _content(store: Store, object_id: str) -> bytes:
    with store.open(object_id) as file:
        return file.read()
