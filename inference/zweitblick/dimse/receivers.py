"""Receivers: several processes that listen on one port, each with a store of its own, started and started again.

The system spreads connections over them (SO_REUSEPORT), so that as many cores receive. What one has acknowledged is
durable before it says so: if it dies its senders see a broken connection, send what was not acknowledged again, and
come to another process.
"""

import itertools
import logging
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Condition, Event, Lock, Thread
from types import TracebackType
from typing import Self

from zweitblick.dimse.commitment import Committed
from zweitblick.dimse.config import cannot_listen
from zweitblick.dimse.link import Counts, Listening, Noted, NotListening, Reported, Stop
from zweitblick.dimse.storage import Observer
from zweitblick.errors import ReceiverError, StoreUnavailableError, ZweitblickError

log = logging.getLogger(__name__)

FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0
"""Before a receiver that ended is started again; twice as long each further time, at most so long."""

SOUND_S = 60.0
"""A receiver that listened for so long did not end because of how it was started: the delay is the first one again."""

LINGER_S = 10.0
"""So long a receiver may take to end that has said its last word."""

PATIENCE_S = 45.0
"""So long receivers may take to stop: a request being served has 30 s."""

REPORTS_AT_ONCE = 2
"""So many reports of storage commitment are taken at once; further ones wait, and what receivers count does not."""

Run = Callable[[Connection, int], None]
"""What a receiver process does, with its end of the pipe and a port; importable by its name, with what it holds."""


def back_off(failures: int) -> float:
    """Seconds until a receiver that has ended so many times in a row is started again."""
    return float(min(FIRST_DELAY_S * 2.0 ** min(failures - 1, 10), LONGEST_DELAY_S))


@dataclass(frozen=True)
class Crew:
    """Which receivers there are.

    Parameters
    ----------
    host, port
        Where all of them listen; port 0 takes a free one.
    count
        How many.
    run
        What each does.
    delay_s
        Seconds until one that has ended so many times in a row is started again.
    """

    host: str
    port: int
    count: int
    run: Run
    delay_s: Callable[[int], float] = back_off


class Receivers:
    """Receiver processes, listening from construction until `close`.

    Used with ``with``, or closed.

    Parameters
    ----------
    crew
        Which.
    observer
        Is told what they count.
    committed
        Is told what peers report of storage commitment.
    listening
        Is set while all of them listen.

    Raises
    ------
    DimseSettingError
        If the port is not to be had.
    ReceiverError
        If one ended without a word.
    ZweitblickError
        What keeps one from starting.
    """

    def __init__(self, crew: Crew, observer: Observer, committed: Committed, *, listening: Event) -> None:
        self._crew, self._observer, self._committed, self._listening = crew, observer, committed, listening
        self._place = _reserved(crew.host, crew.port)
        self._port = int(self._place.getsockname()[1])
        self._closing = Event()
        self._changed = Condition()
        self._running: dict[int, _Receiver] = {}
        self._starting = True
        self._refusal: ZweitblickError | None = None
        self._reports = ThreadPoolExecutor(REPORTS_AT_ONCE, thread_name_prefix="commitment-report")
        self._threads = [
            Thread(target=self._attend, args=(number,), name=f"dicom-receiver-{number}")
            for number in range(1, crew.count + 1)
        ]
        for thread in self._threads:
            thread.start()
        self._wait_until_all_listen()

    @property
    def port(self) -> int:
        """The port that they listen on."""
        return self._port

    @property
    def processes(self) -> list[int]:
        """Ids of the processes that listen."""
        with self._changed:
            return [one.process.pid or 0 for one in self._running.values() if one.listens]

    def close(self, *, patience_s: float = PATIENCE_S) -> None:
        """Have all of them stop as `zweitblick.dimse.DicomServer.close` does; the second time nothing happens.

        Parameters
        ----------
        patience_s
            One that takes longer is killed.
        """
        with self._changed:
            self._closing.set()
            self._listening.clear()
            running = list(self._running.values())
        for one in running:
            one.say(Stop())
        end = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        for one in running:
            if one.process.exitcode is None:
                log.warning("a receiver did not stop in time and is killed")
                one.process.kill()
        for thread in self._threads:
            thread.join()
        self._reports.shutdown(cancel_futures=True)
        self._place.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait_until_all_listen(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._listening.is_set() or self._refusal is not None)
            self._starting = False
        if self._refusal is not None:
            self.close()
            raise self._refusal

    def _attend(self, number: int) -> None:
        """Start a receiver, take what it says, and start it again when it has ended, until all are to stop."""
        failures = 0
        while (receiver := self._start(number)) is not None:
            self._take_what_it_says(number, receiver)
            self._note_its_silence(receiver)
            receiver.end()
            if self._refused_to_start(receiver) or self._closing.is_set():
                return
            failures = 1 if receiver.was_sound else failures + 1
            delay_s = self._crew.delay_s(failures)
            log.error("receiver %d ended by %s; it is started again in %g s", number, receiver.last_word, delay_s)
            self._closing.wait(delay_s)

    def _start(self, number: int) -> "_Receiver | None":
        """Start a receiver, again until the system lets us, unless all are to stop."""
        for failures in itertools.count(1):
            try:
                with self._changed:
                    if self._closing.is_set():
                        break
                    receiver = self._running[number] = _Receiver(self._crew.run, self.port)
                    return receiver
            except OSError as error:
                if self._refused_by(error):
                    break
                delay_s = self._crew.delay_s(failures)
                log.error("receiver %d cannot be started (%s); again in %g s", number, error.strerror, delay_s)  # noqa: TRY400 -- the system's own words
            self._closing.wait(delay_s)
        return None

    def _take_what_it_says(self, number: int, receiver: "_Receiver") -> None:
        while (said := receiver.said()) is not None:
            if isinstance(said, Listening):
                log.info("receiver %d listens", number)
                self._note_that_it_listens(receiver)
            elif isinstance(said, Counts):
                self._count(receiver, said)
            elif isinstance(said, Reported):
                self._reports.submit(self._answer, receiver, said)
            elif isinstance(said, NotListening):
                receiver.refusal = said.error

    def _note_that_it_listens(self, receiver: "_Receiver") -> None:
        with self._changed:
            receiver.listens_since = time.monotonic()
            all_listen = len(self._running) == self._crew.count and all(one.listens for one in self._running.values())
            if all_listen and not self._closing.is_set():
                self._listening.set()
            self._changed.notify_all()

    def _note_its_silence(self, receiver: "_Receiver") -> None:
        """Note that a receiver is gone, with its associations."""
        with self._changed:
            receiver.is_gone = True
            self._listening.clear()
        for _ in range(receiver.associations):
            self._observer.ended()

    def _refused_to_start(self, receiver: "_Receiver") -> bool:
        """Whether a receiver that ended was one of the first ones and never listened; then none is to."""
        with self._changed:
            refused = self._starting and receiver.listens_since is None
            if refused:
                self._refusal = receiver.refusal or ReceiverError(
                    f"a receiver ended by {receiver.last_word} before it listened; see the log"
                )
                self._changed.notify_all()
            return refused

    def _refused_by(self, error: OSError) -> bool:
        """Whether one of the first ones cannot be started; then none is to."""
        with self._changed:
            if self._starting:
                self._refusal = ReceiverError(
                    f"a receiver cannot be started: {error.strerror}; see to memory and limits of processes and files"
                )
                self._changed.notify_all()
            return self._starting

    def _count(self, receiver: "_Receiver", counts: Counts) -> None:
        receiver.associations += counts.associated - counts.ended
        for number, count in (
            (counts.associated, self._observer.associated),
            (counts.rejected, self._observer.rejected),
            (counts.ended, self._observer.ended),
            (counts.conflicted, self._observer.conflicted),
        ):
            for _ in range(number):
                count()
        for status, size_bytes in counts.answered:
            self._observer.answered(status, size_bytes)

    def _answer(self, receiver: "_Receiver", said: Reported) -> None:
        receiver.say(Noted(said.number, self._refusal_of(said)))

    def _refusal_of(self, said: Reported) -> ZweitblickError | None:
        try:
            self._committed(said.report)
        except ZweitblickError as error:
            return error
        except Exception as error:  # noqa: BLE001 -- the report's edge: its sender must be told that it was not taken
            log.error("taking a storage commitment report failed by %s", type(error).__name__)  # noqa: TRY400 -- may quote
            return StoreUnavailableError("a storage commitment report cannot be taken; report it again later")
        return None


class _Receiver:
    """One process, and our end of its pipe."""

    def __init__(self, run: Run, port: int) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._sending = Lock()
        self.listens_since: float | None = None
        self.is_gone = False
        self.associations = 0
        self.refusal: ZweitblickError | None = None
        self.process: SpawnProcess = multiprocessing.get_context("spawn").Process(
            target=run, args=(theirs, port), name="zweitblick receiver", daemon=True
        )
        try:
            self.process.start()
        except OSError:
            self._pipe.close()
            raise
        finally:
            theirs.close()  # or its end would not be seen

    @property
    def listens(self) -> bool:
        """Whether it takes associations."""
        return self.listens_since is not None and not self.is_gone

    @property
    def was_sound(self) -> bool:
        """Whether it did its work for long enough before it ended."""
        return self.listens_since is not None and time.monotonic() - self.listens_since > SOUND_S

    @property
    def last_word(self) -> str:
        """How it ended."""
        if self.refusal is not None:
            return self.refusal.code
        code = self.process.exitcode
        return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"

    def said(self) -> object | None:
        """Wait for the next message; None if it has ended."""
        try:
            return self._pipe.recv()  # type: ignore[no-any-return]  # any message
        except (EOFError, OSError):
            return None

    def say(self, message: object) -> None:
        """Send a message; nothing happens if it has ended."""
        with self._sending, suppress(OSError):
            self._pipe.send(message)

    def end(self) -> None:
        """Wait for the end of the process, for so long as that may take."""
        self.process.join(LINGER_S)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        with self._sending:
            self._pipe.close()


def _reserved(host: str, port: int) -> socket.socket:
    """Hold a port for all receivers, without listening; nobody else who listens there shares it.

    The socket is bound alone and is made one of several (SO_REUSEPORT, socket(7)) after that. A socket that does not
    listen is given no connections.
    """
    place = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind((host, port))
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        place.close()
        raise cannot_listen(host, port, error) from error
    return place
