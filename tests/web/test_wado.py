"""Retrieved by a client that knows nothing of ours: dicomweb-client asks, pydicom says what is right."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_writer import write_enhanced, write_series
from web.dicomweb_study import COMPRESSED, GRID, MEDIA_TYPES, by_uid, head, place, uids, url
from web.web_house import PROBLEM, WebHouse
from zweitblick.volume import Volume


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless])
def test_instances_come_as_they_are_kept(web_house: WebHouse, tmp_path: Path, syntax: UID) -> None:
    files = write_series(tmp_path / "series", head(), transfer_syntax=syntax)
    web_house.keep(*files)
    study, series, instance = place(files[0])
    client, expected = web_house.dicomweb, by_uid(files)
    for found in (client.retrieve_study(study), client.retrieve_series(study, series)):
        assert {str(one.SOPInstanceUID): one for one in found} == expected
    one = client.retrieve_instance(study, series, instance)
    assert one == expected[instance]
    assert one.file_meta.TransferSyntaxUID == syntax


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
def test_metadata_are_what_pydicom_makes_of_the_source(web_house: WebHouse, tmp_path: Path, syntax: UID) -> None:
    def add(data: pydicom.Dataset, _k: int) -> None:
        data.SpecificCharacterSet = "ISO_IR 100"
        data.PatientName = "Müller^Jürgen"
        data.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
        data.add_new(0x00291010, "OB", b"small")
        data.add_new(0x00291020, "OB", b"large" * 400)
        icon = pydicom.Dataset()
        icon.add_new(0x00291020, "OB", b"inner" * 400)
        data.ReferencedImageSequence = [icon]

    files = write_series(tmp_path / "series", head(), transfer_syntax=syntax, change=add)
    web_house.keep(*files)
    study, series, instance = place(files[0])
    found = web_house.dicomweb.retrieve_instance_metadata(study, series, instance)
    assert found == expected_metadata(files[0], web_house.root)
    for many in (
        web_house.dicomweb.retrieve_study_metadata(study),
        web_house.dicomweb.retrieve_series_metadata(study, series),
    ):
        assert sorted(uids(many, "SOPInstanceUID")) == sorted(by_uid(files))
    for tag in ("00291020", "7FE00010"):
        [value] = web_house.dicomweb.retrieve_bulkdata(found[tag]["BulkDataURI"])
        assert tag == "7FE00010" or value == b"large" * 400
    [inner] = web_house.dicomweb.retrieve_bulkdata(found["00081140"]["Value"][0]["00291020"]["BulkDataURI"])
    assert inner == b"inner" * 400


def expected_metadata(path: Path, root: str) -> dict[str, Any]:
    """What pydicom writes, with the places of bulk data, and said to be Unicode."""
    data = pydicom.dcmread(path)
    at = "/".join(part for pair in zip(("studies", "series", "instances"), place(path), strict=True) for part in pair)
    model = data.to_json_dict(1024, lambda element: f"{root}/{at}/bulkdata/{element.tag:08X}")
    model["00080005"]["Value"] = ["ISO_IR 192"]
    model["00081140"]["Value"][0]["00291020"]["BulkDataURI"] = f"{root}/{at}/bulkdata/00081140/1/00291020"
    model["7FE00010"] = {"vr": model["7FE00010"]["vr"], "BulkDataURI": f"{root}/{at}/bulkdata/7FE00010"}
    return model


@pytest.mark.parametrize(
    ("syntax", "stored"),
    [
        (ExplicitVRLittleEndian, np.int16),
        (ExplicitVRLittleEndian, np.uint8),
        (ImplicitVRLittleEndian, np.uint16),
        (ExplicitVRBigEndian, np.int16),
        (JPEGLosslessSV1, np.uint16),
        (JPEGLSLossless, np.uint8),
        (JPEG2000Lossless, np.int16),
        (RLELossless, np.int16),
    ],
)
def test_frames_are_the_pixels_that_pydicom_reads(
    web_house: WebHouse, tmp_path: Path, syntax: UID, stored: type[np.integer]
) -> None:
    volume = Volume(head().voxels % np.float32(250), GRID)
    path = write_series(tmp_path / "series", volume, transfer_syntax=syntax, stored=stored)[1]
    web_house.keep(path)
    [frame] = web_house.dicomweb.retrieve_instance_frames(
        *place(path), [1], media_types=(("application/octet-stream", ExplicitVRLittleEndian),)
    )
    expected = pydicom.dcmread(path).pixel_array
    assert np.array_equal(np.frombuffer(frame, np.dtype(stored).newbyteorder("<")).reshape(GRID.shape[1:]), expected)


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_compressed_frames_come_as_they_are_kept(web_house: WebHouse, tmp_path: Path, syntax: UID) -> None:
    path = write_series(tmp_path / "series", head(), transfer_syntax=syntax)[0]
    web_house.keep(path)
    expected = pydicom.encaps.get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)
    kind = MEDIA_TYPES[syntax]
    for accept in (
        f'multipart/related; type="{kind}"; transfer-syntax={syntax}',
        f'multipart/related; type="{kind}"',
        'multipart/related; type="application/octet-stream"; transfer-syntax=*',
        "*/*",
    ):
        answer = web_house.client.get(f"{url(path)}/frames/1", headers={"Accept": accept})
        assert answer.status_code == 200
        assert f"Content-Type: {kind}; transfer-syntax={syntax}".encode() in answer.content
        assert expected in answer.content


def test_frames_of_one_file_are_told_apart(web_house: WebHouse, tmp_path: Path, outline: Path) -> None:
    enhanced = write_enhanced(tmp_path / "enhanced.dcm", [head(4)], number=5)
    web_house.keep(enhanced, outline)
    for path in (enhanced, outline):
        pixels = pydicom.dcmread(path).pixel_array
        found = web_house.dicomweb.retrieve_instance_frames(*place(path), [3, 1])
        for number, frame in zip((3, 1), found, strict=True):
            expected = pixels[number - 1]
            if expected.dtype == np.uint8:
                bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")
                assert np.array_equal(bits[: expected.size].reshape(expected.shape), expected)
            else:
                assert np.array_equal(np.frombuffer(frame, "<u2").reshape(expected.shape), expected)


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg"])
def test_a_frame_is_shown_with_its_window(web_house: WebHouse, tmp_path: Path, kind: str) -> None:
    window = {"WindowCenter": 1500, "WindowWidth": 1000}
    path = write_series(tmp_path / "series", smooth(), attributes=window, rescale=(2.0, -100.0))[0]
    web_house.keep(path)
    data = pydicom.dcmread(path)
    values = pydicom.pixels.apply_modality_lut(data.pixel_array, data)
    # PS3.3 section C.11.2.1.2.1, written out
    expected = np.interp(values, (1500 - 0.5 - 999 / 2, 1500 - 0.5 + 999 / 2), (0, 255))
    answer = web_house.client.get(f"{url(path)}/rendered", headers={"Accept": kind})
    assert answer.headers["content-type"] == kind
    shown = np.asarray(Image.open(io.BytesIO(answer.content)), float)
    assert np.abs(shown - expected).max() <= (0.51 if kind == "image/png" else 25)
    link = web_house.client.get(f"{url(path)}/rendered?accept={kind}", headers={"Accept": "text/html"})
    assert link.content == answer.content
    dark = web_house.client.get(f"{url(path)}/frames/1/rendered?window=9000,10,linear", headers={"Accept": "image/png"})
    assert not np.asarray(Image.open(io.BytesIO(dark.content))).any()


def smooth() -> Volume:
    k, j, i = np.indices(GRID.shape)
    return Volume((100 * k + 100 * j + 150 * i).astype(np.float32), GRID)


def test_an_inverted_grey_scale_is_shown_inverted(web_house: WebHouse, tmp_path: Path) -> None:
    path = write_series(tmp_path / "series", smooth(), attributes={"PhotometricInterpretation": "MONOCHROME1"})[0]
    web_house.keep(path)
    shown = np.asarray(Image.open(io.BytesIO(web_house.client.get(f"{url(path)}/rendered").content)))
    assert (shown[0, 0], shown[-1, -1]) == (255, 0)


PROBLEMS = [
    ("", 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.80', 406),
    ("", "text/html", 406),
    ("/metadata", "application/dicom+xml", 406),
    ("/frames/1", 'multipart/related; type="image/jls"', 406),
    ("/frames/0", "*/*", 404),
    ("/frames/2", "*/*", 404),
    ("/frames/one", "*/*", 400),
    ("/frames/1,,2", "*/*", 400),
    ("/rendered", "image/gif", 406),
    ("/rendered?window=1", "*/*", 400),
    ("/rendered?window=nan,inf", "*/*", 400),
    ("/bulkdata/00100010", "*/*", 422),
    ("/bulkdata/%2E%2E/%2E%2E/etc/passwd", "*/*", 422),
    ("/bulkdata/00081140/9/00291020", "*/*", 422),
]


def test_what_is_not_there_is_a_problem(web_house: WebHouse, files: list[Path]) -> None:
    web_house.keep(files[0])
    for path, accept, status in PROBLEMS:
        answer = web_house.client.get(f"{url(files[0])}{path}", headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), path


def test_bytes_in_big_endian_are_not_guessed_at(web_house: WebHouse, tmp_path: Path) -> None:
    volume = Volume(head().voxels % np.float32(250), GRID)
    path = write_series(tmp_path / "series", volume, transfer_syntax=ExplicitVRBigEndian, stored=np.uint8)[0]
    web_house.keep(path)
    answer = web_house.client.get(f"{url(path)}/frames/1")
    assert (answer.status_code, answer.json()["code"]) == (406, "instance.transfer-syntax")


def test_pixels_that_are_cut_short_are_a_problem(web_house: WebHouse, tmp_path: Path) -> None:
    def cut(data: pydicom.Dataset, _k: int) -> None:
        data.PixelData = data.PixelData[:100]

    path = write_series(tmp_path / "series", head(), change=cut)[0]
    web_house.keep(path)
    answer = web_house.client.get(f"{url(path)}/frames/1")
    assert (answer.status_code, answer.json()["code"]) == (422, "instance.damaged")


def test_without_the_token_nothing_is_told(web_house: WebHouse, files: list[Path]) -> None:
    web_house.keep(files[0])
    for method, path in (("GET", "/dicom-web/studies"), ("GET", url(files[0])), ("POST", "/dicom-web/studies")):
        answer = web_house.stranger.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM)


def test_nothing_is_stored_on_the_way(web_house: WebHouse, files: list[Path]) -> None:
    web_house.keep(files[0])
    for path in ("/dicom-web/studies", url(files[0]), f"{url(files[0])}/metadata", f"{url(files[0])}/frames/9"):
        headers = web_house.client.get(path).headers
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_what_is_no_uid_is_refused(web_house: WebHouse) -> None:
    for path in ("studies/..%2F..%2Fetc", "studies/1.2/series/a", "studies/1.2%00", f"studies/{'1' * 65}"):
        answer = web_house.client.get(f"/dicom-web/{path}")
        assert answer.status_code in (400, 404)
        assert answer.headers["content-type"] == PROBLEM
