"""A release that finds an older one's database with work in flight brings it to its end."""

import io
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from quick_reading import quick
from reading_house import House, fails_at_once, last, reached
from zweitblick.model.bundle import Bundles
from zweitblick.store import database
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


def test_rounds_in_each_state_are_brought_to_their_end(
    tmp_path: Path, bundles: Bundles, quick_files: list[Path]
) -> None:
    house = House(tmp_path, quick(bundles))
    with house.store() as store:
        tokens = {state: lived(store, quick_files[0], state) for state in LIVES}
    as_of(house.folder / "data" / "data" / "store.sqlite", "data_0001")
    with house.store() as store:
        turns = {state: last(store, token).turn for state, token in tokens.items()}
        assert turns == {state: events.count(Event.COMPLETED) for state, events in LIVES.items()}
        house.clock.move(30)
        with house.worker(store):
            for state, token in tokens.items():
                reached(store, token, ENDS[state])
        names = [result.name for result in store.results(last(store, tokens[State.READING]).id)]
        assert sorted(names) == ["error", "seg"]  # what was half kept is not shown, and goes with the next reading


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


def as_of(file: Path, revision: str) -> None:
    """Make a database what it was at a revision, which an older release's migrations have made, with the same rows."""
    old = file.with_name("old.sqlite")
    engine = create_engine(f"sqlite:///{old}")
    with engine.begin() as transaction:
        config = Config()
        migrations = Path(database.__file__).with_name("migrations")
        config.set_main_option("script_location", str(migrations))
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", str(migrations / "data"))
        config.attributes["connection"] = transaction
        command.upgrade(config, revision)
    engine.dispose()
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("ATTACH ? AS new", [str(file)])
        for (table,) in connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
            if table != "alembic_version":
                connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")  # noqa: S608 -- names of our tables
    for journal in file.parent.glob("store.sqlite*"):
        journal.unlink()
    old.rename(file)
