"""QIDO-RS (PS3.18 section 10.6): searches for studies, series and instances."""

import json
import logging
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from zweitblick.errors import SealBrokenError, StoreDamagedError, StoreKeyError, UnknownObjectError, UnknownStudyError
from zweitblick.store.store import Store
from zweitblick.web.dicomweb.catalogue import Catalogue, Entry, Model, SeriesEntry, first
from zweitblick.web.dicomweb.query import (
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

log = logging.getLogger(__name__)

STUDY_TAGS = ["00080005", "00080020", "00080030", "00080050", "00080090", "00080201", "00081030"]
STUDY_TAGS += ["00100010", "00100020", "00100030", "00100040", "0020000D", "00200010"]
SERIES_TAGS = ["00080060", "00080201", "0008103E", "0020000E", "00200011", "00400244", "00400245", "00400275"]
INSTANCE_TAGS = ["00080016", "00080018", "00080201", "00200013", "00280008", "00280010", "00280011", "00280100"]
"""Attributes that are returned without being asked for (PS3.18 tables 10.6.3-3 to 10.6.3-5), and Study Description."""

_BELOW_SERIES = ("00080016", SOP_UID)
_BELOW_STUDY = (*_BELOW_SERIES, SERIES_UID, MODALITY)

_STUDY_KEYS = (STUDY_UID, PATIENT_ID, ACCESSION_NUMBER, STUDY_DATE, MODALITIES)
_PAGE = 100
_GONE = (UnknownStudyError, UnknownObjectError, StoreKeyError)
"""A study was shredded while it was looked at."""
_DAMAGED = (StoreDamagedError, SealBrokenError)


class Search:
    """Answers searches.

    Parameters
    ----------
    store
        What is searched.
    root
        URL of the service.
    """

    def __init__(self, store: Store, root: str) -> None:
        self._store = store
        self._catalogue = Catalogue(store)
        self._root = root

    def studies(self, query: Query) -> list[Model]:
        """Return studies that match, the newest first unless they are searched for by identifiers."""
        if not query.match:
            newest = self._store.listing.newest(limit=query.limit, offset=query.offset)
            return [model for place in newest for _, model, _ in self._among_others(place.study, query)]
        found = (model for _, model, _ in self._studies(query))
        return list(islice(found, query.offset, query.offset + query.limit))

    def series(self, query: Query, study_uid: str = "") -> list[Model]:
        """Return series that match, of one study or of all.

        Raises
        ------
        UnknownStudyError
            If one study is asked for and not kept.
        """
        found = (
            self._series(study, one, query)
            for _, study, all_series in self._within(query, study_uid)
            for one in all_series
            if query.matches(one.header, SERIES_UID, MODALITY)
        )
        return list(islice(found, query.offset, query.offset + query.limit))

    def instances(self, query: Query, study_uid: str = "", series_uid: str = "") -> list[Model]:
        """Return instances that match, of one series, one study or of all.

        Raises
        ------
        UnknownStudyError
            If one study is asked for and not kept.
        """
        found = (
            self._instance(study, entry, header, query)
            for token, study, _ in self._within(query, study_uid)
            for entry, header in self._instances_of(token, query, series_uid)
        )
        return list(islice(found, query.offset, query.offset + query.limit))

    def _within(self, query: Query, study_uid: str) -> Iterable[tuple[str, Model, list[SeriesEntry]]]:
        if not study_uid:
            return self._studies(query)
        return self._looked_at(self._catalogue.token(study_uid), query)

    def _studies(self, query: Query) -> Iterator[tuple[str, Model, list[SeriesEntry]]]:
        for token in self._candidates(query):
            yield from self._among_others(token, query)

    def _looked_at(self, token: str, query: Query) -> list[tuple[str, Model, list[SeriesEntry]]]:
        """Return a study with its series, if what is asked of studies matches."""
        series = self._catalogue.series(token)
        model = _study_model(series)
        if not series or not query.matches(model, *_STUDY_KEYS):
            return []
        return [(token, self._study(model, series[0].header, query), series)]

    def _among_others(self, token: str, query: Query) -> list[tuple[str, Model, list[SeriesEntry]]]:
        """Do the same, and pass over what is gone or damaged, so that others are found."""
        try:
            return self._looked_at(token, query)
        except _GONE:
            return []
        except _DAMAGED as error:
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
                model = _study_model(self._catalogue.series(token))
                patient, accession = first(model, PATIENT_ID), first(model, ACCESSION_NUMBER)
                if patient or accession:
                    self._store.describe(token, patient_id=patient, accession_number=accession)
                    yield token
            except (*_GONE, *_DAMAGED):
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

    def _study(self, model: Model, header: Model, query: Query) -> Model:
        shown = _chosen(header, STUDY_TAGS, query, below=_BELOW_STUDY) | model
        return _sorted(shown | self._retrieved(f"studies/{first(model, STUDY_UID)}"))

    def _series(self, study: Model, one: SeriesEntry, query: Query) -> Model:
        shown = _of_study(study) | _chosen(one.header, SERIES_TAGS, query, below=_BELOW_SERIES)
        uid = first(one.header, SERIES_UID)
        shown["00201209"] = _attribute("IS", one.instances)
        return _sorted(shown | self._retrieved(f"studies/{first(study, STUDY_UID)}/series/{uid}"))

    def _instance(self, study: Model, entry: Entry, header: Model, query: Query) -> Model:
        tags = [*INSTANCE_TAGS, SERIES_UID, MODALITY]
        shown = _of_study(study) | _chosen(header, tags, query)
        shown["00080056"] = _attribute("CS", "ONLINE")
        shown["00083002"] = _attribute("UI", entry.transfer_syntax_uid)
        return _sorted(shown | self._retrieved(entry.path))

    def _retrieved(self, path: str) -> Model:
        return {"00081190": _attribute("UR", f"{self._root}/{path}")}


def _study_model(series: list[SeriesEntry]) -> Model:
    """Return what all series of a study say together."""
    header = series[0].header if series else {}
    modalities = sorted({found for one in series if (found := first(one.header, MODALITY))})
    return {tag: header[tag] for tag in (STUDY_UID, PATIENT_ID, ACCESSION_NUMBER, STUDY_DATE) if tag in header} | {
        "00080056": _attribute("CS", "ONLINE"),
        MODALITIES: {"vr": "CS", "Value": modalities},
        "00201206": _attribute("IS", len(series)),
        "00201208": _attribute("IS", sum(one.instances for one in series)),
    }


def _of_study(study: Model) -> Model:
    return {tag: study[tag] for tag in (*STUDY_TAGS, MODALITIES, "00201206", "00201208") if tag in study}


def _chosen(header: Model, tags: Iterable[str], query: Query, *, below: Iterable[str] = ()) -> Model:
    """Return what is asked for of a header; where that is everything, without what names things below the level."""
    if query.include is None:
        return {tag: value for tag, value in header.items() if "BulkDataURI" not in value and tag not in below}
    return {tag: header[tag] for tag in {*tags, *query.include} if tag in header}


def _sorted(model: Model) -> Model:
    return dict(sorted(model.items()))


def _attribute(vr: str, value: Any) -> Model:
    return {"vr": vr, "Value": [value]}


def _once(tokens: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(tokens))
