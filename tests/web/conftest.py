"""A served store for tests of what is served."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kept_study import Clock, new_store
from web.web_house import WebHouse


@pytest.fixture
def web_house(tmp_path: Path) -> Iterator[WebHouse]:
    folder = tmp_path / "house"
    folder.mkdir()
    clock = Clock()
    with new_store(folder, clock) as store, closing(WebHouse(store, clock)) as made:
        yield made
