"""Event channels of the Worklist Service (PS3.18 section 11.14): a WebSocket for each subscriber who listens."""

import asyncio
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from zweitblick.web.service import Service

LONGEST_QUEUE = 1000
"""Event reports that wait for a slow listener; then the channel is closed, and the listener asks for states again."""

_TOO_SLOW = 1013
"""WebSocket close code (IANA registry): try again later."""


def router(service: Service) -> APIRouter:
    """Make the route."""
    routes = APIRouter()

    @routes.websocket("/dicom-web/subscribers/{ae_title}")
    async def events(socket: WebSocket, ae_title: str) -> None:
        await socket.accept()
        channel = _Channel(asyncio.get_running_loop())
        with service.worklist.notices.listening(ae_title, channel.put):
            await _served(socket, channel)

    return routes


class _Channel:
    """Brings event reports from the thread where something happened to the loop that sends them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.reports: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def put(self, report: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(self._put, report)

    def end(self) -> None:
        self.reports.put_nowait(None)

    def _put(self, report: dict[str, Any]) -> None:
        if self.reports.qsize() < LONGEST_QUEUE:
            self.reports.put_nowait(report)
        else:
            self.end()


async def _served(socket: WebSocket, channel: _Channel) -> None:
    """Send reports until the listener leaves or is too slow."""
    leaving = asyncio.create_task(_left(socket, channel))
    try:
        while (report := await channel.reports.get()) is not None:
            await socket.send_json(report)
        if not leaving.done():
            await socket.close(_TOO_SLOW)
    except WebSocketDisconnect:
        return
    finally:
        leaving.cancel()


async def _left(socket: WebSocket, channel: _Channel) -> None:
    """Wait until the listener leaves; what it sends is not read."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, KeyError):
        channel.end()
