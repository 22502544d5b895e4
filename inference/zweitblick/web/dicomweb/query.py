"""Query parameters of a QIDO-RS search (PS3.18 section 8.3.4)."""

import re
from collections.abc import Iterable

from zweitblick.catalogue.query import (
    MATCHED,
    MOST_RESULTS,
    SERIES_UID,
    SOP_UID,
    STUDY_DATE,
    STUDY_UID,
    Query,
    matched,
    tag_named,
)
from zweitblick.errors import QueryError

_UID_LIST = r"^[0-9]+(\.[0-9]+)*(,[0-9]+(\.[0-9]+)*)*$"
_PLAIN = r"^[^*?]*$"
VALUES = dict.fromkeys(MATCHED, _PLAIN) | {
    STUDY_UID: _UID_LIST,
    SERIES_UID: _UID_LIST,
    SOP_UID: _UID_LIST,
    STUDY_DATE: r"^([0-9]{8}|[0-9]{8}-|-[0-9]{8}|[0-9]{8}-[0-9]{8})$",
}
"""What values look like, as regular expressions of ECMA-262, for the description of the interface."""

_NUMBER = re.compile(r"[0-9]{1,9}")


def parse(parameters: Iterable[tuple[str, str]]) -> Query:
    """Read the parameters of a search.

    Raises
    ------
    QueryError
        If it asks for what is not matched: names, wildcards, other attributes; or is not understood.
    NoUidError
        If something else is where a UID must be.
    """
    keys: list[tuple[str, str]] = []
    numbers = {"limit": MOST_RESULTS, "offset": 0}
    include: set[str] = set()
    for name, value in parameters:
        if name in numbers:
            numbers[name] = _number(name, value)
        elif name == "includefield":
            include |= {"all" if one == "all" else tag_named(one) for one in value.split(",")}
        elif name == "fuzzymatching":
            _check_fuzzy(value)
        elif value and name != "accept":
            keys.append((name, value))
    return Query(
        matched(keys),
        limit=min(numbers["limit"], MOST_RESULTS),
        offset=numbers["offset"],
        include=None if "all" in include else frozenset(include),
    )


def _number(name: str, value: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise QueryError(f"{name} is no whole number; give 0 or more")
    return int(value)


def _check_fuzzy(value: str) -> None:
    if value.lower() != "false":
        raise QueryError("values are matched exactly; leave fuzzymatching out")
