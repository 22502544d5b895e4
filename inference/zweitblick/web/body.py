"""Body: what a request brings, piece by piece, in a thread, with a limit and little patience."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, from_thread, to_thread
from fastapi import Request
from starlette.requests import ClientDisconnect

from zweitblick.errors import BodyBrokenOffError, BodyTooLargeError

Answer = TypeVar("Answer")

AT_ONCE = 4
"""So many bodies are taken at once, and no more memory than for so many instances; others wait."""

PIECE_PATIENCE_S = 60.0
"""A sender may be silent for so long."""


class Body:
    """The body of a request as pieces of bytes; iterated once, in a thread that `Bodies` gives.

    Parameters
    ----------
    request
        What has it.
    most
        A longer one is refused: at once if it says so itself, else when it gets there.
    """

    def __init__(self, request: Request, *, most: int) -> None:
        self._request = request
        self._most = most
        self._taken = 0

    @property
    def taken(self) -> int:
        """Bytes that have been given out."""
        return self._taken

    def __iter__(self) -> Iterator[bytes]:
        """Give the pieces.

        Raises
        ------
        BodyTooLargeError
            If it is longer than allowed.
        BodyBrokenOffError
            If the sender went away, or was silent for too long.
        """
        self._check(int(self._request.headers.get("content-length", "0")))
        pieces = self._request.stream()
        while piece := from_thread.run(_next, pieces):
            self._taken += len(piece)
            self._check(self._taken)
            yield piece

    def _check(self, size: int) -> None:
        if size > self._most:
            raise BodyTooLargeError(
                f"the body is longer than {self._most} bytes; send fewer instances at once, or raise "
                "http.largest_upload_bytes"
            )


class Bodies:
    """Takes a few bodies at once, each in a thread of its own, so that the others stay for whoever asks."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(AT_ONCE)

    async def take(self, work: Callable[[], Answer]) -> Answer:
        """Run what reads a body, and return what it does."""
        return await to_thread.run_sync(work, limiter=self._limiter)


async def _next(pieces: AsyncIterator[bytes]) -> bytes:
    """Return the next piece, none at the end; empty ones in between say nothing."""
    try:
        with anyio.fail_after(PIECE_PATIENCE_S):
            async for piece in pieces:
                if piece:
                    return piece
    except ClientDisconnect as error:
        raise BodyBrokenOffError("the sender went away before the end; what came whole is kept") from error
    except TimeoutError as error:
        raise BodyBrokenOffError(f"nothing came for {PIECE_PATIENCE_S:.0f} s; send it again") from error
    return b""
