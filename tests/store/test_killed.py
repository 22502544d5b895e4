"""What was acknowledged survives SIGKILL at any moment, and nothing half-written is to be seen."""

import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from store import killed
from store.stores import Clock, encoded, file_holder, instance, opened_store, plain_file, study_uid
from zweitblick.errors import UnknownStudyError
from zweitblick.store.places import StorePlaces
from zweitblick.store.schema import objects
from zweitblick.store.store import Store

KILLS = 5
ROOT = Path(__file__).resolve().parents[2]


def acknowledged_until_killed(folder: Path, first: int, wanted: int, more_s: float) -> list[int]:
    """Let the program run until so many are acknowledged and a moment more, kill it, and return all it said."""
    command = [sys.executable, killed.__file__, str(folder), str(first)]
    paths = os.pathsep.join([str(ROOT / "tests"), *sys.path])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "PYTHONPATH": paths}
    ) as program:
        assert program.stdout.readline() == "open\n"
        said = [program.stdout.readline() for _ in range(wanted)]
        with suppress(subprocess.TimeoutExpired):
            program.wait(more_s)
        program.kill()
        said += program.stdout.readlines()
    return [int(line) for line in said if line.endswith("\n")]


def kept_numbers(store: Store) -> list[int]:
    """Open all that is to be seen and compare it with what was sent."""
    numbers = []
    for study in range(3):
        try:
            kept = store.instances(store.token(study_uid(study)))
        except UnknownStudyError:
            continue
        for each in kept:
            number = int(each.sop_instance_uid.rsplit(".", 1)[1])
            assert plain_file(store, each.id).endswith(encoded(study, number))
            numbers.append(number)
    return numbers


def named_files(store: Store) -> set[str]:
    with store._data.reading() as transaction:
        return set(transaction.execute(select(objects.c.file)).scalars())


def test_what_was_acknowledged_is_there_after_any_number_of_kills(tmp_path: Path) -> None:
    moments = random.Random(7)  # noqa: S311 - moments of death, no secret
    places, holder = StorePlaces.within(tmp_path), file_holder(tmp_path)
    acknowledged: list[int] = []
    for kill in range(KILLS):
        wanted, more_s = moments.choice([0, 0, 1, moments.randint(2, 40)]), moments.uniform(0, 0.05)
        acknowledged += acknowledged_until_killed(tmp_path, 1000 * kill, wanted, more_s)
        with opened_store(places, holder, Clock()) as store:
            numbers = kept_numbers(store)
            assert {path.name for path in places.objects.rglob("??/*") if path.is_file()} == named_files(store)
        assert len(set(numbers)) == len(numbers)
        assert set(acknowledged) <= set(numbers)
        most_unsaid = killed.THREADS * (kill + 1)
        assert len(numbers) <= len(acknowledged) + most_unsaid
    assert len(acknowledged) > KILLS


@pytest.mark.parametrize("named", [True, False], ids=["named by a row", "named by none"])
def test_a_file_that_was_being_written_is_settled_or_swept(tmp_path: Path, named: bool) -> None:
    places, holder = StorePlaces.within(tmp_path), file_holder(tmp_path)
    with opened_store(places, holder, Clock()) as store:
        store.keep(instance())
    (pack,) = [path for path in places.objects.rglob("??/*") if path.is_file()]
    part = pack.rename(pack.with_suffix(".part")) if named else pack.with_name(pack.name[:2] + "0" * 30 + ".part")
    part.touch()
    with opened_store(places, holder, Clock()) as store:
        assert pack.exists()
        assert not part.exists()
        (kept,) = store.instances(store.token(study_uid(1)))
        assert plain_file(store, kept.id).endswith(encoded(1, 1))


def test_what_another_process_is_writing_is_not_swept(tmp_path: Path) -> None:
    places, holder = StorePlaces.within(tmp_path), file_holder(tmp_path)
    with opened_store(places, holder, Clock()) as one, one._rooms.folder.new_file() as (name, _):
        part = places.objects / name[:2] / f"{name}.part"
        opened_store(places, holder, Clock()).close()
        assert part.exists()


def test_a_file_that_an_older_database_does_not_name_is_left_alone(tmp_path: Path) -> None:
    places, holder = StorePlaces.within(tmp_path), file_holder(tmp_path)
    opened_store(places, holder, Clock()).close()
    newer = places.objects / "ab" / ("ab" + "0" * 30)
    newer.parent.mkdir()
    newer.touch()
    opened_store(places, holder, Clock()).close()
    assert newer.exists()
