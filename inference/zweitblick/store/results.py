"""Results: what was made of a study, streamed into sealed files of their own."""

import hashlib
import logging
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO, NamedTuple

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy import Connection as Transaction
from sqlalchemy.exc import IntegrityError

from zweitblick.errors import ResultChangedError, UnknownRoundError
from zweitblick.store import rounds, schema
from zweitblick.store.index import Indexed
from zweitblick.store.life import State
from zweitblick.store.lost import KEYLESS
from zweitblick.store.objects import Kind
from zweitblick.store.rooms import Rooms
from zweitblick.store.rounds import Cause
from zweitblick.store.rows import fresh_id, sealed_details
from zweitblick.store.schema import objects
from zweitblick.vault.envelope import SealingWriter

log = logging.getLogger(__name__)

FINDINGS = "json"
"""Name of the result that holds the findings."""

FHIR_BUNDLE = "fhir"
"""Name of the result that holds them as FHIR resources."""

ERROR = "error"
"""Name of the result of a round that could not be read: JSON with ``code`` and ``message``."""

_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class ResultName:
    """What a result is.

    Parameters
    ----------
    round
        Id of the round that it is a result of.
    name
        Tells it from its round's other results.
    media_type
        As in ``application/dicom``.
    sop_instance_uid
        If it is a DICOM instance, so that it is known when it comes back; else empty.
    """

    round: str
    name: str
    media_type: str
    sop_instance_uid: str = ""


def keep_result(rooms: Rooms, result: ResultName, source: BinaryIO, *, kind: Kind = Kind.RESULT) -> str:
    """Keep a result; see `zweitblick.store.store.Store.keep_result`, and `keep_outgoing` there."""
    study = _study_of(rooms, result.round)
    _resolve(rooms, result.round)
    row = _written(rooms, study, result, source) | {"kind": kind}
    try:
        with _writing(rooms, result.round, [row["file"]]) as transaction:
            transaction.execute(insert(objects).values(row))
    except IntegrityError:
        return _same(rooms, result, row)
    rooms.folder.settle([row["file"]])
    return str(row["id"])


def keep_reading(
    rooms: Rooms, round_id: str, results: Sequence[tuple[ResultName, BinaryIO]], cause: Cause, *, at: datetime
) -> State:
    """Keep all that was made of a round, in place of all that it had; see `zweitblick.store.work.Work.keep_reading`."""
    return _keep_in_place(rooms, objects.c.round == round_id, results, _Change(round_id, cause, at))


def keep_fault(rooms: Rooms, result: ResultName, source: BinaryIO, cause: Cause, *, at: datetime) -> State:
    """Keep why a round failed, in place of why it did before; see `zweitblick.store.work.Work.give_up`."""
    change = _Change(result.round, cause, at)
    try:
        return _keep_in_place(rooms, _named(rooms, result), [(result, source)], change)
    except KEYLESS as error:
        log.warning("of round %s only the code is kept, since nothing can be sealed: %s", result.round, error.code)
        return _keep_in_place(rooms, _named(rooms, result), [], change)


def replace_fault(rooms: Rooms, result: ResultName, source: BinaryIO) -> None:
    """Keep why a delivery was refused, in place of why one was; see `zweitblick.store.work.Work.explain`."""
    _keep_in_place(rooms, _named(rooms, result), [(result, source)], _NoChange(result.round))


def _named(rooms: Rooms, result: ResultName) -> ColumnElement[bool]:
    return (objects.c.round == result.round) & (objects.c.identity_index == _identity(rooms, result))


class _Change(NamedTuple):
    """What happens to the round together with its results."""

    round: str
    cause: Cause
    at: datetime

    def happen(self, transaction: Transaction) -> State:
        return rounds.advance(transaction, self.round, self.cause, at=self.at)


class _NoChange(NamedTuple):
    """That nothing happens to the round."""

    round: str

    def happen(self, transaction: Transaction) -> State:
        return rounds.one(transaction, self.round).state


def _keep_in_place(
    rooms: Rooms,
    before: ColumnElement[bool],
    results: Sequence[tuple[ResultName, BinaryIO]],
    change: _Change | _NoChange,
) -> State:
    study = _study_of(rooms, change.round)
    _resolve(rooms, change.round)
    rows = _all_written(rooms, study, results)
    files = [row["file"] for row in rows]
    replaced = (objects.c.kind != Kind.INSTANCE) & before
    try:
        with _writing(rooms, change.round, files) as transaction:
            state = change.happen(transaction)
            old = transaction.execute(select(objects.c.file).where(replaced)).scalars().all()
            rooms.folder.unsettle(old)
            transaction.execute(delete(objects).where(replaced))
            if rows:
                transaction.execute(insert(objects), rows)
    except IntegrityError as error:
        raise ResultChangedError(
            f"an instance of the UID of a result of round {change.round} is kept already; read the study anew"
        ) from error
    rooms.folder.settle(files)
    rooms.folder.delete(old)
    return state


def _writing(rooms: Rooms, round_id: str, files: Collection[str]) -> AbstractContextManager[Transaction]:
    """Give the transaction that is to name these files; they go if it surely does not."""
    return rooms.database.writing(
        undone=partial(rooms.folder.delete, files), unsure=partial(rooms.doubt.note, round_id, files)
    )


def _resolve(rooms: Rooms, round_id: str) -> None:
    """Delete what no row names of what is in doubt, before more is written for a round.

    The round's row is locked, so that this waits for a transaction that a server still ends though its client was lost,
    and changed there and back, so that SQLite writes over one that it could not end.
    """
    if not (files := rooms.doubt.of(round_id)):
        return
    mine, turn = schema.rounds.c.id == round_id, schema.rounds.c.turn
    with rooms.database.writing() as transaction:
        transaction.execute(select(turn).where(mine).with_for_update())
        for step in (1, -1):
            transaction.execute(update(schema.rounds).where(mine).values(turn=turn + step))
        named = set(transaction.execute(select(objects.c.file).where(objects.c.file.in_(files))).scalars())
    rooms.folder.settle(named)
    rooms.folder.delete(files - named)
    rooms.doubt.end(round_id, files)


def _all_written(rooms: Rooms, study: str, results: Sequence[tuple[ResultName, BinaryIO]]) -> list[dict[str, Any]]:
    """Seal results, all or none, and return the rows that are to name them."""
    rows = []
    with ExitStack() as undoing:
        for result, source in results:
            row = _written(rooms, study, result, source)
            undoing.callback(rooms.folder.delete, [row["file"]])
            rows.append(row)
        undoing.pop_all()
    return rows


def _written(rooms: Rooms, study: str, result: ResultName, source: BinaryIO) -> dict[str, Any]:
    """Seal a result into a file that is durable, and return the row that is to name it."""
    key = rooms.keyring.key(study)
    object_id = fresh_id()
    digest, size = hashlib.sha256(), 0
    with rooms.folder.new_file() as (file, sink):
        with SealingWriter(sink, key, study=study, name=object_id) as writer:
            while piece := source.read(_PIECE_BYTES):
                digest.update(piece)
                size += writer.write(piece)
        sealed_bytes = sink.tell()
    details: dict[str, str | int] = {
        "name": result.name,
        "media_type": result.media_type,
        "sop_instance_uid": result.sop_instance_uid,
        "sha256": digest.hexdigest(),
        "plain_bytes": size,
    }
    return {
        "id": object_id,
        "study": study,
        "round": result.round,
        "kind": Kind.RESULT,
        "file": file,
        "start": 0,
        "sealed_bytes": sealed_bytes,
        "identity_index": _identity(rooms, result),
        "content_index": rooms.index.of(Indexed.CONTENT, result.media_type, digest.hexdigest()),
        "details": sealed_details(details, key, study=study, row=object_id),
    }


def _study_of(rooms: Rooms, round_id: str) -> str:
    with rooms.database.reading() as transaction:
        return rounds.one(transaction, round_id).study


def _identity(rooms: Rooms, result: ResultName) -> bytes:
    """Of the instance, as that of one that is received, or of the name within its round."""
    if result.sop_instance_uid:
        return rooms.index.of(Indexed.INSTANCE, result.sop_instance_uid)
    return rooms.index.of(Indexed.RESULT, result.round, result.name)


def _same(rooms: Rooms, result: ResultName, row: dict[str, Any]) -> str:
    """Return the id of what was there before, if it is the same."""
    there = (objects.c.study == row["study"]) & (objects.c.identity_index == row["identity_index"])
    query = select(*objects.c["id", "content_index"]).where(there, objects.c.conflicts_with.is_(None))
    with rooms.database.reading() as transaction:
        found = transaction.execute(query).one_or_none()
    if found is None:
        raise UnknownRoundError(f"no round {result.round} is kept; its study may have been shredded")
    if found.content_index != row["content_index"]:
        raise ResultChangedError(
            f"round {result.round} has a result {result.name} of other content; results are not replaced, begin a round"
        )
    return str(found.id)
