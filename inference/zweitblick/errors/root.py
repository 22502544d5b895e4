"""The root of the tree of errors."""

from typing import ClassVar


class ZweitblickError(Exception):
    """Root of the tree; ``code`` is stable and shared by command line, HTTP, audit and UI."""

    code: ClassVar[str] = "zweitblick"
