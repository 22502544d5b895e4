"""Whoever is shown findings or results is on record, also by a request that changes something."""

import io
from pathlib import Path

import pytest

from web.dicomweb_study import STUDY
from web.web_house import TO_READ, WebHouse
from zweitblick.store.results import ResultName

SHOWN = ("DICOM Instances Accessed", "R", 0)
CHANGED = ("DICOM Instances Accessed", "U", 0)
COMPLETE = f"/api/v1/reads/{STUDY}/complete"


@pytest.fixture
def house(web_house: WebHouse, files: list[Path]) -> WebHouse:
    """A study that was read."""
    web_house.keep(files[0])
    named = ResultName(web_house.last(STUDY).id, "json", "application/json")
    web_house.store.keep_result(named, io.BytesIO(b'{"statement": "none"}'))
    web_house.happen(STUDY, *TO_READ)
    return web_house


def test_who_says_that_a_study_is_complete_and_is_shown_its_findings_is_on_record(house: WebHouse) -> None:
    assert house.client.post(COMPLETE).json()["findings"] == {"statement": "none"}
    assert house.book.told() == [SHOWN]
    house.book.is_away = True
    answer = house.client.post(COMPLETE)
    assert (answer.status_code, answer.json()["code"]) == (503, "audit.write")


def test_who_says_so_and_is_shown_earlier_results_is_on_record(house: WebHouse, files: list[Path]) -> None:
    house.keep(files[1])
    shown = house.client.post(COMPLETE).json()
    assert (shown["round"], shown["results"], [one["round"] for one in shown["earlier"]]) == (2, [], [1])
    assert house.book.told() == [CHANGED, SHOWN]
