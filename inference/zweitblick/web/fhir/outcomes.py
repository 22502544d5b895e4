"""Errors of FHIR routes: an OperationOutcome (FHIR R4 section 2.39) in place of a problem document."""

import logging
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from zweitblick.errors import ZweitblickError
from zweitblick.report.fhir_parts import MEDIA_TYPE
from zweitblick.web.private import PRIVATE
from zweitblick.web.problems import STATUS, headers_of

log = logging.getLogger(__name__)

_ISSUES = {
    HTTPStatus.BAD_REQUEST: "invalid",
    HTTPStatus.UNAUTHORIZED: "login",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.NOT_ACCEPTABLE: "not-supported",
    HTTPStatus.TOO_MANY_REQUESTS: "throttled",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-long",
    HTTPStatus.SERVICE_UNAVAILABLE: "transient",
}
"""Codes of http://hl7.org/fhir/issue-type by status; what is not here is an exception."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class OutcomeRoute(APIRoute):
    """A route whose errors, of its dependencies too, are told as OperationOutcome."""

    def get_route_handler(self) -> Handler:
        """Wrap the handler; see FastAPI's "Custom Request and APIRoute class"."""
        answered = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await answered(request)
            except ZweitblickError as error:
                status = STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
                return _outcome(status, str(error), error.code, headers=headers_of(request, error, status))
            except RequestValidationError:
                return _outcome(HTTPStatus.BAD_REQUEST, "the request is not as the OpenAPI document describes", "")

        return handler


def described(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of answers that are OperationOutcomes; for FastAPI's ``responses``."""
    content = {MEDIA_TYPE: {"schema": {"type": "object", "required": ["resourceType", "issue"]}}}
    return {int(status): {"description": status.phrase, "content": content} for status in statuses}


def _outcome(
    status: HTTPStatus, text: str, code: str, *, headers: Mapping[str, str] = MappingProxyType({})
) -> JSONResponse:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("a request failed: %s", code)
    issue = {"severity": "error", "code": _ISSUES.get(status, "exception"), "details": {"text": text}}
    outcome = {"resourceType": "OperationOutcome", "issue": [issue | ({"diagnostics": code} if code else {})]}
    return JSONResponse(outcome, status, {**PRIVATE, **headers}, MEDIA_TYPE)
