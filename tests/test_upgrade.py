"""A release that finds an older one's database with work in flight brings it to its end."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
from alembic import command
from alembic.config import Config
from pydicom import dcmread
from sqlalchemy import MetaData, create_engine, insert, select

from delivery.test_deliverer import PATIENT
from delivery.test_resumed import begun
from peers.fake_peers import StorePeer
from quick_reading import quick
from reading_house import House, contents, fails_at_once, last, reached
from store.stores import SENDER
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.route import Route
from zweitblick.dicom.commitment import ALL_COMMITTED, CommitmentReport
from zweitblick.model.bundle import Bundles
from zweitblick.store import database
from zweitblick.store.deliveries import Attempt, Delivery, DeliveryState
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.results import ResultName
from zweitblick.store.store import Store

LIVES = {
    State.RECEIVING: [],
    State.STABLE: [Event.COMPLETED],
    State.READING: [Event.COMPLETED, Event.STARTED],
    State.READ: [Event.COMPLETED, Event.STARTED, Event.READ],
    State.SEALED: [Event.COMPLETED, Event.STARTED, Event.READ, Event.SEALED],
    State.AWAITING_REVIEW: [Event.COMPLETED, Event.STARTED, Event.READ, Event.SEALED, Event.REVIEW_ASKED],
    State.FAILED: [Event.COMPLETED, Event.STARTED, Event.GAVE_UP],
    State.CANCELLED: [Event.CANCELLED],
}
ENDS = {
    State.RECEIVING: State.FAILED,
    State.STABLE: State.FAILED,
    State.READING: State.FAILED,
    State.READ: State.AWAITING_REVIEW,
    State.SEALED: State.AWAITING_REVIEW,
    State.AWAITING_REVIEW: State.AWAITING_REVIEW,
    State.FAILED: State.FAILED,
    State.CANCELLED: State.CANCELLED,
}
"""The studies are of one image, which cannot be read."""


REVISIONS = ("data_0001", "data_0003_deliveries", "data_0006_lookups")
ASKED = "2.25.4711"
"""Transaction UID of a request for storage commitment that the older release has made."""


@dataclass(frozen=True)
class Flight:
    """Work that an older release has begun: studies by the state of their rounds, and two deliveries.

    The first delivery waits, the destination of the second was asked to commit itself; there are none in a revision
    without their table.
    """

    rounds: dict[State, str]
    deliveries: list[Delivery]

    @classmethod
    def begun(cls, store: Store, image: Path, revision: str) -> Self:
        rounds = {state: lived(store, image, state) for state in LIVES}
        if revision < "data_0003":
            return cls(rounds, [])
        waiting, committing = begun(store, 1), begun(store, 2)
        store.deliveries.note(committing.id, Attempt(1, DeliveryState.COMMITTING, transaction_uid=ASKED))
        return cls(rounds, [waiting, committing])

    def assert_ends(self, house: House, store: Store) -> None:
        """Let a worker of this release have it, and look at what has come of it."""
        turns = {state: last(store, token).turn for state, token in self.rounds.items()}
        assert turns == {state: events.count(Event.COMPLETED) for state, events in LIVES.items()}
        house.clock.move(30)
        with StorePeer() as pacs:
            route = Route(pacs.destination, ("sr",), senders=frozenset({SENDER}))
            deliverer = Deliverer(store, [route], patience=PATIENT)
            with house.worker(store, deliverer=deliverer):
                if self.deliveries:
                    deliverer.committed(self._report(store))
                for one in self.deliveries:
                    reached(store, one.study, State.AWAITING_REVIEW)
                for state, token in self.rounds.items():
                    reached(store, token, ENDS[state])
        assert len(pacs.received) == len(self.deliveries) // 2, "what waits for a commitment is not sent again"
        ended = [store.deliveries.get(one.id) for one in self.deliveries]
        assert [(one.state, one.attempts) for one in ended] == [(DeliveryState.DELIVERED, 1)] * len(ended)
        names = [result.name for result in store.results(last(store, self.rounds[State.READING]).id)]
        assert sorted(names) == ["error", "seg"]  # what was half kept is not shown, and goes with the next reading

    def _report(self, store: Store) -> CommitmentReport:
        sent = contents(store, last(store, self.deliveries[1].study).id)["sr"]
        return CommitmentReport(ASKED, ALL_COMMITTED, frozenset({str(dcmread(io.BytesIO(sent)).SOPInstanceUID)}))


@pytest.mark.parametrize("revision", REVISIONS)
def test_work_in_flight_is_brought_to_its_end(
    tmp_path: Path, bundles: Bundles, quick_files: list[Path], revision: str
) -> None:
    house = House(tmp_path, quick(bundles))
    with house.store() as store:
        flight = Flight.begun(store, quick_files[0], revision)
    file = house.folder / "data" / "data" / "store.sqlite"
    old = file.with_name("old.sqlite")
    as_of(f"sqlite:///{file}", f"sqlite:///{old}", revision)
    for journal in file.parent.glob("store.sqlite*"):
        journal.unlink()
    old.rename(file)
    with house.store() as store:
        flight.assert_ends(house, store)


def lived(store: Store, image: Path, state: State) -> str:
    token = fails_at_once(store, image, str(state))
    one = last(store, token)
    for event in LIVES[state]:
        by = Actor.ADMINISTRATOR if event is Event.CANCELLED else Actor.WORKER
        store.advance(one.id, event, by=by)
    if state is State.READING:
        store.keep_result(ResultName(one.id, "seg", "application/dicom", "1.2.3"), io.BytesIO(b"half"))
    assert last(store, token).state is state
    return token


def as_of(new: str, old: str, revision: str) -> None:
    """Make an empty database what a new one was at a revision: with an older release's tables, and the same rows.

    Parameters
    ----------
    new, old
        URLs of both.
    revision
        Which.
    """
    config = Config()
    migrations = Path(database.__file__).with_name("migrations")
    config.set_main_option("script_location", str(migrations))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(migrations / "data"))
    source, target = create_engine(new), create_engine(old)
    with source.begin() as rows, target.begin() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, revision)
        tables = MetaData()
        tables.reflect(transaction)
        for table in tables.sorted_tables:
            found = rows.execute(select(table)).mappings().all()
            if table.name != "alembic_version" and found:
                transaction.execute(insert(table), [dict(row) for row in found])
    source.dispose()
    target.dispose()
