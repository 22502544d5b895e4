"""Objects that are kept: their details, and their bytes."""

import io
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO

from sqlalchemy import func, select

from zweitblick.errors import UnknownObjectError, VaultError
from zweitblick.store.folder import Place
from zweitblick.store.index import Indexed
from zweitblick.store.rooms import Rooms
from zweitblick.store.rows import opened_details
from zweitblick.store.schema import objects, rounds
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.envelope import SEGMENT_BYTES, OpeningReader


class Kind(StrEnum):
    """Whether an object was sent to us or made by us."""

    INSTANCE = "instance"
    RESULT = "result"
    OUTGOING = "outgoing"
    """A result in the form in which one destination gets it; goes when the results go."""


@dataclass(frozen=True)
class KeptInstance:
    """An instance that was received.

    Parameters
    ----------
    id
        Of the object; random.
    round
        Number of the first round that it belongs to; it belongs to all later ones too.
    sop_class_uid, sop_instance_uid, series_instance_uid, transfer_syntax_uid
        As they came.
    data_sha256
        Of the data set as it came, hexadecimal.
    plain_bytes
        Of the DICOM file.
    conflicts_with
        Id of the instance with the same SOP Instance UID that came first; such an instance is not read. None otherwise.
    """

    id: str
    round: int
    sop_class_uid: str
    sop_instance_uid: str = field(repr=False)
    series_instance_uid: str = field(repr=False)
    transfer_syntax_uid: str
    data_sha256: str = field(repr=False)
    plain_bytes: int
    conflicts_with: str | None = None


@dataclass(frozen=True)
class KeptResult:
    """Something that was made of a study.

    Parameters
    ----------
    id
        Of the object; random.
    round
        Id of the round that it is a result of.
    name
        What it is among its round's results, as in ``seg``.
    media_type
        As in ``application/dicom``.
    sop_instance_uid
        If it is a DICOM instance, else empty.
    sha256, plain_bytes
        Of its bytes.
    """

    id: str
    round: str
    name: str
    media_type: str
    sop_instance_uid: str = field(repr=False)
    sha256: str = field(repr=False)
    plain_bytes: int


class Objects:
    """Reads what is kept; for several threads at once."""

    def __init__(self, rooms: Rooms) -> None:
        self._database = rooms.database
        self._folder = rooms.folder
        self._keyring = rooms.keyring
        self._index = rooms.index

    def instances(self, study: str, *, series_instance_uid: str, sop_instance_uid: str) -> list[KeptInstance]:
        """Return instances of a study in the order of their ids; see `zweitblick.store.store.Store.instances`."""
        query = (
            select(*objects.c["id", "details", "conflicts_with"], rounds.c.number)
            .join(rounds, objects.c.round == rounds.c.id)
            .where(objects.c.study == study, objects.c.kind == Kind.INSTANCE)
            .order_by(objects.c.id)
        )
        if series_instance_uid:
            query = query.where(objects.c.series_index == self._index.of(Indexed.SERIES, series_instance_uid))
        if sop_instance_uid:
            query = query.where(objects.c.identity_index == self._index.of(Indexed.INSTANCE, sop_instance_uid))
        with self._database.reading() as transaction:
            rows = transaction.execute(query).all()
        return [
            KeptInstance(
                row.id, row.number, conflicts_with=row.conflicts_with, **self._details(row.details, study, row.id)
            )
            for row in rows
        ]

    def conflicts(self, study: str) -> int:
        """Count the instances of a study that are kept apart."""
        apart = objects.c.conflicts_with.is_not(None)
        with self._database.reading() as transaction:
            found = transaction.execute(select(func.count()).where(objects.c.study == study, apart))
            return int(found.scalar_one())

    def results(self, round_id: str, *, kind: Kind = Kind.RESULT) -> list[KeptResult]:
        """Return what was made of a round, of one kind, in the order of their ids."""
        query = select(*objects.c["id", "study", "details"]).where(objects.c.round == round_id, objects.c.kind == kind)
        with self._database.reading() as transaction:
            rows = transaction.execute(query.order_by(objects.c.id)).all()
        return [KeptResult(row.id, round_id, **self._details(row.details, row.study, row.id)) for row in rows]

    def open(self, object_id: str) -> BinaryIO:
        """Open an object; see `zweitblick.store.store.Store.open`."""
        query = select(*objects.c["study", "file", "start", "sealed_bytes"]).where(objects.c.id == object_id)
        with self._database.reading() as transaction:
            row = transaction.execute(query).one_or_none()
        if row is None:
            raise UnknownObjectError(f"no object {object_id} is kept; its study may have been shredded")
        key = self._keyring.key(row.study)
        source = self._folder.open(Place(row.file, row.start, row.sealed_bytes))
        try:
            reader = _OwningReader(source, key, study=row.study, name=object_id)
        except VaultError:
            source.close()
            raise
        return io.BufferedReader(reader, SEGMENT_BYTES)

    def _details(self, sealed: bytes, study: str, row: str) -> dict[str, Any]:
        return opened_details(sealed, self._keyring.key(study), study=study, row=row)


class _OwningReader(OpeningReader):
    """Closes what it reads from when it is closed."""

    name = ""
    """What ``io.BufferedReader`` passes on, and pydicom asks every one of them for."""

    def __init__(self, source: BinaryIO, key: DataKey, *, study: str, name: str) -> None:
        self._owned = source
        super().__init__(source, key, study=study, name=name)

    def close(self) -> None:
        super().close()
        self._owned.close()
