"""Results: what was made of a study, streamed into sealed files of their own."""

import hashlib
from dataclasses import dataclass
from typing import Any, BinaryIO

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from zweitblick.errors import ResultChangedError, UnknownRoundError
from zweitblick.store.index import Indexed
from zweitblick.store.objects import Kind
from zweitblick.store.rooms import Rooms
from zweitblick.store.rows import fresh_id, sealed_details
from zweitblick.store.schema import objects, rounds
from zweitblick.vault.envelope import SealingWriter

FINDINGS = "json"
"""Name of the result that holds the findings."""

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


def keep_result(rooms: Rooms, result: ResultName, source: BinaryIO) -> str:
    """Keep a result; see `zweitblick.store.store.Store.keep_result`."""
    study = _study_of(rooms, result)
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
    row = {
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
    try:
        with rooms.database.writing() as transaction:
            transaction.execute(insert(objects).values(row))
    except IntegrityError:
        rooms.folder.delete([file])
        return _same(rooms, result, row)
    rooms.folder.settle([file])
    return object_id


def _study_of(rooms: Rooms, result: ResultName) -> str:
    with rooms.database.reading() as transaction:
        study: str | None = transaction.execute(
            select(rounds.c.study).where(rounds.c.id == result.round)
        ).scalar_one_or_none()
    if study is None:
        raise _unknown(result)
    return study


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
        raise _unknown(result)
    if found.content_index != row["content_index"]:
        raise ResultChangedError(
            f"round {result.round} has a result {result.name} of other content; results are not replaced, begin a round"
        )
    return str(found.id)


def _unknown(result: ResultName) -> UnknownRoundError:
    return UnknownRoundError(f"no round {result.round} is kept; its study may have been shredded")
