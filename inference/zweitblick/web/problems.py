"""Errors as problem documents (RFC 9457): code and text, nothing of what was asked for."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from zweitblick.errors import (
    ArchiveTooLargeError,
    AuditWriteError,
    BodyBrokenOffError,
    BodyTooLargeError,
    CsrfError,
    DamagedArchiveError,
    DamagedInstanceError,
    EventError,
    ForbiddenError,
    IdentityProviderError,
    KeyHolderError,
    LoginError,
    MalformedBodyError,
    NoDicomError,
    NotAcceptableError,
    NoUidError,
    PixelDecodeError,
    QueryError,
    StoreFullError,
    StoreUnavailableError,
    TokenError,
    TooManyFilesError,
    TooManyRequestsError,
    TrailBrokenError,
    TransactionError,
    TransferSyntaxError,
    UnknownObjectError,
    UnknownRoundError,
    UnknownStudyError,
    UnknownWorkitemError,
    UnsupportedMediaError,
    UsersError,
    WorkitemContentError,
    WorkitemExistsError,
    WorkitemQueryError,
    WorkitemStateError,
    ZweitblickError,
)
from zweitblick.web.private import PRIVATE, SECURITY

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[ZweitblickError], HTTPStatus] = {
    TokenError: HTTPStatus.UNAUTHORIZED,
    LoginError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    CsrfError: HTTPStatus.FORBIDDEN,
    TooManyRequestsError: HTTPStatus.TOO_MANY_REQUESTS,
    IdentityProviderError: HTTPStatus.SERVICE_UNAVAILABLE,
    UsersError: HTTPStatus.SERVICE_UNAVAILABLE,
    QueryError: HTTPStatus.BAD_REQUEST,
    NoUidError: HTTPStatus.BAD_REQUEST,
    MalformedBodyError: HTTPStatus.BAD_REQUEST,
    NotAcceptableError: HTTPStatus.NOT_ACCEPTABLE,
    TransferSyntaxError: HTTPStatus.NOT_ACCEPTABLE,
    BodyBrokenOffError: HTTPStatus.REQUEST_TIMEOUT,
    BodyTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ArchiveTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TooManyFilesError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    DamagedArchiveError: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnsupportedMediaError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    DamagedInstanceError: HTTPStatus.UNPROCESSABLE_ENTITY,
    PixelDecodeError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NoDicomError: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnknownStudyError: HTTPStatus.NOT_FOUND,
    UnknownRoundError: HTTPStatus.NOT_FOUND,
    UnknownObjectError: HTTPStatus.NOT_FOUND,
    WorkitemContentError: HTTPStatus.BAD_REQUEST,
    WorkitemQueryError: HTTPStatus.BAD_REQUEST,
    UnknownWorkitemError: HTTPStatus.NOT_FOUND,
    WorkitemExistsError: HTTPStatus.CONFLICT,
    WorkitemStateError: HTTPStatus.CONFLICT,
    TransactionError: HTTPStatus.CONFLICT,
    EventError: HTTPStatus.CONFLICT,
    StoreUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreFullError: HTTPStatus.SERVICE_UNAVAILABLE,
    KeyHolderError: HTTPStatus.SERVICE_UNAVAILABLE,
    AuditWriteError: HTTPStatus.SERVICE_UNAVAILABLE,
    TrailBrokenError: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""What is not here is a failure of ours, 500."""


class Problem(BaseModel):
    """A problem document; its type is ``about:blank``, so that the title is the status's own phrase.

    Attributes
    ----------
    title, status, detail
        RFC 9457 section 3.1.
    code
        As in `zweitblick.errors`; empty where HTTP itself says enough.
    """

    title: str
    status: int
    detail: str = ""
    code: str = ""


def described(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of answers that are problem documents; for FastAPI's ``responses``."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {int(status): {"description": status.phrase, "content": content} for status in statuses}


def answer_with_problems(app: FastAPI) -> None:
    """Answer every error of an application with a problem document."""
    app.add_exception_handler(ZweitblickError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _internal)


def _ours(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ZweitblickError):
        return _internal(request, error)
    status = STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("a request failed: %s", error.code)
    return _document(status, headers_of(request, error, status), detail=str(error), code=error.code)


def headers_of(request: Request, error: ZweitblickError, status: HTTPStatus) -> dict[str, str]:
    """Return what an error's answer says beside its body: how to show who one is, or when and how to ask again."""
    headers = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}
    if isinstance(error, TooManyRequestsError):
        headers["Retry-After"] = str(error.retry_after_s)
    if request.method == "POST":  # the rest of a body that was not taken is not waited for
        headers["Connection"] = "close"
    return headers


def _http(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        return _internal(_request, error)
    return _document(HTTPStatus(error.status_code), dict(error.headers or {}))


def _invalid(_request: Request, _error: Exception) -> JSONResponse:
    return _document(HTTPStatus.UNPROCESSABLE_ENTITY, {}, detail="the request is not as the OpenAPI document describes")


def _internal(_request: Request, error: Exception) -> JSONResponse:
    log.error("a request failed by %s", type(error).__name__)
    return _document(HTTPStatus.INTERNAL_SERVER_ERROR, {}, detail="a defect in zweitblick", code="internal")


def _document(status: HTTPStatus, headers: dict[str, str], *, detail: str = "", code: str = "") -> JSONResponse:
    problem = Problem(title=status.phrase, status=status, detail=detail, code=code)
    return JSONResponse(problem.model_dump(), status, SECURITY | PRIVATE | headers, MEDIA_TYPE)
