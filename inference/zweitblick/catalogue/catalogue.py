"""Catalogue: studies, series and instances as others are shown them, by their headers.

What was received is there, and of our results the DICOM instances of the newest round that was read. An instance in
conflict, which has the UID of one that came before it, is not.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, BinaryIO

from pydicom.uid import ExplicitVRLittleEndian

from zweitblick.dicom.file import data_set_of
from zweitblick.dicom.identity import identity
from zweitblick.dicom.json_model import header_model
from zweitblick.errors import DamagedInstanceError
from zweitblick.store.objects import KeptInstance, KeptResult
from zweitblick.store.store import Store

log = logging.getLogger(__name__)

Model = dict[str, Any]
"""A data set in the DICOM JSON model (PS3.18 annex F)."""

DICOM = "application/dicom"
"""Media type of those of our results that are instances."""


@dataclass(frozen=True)
class Entry:
    """One instance.

    Parameters
    ----------
    id
        Of the object that holds its file.
    study
        Token of its study.
    study_uid, series_uid, sop_class_uid, sop_uid
        What names it.
    transfer_syntax_uid
        How its file is encoded.
    """

    id: str
    study: str
    study_uid: str = field(repr=False)
    series_uid: str = field(repr=False)
    sop_class_uid: str
    sop_uid: str = field(repr=False)
    transfer_syntax_uid: str

    @property
    def path(self) -> str:
        """Place below the service's root."""
        return f"studies/{self.study_uid}/series/{self.series_uid}/instances/{self.sop_uid}"


@dataclass(frozen=True)
class SeriesEntry:
    """One series.

    Parameters
    ----------
    header
        Of one of its instances.
    instances
        How many it has.
    """

    header: Model = field(repr=False)
    instances: int


class Catalogue:
    """What is in a store; for several threads at once.

    Parameters
    ----------
    store
        Where it is kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def token(self, study_uid: str) -> str:
        """Return the token of a study.

        Raises
        ------
        UnknownStudyError
            If there is none of this UID.
        """
        return self._store.token(study_uid)

    def series(self, study: str) -> list[SeriesEntry]:
        """Return the series of a study; of each no more than one instance is looked into."""
        received = self._store.listing.series(study)
        results = self._results(study)
        headers = self._headers(study, [*(one.first for one in received), *(one.id for one in results)])
        counts = chain((one.instances for one in received), (1 for _ in results))
        return [SeriesEntry(json.loads(header), count) for header, count in zip(headers, counts, strict=True)]

    def instances(self, study: str, *, series_uid: str = "", sop_uid: str = "") -> list[Entry]:
        """Return the instances of a study, in an order that does not change.

        Parameters
        ----------
        study
            Token.
        series_uid, sop_uid
            Only those with exactly this UID; all if empty.
        """
        study_uid = self._store.study(study).study_instance_uid
        kept = self._store.instances(study, series_instance_uid=series_uid, sop_instance_uid=sop_uid)
        received = [_entry(one, study, study_uid) for one in kept if one.conflicts_with is None]
        results = [one for one in self._results(study) if sop_uid in ("", one.sop_instance_uid)]
        made = self._result_entries(results, study, study_uid)
        return received + [one for one in made if series_uid in ("", one.series_uid)]

    def headers(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        """Yield the headers of instances of one study, as JSON."""
        ordered = list(entries)
        return self._headers(ordered[0].study, [one.id for one in ordered]) if ordered else iter(())

    def open(self, entry: Entry) -> BinaryIO:
        """Open the DICOM file of an instance."""
        return self._store.open(entry.id)

    def _headers(self, study: str, ids: list[str]) -> Iterator[bytes]:
        return self._store.headers(study, ids, made_header)

    def _results(self, study: str) -> list[KeptResult]:
        read = self._store.listing.last_read(study)
        return [] if read is None else [one for one in self._store.results(read) if one.media_type == DICOM]

    def _result_entries(self, results: list[KeptResult], study: str, study_uid: str) -> list[Entry]:
        headers = map(json.loads, self._headers(study, [one.id for one in results]))
        return [
            Entry(
                id=one.id,
                study=study,
                study_uid=study_uid,
                series_uid=first(header, "0020000E"),
                sop_class_uid=first(header, "00080016"),
                sop_uid=one.sop_instance_uid,
                transfer_syntax_uid=ExplicitVRLittleEndian,
            )
            for one, header in zip(results, headers, strict=True)
        ]


def values(model: Model, tag: str) -> list[Any]:
    """Return the values of an attribute; none if it is absent or empty."""
    return [value for value in model.get(tag, {}).get("Value", []) if value is not None]


def first(model: Model, tag: str) -> str:
    """Return the first value of an attribute as text without padding; empty if there is none."""
    return next((str(value).strip(" \0") for value in values(model, tag)), "")


def _entry(kept: KeptInstance, study: str, study_uid: str) -> Entry:
    return Entry(
        id=kept.id,
        study=study,
        study_uid=study_uid,
        series_uid=kept.series_instance_uid,
        sop_class_uid=kept.sop_class_uid,
        sop_uid=kept.sop_instance_uid,
        transfer_syntax_uid=kept.transfer_syntax_uid,
    )


def made_header(file: BinaryIO) -> bytes:
    """Make what is kept of an instance beside it; see `zweitblick.store.store.Store.headers`."""
    try:
        model = header_model(file)
    except DamagedInstanceError as error:
        log.warning("an instance is shown without its header: %s", error.code)
        model = _named(file)
    return json.dumps(model, separators=(",", ":"), allow_nan=False).encode()


def _named(file: BinaryIO) -> Model:
    """Return what every instance that is kept has: its UIDs, which were found when it came."""
    file.seek(0)
    content = file.read()
    syntax, start = data_set_of(content)
    found = identity(content[start:], syntax)
    return {
        "00080016": {"vr": "UI", "Value": [found.sop_class_uid]},
        "00080018": {"vr": "UI", "Value": [found.sop_instance_uid]},
        "0020000D": {"vr": "UI", "Value": [found.study_instance_uid]},
        "0020000E": {"vr": "UI", "Value": [found.series_instance_uid]},
    }
