"""Routes of DICOMweb (PS3.18 tables 10.4.1-1, 10.5.1-1 and 10.6.1-1)."""

from http import HTTPStatus
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import AfterValidator
from pydicom.datadict import keyword_for_tag

from zweitblick.catalogue.catalogue import Entry
from zweitblick.catalogue.query import MATCHED, MOST_RESULTS, checked_uid
from zweitblick.intake.parts import media_type
from zweitblick.web.access import Viewings, record_query
from zweitblick.web.body import Bodies, Body
from zweitblick.web.dicomweb.media import DICOM, DICOM_JSON, RELATED, check_json
from zweitblick.web.dicomweb.query import VALUES, parse
from zweitblick.web.dicomweb.retrieve import Given, Retrieval, frame_numbers, window_of
from zweitblick.web.dicomweb.root import PREFIX, root, warning
from zweitblick.web.dicomweb.search import Page, Qido
from zweitblick.web.dicomweb.stow import Account, keep_instances
from zweitblick.web.private import PRIVATE
from zweitblick.web.problems import described
from zweitblick.web.reception import receiving
from zweitblick.web.service import Service

_UID = Path(
    description="UID (PS3.5 section 9.1)", json_schema_extra={"pattern": r"^[0-9]+(\.[0-9]+)*$", "maxLength": 64}
)
Uid = Annotated[str, _UID, AfterValidator(checked_uid)]


def _accepted(accept: Annotated[str, Header()] = "*/*", in_query: Annotated[str, Query(alias="accept")] = "") -> str:
    """Return what is accepted; a link may say it in its query (PS3.18 section 8.3.3.1)."""
    return in_query or accept


Accept = Annotated[str, Depends(_accepted)]

_PROBLEMS = described(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_SERIES = "/studies/{study}/series/{series}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"
_KEPT: dict[int | str, dict[str, Any]] = {
    int(status): {"description": said, "content": {DICOM_JSON: {}}}
    for status, said in (
        (HTTPStatus.OK, "All are kept."),
        (HTTPStatus.ACCEPTED, "Some are kept, or kept apart."),
        (HTTPStatus.CONFLICT, "None is kept."),
        (HTTPStatus.SERVICE_UNAVAILABLE, "None can be kept now."),
    )
}
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_BODY = {"requestBody": {"required": True, "content": {RELATED: _BYTES, DICOM: _BYTES}}}
_SCHEMAS: dict[str, dict[str, Any]] = {
    "limit": {"type": "integer", "minimum": 0, "maximum": MOST_RESULTS},
    "offset": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    "fuzzymatching": {"type": "boolean", "enum": [False]},
    "includefield": {"type": "string"},
    **{keyword_for_tag(int(tag, 16)): {"type": "string", "pattern": VALUES[tag]} for tag in MATCHED},
}
_SEARCH = {
    "parameters": [
        {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in _SCHEMAS.items()
    ]
}


class Found(NamedTuple):
    """What a path leads to."""

    retrieval: Retrieval
    entries: list[Entry]


def router(service: Service, bodies: Bodies) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix=PREFIX, tags=["DICOMweb"], responses=_PROBLEMS, default_response_class=Response)
    _add_stores(routes, service, bodies)
    _add_searches(routes, service)
    _add_searches_within(routes, service)
    _add_retrievals(routes, service)
    return routes


def _add_stores(routes: APIRouter, service: Service, bodies: Bodies) -> None:
    async def stored(request: Request, study_uid: str) -> Response:
        body = Body(request, most=service.largest_upload_bytes)
        kind = media_type(request.headers.get("content-type", ""))

        def kept() -> Account:
            with receiving(service, request) as keep:
                return keep_instances(keep, body, kind, study_uid=study_uid)

        account = await bodies.take(kept)
        return JSONResponse(account.model(root(request)), account.status, PRIVATE, DICOM_JSON)

    @routes.post("/studies", openapi_extra=_BODY, responses=_KEPT)
    async def store_instances(request: Request) -> Response:
        """Store instances (STOW-RS)."""
        return await stored(request, "")

    @routes.post("/studies/{study}", openapi_extra=_BODY, responses=_KEPT)
    async def store_instances_of_a_study(request: Request, study: Uid) -> Response:
        """Store instances of one study (STOW-RS)."""
        return await stored(request, study)


def _add_searches(routes: APIRouter, service: Service) -> None:
    @routes.get("/studies", openapi_extra=_SEARCH)
    def search_studies(request: Request, accept: Accept) -> Response:
        """Search for studies (QIDO-RS)."""
        check_json(accept)
        return _page(request, _search(service, request).studies(parse(request.query_params.multi_items())))

    @routes.get("/series", openapi_extra=_SEARCH)
    def search_series(request: Request, accept: Accept) -> Response:
        """Search for series of all studies (QIDO-RS)."""
        check_json(accept)
        return _page(request, _search(service, request).series(parse(request.query_params.multi_items())))

    @routes.get("/instances", openapi_extra=_SEARCH)
    def search_instances(request: Request, accept: Accept) -> Response:
        """Search for instances of all studies (QIDO-RS)."""
        check_json(accept)
        return _page(request, _search(service, request).instances(parse(request.query_params.multi_items())))


def _add_searches_within(routes: APIRouter, service: Service) -> None:
    @routes.get("/studies/{study}/series", openapi_extra=_SEARCH)
    def search_series_of_a_study(request: Request, study: Uid, accept: Accept) -> Response:
        """Search for series of a study (QIDO-RS)."""
        check_json(accept)
        return _page(request, _search(service, request).series(parse(request.query_params.multi_items()), study))

    @routes.get("/studies/{study}/instances", openapi_extra=_SEARCH)
    def search_instances_of_a_study(request: Request, study: Uid, accept: Accept) -> Response:
        """Search for instances of a study (QIDO-RS)."""
        check_json(accept)
        return _page(request, _search(service, request).instances(parse(request.query_params.multi_items()), study))

    @routes.get(f"{_SERIES}/instances", openapi_extra=_SEARCH)
    def search_instances_of_a_series(request: Request, study: Uid, series: Uid, accept: Accept) -> Response:
        """Search for instances of a series (QIDO-RS)."""
        check_json(accept)
        return _page(
            request, _search(service, request).instances(parse(request.query_params.multi_items()), study, series)
        )


def _add_retrievals(routes: APIRouter, service: Service) -> None:
    viewings = Viewings(service)

    def retrieval_of(request: Request, study: str) -> Retrieval:
        viewings.record(request, service.store.token(study))
        return Retrieval(service.store, root(request))

    def study_of(request: Request, study: Uid) -> Found:
        retrieval = retrieval_of(request, study)
        return Found(retrieval, retrieval.entries(study))

    def series_of(request: Request, study: Uid, series: Uid) -> Found:
        retrieval = retrieval_of(request, study)
        return Found(retrieval, retrieval.entries(study, series_uid=series))

    def instance_of(request: Request, study: Uid, series: Uid, instance: Uid) -> Found:
        retrieval = retrieval_of(request, study)
        return Found(retrieval, retrieval.entries(study, series_uid=series, sop_uid=instance)[:1])

    for path, what, find in (
        ("/studies/{study}", "study", study_of),
        (_SERIES, "series", series_of),
        (_INSTANCE, "instance", instance_of),
    ):
        _add_files(routes, path, what, Depends(find))
    _add_parts_of_instances(routes, Depends(instance_of))


def _add_files(routes: APIRouter, path: str, what: str, found_by: Any) -> None:
    @routes.get(path, name=f"retrieve {what}")
    def files(accept: Accept, found: Found = found_by) -> Response:
        """Retrieve instances as DICOM files (WADO-RS)."""
        return _streamed(found.retrieval.files(found.entries, accept))

    @routes.get(f"{path}/metadata", name=f"retrieve metadata of {what}")
    def metadata(accept: Accept, found: Found = found_by) -> Response:
        """Retrieve the headers of instances (WADO-RS)."""
        return _streamed(found.retrieval.metadata(found.entries, accept))


def _add_parts_of_instances(routes: APIRouter, found_by: Any) -> None:
    @routes.get(f"{_INSTANCE}/frames/{{frames}}")
    def retrieve_frames(frames: str, accept: Accept, found: Found = found_by) -> Response:
        """Retrieve frames, as they are kept or in explicit little endian (WADO-RS)."""
        return _streamed(found.retrieval.frames(found.entries[0], frame_numbers(frames), accept))

    @routes.get(f"{_INSTANCE}/bulkdata/{{path:path}}")
    def retrieve_bulk_data(path: str, accept: Accept, found: Found = found_by) -> Response:
        """Retrieve a value that metadata name by a BulkDataURI (WADO-RS)."""
        return _streamed(found.retrieval.bulk_data(found.entries[0], path, accept))

    @routes.get(f"{_INSTANCE}/rendered")
    def render_instance(accept: Accept, found: Found = found_by, window: str | None = None) -> Response:
        """Retrieve the first frame as PNG or JPEG (WADO-RS)."""
        return _streamed(found.retrieval.rendered(found.entries[0], 1, accept, window_of(window)))

    @routes.get(f"{_INSTANCE}/frames/{{frame}}/rendered")
    def render_frame(frame: str, accept: Accept, found: Found = found_by, window: str | None = None) -> Response:
        """Retrieve a frame as PNG or JPEG (WADO-RS)."""
        number = frame_numbers(frame)[0]
        return _streamed(found.retrieval.rendered(found.entries[0], number, accept, window_of(window)))


def _search(service: Service, request: Request) -> Qido:
    record_query(service, request)
    return Qido(service.store, root(request))


def _page(request: Request, page: Page) -> Response:
    """Answer a search; 200 also where nothing matches (PS3.18 section 8.3.4.4.1 as CP 2473 has it)."""
    more = warning(request, "There are additional results that can be requested") if page.has_more else {}
    return JSONResponse(page.models, headers=PRIVATE | more, media_type=DICOM_JSON)


def _streamed(given: Given) -> Response:
    return StreamingResponse(given.pieces, headers=PRIVATE, media_type=given.media_type)
