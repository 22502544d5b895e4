"""The root of the tree of errors."""

from collections.abc import Mapping
from typing import ClassVar


class ZweitblickError(Exception):
    """Root of the tree; ``code`` is stable and shared by command line, HTTP, audit and UI."""

    code: ClassVar[str] = "zweitblick"


INTERNAL = "internal"
"""Code of a defect of ours."""


def code_of(error: BaseException) -> str:
    """Return an error's code; of one that is not ours `INTERNAL`, since its text may quote a header."""
    return error.code if isinstance(error, ZweitblickError) else INTERNAL


def status_in(statuses: Mapping[type[ZweitblickError], int], error: ZweitblickError, *, default: int) -> int:
    """Return the status of the nearest of an error's classes that a table has, else the default."""
    return next((statuses[kind] for kind in type(error).__mro__ if kind in statuses), default)
