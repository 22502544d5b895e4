"""What the tests of the store share: instances, a clock that stands, a key holder that may be away, places."""

import io
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydicom import Dataset, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from zweitblick.errors import KeyHolderError
from zweitblick.store.places import StorePlaces
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.store import Store
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.keyholders import FileKeyHolder, KeyHolder, WrappedKey, make_key_file

ROOT_UID = "1.2.826.0.1.3680043.8.498"
PATIENT_NAME = "Kowalczyk^Wilhelmine"
PATIENT_ID = "PID-77120453"
ACCESSION = "ACC-90155512"
SENDER = "MRT_NORD_2"


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Holder:
    """A key holder that can go away, as an HSM whose network is cut."""

    present: KeyHolder
    away: bool = False

    @property
    def kek_id(self) -> str:
        return self.present.kek_id

    def wrap(self, key: DataKey) -> WrappedKey:
        self._ask()
        return self.present.wrap(key)

    def unwrap(self, wrapped: WrappedKey) -> DataKey:
        self._ask()
        return self.present.unwrap(wrapped)

    def _ask(self) -> None:
        if self.away:
            raise KeyHolderError("the key holder does not answer; see to its network")


def file_holder(folder: Path) -> FileKeyHolder:
    path = folder / "kek"
    if not path.exists():
        make_key_file(path)
    return FileKeyHolder(path)


def study_uid(study: int) -> str:
    return f"{ROOT_UID}.{7000 + study}"


def instance(study: int = 1, number: int = 1, *, data: bytes | None = None, sender: str = SENDER) -> ReceivedInstance:
    return ReceivedInstance(
        sop_class_uid=MRImageStorage,
        sop_instance_uid=f"{study_uid(study)}.1.{number}",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        study_instance_uid=study_uid(study),
        series_instance_uid=f"{study_uid(study)}.1",
        calling_ae_title=sender,
        data=encoded(study, number) if data is None else data,
    )


def encoded(study: int, number: int, *, pixel_bytes: int = 2048) -> bytes:
    """A data set as C-STORE carries it: no preamble, no file meta information."""
    dataset = Dataset()
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = f"{study_uid(study)}.1.{number}"
    dataset.StudyInstanceUID = study_uid(study)
    dataset.SeriesInstanceUID = f"{study_uid(study)}.1"
    dataset.PatientName, dataset.PatientID = PATIENT_NAME, PATIENT_ID
    dataset.AccessionNumber = ACCESSION
    dataset.Rows, dataset.Columns = pixel_bytes // 512, 256
    dataset.BitsAllocated = 16
    dataset.PixelData = pixels(study, number, pixel_bytes)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def pixels(study: int, number: int, size: int = 2048) -> bytes:
    return random.Random(1000 * study + number).randbytes(size)  # noqa: S311 - a picture, no secret


def plain_file(store: Store, object_id: str) -> bytes:
    with store.open(object_id) as file:
        return file.read()


def opened_store(places: StorePlaces, holder: KeyHolder, clock: Clock | None = None) -> Store:
    return Store(places, holder, clock=clock or Clock())
