"""Where there is no room, what is sent is refused, what was kept stays, and it goes on once there is room."""

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store import full_disk
from store.stores import Clock, encoded, file_holder, instance, opened_store, plain_file, study_uid
from zweitblick.errors import StoreFullError, StoreUnavailableError
from zweitblick.store.folder import ObjectFolder
from zweitblick.store.places import StorePlaces

ROOT = Path(__file__).resolve().parents[2]
UNSHARE = ["unshare", "--map-root-user", "--mount"]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as a quota does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_instance_for_which_there_is_no_room_leaves_nothing(tmp_path: Path) -> None:
    places = StorePlaces.within(tmp_path)
    with opened_store(places, file_holder(tmp_path), Clock()) as store:
        for number in range(3):
            store.keep(instance(number=number))
        (pack,) = [path for path in places.objects.rglob("??/*") if path.is_file()]
        size = pack.stat().st_size
        for study in (1, 2):
            with (
                largest_file(1_000_000),
                pytest.raises(StoreFullError),
            ):  # the write-ahead log has room, the pack has not
                store.keep(instance(study, 9, data=encoded(study, 9, pixel_bytes=1500 * 1024)))
        assert [path for path in places.objects.rglob("??/*") if path.is_file()] == [pack]
        assert pack.stat().st_size == size
        store.keep(instance(1, 9, data=encoded(1, 9, pixel_bytes=1500 * 1024)))
        kept = store.instances(store.token(study_uid(1)))
        assert sorted(plain_file(store, each.id)[-64:] for each in kept) == sorted(
            [encoded(1, number)[-64:] for number in range(3)] + [encoded(1, 9, pixel_bytes=1500 * 1024)[-64:]]
        )


@pytest.mark.parametrize("again", [True, False], ids=["sent again", "not sent again"])
def test_bytes_whose_row_was_refused_are_named_later_or_swept(tmp_path: Path, again: bool) -> None:
    places, holder = StorePlaces.within(tmp_path), file_holder(tmp_path)
    with opened_store(places, holder, Clock()) as store:
        store.keep(instance(number=1))
    with opened_store(places, holder, Clock()) as store:
        assert store.instances(store.token(study_uid(1)))
        with largest_file(4000), pytest.raises((StoreFullError, StoreUnavailableError)):
            store.keep(instance(number=2))  # its pack has room, the write-ahead log has not
        assert len(list(places.objects.rglob("*.part"))) == 1
        if again:
            store.keep(instance(number=2))
    with opened_store(places, holder, Clock()) as store:
        kept = store.instances(store.token(study_uid(1)))
        assert len(kept) == len([path for path in places.objects.rglob("??/*") if path.is_file()]) == 1 + again
        assert {plain_file(store, each.id)[-64:] for each in kept} == {encoded(1, 1)[-64:]} | (
            {encoded(1, 2)[-64:]} if again else set()
        )


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode,
    reason="needs the right to mount in a name space of its own",
)
def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    paths = os.pathsep.join([str(ROOT / "tests"), *sys.path])
    done = subprocess.run(
        [*UNSHARE, sys.executable, full_disk.__file__, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stderr
    assert int(re.fullmatch(r"(\d+) kept\n", done.stdout)[1]) > 10


def test_a_file_that_cannot_be_given_its_name_is_kept_and_named_later(tmp_path: Path) -> None:
    """A folder in its place stands for a disk that is full or cannot be written."""
    folder = ObjectFolder(tmp_path)
    (place,) = folder.append([("study", [b"sealed"])])
    in_its_way = tmp_path / place.file[:2] / place.file
    (in_its_way / "full").mkdir(parents=True)
    folder.settle([place.file])
    assert in_its_way.with_suffix(".part").read_bytes() == b"sealed"
    shutil.rmtree(in_its_way)
    folder.settle([place.file])
    assert in_its_way.read_bytes() == b"sealed"
    folder.close()


def test_a_store_whose_folder_is_gone_or_that_is_closed_says_so(tmp_path: Path) -> None:
    places = StorePlaces.within(tmp_path / "store")
    store = opened_store(places, file_holder(tmp_path), Clock())
    store.keep(instance())
    places.objects.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailableError):
        store.keep(instance(study=2))
    (tmp_path / "elsewhere").rename(places.objects)
    store.keep(instance(study=2))
    store.close()
    store.close()
    with pytest.raises(StoreUnavailableError):
        store.keep(instance(study=2, number=2))


def test_a_store_whose_folder_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailableError):
        StorePlaces.within(tmp_path / "file")
    places = StorePlaces.within(tmp_path / "store")
    places.objects.touch()
    with pytest.raises(StoreUnavailableError):
        opened_store(places, file_holder(tmp_path), Clock())
