"""Files that hold what opens a key holder: a PIN, a token."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from zweitblick.errors import KeyHolderError

MOST_BYTES = 4096


@dataclass(frozen=True)
class FileMark:
    """Tells whether a file is the one that was read before: inode, size and time of change."""

    inode: int
    size: int
    changed_ns: int


def read_private(path: Path, what: str) -> tuple[str, FileMark]:
    """Read one line from a file that not everybody may read.

    A group may read it: where systemd hands a credential to a service, the group's bits show its access list.

    Parameters
    ----------
    path
        The file.
    what
        What it holds, for messages.

    Returns
    -------
    The line without its end, and which file it was.

    Raises
    ------
    KeyHolderError
        If it is absent, empty, no text, or open to everybody.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            line = file.read(MOST_BYTES).decode().strip("\r\n")
    except OSError as error:
        raise KeyHolderError(f"{what} {path} cannot be read: {error.strerror}; name its file") from error
    except UnicodeDecodeError as error:
        raise KeyHolderError(f"{what} {path} is no text; name another file") from error
    if status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise KeyHolderError(f"{what} {path} is open to others than its owner; say chmod 400, and change it")
    if not line:
        raise KeyHolderError(f"{what} {path} is empty; write it there")
    return line, FileMark(status.st_ino, status.st_size, status.st_mtime_ns)
