"""A study as a sender sends it, and a store to keep it in; patience for what the service does on its own."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom

from zweitblick.store.places import StorePlaces
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import FileKeyHolder, make_key_file

PATIENCE_S = 120.0
START = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def new_store(folder: Path, clock: Callable[[], datetime], *, kind: type[Store] = Store, quiet_s: float = 30) -> Store:
    """Open a store in a folder, with the key file beside it."""
    key = folder / "key"
    if not key.exists():
        make_key_file(key)
    places = StorePlaces.within(folder / "data")
    return kind(places, FileKeyHolder(key), clock=clock, quiet_time=lambda _: timedelta(seconds=quiet_s))


def sent(path: Path) -> ReceivedInstance:
    """Return what a C-STORE of a file brings: its data set follows the meta information (PS3.10 section 7.1)."""
    header = pydicom.dcmread(path, stop_before_pixels=True)
    meta = header.file_meta
    return ReceivedInstance(
        sop_class_uid=header.SOPClassUID,
        sop_instance_uid=header.SOPInstanceUID,
        transfer_syntax_uid=meta.TransferSyntaxUID,
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=header.SeriesInstanceUID,
        calling_ae_title="SCANNER",
        data=path.read_bytes()[128 + 4 + 12 + meta.FileMetaInformationGroupLength :],
    )


def files_of(study: Path, *series: str) -> list[Path]:
    """Files of some series of a sample study, of all if none is named."""
    folders = [study / one for one in series] or [study]
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for something that another thread or process does and tells nobody."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
