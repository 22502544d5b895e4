"""A release that finds an older one's database on PostgreSQL with work in flight brings it to its end."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from interop.postgresql import running_server
from quick_reading import quick
from reading_house import House
from test_upgrade import REVISIONS, Flight, as_of
from zweitblick.model.bundle import Bundles
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import FileKeyHolder


@pytest.mark.parametrize("revision", REVISIONS[1:])
def test_work_in_flight_is_brought_to_its_end(
    tmp_path: Path, bundles: Bundles, quick_files: list[Path], revision: str
) -> None:
    house = House(tmp_path, quick(bundles))
    with house.store() as store:
        flight = Flight.begun(store, quick_files[0], revision)
    places = StorePlaces.within(house.folder / "data")
    with running_server() as server:
        url = server.new_database()
        as_of(places.data, url, revision)
        go_on_counting(url)
        holder, quiet = FileKeyHolder(house.folder / "key"), timedelta(seconds=30)
        with Store(replace(places, data=url), holder, clock=house.clock, quiet_time=lambda _: quiet) as store:
            flight.assert_ends(house, store)


def go_on_counting(url: str) -> None:
    """Let the next event have a number that none of those that were copied has."""
    engine = create_engine(url)
    with engine.begin() as transaction:
        transaction.exec_driver_sql(
            "SELECT setval(pg_get_serial_sequence('events', 'number'), (SELECT max(number) FROM events))"
        )
    engine.dispose()
