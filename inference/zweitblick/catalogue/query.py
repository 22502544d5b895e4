"""Query: what is searched for (PS3.18 section 8.3.4, PS3.4 section C.2.2.2), and whether a data set matches it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from zweitblick.catalogue.catalogue import Model, first, values
from zweitblick.dicom.identity import is_uid
from zweitblick.errors import NoUidError, QueryError

STUDY_UID, SERIES_UID, SOP_UID = "0020000D", "0020000E", "00080018"
PATIENT_ID, ACCESSION_NUMBER = "00100020", "00080050"
MODALITY, MODALITIES, STUDY_DATE = "00080060", "00080061", "00080020"

MATCHED = (STUDY_UID, SERIES_UID, SOP_UID, PATIENT_ID, ACCESSION_NUMBER, MODALITY, MODALITIES, STUDY_DATE)
"""Attributes that are matched, by tag."""

MOST_RESULTS = 5_000
"""Of one search."""
MOST_VALUES = 1_000
"""UIDs of one key."""

_LISTS = (STUDY_UID, SERIES_UID, SOP_UID, MODALITIES)
_UIDS = (STUDY_UID, SERIES_UID, SOP_UID)
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_DATES = re.compile(r"[0-9]{8}|[0-9]{8}-|-[0-9]{8}|[0-9]{8}-[0-9]{8}")


@dataclass(frozen=True)
class Query:
    """A search.

    Parameters
    ----------
    match
        By tag: values of which one must be there, exactly.
    limit, offset
        So many results, after so many are passed over.
    include
        Tags that are returned too; None stands for all.
    """

    match: dict[str, tuple[str, ...]] = field(repr=False)
    limit: int
    offset: int
    include: frozenset[str] | None

    def values(self, tag: str) -> tuple[str, ...]:
        """Return what an attribute must be; empty if that does not matter."""
        return self.match.get(tag, ())

    def matches(self, model: Model, *tags: str) -> bool:
        """Tell whether a data set has what these attributes must be."""
        return all(_matches(model, tag, self.match[tag]) for tag in tags if tag in self.match)


def matched(keys: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Read what attributes must be, by tag; see `Query.match`.

    Parameters
    ----------
    keys
        Tag or keyword of each, and its value.

    Raises
    ------
    QueryError
        If it asks for what is not matched: names, wildcards, other attributes; or is not understood.
    NoUidError
        If something else is where a UID must be.
    """
    match: dict[str, tuple[str, ...]] = {}
    for name, value in keys:
        tag = _tag(name)
        match[tag] = _again(tag, match) + _values(tag, value)
    return match


def checked_uid(value: str) -> str:
    """Return a UID (PS3.5 section 9.1), which may be part of a path.

    Raises
    ------
    NoUidError
        If it is none.
    """
    if not is_uid(value):
        raise NoUidError("a UID has 1 to 64 digits and dots; give one that a search has returned")
    return value


def tag_named(name: str) -> str:
    """Return the tag that is written or that has a keyword; empty if there is none of this name."""
    if _TAG.fullmatch(name):
        return name.upper()
    number = tag_for_keyword(name)
    return "" if number is None else f"{number:08X}"


def _tag(name: str) -> str:
    tag = tag_named(name)
    if tag not in MATCHED:
        keywords = ", ".join(keyword_for_tag(int(one, 16)) for one in MATCHED)
        raise QueryError(f"only these are matched, exactly, since names are kept sealed: {keywords}")
    return tag


def _again(tag: str, match: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the values that a key has already; only those of which one must be there may come again."""
    if tag in match and tag not in _LISTS:
        raise QueryError(f"{keyword_for_tag(int(tag, 16))} is given twice; give it once")
    return match.get(tag, ())


def _values(tag: str, value: str) -> tuple[str, ...]:
    if "*" in value or "?" in value:
        raise QueryError(f"{keyword_for_tag(int(tag, 16))} is matched exactly, without wildcards; give the whole value")
    if tag == STUDY_DATE and not _DATES.fullmatch(value):
        raise QueryError("StudyDate is matched as YYYYMMDD, or a range of two with a hyphen")
    found = tuple(one.strip() for one in re.split(r"[,\\]", value)) if tag in _LISTS else (value.strip(),)
    if len(found) > MOST_VALUES:
        raise QueryError(f"more than {MOST_VALUES} values of one attribute; ask for fewer at once")
    return tuple(checked_uid(one) for one in found) if tag in _UIDS else found


def _matches(model: Model, tag: str, wanted: tuple[str, ...]) -> bool:
    if tag == STUDY_DATE:
        return _is_within(first(model, tag), wanted[0])
    return any(str(value).strip(" \0") in wanted for value in values(model, tag))


def _is_within(date: str, wanted: str) -> bool:
    """Range matching (PS3.4 section C.2.2.2.5); what has no date matches none."""
    start, hyphen, end = wanted.partition("-")
    if not hyphen:
        return date == wanted
    return bool(date) and (start or date) <= date <= (end or date)
