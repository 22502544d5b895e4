"""Event channels of the Worklist Service (PS3.18 section 11.14): a WebSocket for each subscriber who listens."""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.concurrency import run_in_threadpool
from fastapi.requests import HTTPConnection

from zweitblick.errors import AuditError, ZweitblickError
from zweitblick.web.access import record_subscription
from zweitblick.web.dicomweb.root import PREFIX
from zweitblick.web.gate import UNAUTHORISED
from zweitblick.web.service import Service

CHECKED_EVERY_S = 60.0
"""Between two events whether the listener may still listen is checked so often."""

LONGEST_QUEUE = 1000
"""Event reports that wait for a slow listener; then the channel is closed, and the listener asks for states again."""

_LATER = 1013
"""WebSocket close code (IANA registry): try again later. The listener was too slow, or cannot be put on record."""


Check = Callable[[HTTPConnection], None]


def router(service: Service, check: Check) -> APIRouter:
    """Make the route.

    Parameters
    ----------
    service
        Whose events are told.
    check
        Raises a `ZweitblickError` once somebody may listen no longer.
    """
    routes = APIRouter()

    @routes.websocket(f"{PREFIX}/subscribers/{{ae_title}}")
    async def events(socket: WebSocket, ae_title: str) -> None:
        await socket.accept()
        try:
            await run_in_threadpool(record_subscription, service, socket)
        except AuditError:
            await socket.close(_LATER)
            return
        channel = _Channel(asyncio.get_running_loop())
        with service.worklist.notices.listening(ae_title, channel.put):
            await _served(socket, channel, check)

    return routes


class _Channel:
    """Brings event reports from the thread where something happened to the loop that sends them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reports: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def put(self, report: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(self._put, report)

    async def next(self) -> dict[str, Any] | None:
        """Wait for a report: an empty one after a while without any, None at the end."""
        try:
            return await asyncio.wait_for(self._reports.get(), CHECKED_EVERY_S)
        except TimeoutError:
            return {}

    def end(self) -> None:
        self._reports.put_nowait(None)

    def _put(self, report: dict[str, Any]) -> None:
        if self._reports.qsize() < LONGEST_QUEUE:
            self._reports.put_nowait(report)
        else:
            self.end()


async def _served(socket: WebSocket, channel: _Channel, check: Check) -> None:
    """Send reports until the listener leaves, is too slow or may listen no longer."""
    leaving = asyncio.create_task(_left(socket, channel))
    try:
        code = await _sent(socket, channel, check)
        if not leaving.done():
            await socket.close(code)
    except WebSocketDisconnect:
        return
    finally:
        leaving.cancel()


async def _sent(socket: WebSocket, channel: _Channel, check: Check) -> int:
    """Send reports until the channel ends or is to be closed, and return the code to close it with."""
    while (report := await channel.next()) is not None:
        try:
            await run_in_threadpool(check, socket)
        except ZweitblickError:
            return UNAUTHORISED
        if report:
            await socket.send_json(report)
    return _LATER


async def _left(socket: WebSocket, channel: _Channel) -> None:
    """Wait until the listener leaves; what it sends is not read."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, KeyError):
        channel.end()
