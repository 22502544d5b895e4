"""Requests: each gets an id that its log lines and its answer bear, and one line when it is answered.

The line has the route with its placeholders and not the path, which names a study, and no query string. An id that the
request brings along is not taken over: nobody knows what it says.
"""

import logging
import secrets
import time
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

log = logging.getLogger(__name__)

HEADER = "X-Request-ID"

_ID_BYTES = 8
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Others may be any word."""
_UNSEEN = frozenset({"/health", "/ready", "/metrics"})
"""Asked for every few seconds; their answers are logged only if they are no success."""


class RequestLog:
    """Middleware that logs each request with its id.

    Parameters
    ----------
    app
        What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, status, began = secrets.token_hex(_ID_BYTES), 0, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request
            await send(message)

        with bound_contextvars(request=request):
            try:
                await self._app(scope, receive, sending)
            except Exception:  # answered further out
                status = HTTPStatus.INTERNAL_SERVER_ERROR
                raise
            finally:
                _say(scope, status, time.perf_counter() - began)


def _say(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "none")
    if route in _UNSEEN and status == HTTPStatus.OK:
        return
    method = scope["method"] if scope["method"] in _METHODS else "other"
    fields = {"method": method, "route": route, "status": status, "seconds": round(seconds, 3)}
    log.info("request answered", extra=fields)
