"""Several processes that receive the same studies at once, while another reads: no state races, nothing is lost."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from store import receiver
from store.stores import encoded, file_holder, opened_store, plain_file, study_uid
from zweitblick.errors import EventError, UnknownStudyError
from zweitblick.store.ingest import Outcome
from zweitblick.store.life import Actor, Event, State, after
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store

SENT = (range(60), range(30, 90), range(60, 120))
"""To each process; the first one is killed while it alone is sent what it is."""
KILLED_AFTER = 12


class Receiver:
    """A process, and what it has acknowledged."""

    def __init__(self, folder: Path, sent: range) -> None:
        self.process = subprocess.Popen(
            [sys.executable, receiver.__file__, str(folder), str(sent.start), str(sent.stop)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
        )
        self.acknowledged: list[int] = []

    def listen(self, killed_after: int) -> None:
        """Take what it says to its end, which comes by SIGKILL after so many."""
        for line in self.process.stdout:
            if line.endswith("\n"):
                self.acknowledged.append(int(line))
            if len(self.acknowledged) == killed_after:
                self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def test_states_do_not_race_and_what_each_acknowledged_is_kept_once(tmp_path: Path) -> None:
    holder = file_holder(tmp_path)
    running = [Receiver(tmp_path, sent) for sent in SENT]
    for one in running:
        assert one.process.stdout.readline() == "open\n"
    limits = [KILLED_AFTER, len(SENT[1]) + 1, len(SENT[2]) + 1]
    threads = [threading.Thread(target=one.listen, args=(limit,)) for one, limit in zip(running, limits, strict=True)]
    for one, thread in zip(running, threads, strict=True):
        thread.start()
        one.process.stdin.write("go\n")
        one.process.stdin.flush()
    with opened_store(StorePlaces.within(tmp_path), holder, lambda: datetime.now(UTC)) as store:
        while any(thread.is_alive() for thread in threads):
            begin_to_read(store)
        assert [one.process.returncode for one in running] == [-signal.SIGKILL, 0, 0]
        assert [set(one.acknowledged) for one in running[1:]] == [set(sent) for sent in SENT[1:]]
        acknowledged = {number for one in running for number in one.acknowledged}
        kept = {number for study in range(receiver.STUDIES) for number in judged(store, study)}
        assert acknowledged <= kept
        assert len(kept - acknowledged) <= receiver.THREADS  # it was killed before it could say so


def begin_to_read(store: Store) -> None:
    """Complete and start whatever is there, as a worker does, so that what comes then begins a round."""
    for study in range(receiver.STUDIES):
        with suppress(UnknownStudyError, EventError):  # nothing came yet; or something came in between
            for last in store.rounds(store.token(study_uid(study)))[-1:]:
                store.advance(last.id, Event.COMPLETED, by=Actor.WORKER)
                store.advance(last.id, Event.STARTED, by=Actor.WORKER)


def judged(store: Store, study: int) -> list[int]:
    """Numbers of the instances that are kept of a study, whose states must not have raced."""
    token = store.token(study_uid(study))
    kept = store.instances(token)
    numbers = [int(one.sop_instance_uid.rsplit(".", 1)[1]) for one in kept]
    assert len(set(numbers)) == len(numbers)
    for number, one in zip(numbers, kept, strict=True):
        assert plain_file(store, one.id).endswith(encoded(study, number))
    outcomes = Counter(one.outcome for one in store.receptions(token))
    assert outcomes[Outcome.NEW] == len(kept)
    assert set(outcomes) <= {Outcome.NEW, Outcome.DUPLICATE}
    rounds = store.rounds(token)
    assert [one.number for one in rounds] == list(range(1, len(rounds) + 1))
    assert [one.supersedes for one in rounds] == [None, *(one.id for one in rounds[:-1])]
    assert {one.state for one in rounds[:-1]} <= {State.SUPERSEDED}
    assert {one.round for one in kept} == set(range(1, len(rounds) + 1))
    history = store.history(token)
    for one in rounds:
        events = [event for event in history if event.round == one.id]
        assert all(entry.after is after(entry.before, entry.event, by=entry.actor) for entry in events)
        assert all(first.after is second.before for first, second in pairwise(events))
        assert not events or (events[0].before, events[-1].after) == (State.RECEIVING, one.state)
    return numbers
