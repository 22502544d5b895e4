"""Results of another zweitblick among what is sent: they are let go, and the rest is kept and on record."""

import io
from pathlib import Path

import pydicom
import pytest

from audit.book import counts_of, study_of
from web.dicomweb_study import STUDY, place
from web.test_stow_qido import post
from web.test_uploads import archive, upload
from web.web_house import WebHouse
from zweitblick.errors import UnknownStudyError
from zweitblick.reading import UID_ROOT

ELSEWHERE = "1.2.276.0.4799"


@pytest.fixture
def foreign(files: list[Path]) -> bytes:
    """A result of a study that is not here."""
    return result(files[0], ELSEWHERE)


def result(path: Path, study: str) -> bytes:
    data = pydicom.dcmread(path)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{UID_ROOT}.4711"
    data.StudyInstanceUID = study
    buffer = io.BytesIO()
    data.save_as(buffer)
    return buffer.getvalue()


def assert_image_alone_is_kept(house: WebHouse, image: Path) -> None:
    assert list(house.contents(STUDY)) == [place(image)[2]]
    with pytest.raises(UnknownStudyError):
        house.store.token(ELSEWHERE)
    done = {study_of(event): counts_of(event) for event in house.book.events[2:]}
    sop_class = str(pydicom.dcmread(image, stop_before_pixels=True).SOPClassUID)
    assert done == {study: {sop_class: 1} for study in (STUDY, ELSEWHERE)}


def test_one_of_a_study_that_is_not_here_is_acknowledged_and_leads_nowhere(
    web_house: WebHouse, files: list[Path], foreign: bytes
) -> None:
    answer = post(web_house, [files[0].read_bytes(), foreign])
    assert answer.status_code == 200
    told = pydicom.Dataset.from_json(answer.json())
    assert [one.ReferencedSOPInstanceUID for one in told.ReferencedSOPSequence] == [
        place(files[0])[2],
        f"{UID_ROOT}.4711",
    ]
    assert [bool(one.RetrieveURL) for one in told.ReferencedSOPSequence] == [True, False]
    assert told.RetrieveURL == f"{web_house.root}/studies/{STUDY}"
    assert_image_alone_is_kept(web_house, files[0])


def test_one_of_a_study_that_is_here_leads_nowhere_either(web_house: WebHouse, files: list[Path]) -> None:
    answer = post(web_house, [files[0].read_bytes(), result(files[0], STUDY)])
    told = pydicom.Dataset.from_json(answer.json())
    assert [bool(one.RetrieveURL) for one in told.ReferencedSOPSequence] == [True, False]
    assert list(web_house.contents(STUDY)) == [place(files[0])[2]]


def test_nothing_else_is_acknowledged_too(web_house: WebHouse, foreign: bytes) -> None:
    answer = post(web_house, [foreign])
    assert answer.status_code == 200
    assert "RetrieveURL" not in pydicom.Dataset.from_json(answer.json())


def test_an_upload_says_which_file_was_let_go(web_house: WebHouse, files: list[Path], foreign: bytes) -> None:
    answer = upload(web_house, archive({"image": files[0].read_bytes(), "result": foreign}))
    assert answer.status_code == 202
    told = answer.json()
    assert (told["studies"], told["kept"]) == ([STUDY], 1)
    assert [(one["number"], one["name"], one["code"]) for one in told["refused"]] == [
        (2, "result", "instance.foreign-result")
    ]
    assert_image_alone_is_kept(web_house, files[0])


def test_an_upload_of_nothing_else_is_a_problem(web_house: WebHouse, foreign: bytes) -> None:
    answer = upload(web_house, foreign, "application/dicom")
    assert (answer.status_code, answer.json()["code"]) == (422, "source.no-dicom")
