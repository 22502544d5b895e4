"""Readings: the state of a study, its findings and results, and the word that it is to be read, or read again."""

import json
import logging
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from zweitblick.audit.codes import Action
from zweitblick.errors import QueryError, UnknownObjectError, UnknownStudyError
from zweitblick.intake.parts import media_type
from zweitblick.store.deliveries import DeliveryState
from zweitblick.store.life import Actor, Event, State, after
from zweitblick.store.listing import Place
from zweitblick.store.lost import DAMAGED, GONE
from zweitblick.store.objects import KeptResult
from zweitblick.store.results import ERROR, FINDINGS
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.web.access import record_access, record_query
from zweitblick.web.body import Bodies, Body
from zweitblick.web.private import PRIVATE, say_private
from zweitblick.web.problems import described
from zweitblick.web.reception import receiving
from zweitblick.web.service import Service
from zweitblick.web.uploads import FORM, ZIP, Upload, keep_upload

log = logging.getLogger(__name__)

_PIECE_BYTES = 2**20
MOST_LISTED = 200
"""Studies of one page."""

_UNSEALED = "no more than this code could be kept; see to what it names, and have the study read again"
_CURSOR = re.compile(r"([0-9]{1,18})-([0-9a-f]{32})")
_UPLOAD = {
    "requestBody": {"required": True, "content": {one: {} for one in (ZIP, FORM, "application/dicom")}},
}
_UPLOAD_PROBLEMS = described(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)
_PROBLEMS = described(
    HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE
)
_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {f"application/{kind}": {} for kind in ("dicom", "jose", "json", "pdf")},
        "description": "As it was kept.",
    }
}


class Result(BaseModel):
    """A result that can be fetched by its name.

    Attributes
    ----------
    name, media_type, bytes, sha256
        As it will come.
    """

    name: str
    media_type: str
    bytes: int
    sha256: str


class Fault(BaseModel):
    """Why a study could not be read.

    Attributes
    ----------
    code
        As in `zweitblick.errors`.
    message
        For people; nothing of the patient.
    """

    code: str
    message: str


class Delivered(BaseModel):
    """What became of the delivery of a round's results to one destination.

    Attributes
    ----------
    destination
        Its name in the settings.
    state
        See `zweitblick.store.deliveries.DeliveryState`.
    attempts
        How many have ended.
    error
        Code of the last attempt's error, as in `zweitblick.errors`.
    acknowledged_at
        When the last instance was acknowledged.
    """

    destination: str
    state: DeliveryState
    attempts: int
    error: str | None = None
    acknowledged_at: datetime | None = None


class EarlierRead(BaseModel):
    """A round that was read, and is superseded.

    Attributes
    ----------
    round
        Number.
    results
        What can be fetched, with this number as ``round``.
    """

    round: int
    results: list[Result]


class Read(BaseModel):
    """The last round of a study: the images that it has now, and what was made of them.

    Attributes
    ----------
    round
        Number; higher than 1 if images came after a reading had begun, or another was asked for. It supersedes the
        results of the one before.
    state
        See `zweitblick.store.life.State`.
    conflicts
        Instances of the study that are kept apart and not read: another of their UID and other content came first.
    findings
        As ``findings.json``, once there are some.
    results
        What can be fetched.
    error
        If it could not be read, or a destination refuses it.
    deliveries
        To each destination that the results are meant for.
    earlier
        Rounds that were read before, the newest first: what there is to see while this one is not read.
    """

    round: int
    state: State
    conflicts: int = 0
    findings: dict[str, Any] | None = None
    results: list[Result] = []
    error: Fault | None = None
    deliveries: list[Delivered] = []
    earlier: list[EarlierRead] = []


class ListedRead(BaseModel):
    """A study in the list of all of them.

    Attributes
    ----------
    study_uid
        Study Instance UID.
    round, state
        Of its last round, as in `Read`.
    arrived_at
        When its last instance came, or another reading was asked for.
    """

    study_uid: str
    round: int
    state: State
    arrived_at: datetime


class Page(BaseModel):
    """Some studies, the one first whose last instance came last.

    Attributes
    ----------
    reads
        The studies.
    next
        Cursor of the page behind this one; None if there is none.
    """

    reads: list[ListedRead]
    next: str | None


def router(service: Service, bodies: Bodies) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/api/v1/reads", tags=["reads"], responses=_PROBLEMS, dependencies=[Depends(say_private)])
    _add_list_and_upload(routes, service, bodies)
    _add_reads(routes, service)
    return routes


def _add_list_and_upload(routes: APIRouter, service: Service, bodies: Bodies) -> None:
    store = service.store

    @routes.get("", responses=described(HTTPStatus.BAD_REQUEST))
    def reads(request: Request, limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50, cursor: str = "") -> Page:
        """List the studies, the newest first."""
        record_query(service, request)
        places = store.listing.newest(limit=limit + 1, after=_place(cursor))
        following = _cursor(places[limit - 1]) if len(places) > limit else None
        return Page(reads=list(_listed(store, places[:limit])), next=following)

    @routes.post("", status_code=202, openapi_extra=_UPLOAD, responses=_UPLOAD_PROBLEMS)
    async def upload(request: Request) -> Upload:
        """Upload a study, as a zip archive, a form with files, or one DICOM file; it is read once it is quiet."""
        body = Body(request, most=service.largest_upload_bytes)
        kind = media_type(request.headers.get("content-type", ""))

        def kept() -> Upload:
            with receiving(service, request) as keep:
                return keep_upload(keep, body, kind)

        return await bodies.take(kept)


def _add_reads(routes: APIRouter, service: Service) -> None:
    store = service.store

    @routes.get("/{study_uid}")
    def read(study_uid: str, request: Request) -> Read:
        """Tell what became of a study, by its Study Instance UID."""
        return _shown(service, request, study_uid)

    @routes.get("/{study_uid}/results/{name}", response_class=StreamingResponse, responses=_FILES)
    def result(
        study_uid: str, name: str, request: Request, number: Annotated[int | None, Query(alias="round")] = None
    ) -> StreamingResponse:
        """Fetch a result of a study's last round, or of the one that is asked for."""
        one = _last(store, study_uid) if number is None else _numbered(store, study_uid, number)
        found = _named(store, one, name)
        record_access(service, request, one.study)
        headers = PRIVATE | {"Content-Length": str(found.plain_bytes)}
        return StreamingResponse(_pieces(store.open(found.id)), media_type=found.media_type, headers=headers)

    @routes.post("/{study_uid}/complete", status_code=202)
    def complete(study_uid: str, request: Request) -> Read:
        """Say that all images are there, so that the reading begins at once; of what was fetched, that it is wanted."""
        last = _last(store, study_uid)
        if last.state is State.RECEIVING or store.lookups.was_fetched(last.study):
            record_access(service, request, last.study, action=Action.UPDATE)
            service.submit(store.work.ask_for(last.study))
        return _shown(service, request, study_uid)

    @routes.post("/{study_uid}/priors", status_code=202, responses=described(HTTPStatus.CONFLICT))
    def priors(study_uid: str, request: Request) -> Read:
        """Have a study that was read be read again, with an earlier one that has come since or that an archive has."""
        last = _last(store, study_uid)
        after(last.state, Event.PRIORS_ASKED, by=Actor.RADIOLOGIST)  # what is refused is no access
        record_access(service, request, last.study, action=Action.UPDATE)
        service.submit(store.work.read_again(last.study))
        return _shown(service, request, study_uid)


def _listed(store: Store, places: Iterable[Place]) -> Iterator[ListedRead]:
    for place in places:
        try:
            last, uid = store.rounds(place.study)[-1], store.study(place.study).study_instance_uid
        except (*GONE, IndexError):
            continue
        except DAMAGED as error:
            log.warning("study %s is not shown: %s", place.study, error.code)
            continue
        yield ListedRead(study_uid=uid, round=last.number, state=last.state, arrived_at=last.arrived_at)


def _cursor(place: Place) -> str:
    return f"{place.arrived_us}-{place.study}"


def _place(cursor: str) -> Place | None:
    if not cursor:
        return None
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise QueryError("no page has this cursor; take that of the page before")
    return Place(int(found[1]), found[2])


def _last(store: Store, study_uid: str) -> Round:
    rounds = store.rounds(store.token(study_uid))
    if not rounds:
        raise UnknownStudyError("no image of this study is kept yet; send them again")
    return rounds[-1]


def _numbered(store: Store, study_uid: str, number: int) -> Round:
    for one in store.rounds(store.token(study_uid)):
        if one.number == number:
            return one
    raise UnknownObjectError(f"the study has no round {number}; ask for its state to see those that were read")


def _shown(service: Service, request: Request, study_uid: str) -> Read:
    last = _last(service.store, study_uid)
    told = _read(service.store, last)
    if told.results or told.earlier:  # before there are findings, only that the study is here is told
        record_access(service, request, last.study)
    return told


def _read(store: Store, last: Round) -> Read:
    results = _results(store, last)
    return Read(
        round=last.number,
        state=last.state,
        conflicts=store.conflicts(last.study),
        findings=_content(store, results.get(FINDINGS)),
        results=_told(results),
        error=_fault(store, last),
        deliveries=[
            Delivered(
                destination=one.destination,
                state=one.state,
                attempts=one.attempts,
                error=one.error_code,
                acknowledged_at=one.acknowledged_at,
            )
            for one in store.deliveries.of_round(last.id)
        ],
        earlier=list(_earlier(store, last)),
    )


def _earlier(store: Store, last: Round) -> Iterator[EarlierRead]:
    for one in reversed(store.rounds(last.study)):
        if one.number < last.number and (results := _results(store, one)):
            yield EarlierRead(round=one.number, results=_told(results))


def _told(results: dict[str, KeptResult]) -> list[Result]:
    return [
        Result(name=one.name, media_type=one.media_type, bytes=one.plain_bytes, sha256=one.sha256)
        for _, one in sorted(results.items())
    ]


def _results(store: Store, one: Round) -> dict[str, KeptResult]:
    """Return results by name, once all of them are there."""
    if not store.work.was_read(one):
        return {}
    return {result.name: result for result in store.results(one.id) if result.name != ERROR}


def _fault(store: Store, last: Round) -> Fault | None:
    if last.state is not State.FAILED:
        return None
    content = _content(store, next((one for one in store.results(last.id) if one.name == ERROR), None))
    return Fault(**content) if content else _coded(store, last)


def _coded(store: Store, last: Round) -> Fault | None:
    """Return a fault of which only the code could be kept."""
    codes = [entry.code for entry in store.work.history(last.id) if entry.event is Event.GAVE_UP and entry.code]
    return Fault(code=codes[-1], message=_UNSEALED) if codes else None


def _content(store: Store, result: KeptResult | None) -> dict[str, Any] | None:
    if result is None:
        return None
    with store.open(result.id) as file:
        content: dict[str, Any] = json.load(file)
    return content


def _named(store: Store, one: Round, name: str) -> KeptResult:
    results = _results(store, one)
    if name not in results:
        raise UnknownObjectError("the round has no result of this name; ask for the study's state to see the results")
    return results[name]


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
