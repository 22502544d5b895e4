"""A house whose worker delivers, and a study for it."""

from pathlib import Path

import pytest

from reading_house import House
from zweitblick.model.bundle import Bundles
from zweitblick.sample import SampleTruth


@pytest.fixture
def house(tmp_path: Path, bundles: Bundles) -> House:
    return House(tmp_path, bundles)


@pytest.fixture(scope="module")
def study(sample: SampleTruth) -> Path:
    return next(iter(sample.series.values())).folder.parent
