"""Receptions: what was acknowledged, and what became of it."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select

from zweitblick.store.ingest import Outcome
from zweitblick.store.rooms import Rooms
from zweitblick.store.rows import moment, opened_details
from zweitblick.store.schema import receptions


@dataclass(frozen=True)
class Reception:
    """One instance that was acknowledged.

    Parameters
    ----------
    object
        Id of the object that it is, or is the same as.
    outcome
        What became of it.
    at
        When it came.
    calling_ae_title
        Who sent it; empty if it did not come over DIMSE.
    """

    object: str
    outcome: Outcome
    at: datetime
    calling_ae_title: str = field(repr=False)


def receptions_of(rooms: Rooms, study: str) -> list[Reception]:
    """Return the receptions of a study; see `zweitblick.store.store.Store.receptions`."""
    query = select(receptions).where(receptions.c.study == study).order_by(receptions.c.at_us, receptions.c.id)
    with rooms.database.reading() as transaction:
        rows = transaction.execute(query).all()
    return [
        Reception(
            row.object,
            Outcome(row.outcome),
            moment(row.at_us),
            str(opened_details(row.details, rooms.keyring.key(study), study=study, row=row.id)["calling_ae_title"]),
        )
        for row in rows
    ]
