"""What is searched for and retrieved over DICOMweb is on record: a study once, not by its instances."""

from pathlib import Path

import pytest

from web.dicomweb_study import STUDY, url
from web.web_house import WebHouse

ACCESSED = "DICOM Instances Accessed"


def test_a_study_that_is_looked_through_is_on_record_once(web_house: WebHouse, files: list[Path]) -> None:
    web_house.keep(*files)
    for path in files:
        assert web_house.client.get(url(path)).status_code == 200
        assert web_house.client.get(f"{url(path)}/frames/1").status_code == 200
    assert web_house.client.get(f"/dicom-web/studies/{STUDY}/metadata").status_code == 200
    assert web_house.book.told() == [(ACCESSED, "R", 0)]


def test_a_search_is_on_record_with_its_keys(web_house: WebHouse, files: list[Path]) -> None:
    web_house.keep(*files)
    assert web_house.client.get("/dicom-web/studies?PatientID=PAT-0001").status_code == 200
    [event] = web_house.book.events
    assert (event.id.meaning, event.objects[0].query) == ("Query", b"/dicom-web/studies?PatientID=PAT-0001")


@pytest.mark.parametrize("path", ["/dicom-web/studies", f"/dicom-web/studies/{STUDY}", "/api/v1/reads"])
def test_nothing_is_shown_that_cannot_be_put_on_record(web_house: WebHouse, files: list[Path], path: str) -> None:
    web_house.keep(*files)
    web_house.book.is_away = True
    answer = web_house.client.get(path)
    assert answer.status_code == 503
    assert answer.json()["code"].startswith("audit.")
