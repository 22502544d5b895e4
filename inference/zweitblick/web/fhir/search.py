"""Search: which resources have exactly the values that are asked for (FHIR R4 section 3.1.1)."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from zweitblick.errors import QueryError, UnknownObjectError, UnknownStudyError
from zweitblick.store.lost import DAMAGED, GONE
from zweitblick.store.store import Store
from zweitblick.web.fhir.kept import Kept, Kind, Resource, round_of

log = logging.getLogger(__name__)

MOST_MATCHES = 200
"""Resources of one page."""

USUAL_MATCHES = 50
FARTHEST = 9999
"""Matches that can be passed over."""

PATIENT_IDENTIFIER, STUDY_IDENTIFIER, IDENTIFIER = "patient.identifier", "study.identifier", "identifier"
PATIENT, SUBJECT, STUDY, ID = "patient", "subject", "study", "_id"
COUNT, OFFSET, FORMAT = "_count", "_offset", "_format"

PARAMETERS: Mapping[Kind, Mapping[str, str]] = {
    Kind.REPORT: {ID: "token", PATIENT: "reference", SUBJECT: "reference", STUDY: "reference"},
    Kind.OBSERVATION: {ID: "token", PATIENT: "reference", SUBJECT: "reference", STUDY: "reference"},
    Kind.STUDY: {ID: "token", PATIENT: "reference", SUBJECT: "reference", IDENTIFIER: "token"},
}
"""What can be searched for, by type, and the type of each parameter. ``study`` is that of R5 (DiagnosticReport)."""

CHAINED = {PATIENT: PATIENT_IDENTIFIER, STUDY: STUDY_IDENTIFIER}
"""Parameters whose target's identifier can be searched for."""

_DICOM_UID = "urn:dicom:uid"
_UID = re.compile(r"(?:urn:oid:)?([0-9]+(?:\.[0-9]+)*)")
_TOKEN = re.compile(r"(?:((?:\\.|[^\\|,])*)\|)?((?:\\.|[^\\|,])*)", re.DOTALL)
"""One value, with a system before it or none; commas, bars and backslashes of it have a backslash (3.1.1.4.7)."""


@dataclass(frozen=True)
class Asked:
    """A search.

    Parameters
    ----------
    kind
        Type of the resources.
    values
        By parameter; all must be met.
    count, offset
        So many matches at most, and so many are passed over.
    """

    kind: Kind
    values: Mapping[str, str]
    count: int
    offset: int


@dataclass(frozen=True)
class Match:
    """A resource that was found.

    Parameters
    ----------
    study
        Token of its study.
    resource
        As it is served.
    """

    study: str
    resource: Resource


def asked(kind: Kind, parameters: Sequence[tuple[str, str]]) -> Asked:
    """Read the parameters of a search.

    Raises
    ------
    QueryError
        If one is not searched for, is there twice, or has several values; a search that were done without it would
        find others' reports.
    """
    known = {*PARAMETERS[kind], *(chain for name, chain in CHAINED.items() if name in PARAMETERS[kind])}
    values: dict[str, str] = {}
    for name, value in parameters:
        if name not in known | {COUNT, OFFSET, FORMAT}:
            raise QueryError(f"this is searched by {', '.join(sorted(known))} alone; leave other parameters out")
        if name in values:
            raise QueryError(f"{name} is there twice; give one value")
        if not _TOKEN.fullmatch(value):
            raise QueryError(f"{name} has several values; give one, its commas, bars and backslashes with a backslash")
        values[name] = value
    count = _number(values.pop(COUNT, str(USUAL_MATCHES)), COUNT, 1, MOST_MATCHES)
    offset = _number(values.pop(OFFSET, "0"), OFFSET, 0, FARTHEST)
    values.pop(FORMAT, None)
    return Asked(kind, values, count, offset)


def matches(store: Store, search: Asked) -> tuple[list[Match], bool]:
    """Find what is asked for, newest studies first; exact values only.

    Returns
    -------
    Matches of the page, and whether there are more behind it.
    """
    kept = Kept(store)
    found = _found(kept, _studies(store, kept, search), search)
    page = list(islice(found, search.offset, search.offset + search.count + 1))
    return page[: search.count], len(page) > search.count


def _found(kept: Kept, studies: Iterator[str], search: Asked) -> Iterator[Match]:
    wanted = search.values.get(ID)
    for study in studies:
        try:
            resources = kept.of_study(study, search.kind)
        except GONE:
            continue
        except DAMAGED as error:
            log.warning("study %s is not shown: %s", study, error.code)
            continue
        yield from (Match(study, one) for one in resources if wanted in (None, one["id"]))


def _studies(store: Store, kept: Kept, search: Asked) -> Iterator[str]:
    """Studies that meet all conditions."""
    conditions: dict[str, Callable[[str], set[str]]] = {
        PATIENT_IDENTIFIER: lambda value: _of_patient(store, value),
        IDENTIFIER: lambda value: _of_uid(store, value),
        STUDY_IDENTIFIER: lambda value: _of_uid(store, value),
        PATIENT: lambda value: _of_reference(kept, Kind.PATIENT, value),
        SUBJECT: lambda value: _of_reference(kept, Kind.PATIENT, value),
        STUDY: lambda value: _of_reference(kept, Kind.STUDY, value),
        ID: lambda value: _of_reference(kept, search.kind, value),
    }
    sets = [conditions[name](value) for name, value in search.values.items()]
    if not sets:
        return kept.newest_studies()
    last = {study: store.rounds(study)[-1:] for study in sorted(set.intersection(*sets))}
    return iter(sorted(filter(last.get, last), key=lambda study: last[study][0].arrived_at, reverse=True))


def _of_patient(store: Store, value: str) -> set[str]:
    patient_id = _token(value, "")
    return set(store.studies_of_patient(patient_id)) if patient_id else set()


def _of_uid(store: Store, value: str) -> set[str]:
    uid = _UID.fullmatch(_token(value, _DICOM_UID))
    try:
        return {store.token(uid[1])} if uid else set()
    except UnknownStudyError:
        return set()


def _of_reference(kept: Kept, kind: Kind, value: str) -> set[str]:
    """Studies with a resource that is referred to, by its id or with its type before it."""
    resource_id = value.removeprefix(f"{kind}/")
    if not round_of(resource_id):
        return set()
    try:
        return {kept.study_with(kind, resource_id)}
    except UnknownObjectError:
        return set()


def _token(value: str, system: str) -> str:
    """Value of a token whose system is this one, or not given (section 3.1.1.4.10); empty if it is another."""
    found = _TOKEN.fullmatch(value)
    if found is None:
        return ""
    given, code = (re.sub(r"\\(.)", r"\1", part or "", flags=re.DOTALL) for part in found.groups())
    return code if given in ("", system) else ""


def _number(written: str, name: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", written) or not least <= int(written) <= most:
        raise QueryError(f"{name} is a number from {least} to {most}")
    return int(written)
