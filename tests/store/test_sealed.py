"""Nothing that the store writes tells anything to whoever has no key."""

import io
import shutil
import tracemalloc
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from sqlalchemy import select

from store.stores import (
    ACCESSION,
    PATIENT_ID,
    PATIENT_NAME,
    SENDER,
    Clock,
    encoded,
    file_holder,
    instance,
    opened_store,
    pixels,
    plain_file,
    study_uid,
)
from zweitblick.errors import SealBrokenError, StoreDamagedError, StoreKeyError
from zweitblick.store.index import Indexed, KeyedIndex
from zweitblick.store.places import StorePlaces
from zweitblick.store.results import ResultName
from zweitblick.store.schema import fetched, wrapped_keys
from zweitblick.store.shredding import PatientStudies
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.envelope import MARK

MIB = 2**20
FINDING = b"enhancing tumour 23.4 ml"
SECRETS = {
    "study uid": study_uid(1).encode(),
    "series uid": f"{study_uid(1)}.1".encode(),
    "sop uid": f"{study_uid(1)}.1.1".encode(),
    "uid as UTF-16": study_uid(1).encode("utf-16-le"),
    "patient id": PATIENT_ID.encode(),
    "name": PATIENT_NAME.encode(),
    "accession number": ACCESSION.encode(),
    "sender": SENDER.encode(),
    "sop class": MRImageStorage.encode(),
    "transfer syntax": ExplicitVRLittleEndian.encode(),
    "pixels": pixels(1, 1)[:16],
    "pixels later on": pixels(1, 1)[1024:1040],
    "finding": FINDING[:12],
    "dicom prefix": b"DICM",
}


def fill(folder: Path) -> tuple[StorePlaces, list[Path]]:
    """Leave a store as it is while it works: with its log, and with files that no row names yet."""
    places = StorePlaces.within(folder)
    with opened_store(places, file_holder(folder), Clock()) as store:
        for number in range(1, 4):
            store.keep(instance(number=number))
        store.keep(instance(number=2))
        store.keep(instance(number=1, data=encoded(1, 9)))
        token = store.token(study_uid(1))
        store.describe(token, patient_id=PATIENT_ID, accession_number=ACCESSION)
        (first,) = store.rounds(token)
        store.keep_result(ResultName(first.id, "findings", "application/json"), io.BytesIO(FINDING))
        with store._rooms.folder.new_file() as (_, sink):
            sink.write(MARK)
            shutil.copytree(folder, folder.with_name("working"))
    return places, [
        path for room in (folder, folder.with_name("working")) for path in room.rglob("*") if path.is_file()
    ]


def test_no_file_holds_an_identifier_or_a_pixel(tmp_path: Path) -> None:
    _, files = fill(tmp_path / "store")
    names = {path.name for path in files}
    assert {"store.sqlite", "store.sqlite-wal", "keys.sqlite", "keys.sqlite-wal"} <= names
    assert any(path.suffix == ".part" for path in files)
    assert sum(path.stat().st_size for path in files if "objects" in path.parts) > 4 * 2048
    for path in files:
        content = path.read_bytes()
        assert [secret for secret, value in SECRETS.items() if value in content] == [], path.name
        assert not any(uid in str(path) for uid in (study_uid(1), PATIENT_ID))


def test_the_search_would_find_what_is_not_sealed(tmp_path: Path) -> None:
    """The same search in the file that was sent."""
    places, _ = fill(tmp_path / "store")
    with opened_store(places, file_holder(tmp_path / "store"), Clock()) as store:
        token = store.token(study_uid(1))
        (first,) = [
            each
            for each in store.instances(token)
            if each.sop_instance_uid.endswith(".1.1") and each.conflicts_with is None
        ]
        file = plain_file(store, first.id)
    missing = [secret for secret, value in SECRETS.items() if value not in file]
    assert missing == ["uid as UTF-16", "finding"]


def test_neither_repr_nor_message_tells_what_is_sealed(tmp_path: Path) -> None:
    places, _ = fill(tmp_path / "store")
    with opened_store(places, file_holder(tmp_path / "store"), Clock()) as store:
        token = store.token(study_uid(1))
        said = repr(
            [instance(), store.study(token), store.instances(token), store.receptions(token), store.rounds(token)]
        )
    assert [
        name for name in ("study uid", "sop uid", "patient id", "name", "sender") if SECRETS[name].decode() in said
    ] == []


def test_yesterday_s_backup_of_the_data_does_not_open_what_was_shredded(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    places, _ = fill(folder)
    holder = file_holder(folder)
    shutil.copytree(folder / "data", tmp_path / "backup")
    with opened_store(places, holder, Clock()) as store:
        token = store.token(study_uid(1))
        with store._rooms.keyring._database.reading() as transaction:
            query = select(wrapped_keys.c.ciphertext).where(wrapped_keys.c.owner == token)
            wrapped = transaction.execute(query).scalar_one()
        assert any(wrapped in path.read_bytes() for path in (folder / "keys").iterdir())
        store.shred(token)
        for path in folder.rglob("*"):
            assert path.is_dir() or wrapped not in path.read_bytes(), "not even in the log"
    shutil.rmtree(folder / "data")
    shutil.copytree(tmp_path / "backup", folder / "data")
    with opened_store(places, holder, Clock()) as store:
        assert store.token(study_uid(1)) == token
        with pytest.raises(StoreKeyError):
            store.instances(token)
        with pytest.raises(StoreKeyError):
            store.study(token)
        # what came back hinders nobody, and is cleared as any study is
        assert store.all_studies_of_patient("SOMEBODY") == PatientStudies([], [])
        store.shred(token)
        store.keep(instance(number=1))
        assert len(store.instances(store.token(study_uid(1)))) == 1


def test_no_hash_of_a_shredded_study_is_left_where_it_was_fetched_for_another(tmp_path: Path) -> None:
    with opened_store(StorePlaces.within(tmp_path / "store"), file_holder(tmp_path), Clock()) as store:
        for study in (1, 2):
            store.keep(instance(study=study))
        (first,) = store.rounds(store.token(study_uid(2)))
        store.lookups.begin(first.id, study_uid(1))
        assert store.lookups.is_partial(study_uid(1))
        store.shred(store.token(study_uid(1)))
        assert not store.lookups.is_partial(study_uid(1))
        with store._rooms.database.reading() as transaction:
            assert transaction.execute(select(fetched)).all() == []


@pytest.mark.parametrize("change", ["cut", "gone", "bit", "exchanged"])
def test_a_damaged_file_is_seen(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "store"
    holder = file_holder(tmp_path)
    places = StorePlaces.within(folder)
    with opened_store(places, holder, Clock()) as store:
        store.keep(instance(number=1))
        store.keep(instance(number=2))
        one, two = store.instances(store.token(study_uid(1)))
        (pack,) = [path for path in places.objects.rglob("??/*") if path.is_file()]
        content = bytearray(pack.read_bytes())
        half = len(content) // 2
        if change == "cut":
            pack.write_bytes(content[:-1])
        elif change == "gone":
            pack.unlink()
        elif change == "bit":
            content[half - 100] ^= 1
            content[-100] ^= 1
            pack.write_bytes(content)
        else:
            pack.write_bytes(content[half:] + content[:half])
        expected = StoreDamagedError if change in ("cut", "gone") else SealBrokenError
        broken = []
        for each in (one, two):
            try:
                plain_file(store, each.id)
            except expected:
                broken.append(each.id)
        assert len(broken) == (1 if change == "cut" else 2)


def test_an_index_tells_kinds_and_values_apart_and_needs_its_key() -> None:
    """HMAC-SHA256 is `cryptography`'s; here only that different things are hashed as different things."""
    index = KeyedIndex(DataKey(bytes(32)))
    hashes = {
        index.of(Indexed.STUDY, "1.2"),
        index.of(Indexed.SERIES, "1.2"),
        index.of(Indexed.STUDY, "1.2", ""),
        index.of(Indexed.STUDY, "1", ".2"),
        index.of(Indexed.STUDY, "1.", "2"),
        KeyedIndex(DataKey(bytes(31) + b"\x01")).of(Indexed.STUDY, "1.2"),
    }
    assert len(hashes) == 6
    assert index.of(Indexed.STUDY, "1.2") == KeyedIndex(DataKey(bytes(32))).of(Indexed.STUDY, "1.2")


def test_a_large_result_passes_through_a_small_memory(tmp_path: Path) -> None:
    class Pattern(io.RawIOBase):
        """48 MiB that nobody holds."""

        left = 48

        def read(self, size: int = -1) -> bytes:
            assert size == MIB
            self.left -= 1
            return bytes([self.left]) * MIB if self.left >= 0 else b""

    with opened_store(StorePlaces.within(tmp_path), file_holder(tmp_path), Clock()) as store:
        store.keep(instance())
        (first,) = store.rounds(store.token(study_uid(1)))
        tracemalloc.start()
        kept = store.keep_result(ResultName(first.id, "probabilities", "application/x-npz"), Pattern())
        with store.open(kept) as file:
            assert all(file.read(MIB) == bytes([part]) * MIB for part in reversed(range(48)))
            assert file.read() == b""
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 12 * MIB
