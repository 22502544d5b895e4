"""The contract of keys on SQLite, and what is left of them in its files."""

import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from store import rotating
from store.contract import holder
from store.keys_contract import STUDIES, KeysContract, check_all_read, filled, keys_of
from store.shredding_contract import ShreddingContract
from store.stores import Holder, file_holder, instance, opened_store, study_uid
from zweitblick.store.places import StorePlaces
from zweitblick.store.rotation import kept_keys, rotate
from zweitblick.store.schema import wrapped_keys

__all__ = ["holder"]

KILLS = 6
ROOT = Path(__file__).resolve().parents[2]


class TestKeysOnSQLite(KeysContract, ShreddingContract):
    @pytest.fixture
    def places(self, tmp_path: Path) -> StorePlaces:
        return StorePlaces.within(tmp_path / "store")


def ciphertexts(places: StorePlaces) -> dict[str, bytes]:
    keys = keys_of(places)
    with keys.reading() as transaction:
        rows = dict(transaction.execute(select(wrapped_keys.c.owner, wrapped_keys.c.ciphertext)).all())
    keys.close()
    return rows


def found_in(folder: Path, wrapped: bytes) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and wrapped in path.read_bytes()]


def test_no_file_holds_what_was_wrapped_before_the_rotation(tmp_path: Path) -> None:
    places, holder = StorePlaces.within(tmp_path), Holder(file_holder(tmp_path))
    filled(places, holder)
    before = ciphertexts(places)
    assert all(found_in(tmp_path, wrapped) for wrapped in before.values())
    with opened_store(places, holder) as store:
        keys = keys_of(places)
        rotate(keys, holder.present)
        assert not any(found_in(tmp_path, wrapped) for wrapped in before.values())
        store.keep(instance(study=8))
        assert not any(found_in(tmp_path, wrapped) for wrapped in before.values())
        keys.close()


def test_no_file_of_data_or_keys_holds_the_wrapped_key_of_a_study_that_was_shredded(tmp_path: Path) -> None:
    """While another process has the store open and goes on receiving."""
    places, holder = StorePlaces.within(tmp_path), Holder(file_holder(tmp_path))
    filled(places, holder)
    before = ciphertexts(places)
    with opened_store(places, holder) as service, opened_store(places, holder) as other:
        for study in range(STUDIES):
            service.keep(instance(study=study, number=2))
        for study in range(1, STUDIES):
            token = other.token(study_uid(study))
            other.shred(token)
            assert found_in(tmp_path, before[token]) == []
            service.keep(instance(study=0, number=10 + study))
        assert len(service.instances(service.token(study_uid(0)))) == STUDIES + 1


def test_rotation_that_is_killed_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    moments = random.Random(11)  # noqa: S311 - moments of death, no secret
    places, holder = StorePlaces.within(tmp_path), Holder(file_holder(tmp_path))
    filled(places, holder)
    killed = 0
    for _ in range(KILLS):
        killed += rotated_until_killed(tmp_path, moments.choice([0, 0, 1, 2, 3]), moments.uniform(0, 0.01))
        check_all_read(places, holder)
        assert len(holder.present.keks()) <= 2 + rotations_that_ended(places, holder)
    assert killed >= KILLS // 2
    keys = keys_of(places)
    if set(kept_keys(keys)) != {holder.kek_id}:  # also where the last death came right after the new key was made
        rotate(keys, holder.present)
    assert kept_keys(keys) == {holder.kek_id: STUDIES + 1}
    keys.close()
    check_all_read(places, holder)


def rotations_that_ended(places: StorePlaces, holder: Holder) -> int:
    """Each leaves all data keys under the newest key; so all keys but the last two are of rotations that ended."""
    keys = keys_of(places)
    under = kept_keys(keys).keys()
    keys.close()
    newest = [kek.id for kek in holder.present.keks()]
    assert under <= set(newest[-2:]), "a rotation is not begun before the last one has ended"
    return len(newest) - 2


def rotated_until_killed(folder: Path, steps: int, more_s: float) -> bool:
    """Let a rotation run until so many batches are wrapped and a moment more, and kill it; tell whether it was."""
    command = [sys.executable, rotating.__file__, str(folder)]
    paths = os.pathsep.join([str(ROOT / "tests"), *sys.path])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "PYTHONPATH": paths}
    ) as program:
        assert program.stdout.readline() == "begins\n", "the lock of one that was killed is free"
        for _ in range(steps):
            program.stdout.readline()
        with suppress(subprocess.TimeoutExpired):
            program.wait(more_s)
        program.kill()
    return program.returncode != 0
