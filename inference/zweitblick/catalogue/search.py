"""Search: studies, series and instances that match a query, each with all that is known at its level."""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from zweitblick.catalogue.catalogue import Catalogue, Entry, Model, SeriesEntry, first
from zweitblick.catalogue.query import (
    ACCESSION_NUMBER,
    MODALITIES,
    MODALITY,
    PATIENT_ID,
    SERIES_UID,
    SOP_UID,
    STUDY_DATE,
    STUDY_UID,
    Query,
)
from zweitblick.errors import UnknownStudyError
from zweitblick.store.lost import DAMAGED, GONE, LOST
from zweitblick.store.store import Store

log = logging.getLogger(__name__)

OF_STUDIES = (
    *("00080005", "00080020", "00080030", "00080050", "00080090", "00080201", "00081030"),
    *("00100010", "00100020", "00100030", "00100040", "0020000D", "00200010"),
)
COUNTED = (MODALITIES, "00201206", "00201208")
"""Attributes that belong to a study: those of its headers, and those that are counted."""

_AVAILABILITY = "00080056"
_BELOW_SERIES = ("00080016", SOP_UID)
_BELOW_STUDY = (*_BELOW_SERIES, SERIES_UID, MODALITY)

_STUDY_KEYS = (STUDY_UID, PATIENT_ID, ACCESSION_NUMBER, STUDY_DATE, MODALITIES)
_PAGE = 100


@dataclass(frozen=True)
class FoundStudy:
    """A study.

    Parameters
    ----------
    token
        Its token.
    attributes
        What its series say together, and what the header of one of them says beside what names things below.
    series
        All of its series.
    """

    token: str
    attributes: Model = field(repr=False)
    series: list[SeriesEntry]

    @property
    def uid(self) -> str:
        """Study Instance UID."""
        return first(self.attributes, STUDY_UID)


@dataclass(frozen=True)
class FoundSeries:
    """A series.

    Parameters
    ----------
    study_uid, uid
        Study and Series Instance UID.
    attributes
        Those of its study, of one of its headers beside what names instances, and how many it has.
    """

    study_uid: str = field(repr=False)
    uid: str = field(repr=False)
    attributes: Model = field(repr=False)


@dataclass(frozen=True)
class FoundInstance:
    """An instance.

    Parameters
    ----------
    entry
        What names it.
    attributes
        Those of its study and of its header.
    """

    entry: Entry
    attributes: Model = field(repr=False)


class Search:
    """Searches a store; for several threads at once.

    Parameters
    ----------
    store
        What is searched.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._catalogue = Catalogue(store)

    def studies(self, query: Query) -> Iterator[FoundStudy]:
        """Yield studies that match, the newest first unless they are searched for by identifiers."""
        if not query.match:
            newest = self._store.listing.newest(limit=query.limit, offset=query.offset)
            return (study for place in newest for study in self._among_others(place.study, query))
        return islice(self._studies(query), query.offset, query.offset + query.limit)

    def has_more_studies(self, query: Query) -> bool:
        """Tell whether there are studies behind those that `studies` yields for a query that all match."""
        return bool(self._store.listing.newest(limit=1, offset=query.offset + query.limit))

    def series(self, query: Query, study_uid: str = "") -> Iterator[FoundSeries]:
        """Yield series that match, of one study or of all.

        Raises
        ------
        UnknownStudyError
            If one study is asked for and not kept.
        """
        found = (
            _series(study, one)
            for study in self._within(query, study_uid)
            for one in study.series
            if query.matches(one.header, SERIES_UID, MODALITY)
        )
        return islice(found, query.offset, query.offset + query.limit)

    def instances(self, query: Query, study_uid: str = "", series_uid: str = "") -> Iterator[FoundInstance]:
        """Yield instances that match, of one series, one study or of all.

        Raises
        ------
        UnknownStudyError
            If one study is asked for and not kept.
        """
        found = (
            _instance(study, entry, header)
            for study in self._within(query, study_uid)
            for entry, header in self._instances_of(study.token, query, series_uid)
        )
        return islice(found, query.offset, query.offset + query.limit)

    def _within(self, query: Query, study_uid: str) -> Iterable[FoundStudy]:
        if not study_uid:
            return self._studies(query)
        return self._looked_at(self._catalogue.token(study_uid), query)

    def _studies(self, query: Query) -> Iterator[FoundStudy]:
        for token in self._candidates(query):
            yield from self._among_others(token, query)

    def _looked_at(self, token: str, query: Query) -> list[FoundStudy]:
        """Return a study with its series, if what is asked of studies matches."""
        series = self._catalogue.series(token)
        said = _said_together(series)
        if not series or not query.matches(said, *_STUDY_KEYS):
            return []
        return [FoundStudy(token, _above(series[0].header, _BELOW_STUDY) | said, series)]

    def _among_others(self, token: str, query: Query) -> list[FoundStudy]:
        """Do the same, and pass over what is gone or damaged, so that others are found."""
        try:
            return self._looked_at(token, query)
        except GONE:
            return []
        except DAMAGED as error:
            log.warning("study %s is not shown: %s", token, error.code)
            return []

    def _candidates(self, query: Query) -> Iterable[str]:
        """Return tokens of studies among which are all that match."""
        if query.values(STUDY_UID):
            return self._known(query.values(STUDY_UID))
        if query.values(SOP_UID):
            return _once(chain.from_iterable(map(self._store.listing.with_instance, query.values(SOP_UID))))
        found: list[str] = []
        if patient := query.values(PATIENT_ID):
            found = self._store.studies_of_patient(patient[0])
        elif accession := query.values(ACCESSION_NUMBER):
            found = self._store.studies_of_accession(accession[0])
        else:
            return self._all()
        return _once([*found, *self._newly_described()])

    def _known(self, uids: Iterable[str]) -> Iterator[str]:
        for uid in uids:
            try:
                yield self._catalogue.token(uid)
            except UnknownStudyError:
                continue

    def _newly_described(self) -> Iterator[str]:
        """Look into studies whose headers nobody has read yet, so that they are found by them from now on."""
        for token in self._store.listing.undescribed():
            try:
                said = _said_together(self._catalogue.series(token))
                patient, accession = first(said, PATIENT_ID), first(said, ACCESSION_NUMBER)
                if patient or accession:
                    self._store.describe(token, patient_id=patient, accession_number=accession)
                    yield token
            except LOST:
                continue

    def _all(self) -> Iterator[str]:
        after = None
        while places := self._store.listing.newest(limit=_PAGE, after=after):
            yield from (place.study for place in places)
            after = places[-1]

    def _instances_of(self, token: str, query: Query, series_uid: str) -> Iterator[tuple[Entry, Model]]:
        entries = [
            one
            for one in self._catalogue.instances(token, series_uid=series_uid)
            if one.series_uid in (query.values(SERIES_UID) or (one.series_uid,))
            and one.sop_uid in (query.values(SOP_UID) or (one.sop_uid,))
        ]
        for start in range(0, len(entries), _PAGE):
            some = entries[start : start + _PAGE]
            for entry, header in zip(some, self._catalogue.headers(some), strict=True):
                model: Model = json.loads(header)
                if query.matches(model, MODALITY):
                    yield entry, model


def _said_together(series: list[SeriesEntry]) -> Model:
    """Return what all series of a study say together."""
    header = series[0].header if series else {}
    modalities = sorted({found for one in series if (found := first(one.header, MODALITY))})
    return {tag: header[tag] for tag in (STUDY_UID, PATIENT_ID, ACCESSION_NUMBER, STUDY_DATE) if tag in header} | {
        _AVAILABILITY: _attribute("CS", "ONLINE"),
        MODALITIES: {"vr": "CS", "Value": modalities},
        "00201206": _attribute("IS", len(series)),
        "00201208": _attribute("IS", sum(one.instances for one in series)),
    }


def _series(study: FoundStudy, one: SeriesEntry) -> FoundSeries:
    said = {_AVAILABILITY: _attribute("CS", "ONLINE"), "00201209": _attribute("IS", one.instances)}
    header = _above(one.header, _BELOW_SERIES)
    return FoundSeries(study.uid, first(header, SERIES_UID), _of_study(study) | header | said)


def _instance(study: FoundStudy, entry: Entry, header: Model) -> FoundInstance:
    said = {_AVAILABILITY: _attribute("CS", "ONLINE"), "00083002": _attribute("UI", entry.transfer_syntax_uid)}
    return FoundInstance(entry, _of_study(study) | _above(header, ()) | said)


def _of_study(study: FoundStudy) -> Model:
    return {tag: study.attributes[tag] for tag in (*OF_STUDIES, *COUNTED) if tag in study.attributes}


def _above(header: Model, below: Iterable[str]) -> Model:
    """Return a header without what names things below its level, and without what is too large to be shown."""
    return {tag: value for tag, value in header.items() if "BulkDataURI" not in value and tag not in below}


def _attribute(vr: str, value: Any) -> Model:
    return {"vr": vr, "Value": [value]}


def _once(tokens: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(tokens))
