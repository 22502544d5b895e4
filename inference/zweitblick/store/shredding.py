"""Shredding: a study is deleted for good, whatever happens in between.

First a row says that it is under way, then the key is destroyed, and only then rows and files go. Whoever restores
yesterday's backup of the data has ciphertext without a key.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from zweitblick.dicom.header import quietly, read_header, text
from zweitblick.errors import DamagedInstanceError, ZweitblickError
from zweitblick.store.lost import LOST
from zweitblick.store.objects import KeptInstance, Objects
from zweitblick.store.rooms import Rooms
from zweitblick.store.schema import fetched, objects, studies
from zweitblick.store.workitems import KeptWorkitem, Workitems

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
        # that it was fetched for another study lies with that one
        its_index = select(studies.c.uid_index).where(studies.c.token == token).scalar_subquery()
        transaction.execute(delete(fetched).where(fetched.c.uid_index == its_index))
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


@dataclass(frozen=True)
class PatientStudies:
    """Studies of a patient.

    Parameters
    ----------
    found
        Their tokens.
    unopened
        Tokens of studies that cannot be opened any more, so that nobody can tell whose they are.
    """

    found: Sequence[str]
    unopened: Sequence[str]


def of_patient(rooms: Rooms, kept: Objects, workitems: Workitems, patient_id: str) -> PatientStudies:
    """Look for a patient's studies; see `zweitblick.store.store.Store.all_studies_of_patient`."""
    found, unopened = {*rooms.studies.of_patient(patient_id)}, []
    found.update(item.study for item in workitems.items() if patient_id in _named_by(item))
    for token in rooms.studies.undescribed():
        try:
            if patient_id and patient_id in _patient_ids(kept, token):
                found.add(token)
        except LOST:
            unopened.append(token)
    return PatientStudies(sorted(found), sorted({*unopened} - found))


def _patient_ids(kept: Objects, token: str) -> Iterator[str]:
    """Yield what images say, those that can be opened first: one that cannot keeps no other from naming its patient."""
    lost: list[ZweitblickError] = []
    for instance in kept.instances(token, series_instance_uid="", sop_instance_uid=""):
        try:
            patient_id = _patient_id(kept, instance)
        except LOST as error:
            lost.append(error)
        else:
            yield patient_id
    if lost:
        raise lost[0]


def _patient_id(kept: Objects, instance: KeptInstance) -> str:
    """Return what an image's header says; nothing if it was sent damaged, and names nobody."""
    with kept.open(instance.id) as file, quietly():
        try:
            return text(read_header(file.read(), [PATIENT_ID]).data, PATIENT_ID)
        except DamagedInstanceError:
            return ""


def _named_by(item: KeptWorkitem) -> list[str]:
    """Patient IDs of a work item, which may be there though nothing of its study has come (PS3.18 annex F.2)."""
    values: list[str] = json.loads(item.content).get(f"{PATIENT_ID:08X}", {}).get("Value", [])
    return values
