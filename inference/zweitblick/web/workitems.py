"""Worklist Service (UPS-RS, PS3.18 section 11): work items made, claimed, updated, ended and searched for over HTTP."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydicom import Dataset
from pydicom.uid import generate_uid

from zweitblick.audit.codes import Action
from zweitblick.audit.events import procedure_recorded
from zweitblick.dicom.identity import is_ae_title
from zweitblick.errors import UnknownWorkitemError, WorkitemContentError, WorkitemQueryError
from zweitblick.web.access import record_query, record_subscription
from zweitblick.web.dicomweb.root import PREFIX, warning
from zweitblick.web.gate import requestor_of
from zweitblick.web.private import PRIVATE
from zweitblick.web.problems import described
from zweitblick.web.service import Service
from zweitblick.worklist.body import parsed
from zweitblick.worklist.content import audited_study, is_uid, written
from zweitblick.worklist.query import Key, key_of

MEDIA_TYPE = "application/dicom+json"
LARGEST_BODY_BYTES = 2**20
"""Our own limit: a work item that lists 5,000 instances has half of it."""

ALL = "1.2.840.10008.5.1.4.34.5"
"""Well-known UID that stands for all work items in a subscription (PS3.4 section CC.2.3)."""

_PROBLEMS = described(*(HTTPStatus(status) for status in (400, 401, 404, 409, 413, 422, 503)))
_FOUND: dict[int | str, dict[str, Any]] = {200: {"content": {MEDIA_TYPE: {}}, "description": "As it is kept."}}
_NOTHING: dict[int | str, dict[str, Any]] = {204: {"description": "There is none."}}
_NO_KEYS = frozenset({"limit", "offset", "includefield", "fuzzymatching"})
_LARGEST_PAGE = 1000


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix=f"{PREFIX}/workitems", tags=["work items"], responses=_PROBLEMS)
    _add_items(routes, service)
    _add_states(routes, service)
    _add_subscriptions(routes, service)
    return routes


async def body_of(request: Request) -> Dataset:
    """Read a body that is one data set in DICOM JSON, or empty.

    Raises
    ------
    WorkitemContentError
        If it is something else, or too large.
    """
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > LARGEST_BODY_BYTES:
            raise WorkitemContentError(f"the body has more than {LARGEST_BODY_BYTES} bytes; no work item needs so many")
    return parsed(bytes(content)) if content else Dataset()


Body = Annotated[Dataset, Depends(body_of)]


def _add_items(routes: APIRouter, service: Service) -> None:
    worklist = service.worklist

    @routes.post("", status_code=201)
    def create(request: Request, content: Body) -> Response:
        """Create a work item; its UID is the query's, or a new one."""
        uid = _uid_of_new(request)
        worklist.create(content, uid=uid, by=requestor_of(request))
        return Response(status_code=201, headers={"Location": f"{request.url.path}/{uid}"})

    @routes.get("", response_class=Response, responses=_FOUND | _NOTHING)
    def search(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=_LARGEST_PAGE)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        """Search for work items by exact values; all of their attributes are returned."""
        keys = _keys(request)
        record_query(service, request)
        return _page(request, worklist.search(keys)[offset:], limit)

    @routes.get("/{uid}", response_class=Response, responses=_FOUND)
    def retrieve(uid: str, request: Request, transaction: str = "") -> Response:
        """Retrieve a work item; what was performed is told once it has ended, and before to who has claimed it."""
        item = worklist.item(uid, transaction_uid=transaction)
        process = replace(service.audit.process, is_requestor=False)
        service.audit.record(
            procedure_recorded(audited_study(item), requestor_of(request), process, action=Action.READ)
        )
        return JSONResponse([written(item)], headers=PRIVATE, media_type=MEDIA_TYPE)

    @routes.post("/{uid}")
    def update(uid: str, request: Request, content: Body, transaction: str = "") -> Response:
        """Set attributes of a work item; who has claimed it gives the Transaction UID of the claim."""
        worklist.update(uid, content, transaction_uid=transaction, by=requestor_of(request))
        return Response(status_code=200)


def _add_states(routes: APIRouter, service: Service) -> None:
    worklist = service.worklist

    @routes.put("/{uid}/state")
    def change_state(uid: str, request: Request, content: Body) -> Response:
        """Claim a work item, complete or cancel it: Procedure Step State and Transaction UID are in the body."""
        asked = str(content.get("ProcedureStepState") or "")
        claim = str(content.get("TransactionUID") or "")
        is_changed = worklist.change_state(uid, asked, transaction_uid=claim, by=requestor_of(request))
        return Response(
            headers={} if is_changed else warning(request, f"The UPS is already in the requested state of {asked}.")
        )

    @routes.post("/{uid}/cancelrequest", status_code=202)
    def request_cancel(uid: str, request: Request, content: Body) -> Response:
        """Ask that a work item is cancelled."""
        is_asked = worklist.request_cancel(uid, content, by=requestor_of(request))
        headers = {} if is_asked else warning(request, "The UPS is already in the requested state of CANCELED.")
        return Response(status_code=202, headers=headers)


def _add_subscriptions(routes: APIRouter, service: Service) -> None:
    worklist = service.worklist

    @routes.post("/{uid}/subscribers/{ae_title}", status_code=201)
    def subscribe(uid: str, ae_title: str, request: Request) -> Response:
        """Subscribe to a work item, or to all; events come over the WebSocket that is answered."""
        subscriber = _subscriber(ae_title)
        record_subscription(service, request)
        worklist.subscribe(subscriber, None if uid == ALL else uid)
        scheme = "wss" if request.url.scheme == "https" else "ws"
        place = f"{scheme}://{request.url.netloc}{PREFIX}/subscribers/{ae_title}"
        return Response(status_code=201, headers={"Content-Location": place})

    @routes.delete("/{uid}/subscribers/{ae_title}")
    def unsubscribe(uid: str, ae_title: str, request: Request) -> Response:
        """End a subscription."""
        subscriber = _subscriber(ae_title)
        record_subscription(service, request)
        worklist.unsubscribe(subscriber, None if uid == ALL else uid)
        return Response()

    @routes.post("/{uid}/subscribers/{ae_title}/suspend")
    def suspend(uid: str, ae_title: str, request: Request) -> Response:
        """End a subscription to all, but for the work items that are there."""
        if uid != ALL:
            raise UnknownWorkitemError(f"only a subscription to all work items can be suspended; name {ALL}")
        subscriber = _subscriber(ae_title)
        record_subscription(service, request)
        worklist.suspend(subscriber)
        return Response()


def _uid_of_new(request: Request) -> str:
    """Return the UID that a new work item is to have: ``?<uid>`` (PS3.18 section 11.4.1), or a named parameter."""
    named = request.query_params.get("AffectedSOPInstanceUID") or request.query_params.get("workitem")
    uid = named or request.url.query or str(generate_uid(prefix=None))
    if not is_uid(uid):
        raise WorkitemContentError("what the query names is no UID of at most 64 digits and dots; give one, or none")
    return uid


def _keys(request: Request) -> list[Key]:
    given = request.query_params.multi_items()
    if request.query_params.get("fuzzymatching", "false") != "false":
        raise WorkitemQueryError("fuzzy matching is not to be had; ask for exact values")
    return [key_of(name, value) for name, value in given if name not in _NO_KEYS]


def _page(request: Request, found: list[Dataset], limit: int) -> Response:
    """Answer with the first of the work items that were found, and with how many there are behind them."""
    if not found:
        return Response(status_code=204)
    more = f"There are {len(found) - limit} additional results that can be requested"
    headers = PRIVATE | (warning(request, more) if len(found) > limit else {})
    return JSONResponse([written(one) for one in found[:limit]], headers=headers, media_type=MEDIA_TYPE)


def _subscriber(ae_title: str) -> str:
    if not is_ae_title(ae_title):
        raise WorkitemContentError("the subscriber is no AE title; give 1 to 16 ASCII characters, no backslash")
    return ae_title
