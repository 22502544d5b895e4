"""Headers that keep answers private, and pages of others away from them."""

from fastapi import Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Of every answer that tells something of a patient: findings stay on no disk on their way, and are nothing but what
their media type says."""

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Of every answer, unless it says otherwise itself: nothing is run, framed, guessed, passed on or kept."""

TRANSPORT = {"Strict-Transport-Security": "max-age=31536000"}
"""Of every answer over TLS (RFC 6797): a year."""


class SecurityHeaders:
    """Middleware that adds headers to each answer that lacks them.

    Parameters
    ----------
    app
        What answers.
    headers
        As `SECURITY`.
    """

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    answered.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sending)


def say_private(response: Response) -> None:
    """Add `PRIVATE` to an answer that a route does not make itself; a dependency."""
    response.headers.update(PRIVATE)
