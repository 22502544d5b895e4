"""What a request brings goes on record once for each study, before anything of it is kept, however its body ends."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pydicom
import pytest

from audit.book import counts_of, patient_of, study_of
from kept_study import Clock
from store.stores import Holder, file_holder
from web.dicomweb_study import OTHER, STUDY, place
from web.test_stow_qido import post
from web.test_uploads import archive, upload
from web.web_house import WebHouse
from zweitblick.errors import UnknownStudyError
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store

BEGUN = ("Begin Transferring DICOM Instances", "E", 0)
DONE = ("DICOM Instances Transferred", "C", 0)
FAILED = ("DICOM Instances Transferred", "C", 8)

Send = Callable[[WebHouse, list[bytes]], httpx.Response]


def by_stow(house: WebHouse, contents: list[bytes]) -> httpx.Response:
    return post(house, contents)


def by_archive(house: WebHouse, contents: list[bytes]) -> httpx.Response:
    return upload(house, archive({str(number): one for number, one in enumerate(contents)}))


def by_form(house: WebHouse, contents: list[bytes]) -> httpx.Response:
    form = [("files", (str(number), one)) for number, one in enumerate(contents)]
    return house.client.post("/api/v1/reads", files=form)


WAYS = pytest.mark.parametrize("send", [by_stow, by_archive, by_form])


def contents_of(*files: Path) -> list[bytes]:
    return [path.read_bytes() for path in files]


def classes_of(*files: Path) -> Counter[str]:
    return Counter(str(pydicom.dcmread(path, stop_before_pixels=True).SOPClassUID) for path in files)


def is_kept(house: WebHouse, study: str) -> bool:
    try:
        return bool(house.contents(study))
    except UnknownStudyError:
        return False


@WAYS
def test_each_study_has_a_beginning_and_an_end(
    web_house: WebHouse, files: list[Path], other: list[Path], send: Send
) -> None:
    mixed = [files[0], other[0], *files[1:], *other[1:]]
    assert send(web_house, contents_of(*mixed)).is_success
    events = web_house.book.events
    assert web_house.book.told() == [BEGUN, BEGUN, DONE, DONE]
    named = [(STUDY, "PAT-0001"), (OTHER.uid, "PAT-0002")]
    assert [(study_of(event), patient_of(event)) for event in events] == named * 2
    assert [counts_of(event) for event in events[2:]] == [classes_of(*files), classes_of(*other)]
    sender, receiver = events[0].participants
    assert (sender.address, sender.user_id, sender.is_requestor) == ("127.0.0.1", "bearer of the token", True)
    assert (receiver.user_id, receiver.ae_titles, receiver.is_requestor) == ("4242", (), False)


@WAYS
def test_what_cannot_be_put_on_record_is_not_kept(web_house: WebHouse, files: list[Path], send: Send) -> None:
    web_house.book.is_away = True
    assert send(web_house, contents_of(*files)).status_code == 503
    assert not is_kept(web_house, STUDY)
    web_house.book.is_away = False
    assert send(web_house, contents_of(*files)).is_success
    assert len(web_house.contents(STUDY)) == len(files)


def test_an_upload_that_cannot_be_put_on_record_says_so(web_house: WebHouse, files: list[Path]) -> None:
    web_house.book.is_away = True
    assert by_archive(web_house, contents_of(*files)).json()["code"] == "audit.write"
    [failed, *_] = pydicom.Dataset.from_json(by_stow(web_house, contents_of(files[0])).json()).FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (place(files[0])[2], 0xA700)


@WAYS
def test_a_study_that_comes_when_the_trail_has_gone_is_not_kept(
    web_house: WebHouse, files: list[Path], other: list[Path], send: Send
) -> None:
    web_house.book.most = 1
    answer = send(web_house, contents_of(files[0], other[0]))
    assert answer.status_code == (202 if send is by_stow else 503)
    assert (is_kept(web_house, STUDY), is_kept(web_house, OTHER.uid)) == (True, False)
    assert web_house.book.told() == [BEGUN]


def cut(contents: list[bytes]) -> bytes:
    """The body of STOW-RS, which ends within its last part."""
    whole = b"".join(b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in contents)
    return whole[:-100]


@pytest.mark.parametrize("path", ["/dicom-web/studies", "/api/v1/reads"])
def test_what_was_kept_of_a_body_that_breaks_off_is_on_record(
    web_house: WebHouse, files: list[Path], path: str
) -> None:
    kind = 'multipart/related; type="application/dicom"; boundary=cut'
    body = cut(contents_of(*files[:3]))
    if path.endswith("reads"):
        kind = "multipart/form-data; boundary=cut"
        body = body.replace(
            b"Content-Type: application/dicom", b'Content-Disposition: form-data; filename="a"; name="b"'
        )
    answer = web_house.client.post(path, content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (400, "request.malformed-body")
    assert len(web_house.contents(STUDY)) == 2
    assert web_house.book.told() == [BEGUN, DONE]
    assert counts_of(web_house.book.events[1]) == classes_of(*files[:2])


def test_an_end_that_cannot_be_put_on_record_is_said(
    web_house: WebHouse, files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    web_house.book.most = 1
    assert by_stow(web_house, contents_of(files[0])).status_code == 200
    assert web_house.book.told() == [BEGUN]
    assert "the end of a transfer is not on record: audit.write" in caplog.text


@WAYS
def test_what_the_store_refuses_is_on_record_with_why(tmp_path: Path, files: list[Path], send: Send) -> None:
    holder, clock = Holder(file_holder(tmp_path)), Clock()
    places = StorePlaces.within(tmp_path / "store")
    with Store(places, holder, clock=clock) as store, closing(WebHouse(store, clock)) as house:
        holder.away = True
        assert send(house, contents_of(files[0])).status_code == 503
        assert house.book.told() == [BEGUN, FAILED]
        assert house.book.events[1].outcome_description == "vault.key-holder"
        assert counts_of(house.book.events[1]) == classes_of(files[0])


@WAYS
def test_nothing_is_on_record_of_a_request_without_images(web_house: WebHouse, send: Send) -> None:
    send(web_house, [b"no DICOM"])
    assert web_house.book.events == []
