"""Routes of FHIR's RESTful API (R4 section 3.1.0): capabilities, read and search."""

from collections.abc import Collection, Sequence
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse

from zweitblick.errors import NotAcceptableError, UnknownObjectError, UnsupportedMediaError
from zweitblick.intake.parts import media_type
from zweitblick.report.fhir_parts import MEDIA_TYPE
from zweitblick.web.access import Viewings, record_query
from zweitblick.web.body import Bodies, Body
from zweitblick.web.dicomweb.media import accepted
from zweitblick.web.fhir.capability import capability_statement
from zweitblick.web.fhir.kept import Kept, Kind, Resource
from zweitblick.web.fhir.outcomes import OutcomeRoute, described
from zweitblick.web.fhir.search import COUNT, OFFSET, PARAMETERS, Asked, Match, asked, matches
from zweitblick.web.private import PRIVATE
from zweitblick.web.service import Service

PREFIX = "/fhir"
FORM = "application/x-www-form-urlencoded"
LONGEST_FORM_BYTES = 2**16

Parameters = Sequence[tuple[str, str]]

_JSON = (MEDIA_TYPE, "application/json")
_FORMATS = ("", "json", *_JSON)
_PROBLEMS = described(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_FORM_PROBLEMS = described(
    HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE
)
_RESOURCE: dict[int | str, dict[str, Any]] = {
    200: {"description": "A resource of FHIR R4.", "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}
}
_STRING = {"schema": {"type": "string"}}
_SEARCHED = sorted({name for names in PARAMETERS.values() for name in names} | {COUNT, OFFSET})
_SEARCH = {"parameters": [{"name": name, "in": "query", "required": False, **_STRING} for name in _SEARCHED]}
_FORM = {"requestBody": {"required": True, "content": {FORM: {"schema": {"type": "object"}}}}}


def router(service: Service, bodies: Bodies) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(
        prefix=PREFIX,
        tags=["FHIR"],
        route_class=OutcomeRoute,
        responses=_PROBLEMS | _RESOURCE,
        default_response_class=JSONResponse,
        dependencies=[Depends(_check_format)],
    )
    viewings = Viewings(service)
    _add_reads(routes, service, viewings)
    _add_searches(routes, service, viewings, bodies)
    return routes


def _check_format(
    accept: Annotated[str, Header()] = "*/*", in_query: Annotated[str, Query(alias="_format")] = ""
) -> None:
    """Refuse who does not take JSON (section 3.1.0.1.11); ``_format`` goes before the header."""
    if in_query:
        taken = in_query in _FORMATS
    else:
        taken = any(one.covers(kind) for one in accepted(accept) for kind in _JSON if not one.is_multipart)
    if not taken:
        raise NotAcceptableError(f"the answer is {MEDIA_TYPE}; accept that")


def _add_reads(routes: APIRouter, service: Service, viewings: Viewings) -> None:
    kept = Kept(service.store)

    @routes.get("/metadata")
    def metadata(request: Request) -> JSONResponse:
        """Tell what is served (CapabilityStatement)."""
        return _json(capability_statement(_base(request)))

    @routes.get("/{kind}/{resource_id}")
    def read(kind: str, resource_id: str, request: Request) -> JSONResponse:
        """Read a resource by its id."""
        known = _kind(kind, list(Kind))
        study = kept.study_with(known, resource_id)
        viewings.record(request, study)
        found = [one for one in kept.of_study(study, known) if one["id"] == resource_id]
        if not found:  # superseded in this moment
            raise UnknownObjectError("a newer reading supersedes this resource; search for it")
        return _json(found[0])


def _add_searches(routes: APIRouter, service: Service, viewings: Viewings, bodies: Bodies) -> None:
    def searched(kind: str, request: Request, parameters: Parameters) -> JSONResponse:
        search = asked(_kind(kind, PARAMETERS), parameters)
        record_query(service, request, form=urlencode(parameters) if request.method == "POST" else "")
        found, is_more = matches(service.store, search)
        for study in dict.fromkeys(one.study for one in found):
            viewings.record(request, study)
        return _json(_searchset(request, search, found, is_more=is_more))

    def searched_by_form(kind: str, request: Request, body: Body) -> JSONResponse:
        if media_type(request.headers.get("content-type", "")).essence != FORM:
            raise UnsupportedMediaError(f"a search is {FORM}; send that")
        form = b"".join(body).decode("utf-8", "replace")
        both = [*request.query_params.multi_items(), *parse_qsl(form, keep_blank_values=True)]
        return searched(kind, request, both)

    @routes.get("/{kind}", openapi_extra=_SEARCH)
    def search(kind: str, request: Request) -> JSONResponse:
        """Search for resources of a type."""
        return searched(kind, request, request.query_params.multi_items())

    @routes.post("/{kind}/_search", openapi_extra=_FORM, responses=_FORM_PROBLEMS)
    async def search_by_form(kind: str, request: Request) -> JSONResponse:
        """Search by a form, so that no identifier is in the address, which proxies may log."""
        return await bodies.take(partial(searched_by_form, kind, request, Body(request, most=LONGEST_FORM_BYTES)))


def _kind(written: str, known: Collection[Kind]) -> Kind:
    """Return a type of resource that is served so.

    Raises
    ------
    UnknownObjectError
        If it is not.
    """
    if written not in known:
        raise UnknownObjectError(f"resources of this type are not served; {PREFIX}/metadata says which are")
    return Kind(written)


def _searchset(request: Request, search: Asked, found: Sequence[Match], *, is_more: bool) -> Resource:
    base = _base(request)
    links = [{"relation": "self", "url": _page(request, search, search.offset)}]
    if is_more:
        links.append({"relation": "next", "url": _page(request, search, search.offset + search.count)})
    entries = [
        {
            "fullUrl": f"{base}/{search.kind}/{one.resource['id']}",
            "resource": one.resource,
            "search": {"mode": "match"},
        }
        for one in found
    ]
    bundle: Resource = {"resourceType": "Bundle", "type": "searchset", "link": links}
    return bundle | ({"entry": entries} if entries else {})


def _page(request: Request, search: Asked, offset: int) -> str:
    """Return the address of a page; what a form said is in no address, and the form is sent there again."""
    is_form = request.method == "POST"
    values = {**search.values, COUNT: str(search.count)}
    shown = {name: value for name, value in values.items() if not is_form or name in request.query_params}
    query = urlencode(shown | ({OFFSET: str(offset)} if offset else {}))
    return f"{_base(request)}/{search.kind}" + ("/_search" if is_form else "") + (f"?{query}" if query else "")


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/") + PREFIX


def _json(resource: Resource) -> JSONResponse:
    return JSONResponse(resource, headers=PRIVATE, media_type=MEDIA_TYPE)
