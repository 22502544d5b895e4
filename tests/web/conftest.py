"""A served store for tests of what is served."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pydicom
import pytest

from access.identity_provider import IdentityProvider
from dicom_writer import write_series
from kept_study import Clock, new_store
from web.dicomweb_study import OTHER, STUDY, head
from web.entrances import PUBLIC_URL, Entrances
from web.web_house import WebHouse


@pytest.fixture
def web_house(tmp_path: Path) -> Iterator[WebHouse]:
    folder = tmp_path / "house"
    folder.mkdir()
    clock = Clock()
    with new_store(folder, clock) as store, closing(WebHouse(store, clock)) as made:
        yield made


@pytest.fixture(scope="session")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Entrances, Entrances]]:
    """One store with its ways in, and the same behind a proxy."""
    clock = Clock()
    with (
        new_store(tmp_path_factory.mktemp("entrances"), clock) as store,
        closing(IdentityProvider()) as provider,
        closing(Entrances(store, clock, provider)) as plain,
        closing(Entrances(store, clock, provider, public_url=PUBLIC_URL)) as proxied,
    ):
        yield plain, proxied


@pytest.fixture
def entrances(houses: tuple[Entrances, Entrances], tmp_path: Path) -> Iterator[Entrances]:
    houses[0].begin(tmp_path / "users.json")
    yield houses[0]
    houses[0].end()


@pytest.fixture
def proxied(houses: tuple[Entrances, Entrances], tmp_path: Path) -> Iterator[Entrances]:
    houses[1].begin(tmp_path / "users of the proxied.json")
    yield houses[1]
    houses[1].end()


@pytest.fixture
def clock(entrances: Entrances) -> Clock:
    return entrances.clock


@pytest.fixture
def provider(entrances: Entrances) -> IdentityProvider:
    return entrances.provider


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [
        *write_series(tmp_path / "t1", head(), number=1, description="t1"),
        *write_series(tmp_path / "t2", head(1), number=2, description="t2"),
    ]


@pytest.fixture
def other(tmp_path: Path) -> list[Path]:
    return write_series(tmp_path / "other", head(2), study=OTHER)


@pytest.fixture
def outline(tmp_path: Path, files: list[Path]) -> Path:
    """A segmentation of single bits, whose frames do not end where bytes do."""
    data = pydicom.dcmread(files[0])
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = pydicom.uid.SegmentationStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{STUDY}.9"[:64]
    data.SeriesInstanceUID, data.Modality, data.NumberOfFrames = "2.25.99", "SEG", 3
    data.Rows, data.Columns, data.BitsAllocated, data.BitsStored, data.HighBit = 5, 5, 1, 1, 0
    bits = np.random.default_rng(3).integers(0, 2, 3 * 5 * 5).astype(np.uint8)
    packed = np.packbits(bits, bitorder="little").tobytes()
    data.PixelData = packed + b"\0" * (len(packed) % 2)
    path = tmp_path / "seg.dcm"
    data.save_as(path)
    return path
