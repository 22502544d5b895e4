"""Link: what a receiver process and the service that started it tell each other, over one pipe.

A receiver says that it listens, or why it does not; what it counts, once a second; and what peers report of storage
commitment, which the service alone can act upon. The service answers these reports, and says when to stop.
"""

import itertools
import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from threading import Lock

from zweitblick.dicom.commitment import CommitmentReport
from zweitblick.errors import StoreUnavailableError, ZweitblickError

log = logging.getLogger(__name__)

COUNTS_S = 1.0
"""So often a receiver tells what it has counted, and looks whether it is to stop."""


@dataclass(frozen=True)
class Listening:
    """The receiver takes associations."""


@dataclass(frozen=True)
class NotListening:
    """The receiver could not start, because of ``error``, and ends."""

    error: ZweitblickError


@dataclass(frozen=True)
class Counts:
    """What happened since the last ones, in the terms of `zweitblick.dimse.Observer`.

    Parameters
    ----------
    associated, rejected, ended
        Associations.
    answered
        Status and length of the data set of each C-STORE.
    conflicted
        Instances that were kept apart.
    """

    associated: int = 0
    rejected: int = 0
    ended: int = 0
    answered: tuple[tuple[int, int], ...] = ()
    conflicted: int = 0


@dataclass(frozen=True)
class Reported:
    """What a peer reports of storage commitment; answered by a `Noted` of the same number."""

    number: int
    report: CommitmentReport


@dataclass(frozen=True)
class Noted:
    """That the service has taken a report, or why it has not."""

    number: int
    error: ZweitblickError | None


@dataclass(frozen=True)
class Stop:
    """The receiver is to answer whom it serves, and end."""


class ServiceLink:
    """The receiver's end: an observer whose counts go to the service, and who takes reports for it.

    Parameters
    ----------
    pipe
        To the service.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending, self._counting = Lock(), Lock()
        self._associated = self._rejected = self._ended = self._conflicted = 0
        self._answered: list[tuple[int, int]] = []
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[None]] = {}
        self._open = True

    def associated(self) -> None:
        """Count an accepted association."""
        with self._counting:
            self._associated += 1

    def rejected(self) -> None:
        """Count a rejected association."""
        with self._counting:
            self._rejected += 1

    def ended(self) -> None:
        """Count the end of an accepted association."""
        with self._counting:
            self._ended += 1

    def answered(self, status: int, size_bytes: int) -> None:
        """Count a C-STORE."""
        with self._counting:
            self._answered.append((status, size_bytes))

    def conflicted(self) -> None:
        """Count an instance that was kept apart."""
        with self._counting:
            self._conflicted += 1

    def committed(self, report: CommitmentReport) -> None:
        """Hand a report on, and return once the service has taken it.

        Raises
        ------
        ZweitblickError
            What the service raised.
        StoreUnavailableError
            If the service is gone, or stops meanwhile.
        """
        future: Future[None] = Future()
        with self._counting:
            number = next(self._numbers)
            self._waiting[number] = future
            if not self._open:
                self._refuse_the_waiting()
        try:
            self._say(Reported(number, report))
        except OSError as error:
            raise StoreUnavailableError("the service is gone; report it again later") from error
        future.result()

    def listening(self) -> None:
        """Tell that the receiver takes associations."""
        self._say(Listening())

    def not_listening(self, error: ZweitblickError) -> None:
        """Tell why the receiver ends."""
        with suppress(OSError):  # the service is gone, and nobody else wants to know
            self._say(NotListening(error))

    def serve(self, stopped: Callable[[], bool]) -> None:
        """Pass on counts and answers until the service says stop, or is gone, or ``stopped``."""
        with suppress(EOFError, OSError):  # the service is gone
            while not stopped():
                self._say_counts()
                if self._pipe.poll(COUNTS_S) and not self._hears_more():
                    break
        with self._counting:
            self._open = False
            self._refuse_the_waiting()

    def close(self) -> None:
        """Tell the last counts."""
        with suppress(OSError):  # the service is gone
            self._say_counts()
            self._pipe.close()

    def _hears_more(self) -> bool:
        """Take a message of the service; False if it was to stop."""
        heard = self._pipe.recv()
        if not isinstance(heard, Noted):
            return False
        future = self._waiting.pop(heard.number)
        if heard.error is None:
            future.set_result(None)
        else:
            future.set_exception(heard.error)
        return True

    def _refuse_the_waiting(self) -> None:
        for future in self._waiting.values():
            future.set_exception(StoreUnavailableError("the receiver stops; report it again later"))
        self._waiting.clear()

    def _say_counts(self) -> None:
        with self._counting:
            counts = Counts(self._associated, self._rejected, self._ended, tuple(self._answered), self._conflicted)
            self._associated = self._rejected = self._ended = self._conflicted = 0
            self._answered.clear()
        if counts != Counts():
            self._say(counts)

    def _say(self, message: object) -> None:
        with self._sending:
            self._pipe.send(message)
