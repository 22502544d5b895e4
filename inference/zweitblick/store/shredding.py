"""Shredding: a study is deleted for good, whatever happens in between.

First a row says that it is under way, then the key is destroyed, and only then rows and files go. Whoever restores
yesterday's backup of the data has ciphertext without a key.
"""

from collections.abc import Collection

from sqlalchemy import delete, select, update

from zweitblick.dicom.header import quietly, read_header, text
from zweitblick.errors import DamagedInstanceError
from zweitblick.store.objects import KeptInstance, Objects
from zweitblick.store.rooms import Rooms
from zweitblick.store.schema import objects, studies

PATIENT_ID = 0x00100020


def shred(rooms: Rooms, token: str) -> None:
    """Delete a study; see `zweitblick.store.store.Store.shred`."""
    with rooms.database.writing() as transaction:
        transaction.execute(update(studies).where(studies.c.token == token).values(shredding=True))
    rooms.studies.forget(token)
    rooms.keyring.destroy(token)
    rooms.folder.end_pack(token)
    with rooms.database.writing() as transaction:
        # locked, so that nothing is kept of it between the look at its files and the end
        transaction.execute(select(studies.c.token).where(studies.c.token == token).with_for_update())
        files = set(transaction.execute(select(objects.c.file).where(objects.c.study == token)).scalars())
        rooms.folder.unsettle(files)
        transaction.execute(delete(studies).where(studies.c.token == token))
    rooms.folder.delete(files)
    rooms.database.truncate_log()


def finish(rooms: Rooms) -> None:
    """Finish what a crash has interrupted."""
    with rooms.database.reading() as transaction:
        tokens = transaction.execute(select(studies.c.token).where(studies.c.shredding)).scalars().all()
    for token in tokens:
        shred(rooms, token)


def named(rooms: Rooms, files: Collection[str]) -> Collection[str]:
    """Return those of some files that rows name."""
    with rooms.database.reading() as transaction:
        queries = (select(objects.c.file).where(objects.c.file == file).limit(1) for file in files)
        return {name for query in queries for name in transaction.execute(query).scalars()}


def of_patient(rooms: Rooms, kept: Objects, patient_id: str) -> list[str]:
    """Return the tokens of a patient's studies; see `zweitblick.store.store.Store.all_studies_of_patient`."""
    described = rooms.studies.of_patient(patient_id)
    found = [token for token in rooms.studies.undescribed() if patient_id in _patient_ids(kept, token)]
    return sorted({*described, *found})


def _patient_ids(kept: Objects, token: str) -> set[str]:
    instances = kept.instances(token, series_instance_uid="", sop_instance_uid="")
    return {_patient_id(kept, each) for each in instances} - {""}


def _patient_id(kept: Objects, instance: KeptInstance) -> str:
    """Return what an instance's header says; nothing if it was sent damaged, and names nobody."""
    with kept.open(instance.id) as file, quietly():
        try:
            return text(read_header(file.read(), [PATIENT_ID]).data, PATIENT_ID)
        except DamagedInstanceError:
            return ""
