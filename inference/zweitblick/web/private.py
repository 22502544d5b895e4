"""Headers of every answer that tells something of a patient."""

from fastapi import Response

PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Findings stay on no disk on their way, and are nothing but what their media type says."""


def say_private(response: Response) -> None:
    """Add `PRIVATE` to an answer that a route does not make itself; a dependency."""
    response.headers.update(PRIVATE)
