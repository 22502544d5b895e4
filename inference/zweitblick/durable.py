"""Durable: a name that was made, moved or removed in a folder outlasts a loss of power."""

import os
from pathlib import Path


def sync_folder(path: Path) -> None:
    """Return once the names in a folder are as they would be found after a loss of power (fsync(2)).

    Raises
    ------
    OSError
        If they cannot be made so.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
