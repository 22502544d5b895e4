"""The description of the interface (OpenAPI 3.1), with who may use what, for whoever has an account."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse

from zweitblick.access.policy import able
from zweitblick.web import fhir
from zweitblick.web.doors import Doors
from zweitblick.web.gate import CSRF_HEADER
from zweitblick.web.permissions import PERMISSIONS
from zweitblick.web.problems import described

PLACE = "/api/v1/openapi.json"

_BEARER, _SESSION = "bearer", "session"
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)


def router(app: FastAPI) -> APIRouter:
    """Make the route that answers with the description."""
    routes = APIRouter()

    @routes.get(PLACE, include_in_schema=False)
    def description() -> JSONResponse:
        return JSONResponse(app.openapi())

    return routes


def with_access(describe: Callable[[], dict[str, Any]], doors: Doors) -> Callable[[], dict[str, Any]]:
    """Have a description say by which ways in, and in which roles, each operation is reached."""

    def described_with_access() -> dict[str, Any]:
        document = describe()
        document.setdefault("components", {})["securitySchemes"] = _schemes(doors)
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _say_access(operation, method.upper(), path)
        return document

    return described_with_access


def _schemes(doors: Doors) -> dict[str, Any]:
    bearer = "Access token of the identity provider, of a machine, or the one that 'zweitblick serve' prints."
    session = f"Set by /login; requests that change something also bear {CSRF_HEADER}, from /api/v1/session."
    return {
        _BEARER: {"type": "http", "scheme": "bearer", "description": bearer},
        _SESSION: {"type": "apiKey", "in": "cookie", "name": doors.cookie, "description": session},
    }


def _say_access(operation: dict[str, Any], method: str, path: str) -> None:
    needed = {(verb, _plain(place)): needed for (verb, place), needed in PERMISSIONS.items()}.get((method, path))
    if needed is None:
        operation["security"] = []
        return
    operation["security"] = [{_BEARER: []}, {_SESSION: []}]
    operation["x-roles"] = able(needed)
    refusals = fhir.described(*_REFUSALS) if path.startswith(f"{fhir.PREFIX}/") else described(*_REFUSALS)
    for status, refused in refusals.items():
        operation["responses"].setdefault(str(status), refused)


def _plain(place: str) -> str:
    """Return a path as OpenAPI writes it: without how a placeholder is matched."""
    return place.replace(":path}", "}")
