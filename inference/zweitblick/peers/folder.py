"""Files to a folder: each is there whole under its name, or not at all."""

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from zweitblick.durable import sync_folder
from zweitblick.errors import PeerBusyError, PeerUnreachableError
from zweitblick.peers.destination import FolderDestination
from zweitblick.peers.instance import DICOM, P7M, Outgoing, Receipt

PART = ".part"
"""What the name of a file ends in that is being written."""

_SUFFIXES = {DICOM: ".dcm", P7M: ".p7m"}
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class FolderSender:
    """Writes files of the instances' UIDs; one that is there already is replaced, by the same.

    Parameters
    ----------
    destination
        Where.
    """

    def __init__(self, destination: FolderDestination) -> None:
        self._destination = destination

    def send(self, instances: Sequence[Outgoing]) -> Receipt:
        """Write files, and return once each is durable; see `zweitblick.peers.instance.Sender`.

        Raises
        ------
        PeerBusyError
            If there is no room.
        PeerUnreachableError
            If the folder is not there or cannot be written.
        """
        with self._errors():
            for one in instances:
                _write(one, self._destination.folder / f"{one.sop_instance_uid}{_SUFFIXES[one.media_type]}")
            sync_folder(self._destination.folder)
        return Receipt()

    def check(self) -> None:
        """Try whether the folder can be written; nothing is left there.

        Raises
        ------
        PeerBusyError, PeerUnreachableError
            As from `send`.
        """
        with self._errors(), tempfile.TemporaryFile(dir=self._destination.folder):
            pass

    @contextmanager
    def _errors(self) -> Iterator[None]:
        where = f"{self._destination.name} at {self._destination.folder}"
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise PeerBusyError(f"{where} has no room left; free some, it is sent again") from error
            raise PeerUnreachableError(f"{where} cannot be written ({error.strerror}); see that it is there") from error


def _write(one: Outgoing, path: Path) -> None:
    """Write a file beside its place, under a name that nobody else writes to, and move it there."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        with part.open("xb") as file:
            with one.open() as source:
                shutil.copyfileobj(source, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
