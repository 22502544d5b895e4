"""Kept: FHIR resources of the studies that were read, as they were written at the reading, with ids of this server.

An id is that of the round, a full stop, and the resource's number in the round's bundle: it is random, names nobody and
needs no index. What a newer reading supersedes is not found any more.
"""

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from zweitblick.errors import UnknownObjectError, UnknownRoundError
from zweitblick.report.fhir_ids import with_ids
from zweitblick.store.lost import GONE
from zweitblick.store.results import FHIR_BUNDLE
from zweitblick.store.store import Store

Resource = dict[str, Any]

_ID = re.compile(r"([0-9a-f]{32})\.([0-9]{1,4})")
_PAGE = 100
"""Studies that are listed at once."""


class Kind(StrEnum):
    """Types of resources that are served."""

    REPORT = "DiagnosticReport"
    OBSERVATION = "Observation"
    STUDY = "ImagingStudy"
    DEVICE = "Device"
    PATIENT = "Patient"


def round_of(resource_id: str) -> str:
    """Return the id of the round that a resource is of; empty if it is no id of ours."""
    found = _ID.fullmatch(resource_id)
    return found[1] if found else ""


class Kept:
    """What is kept of studies that were read; for several threads at once.

    Parameters
    ----------
    store
        Where it is.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def study_with(self, kind: Kind, resource_id: str) -> str:
        """Return the token of the study whose last reading has a resource.

        Raises
        ------
        UnknownObjectError
            If there is no such resource, or a newer reading has superseded it.
        """
        try:
            study = self._store.work.round(round_of(resource_id)).study
            if any(one["id"] == resource_id for one in self.of_study(study, kind)):
                return study
        except (UnknownRoundError, *GONE):
            pass
        raise UnknownObjectError("no resource of this id is kept, or a newer reading supersedes it; search for it")

    def of_study(self, study: str, kind: Kind) -> list[Resource]:
        """Return the resources of a type of a study's last reading, in their order there; none if it was not read.

        Raises
        ------
        StoreError, VaultError
            If they cannot be opened, see `zweitblick.store.lost`.
        """
        read = self._store.listing.last_read(study)
        written = [] if read is None else [one for one in self._store.results(read) if one.name == FHIR_BUNDLE]
        if not written:
            return []
        with self._store.open(written[0].id) as file:
            bundle = json.load(file)
        return [one for one in _served(bundle, written[0].round) if one["resourceType"] == kind]

    def newest_studies(self) -> Iterator[str]:
        """Yield the tokens of all studies, the one first whose last instance came last."""
        place = None
        while page := self._store.listing.newest(limit=_PAGE, after=place):
            yield from (one.study for one in page)
            place = page[-1]


def _served(bundle: Resource, read: str) -> list[Resource]:
    """Resources of a bundle, with ids and with references to each other that this server follows."""
    meta = {"meta": {"lastUpdated": bundle["timestamp"]}}
    ids = [f"{read}.{number}" for number in range(len(bundle["entry"]))]
    return [one | meta for one in with_ids(bundle, ids)]
