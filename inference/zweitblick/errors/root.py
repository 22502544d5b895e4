"""The root of the tree of errors."""

from typing import ClassVar


class ZweitblickError(Exception):
    """Root of the tree; ``code`` is stable and shared by command line, HTTP, audit and UI."""

    code: ClassVar[str] = "zweitblick"


INTERNAL = "internal"
"""Code of a defect of ours."""


def code_of(error: BaseException) -> str:
    """Return an error's code; of one that is not ours `INTERNAL`, since its text may quote a header."""
    return error.code if isinstance(error, ZweitblickError) else INTERNAL
