"""What a store promises of its keys, on every database: rotation, a pool for when the holder is away, shredding."""

import hashlib
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from store.stores import Clock, Holder, encoded, instance, opened_store, plain_file, study_uid
from zweitblick.errors import (
    KekInUseError,
    KeyHolderError,
    KeyUnwrapError,
    RotationRunningError,
    SealBrokenError,
    UnknownKekError,
)
from zweitblick.store.database import Database
from zweitblick.store.places import StorePlaces
from zweitblick.store.rotation import destroy_retired, kept_keys, rotate, unfinished
from zweitblick.store.rotation_lock import rotation_lock
from zweitblick.store.schema import studies, wrapped_keys
from zweitblick.store.store import Store
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.keyholders import FileKeyHolder, WrappedKey
from zweitblick.vault.pool import PoolLimits

STUDIES = 5
POOL = PoolLimits(count=3, age=timedelta(hours=1))


class Failing(FileKeyHolder):
    """Goes away after so many data keys were unwrapped."""

    left = 0

    def unwrap(self, wrapped: WrappedKey) -> DataKey:
        self.left -= 1
        if self.left < 0:
            raise KeyHolderError("the key holder does not answer; see to its network")
        return super().unwrap(wrapped)


class Overtaken(FileKeyHolder):
    """Something happens when it has wrapped its first key."""

    meanwhile: Callable[[], None] | None = None

    def wrap(self, key: DataKey) -> WrappedKey:
        wrapped = super().wrap(key)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return wrapped


def keys_of(places: StorePlaces) -> Database:
    return Database(places.keys, tables="keys")


def filled(places: StorePlaces, holder: Holder) -> None:
    with opened_store(places, holder) as store:
        for study in range(STUDIES):
            store.keep(instance(study=study))


def check_all_read(places: StorePlaces, holder: object, count: int = STUDIES) -> None:
    with opened_store(places, holder) as store:
        for study in range(count):
            (kept,) = store.instances(store.token(study_uid(study)))
            assert plain_file(store, kept.id).endswith(encoded(study, 1))


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class KeysContract:
    """Needs fixtures ``places`` and ``holder``."""

    def test_rotation_wraps_every_key_anew_and_touches_no_object(self, places: StorePlaces, holder: Holder) -> None:
        filled(places, holder)
        before, old = digests(places.objects), holder.kek_id
        keys = keys_of(places)
        assert kept_keys(keys) == {old: STUDIES + 1}
        assert rotate(keys, holder.present) == STUDIES + 1
        assert kept_keys(keys) == {holder.kek_id: STUDIES + 1}
        assert holder.kek_id != old
        assert digests(places.objects) == before
        check_all_read(places, holder)
        destroy_retired(keys, holder.present)
        assert [kek.id for kek in holder.present.keks()] == [holder.kek_id]
        check_all_read(places, holder)
        assert destroy_retired(keys, holder.present) == []
        keys.close()

    @pytest.mark.parametrize("unwraps", range(STUDIES + 1))
    def test_rotation_that_broke_off_is_finished_by_the_next(
        self, places: StorePlaces, holder: Holder, unwraps: int
    ) -> None:
        filled(places, holder)
        keys, failing = keys_of(places), Failing(holder.present._path)
        failing.left = unwraps
        with pytest.raises(KeyHolderError):
            rotate(keys, failing, at_once=2)
        assert unfinished(keys, holder)
        check_all_read(places, holder)
        with pytest.raises(KekInUseError, match=f"{kept_keys(keys)[holder.present.keks()[0].id]} data keys"):
            destroy_retired(keys, holder.present)
        check_all_read(places, holder)
        rotate(keys, holder.present)
        assert len(holder.present.keks()) == 2, "what was begun is finished, and not begun again"
        assert kept_keys(keys) == {holder.kek_id: STUDIES + 1}
        assert not unfinished(keys, holder)
        check_all_read(places, holder)
        keys.close()

    def test_a_service_that_runs_meanwhile_keeps_nothing_under_the_old_key(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        """Its pool is full of keys under the old one when the rotation begins."""
        with Store(places, holder, clock=Clock(), pool=POOL) as store:
            store._rooms.keyring._pool.fill()
            keys = keys_of(places)
            rotate(keys, holder.present)
            destroy_retired(keys, holder.present)
            for study in range(STUDIES):
                store.keep(instance(study=study))
            assert kept_keys(keys) == {holder.kek_id: STUDIES + 1}
            keys.close()
        check_all_read(places, holder)

    def test_studies_that_come_during_rotations_are_all_read_once_the_old_keys_are_destroyed(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        count = 30
        with Store(places, holder, clock=Clock(), pool=POOL) as store:

            def receive(first: int) -> None:
                for study in range(first, count, 3):
                    store.keep(instance(study=study))

            threads = [threading.Thread(target=receive, args=(first,)) for first in range(3)]
            keys = keys_of(places)
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                rotate(keys, holder.present)
                destroy_retired(keys, holder.present)
            rotate(keys, holder.present)
            destroy_retired(keys, holder.present)
            assert kept_keys(keys) == {holder.kek_id: count + 1}
            keys.close()
        check_all_read(places, holder, count)

    def test_a_rotation_that_was_overtaken_by_others_puts_no_key_back(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        """What it has wrapped comes to be written when the key that it was wrapped with is destroyed already."""
        filled(places, holder)
        keys, slow = keys_of(places), Overtaken(holder.present._path)

        def overtake() -> None:
            for _ in range(2):
                rotate(keys, holder.present)
                destroy_retired(keys, holder.present)

        slow.meanwhile = overtake
        rotate(keys, slow)
        assert [kek.version for kek in holder.present.keks()] == [3]
        assert kept_keys(keys) == {holder.kek_id: STUDIES + 1}
        check_all_read(places, holder)
        keys.close()

    def test_of_those_who_would_rotate_at_once_one_does_and_the_others_are_told_so(self, places: StorePlaces) -> None:
        all_at_once, refused, count = threading.Barrier(4), threading.Semaphore(0), 4
        held: list[bool] = []

        def take() -> None:
            keys = keys_of(places)
            all_at_once.wait()
            try:
                with rotation_lock(keys):
                    held.append(all(refused.acquire(timeout=60) for _ in range(count - 1)))
            except RotationRunningError:
                refused.release()
            finally:
                keys.close()

        threads = [threading.Thread(target=take) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert held == [True]

    def test_who_holds_the_lock_rotates_while_studies_come_and_lets_go_of_it_whatever_happens(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        filled(places, holder)
        keys, others = keys_of(places), keys_of(places)
        with rotation_lock(keys), opened_store(places, holder) as store:
            rotate(keys, holder.present)
            store.keep(instance(study=STUDIES))
            destroy_retired(keys, holder.present)
        check_all_read(places, holder, STUDIES + 1)
        with pytest.raises(KeyHolderError), rotation_lock(others):
            raise KeyHolderError("the key holder does not answer; see to its network")
        with rotation_lock(keys):
            pass
        for each in (keys, others):
            each.close()

    def test_a_damaged_key_keeps_no_other_from_being_wrapped_anew(self, places: StorePlaces, holder: Holder) -> None:
        filled(places, holder)
        keys, old = keys_of(places), holder.kek_id
        with opened_store(places, holder) as store:
            token = store.token(study_uid(1))
        with keys.writing() as transaction:
            row = update(wrapped_keys).where(wrapped_keys.c.owner == token)
            transaction.execute(row.values(ciphertext=bytes(40)))
        for _ in range(2):
            with pytest.raises(KeyUnwrapError, match="1 data keys are damaged"):
                rotate(keys, holder.present)
            assert kept_keys(keys) == {holder.kek_id: STUDIES, old: 1}
            with pytest.raises(KekInUseError):
                destroy_retired(keys, holder.present)
        assert len(holder.present.keks()) == 2
        keys.close()

    def test_a_holder_that_has_gone_back_to_an_old_key_keeps_nothing_under_it(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        """As an HSM does that was restored from a backup."""
        filled(places, holder)
        keys = keys_of(places)
        rotate(keys, holder.present)
        newer = holder.present._path.with_name("kek.2")
        gone = newer.rename(newer.with_name("gone"))
        with keys.reading() as transaction:
            before = transaction.execute(select(wrapped_keys.c.owner)).all()
        with pytest.raises(UnknownKekError):
            opened_store(places, FileKeyHolder(holder.present._path))
        gone.rename(newer)
        with opened_store(places, holder) as store:
            newer.rename(gone)
            with pytest.raises(KeyHolderError, match="rotated out"):
                store.keep(instance(study=9))
            gone.rename(newer)
            with keys.reading() as transaction:
                assert transaction.execute(select(wrapped_keys.c.owner)).all() == before
            store.keep(instance(study=9))
        keys.close()

    def test_keys_that_were_swapped_between_studies_open_nothing(self, places: StorePlaces, holder: Holder) -> None:
        filled(places, holder)
        with opened_store(places, holder) as store:
            one, other = (store.token(study_uid(study)) for study in (1, 2))
        keys = keys_of(places)
        with keys.writing() as transaction:
            for old, new in ((one, "x"), (other, one), ("x", other)):
                transaction.execute(update(wrapped_keys).where(wrapped_keys.c.owner == old).values(owner=new))
        with opened_store(places, holder) as store:
            for study in (1, 2):
                with pytest.raises(KeyUnwrapError):
                    store.instances(store.token(study_uid(study)))
                with pytest.raises(KeyUnwrapError):
                    store.keep(instance(study=study, number=2))
            store.keep(instance(study=3, number=2))
        keys.close()

    def test_a_key_of_an_older_release_opens_and_is_bound_to_its_study_by_rotation(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        filled(places, holder)
        keys = keys_of(places)
        with keys.writing() as transaction:
            rows = transaction.execute(select(*wrapped_keys.c["kek_id", "data_key_id", "ciphertext", "owner"])).all()
            for row in rows:
                key = holder.unwrap(WrappedKey(*row))
                values = update(wrapped_keys).where(wrapped_keys.c.owner == row.owner).values(data_key_id=key.id)
                transaction.execute(values)
        check_all_read(places, holder)
        rotate(keys, holder.present)
        check_all_read(places, holder)
        with keys.reading() as transaction:
            ids = dict(transaction.execute(select(wrapped_keys.c.owner, wrapped_keys.c.data_key_id)).all())
        assert ids == {row.owner: row.data_key_id for row in rows}
        keys.close()

    def test_while_the_holder_is_away_new_studies_are_taken_as_long_as_the_pool_lasts(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        with Store(places, holder, clock=Clock(), pool=POOL) as store:
            store._rooms.keyring._pool.fill()
            store.check_keys()
            holder.away = True
            for study in range(POOL.count):
                with pytest.raises(KeyHolderError, match=f"{POOL.count - study} new studies"):
                    store.check_keys()
                store.keep(instance(study=study))
                store.keep(instance(study=study, number=2))
            for _ in range(2):
                with pytest.raises(KeyHolderError):
                    store.keep(instance(study=POOL.count))
                with pytest.raises(KeyHolderError, match="until it is back 0 new studies"):
                    store.check_keys()
            store.keep(instance(study=0, number=3))
            holder.away = False
            store.keep(instance(study=POOL.count))
            store.check_keys()
            tokens = [store.token(study_uid(study)) for study in range(POOL.count + 1)]
        with opened_store(places, holder) as store:
            assert [len(store.instances(token)) for token in tokens] == [3, 2, 2, 1]

    def test_yesterday_s_backups_of_data_and_keys_open_nothing_once_the_old_key_is_destroyed(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        """Shredding that outlives a backup of the keys: what is in it was wrapped by a key that is no more."""
        filled(places, holder)
        keys = keys_of(places)
        with keys.reading() as transaction:
            backup = [dict(row._mapping) for row in transaction.execute(select(wrapped_keys))]
        with opened_store(places, holder) as store:
            token = store.token(study_uid(1))
            row = next(row for row in backup if row["owner"] == token)
            with store._data.reading() as transaction:
                kept = dict(transaction.execute(select(studies).where(studies.c.token == token)).one()._mapping)
            store.shred(token)
        rotate(keys, holder.present)
        destroy_retired(keys, holder.present)
        with keys.writing() as transaction:
            transaction.execute(wrapped_keys.insert().values(row))
        with opened_store(places, holder) as store, store._data.writing() as transaction:
            transaction.execute(studies.insert().values(kept))
        with opened_store(places, holder) as store:
            with pytest.raises(UnknownKekError):
                store.study(token)
            key = store._rooms.keyring.key(store.token(study_uid(2)))
            store._rooms.keyring._in_use.put(token, key)
            with pytest.raises(SealBrokenError):
                store.study(token)
        keys.close()
