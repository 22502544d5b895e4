"""What receiver processes of the tests do; in a module of its own, since they import it."""

import os
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from zweitblick.dimse import DicomServer, ListenerConfig, Received, ServiceLink
from zweitblick.dimse.services import Services
from zweitblick.errors import KeyHolderError


class Noting:
    """Keeps the UID of each instance in a file that is called by the process."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / str(os.getpid())
        self._lock = threading.Lock()

    def keep(self, instance: Received) -> None:
        with self._lock, self._file.open("a") as file:
            file.write(f"{instance.sop_instance_uid}\n")


def receive(folder: Path, pipe: Connection, port: int) -> None:
    link = ServiceLink(pipe)
    config = ListenerConfig(port=port, reuse_port=True)
    with DicomServer(config, Noting(folder), observer=link, services=Services(link.committed)):
        link.listening()
        link.serve(lambda: False)
    link.close()


def refuse(pipe: Connection, _port: int) -> None:
    ServiceLink(pipe).not_listening(KeyHolderError("the key holder is away"))


def die(_pipe: Connection, _port: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
