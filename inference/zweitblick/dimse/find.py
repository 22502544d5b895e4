"""C-FIND as a provider (PS3.4 section C.4.1): from identifier to query, from what is found to identifiers.

The Study Root model, without relational queries: an identifier names, by one UID each, what stands above its level.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom.association import ServiceUser
from pynetdicom.presentation import PresentationContext

from zweitblick.audit.auditor import Auditor
from zweitblick.audit.events import queried
from zweitblick.catalogue.catalogue import Model
from zweitblick.catalogue.query import (
    MODALITY,
    MOST_RESULTS,
    SERIES_UID,
    SOP_UID,
    STUDY_UID,
    Query,
    matched,
)
from zweitblick.catalogue.search import Search
from zweitblick.dicom.header import DAMAGE, quietly, text
from zweitblick.dicom.query_retrieve import STUDY_ROOT_FIND
from zweitblick.dimse.messages import Request, Response
from zweitblick.dimse.participants import receiver_of, requestor_of
from zweitblick.dimse.status import PENDING, SUCCESS, UNABLE_TO_PROCESS, find_status_of
from zweitblick.errors import DamagedInstanceError, QueryError, TooManyMatchesError, ZweitblickError

log = logging.getLogger(__name__)

IDENTIFIER_BYTES = 2**18
"""Longest identifier that is read: two lists of 1,000 UIDs fit."""

ABOVE = {"STUDY": (), "SERIES": (STUDY_UID,), "IMAGE": (STUDY_UID, SERIES_UID)}
"""Levels, and what an identifier must name above each (PS3.4 section C.4.1.2.1)."""
_BELOW = {"STUDY": (SERIES_UID, SOP_UID, MODALITY), "SERIES": (SOP_UID,), "IMAGE": ()}
_UNIQUE = {"STUDY": STUDY_UID, "SERIES": SERIES_UID, "IMAGE": SOP_UID}

_LEVEL, _CHARACTER_SET, _TIMEZONE = 0x00080052, 0x00080005, 0x00080201
_NO_KEYS = frozenset({_LEVEL, _CHARACTER_SET, _TIMEZONE})
"""These say how an identifier is to be understood (PS3.4 section C.4.1.1.3.1)."""
_UNICODE = "ISO_IR 192"


@dataclass(frozen=True)
class Asked:
    """What an identifier asks for.

    Parameters
    ----------
    level
        One of `ABOVE`.
    query
        What must match.
    wanted
        Tags and value representations of what is returned, in the order of tags.
    """

    level: str
    query: Query = field(repr=False)
    wanted: dict[str, str]


class Find:
    """Answers C-FIND requests; for several threads at once.

    Parameters
    ----------
    search
        Finds.
    audit
        Has queries on record; what cannot be put there is not answered.
    most
        So many matches are given to a query; one that finds more does not succeed.
    """

    def __init__(self, search: Search, audit: Auditor, *, most: int = MOST_RESULTS) -> None:
        self._most = most
        self._search = search
        self._audit = audit

    def serve(self, request: Request, context: PresentationContext, requestor: ServiceUser) -> Iterator[Response]:
        """Give a pending response for each match, and a last one that says how it ended.

        Parameters
        ----------
        request, context, requestor
            What came, as what, from whom.
        """
        try:
            syntax = UID(str(context.transfer_syntax[0]))
            identifier = _identifier(request, syntax)
            asked_for = asked(identifier)
            self._record(identifier, requestor)
            yield from self._matches(asked_for, syntax)
        except ZweitblickError as error:
            log.warning("a query was not answered: %s", error.code)
            yield Response(find_status_of(error), comment=str(error))
        except Exception as error:  # noqa: BLE001  # the request's edge: the peer must be told that there is no answer
            log.error("answering a query failed by %s", type(error).__name__)  # noqa: TRY400  # texts may quote data
            yield Response(UNABLE_TO_PROCESS)
        else:
            yield Response(SUCCESS)

    def _matches(self, asked_for: Asked, syntax: UID) -> Iterator[Response]:
        for number, attributes in enumerate(self._found(asked_for)):
            if number == self._most:
                raise TooManyMatchesError(f"more than {self._most} match; ask for less at once")
            yield Response(PENDING, answer(asked_for, attributes, syntax))

    def _found(self, asked_for: Asked) -> Iterator[Model]:
        if asked_for.level == "STUDY":
            return (study.attributes for study in self._search.studies(asked_for.query))
        if asked_for.level == "SERIES":
            return (series.attributes for series in self._search.series(asked_for.query))
        return (instance.attributes for instance in self._search.instances(asked_for.query))

    def _record(self, identifier: Dataset, requestor: ServiceUser) -> None:
        with quietly():
            query = _encoded(identifier, ImplicitVRLittleEndian)
        self._audit.record(
            queried(
                requestor_of(requestor),
                receiver_of(requestor, self._audit.process),
                query=query,
                sop_class_uid=STUDY_ROOT_FIND,
            )
        )


def asked(identifier: Dataset) -> Asked:
    """Read what an identifier asks for.

    An empty value matches everything, and so does a lone asterisk (PS3.4 section C.2.2.2.4).

    Raises
    ------
    QueryError
        If its level is none, if it does not name what is above that or names what is below, or if it asks for what is
        not matched.
    NoUidError
        If something else is where a UID must be.
    """
    with quietly():
        level = text(identifier, _LEVEL)
        keys = [element for element in _elements(identifier) if element.tag not in _NO_KEYS]
        match = matched(
            (_named(element), value) for element in keys if (value := _value(identifier, element)) not in ("", "*")
        )
    if level not in ABOVE:
        raise QueryError(f"QueryRetrieveLevel is not one of {', '.join(ABOVE)}; give one")
    if any(len(match.get(tag, ())) != 1 for tag in ABOVE[level]):
        raise QueryError(f"at level {level} give one UID of each level above")
    if any(tag in match for tag in _BELOW[level]):
        raise QueryError(f"at level {level} nothing below it is matched")
    wanted = {_named(element): element.VR for element in keys}
    wanted |= dict.fromkeys((*ABOVE[level], _UNIQUE[level]), "UI")
    query = Query(match, limit=MOST_RESULTS + 1, offset=0, include=frozenset(wanted))
    return Asked(level, query, dict(sorted(wanted.items())))


def answer(asked_for: Asked, attributes: Model, syntax: UID) -> bytes:
    """Encode the identifier of a match: what was asked for, empty where it is not known (PS3.4 section C.4.1.1.3.2).

    Parameters
    ----------
    asked_for
        What the request's identifier asks for.
    attributes
        What is known of the match.
    syntax
        Of the presentation context.
    """
    said = Dataset()
    said.SpecificCharacterSet = _UNICODE
    said.QueryRetrieveLevel = asked_for.level
    encoded = {int(element.tag): _encoded(Dataset({element.tag: element}), syntax) for element in said}
    with quietly():
        for tag, vr in asked_for.wanted.items():
            encoded[int(tag, 16)] = _attribute(tag, vr, attributes, syntax)
    return b"".join(one for _, one in sorted(encoded.items()))


def _identifier(request: Request, syntax: UID) -> Dataset:
    if request.sop_class_uid != STUDY_ROOT_FIND:
        raise QueryError("the request is of another SOP class than its context; repair the peer")
    content = b"" if request.data is None or request.data.is_dropped else request.data.getvalue()
    if not 0 < len(content) <= IDENTIFIER_BYTES:
        raise QueryError(f"the identifier is empty, or longer than {IDENTIFIER_BYTES} bytes")
    with quietly():
        try:
            identifier = read_dataset(BytesIO(content), syntax.is_implicit_VR, syntax.is_little_endian)
            list(identifier.iterall())
        except (*DAMAGE, OSError) as error:  # pydicom raises OSError where a sequence is cut short
            raise DamagedInstanceError("the identifier cannot be read; repair the peer") from error
    return identifier


def _elements(identifier: Dataset) -> Iterable[DataElement]:
    return (element for element in identifier if element.tag.element and not element.tag.is_private)


def _named(element: DataElement) -> str:
    return f"{int(element.tag):08X}"


def _value(identifier: Dataset, element: DataElement) -> str:
    """Return the value of a key; that of a sequence is none if all of its items are empty (PS3.4 section C.2.2.2.6)."""
    if element.VR != "SQ":
        return text(identifier, int(element.tag))
    is_empty = all(one.VR == "SQ" or not one.value for item in element.value for one in item.iterall())
    return "" if is_empty else "items"


def _attribute(tag: str, vr: str, attributes: Model, syntax: UID) -> bytes:
    """Encode an attribute; one that cannot be written as its VR has it, is empty."""
    try:
        known = Dataset.from_json({tag: attributes[tag]}) if tag in attributes else Dataset()
        return _encoded(known, syntax) if known else _empty(tag, vr, syntax)
    except DAMAGE:
        return _empty(tag, vr, syntax)


def _empty(tag: str, vr: str, syntax: UID) -> bytes:
    element = DataElement(int(tag, 16), vr, None)
    return _encoded(Dataset({element.tag: element}), syntax)


def _encoded(data: Dataset, syntax: UID) -> bytes:
    written = DicomBytesIO()
    written.is_implicit_VR, written.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    write_dataset(written, data, _UNICODE)
    return written.getvalue()
