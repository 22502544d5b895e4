"""Uploads as people make them, written by the standard library and httpx; and the list of what is kept."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from web.dicomweb_study import OTHER, STUDY, corrected, place
from web.web_house import LARGEST_UPLOAD_BYTES, PROBLEM, WebHouse
from zweitblick.store.life import State


def archive(files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as made:
        for name, file in files.items():
            made.writestr(name, file)
    return content.getvalue()


def upload(house: WebHouse, content: bytes | Iterator[bytes], kind: str = "application/zip") -> httpx.Response:
    return house.client.post("/api/v1/reads", content=content, headers={"Content-Type": kind})


def kept(house: WebHouse, study: str = STUDY) -> set[str]:
    return set(house.contents(study))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2])
def test_the_instances_of_an_archive_are_kept(
    web_house: WebHouse, files: list[Path], other: list[Path], method: int
) -> None:
    inside = {f"Müller/T1/{number}": path.read_bytes() for number, path in enumerate([*files, *other])}
    others = {"DICOMDIR": b"\0" * 128 + b"DICM", "readme.txt": b"hello", "inner.zip": archive(inside)}
    answer = upload(web_house, archive(inside | others, method=method))
    assert answer.status_code == 202
    told = answer.json()
    assert (told["studies"], told["kept"]) == ([STUDY, OTHER.uid], len(inside))
    assert [(one["number"], one["name"], one["code"]) for one in told["refused"]] == [
        (len(inside) + number, name, "instance.damaged") for number, name in enumerate(others, start=1)
    ]
    assert kept(web_house) == {place(path)[2] for path in files}
    assert kept(web_house, OTHER.uid) == {place(path)[2] for path in other}
    assert web_house.client.get(f"/api/v1/reads/{STUDY}").json()["state"] == State.RECEIVING


def test_a_form_with_files_is_kept(web_house: WebHouse, files: list[Path]) -> None:
    form = [("files", (path.name, path.read_bytes())) for path in files] + [("files", ("note.txt", b"hello"))]
    answer = web_house.client.post("/api/v1/reads", files=form, data={"comment": "not a file"})
    assert (answer.status_code, answer.json()["kept"]) == (202, len(files))
    assert [one["name"] for one in answer.json()["refused"]] == ["note.txt"]
    assert kept(web_house) == {place(path)[2] for path in files}


def test_one_file_is_kept(web_house: WebHouse, files: list[Path]) -> None:
    answer = upload(web_house, files[0].read_bytes(), "application/dicom")
    assert answer.json() == {"studies": [STUDY], "kept": 1, "conflicts": 0, "refused": []}


def test_an_upload_says_what_is_kept_apart(web_house: WebHouse, files: list[Path]) -> None:
    upload(web_house, files[0].read_bytes(), "application/dicom")
    told = upload(web_house, archive({"again": corrected(files[0]), "new": files[1].read_bytes()})).json()
    assert told == {"studies": [STUDY], "kept": 2, "conflicts": 1, "refused": []}
    assert web_house.counted == 1
    assert web_house.client.get(f"/api/v1/reads/{STUDY}").json()["conflicts"] == 1


def test_names_that_lead_elsewhere_are_not_looked_into(web_house: WebHouse, files: list[Path]) -> None:
    names = ["../1.dcm", "/etc/2.dcm", "C:\\3.dcm", "a/../../4.dcm", "fine.dcm"]
    inside = {name: path.read_bytes() for name, path in zip(names, files, strict=False)}
    told = upload(web_house, archive(inside)).json()
    assert (told["kept"], {one["code"] for one in told["refused"]}) == (1, {"source.unsafe-archive"})
    assert kept(web_house) == {place(files[4])[2]}


def test_what_came_before_a_fault_is_kept(web_house: WebHouse, files: list[Path]) -> None:
    whole = archive({path.name: path.read_bytes() for path in files}, method=zipfile.ZIP_STORED)
    third = zipfile.ZipFile(io.BytesIO(whole)).infolist()[2]
    answer = upload(web_house, whole[: third.header_offset + 200])
    assert (answer.status_code, answer.json()["code"]) == (422, "source.archive-damaged")
    assert kept(web_house) == {place(path)[2] for path in files[:2]}
    # sent again, it is there once
    assert upload(web_house, whole).json()["kept"] == len(files)
    assert len(kept(web_house)) == len(files)


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (archive({"a": b"hello"}), "application/zip", 422, "source.no-dicom"),
        (archive({}), "application/zip", 422, "source.no-dicom"),
        (b"no archive", "application/zip", 422, "source.archive-damaged"),
        (b"", "application/zip", 422, "source.archive-damaged"),
        (b"hello", "text/plain", 415, "request.unsupported-media"),
        (b"hello", "multipart/form-data", 415, "request.unsupported-media"),
        (b"hello", "", 415, "request.unsupported-media"),
        (b"hello", "multipart/form-data; boundary=cut", 400, "request.malformed-body"),
    ],
)
def test_what_is_no_upload_is_a_problem(web_house: WebHouse, content: bytes, kind: str, status: int, code: str) -> None:
    answer = upload(web_house, content, kind)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert answer.json()["code"] == code


def test_an_encrypted_archive_is_a_problem(web_house: WebHouse, files: list[Path]) -> None:
    plain = bytearray(archive({"1.dcm": files[0].read_bytes()}))
    plain[6] |= 1  # general purpose bit flag, bit 0 (APPNOTE 4.4.4)
    answer = upload(web_house, bytes(plain))
    assert (answer.status_code, answer.json()["code"]) == (422, "source.archive-damaged")


@pytest.mark.parametrize("path", ["/api/v1/reads", "/dicom-web/studies"])
def test_a_body_that_is_too_long_is_refused(web_house: WebHouse, path: str) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b"--cut\r\nContent-Type: application/dicom\r\n\r\n"
        for _ in range(256):
            sent += 2**20
            yield bytes(2**20)

    kind = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=cut'}
    if path.endswith("reads"):
        kind = {"Content-Type": "multipart/form-data; boundary=cut"}
    answer = web_house.client.post(path, content=endless(), headers=kind)
    assert (answer.status_code, answer.json()["code"]) == (413, "request.body-too-large")
    assert sent < 10 * LARGEST_UPLOAD_BYTES
    assert web_house.client.post(path, content=bytes(LARGEST_UPLOAD_BYTES + 1), headers=kind).status_code == 413


def test_the_list_is_read_page_by_page(web_house: WebHouse, files: list[Path], other: list[Path]) -> None:
    assert web_house.client.get("/api/v1/reads").json() == {"reads": [], "next": None}
    web_house.keep(*files)
    web_house.keep_later(*other)
    first = web_house.client.get("/api/v1/reads?limit=1").json()
    assert [(one["study_uid"], one["round"], one["state"]) for one in first["reads"]] == [(OTHER.uid, 1, "receiving")]
    second = web_house.client.get("/api/v1/reads", params={"limit": 1, "cursor": first["next"]}).json()
    assert [one["study_uid"] for one in second["reads"]] == [STUDY]
    assert second["next"] is None
    assert second["reads"][0]["arrived_at"] < first["reads"][0]["arrived_at"]
    # a study that comes meanwhile moves nothing
    web_house.keep_later(files[0])
    assert web_house.client.get("/api/v1/reads", params={"cursor": first["next"]}).json() == {"reads": [], "next": None}


@pytest.mark.parametrize("query", ["cursor=x", "cursor=1-../..", "limit=0", "limit=100000", "limit=all"])
def test_a_page_that_is_none_is_a_problem(web_house: WebHouse, query: str) -> None:
    answer = web_house.client.get(f"/api/v1/reads?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400 if "cursor" in query else 422, PROBLEM)
