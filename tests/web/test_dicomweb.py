"""DICOMweb before a client that knows nothing of ours: dicomweb-client asks, pydicom says what is right."""

import io
from pathlib import Path
from typing import Any

import httpx
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

from dicom_writer import StudyHeader, write_enhanced, write_series
from web.web_house import PROBLEM, TO_READ, WebHouse
from zweitblick.store.life import Event
from zweitblick.volume import Volume, axis_aligned_grid

GRID = axis_aligned_grid((0.0, 0.0, 0.0), (3, 32, 40), 2.0)
STUDY = StudyHeader().uid
OTHER = StudyHeader(seed="other", patient_id="PAT-0002", date="20250101", attributes={"AccessionNumber": "A2"})
COMPRESSED = (JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless)
MEDIA_TYPES = dict(zip(COMPRESSED, ("image/jpeg", "image/jls", "image/jp2", "image/dicom-rle"), strict=True))


def head(seed: int = 0) -> Volume:
    return Volume(np.random.default_rng(seed).integers(0, 4000, GRID.shape).astype(np.float32), GRID)


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


def by_uid(files: list[Path]) -> dict[str, pydicom.Dataset]:
    found = [pydicom.dcmread(path) for path in files]
    return {str(one.SOPInstanceUID): one for one in found}


def place(path: Path) -> tuple[str, str, str]:
    header = pydicom.dcmread(path, stop_before_pixels=True)
    return header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID


def url(path: Path) -> str:
    study, series, instance = place(path)
    return f"/dicom-web/studies/{study}/series/{series}/instances/{instance}"


def uids(found: list[dict[str, Any]], keyword: str) -> list[str]:
    return [str(pydicom.Dataset.from_json(one)[keyword].value) for one in found]


# Stored


def test_what_is_stored_is_kept_as_it_came(web_house: WebHouse, files: list[Path]) -> None:
    answer = web_house.dicomweb.store_instances([pydicom.dcmread(path) for path in files])
    expected = by_uid(files)
    assert {one.ReferencedSOPInstanceUID for one in answer.ReferencedSOPSequence} == set(expected)
    assert answer.RetrieveURL == f"{web_house.root}/studies/{STUDY}"
    assert "FailedSOPSequence" not in answer
    kept = web_house.contents(STUDY)
    assert {uid: pydicom.dcmread(io.BytesIO(file)) for uid, file in kept.items()} == expected


def test_one_file_alone_is_stored(web_house: WebHouse, files: list[Path]) -> None:
    answer = web_house.client.post(
        f"/dicom-web/studies/{STUDY}", content=files[0].read_bytes(), headers={"Content-Type": "application/dicom"}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json")
    assert list(web_house.contents(STUDY)) == [place(files[0])[2]]


def test_what_is_no_instance_fails_alone(web_house: WebHouse, files: list[Path], other: list[Path]) -> None:
    answer = post(web_house, [files[0].read_bytes(), b"GIF89a" * 100, other[0].read_bytes()], study=STUDY)
    assert answer.status_code == 202
    told = pydicom.Dataset.from_json(answer.json())
    assert [one.ReferencedSOPInstanceUID for one in told.ReferencedSOPSequence] == [place(files[0])[2]]
    assert [(one.ReferencedSOPInstanceUID, one.FailureReason) for one in told.FailedSOPSequence] == [
        (place(other[0])[2], 0xA900)
    ]
    assert [one.FailureReason for one in told.OtherFailuresSequence] == [0xC000]
    assert list(web_house.contents(STUDY)) == [place(files[0])[2]]


def test_nothing_stored_is_a_conflict(web_house: WebHouse) -> None:
    assert post(web_house, [b"no DICOM", b""]).status_code == 409


def post(house: WebHouse, contents: list[bytes], *, study: str = "") -> httpx.Response:
    body = b"".join(b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in contents)
    return house.client.post(
        f"/dicom-web/studies{'/' if study else ''}{study}",
        content=body + b"--cut--\r\n",
        headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=cut'},
    )


# Searched


def test_studies_are_listed_newest_first(web_house: WebHouse, files: list[Path], other: list[Path]) -> None:
    web_house.keep(*files)
    web_house.keep_later(*other)
    found = web_house.dicomweb.search_for_studies()
    assert uids(found, "StudyInstanceUID") == [OTHER.uid, STUDY]
    assert uids(web_house.dicomweb.search_for_studies(limit=1, offset=1), "StudyInstanceUID") == [STUDY]
    shown = pydicom.Dataset.from_json(found[1])
    assert (shown.PatientName, shown.PatientID, shown.StudyDate) == ("Muster^Erika", "PAT-0001", "20220304")
    assert (shown.ModalitiesInStudy, shown.NumberOfStudyRelatedSeries) == ("MR", 2)
    assert shown.NumberOfStudyRelatedInstances == len(files)
    assert shown.RetrieveURL == f"{web_house.root}/studies/{STUDY}"


@pytest.mark.parametrize(
    "query",
    [
        {"PatientID": "PAT-0001"},
        {"00100020": "PAT-0001"},
        {"AccessionNumber": "A1"},
        {"StudyInstanceUID": STUDY},
        {"StudyInstanceUID": f"{STUDY},1.2.3"},
        {"StudyDate": "20220304"},
        {"StudyDate": "20220101-20221231"},
        {"StudyDate": "-20221231"},
        {"PatientID": "PAT-0001", "AccessionNumber": "A1", "ModalitiesInStudy": "MR"},
    ],
)
def test_studies_are_found_by_exact_values(
    web_house: WebHouse, files: list[Path], other: list[Path], query: dict[str, str]
) -> None:
    web_house.keep(*files, *other)
    for _ in range(2):  # the second time by the index
        found = web_house.dicomweb.search_for_studies(search_filters=query)
        assert uids(found, "StudyInstanceUID") == [STUDY]


@pytest.mark.parametrize(
    "query",
    [
        {"PatientID": "PAT-000"},
        {"PatientID": "PAT-0001", "AccessionNumber": "A2"},
        {"StudyInstanceUID": "1.2.3"},
        {"StudyDate": "20220305-"},
        {"ModalitiesInStudy": "CT"},
    ],
)
def test_nothing_else_is_found(
    web_house: WebHouse, files: list[Path], other: list[Path], query: dict[str, str]
) -> None:
    web_house.keep(*files, *other)
    assert web_house.dicomweb.search_for_studies(search_filters=query) == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("PatientName=Muster*", "names"),
        ("00100010=Muster^Erika", "names"),
        ("PatientID=PAT*", "wildcards"),
        ("PatientID=PAT-000?", "wildcards"),
        ("StudyInstanceUID=../../etc/passwd", "UID"),
        ("StudyInstanceUID=1.2%00", "UID"),
        ("StudyDate=yesterday", "YYYYMMDD"),
        ("fuzzymatching=true", "exactly"),
        ("limit=-1", "limit"),
        ("offset=many", "offset"),
        ("no-such-attribute=1", "matched"),
    ],
)
def test_what_is_not_matched_is_refused(web_house: WebHouse, query: str, said: str) -> None:
    answer = web_house.client.get(f"/dicom-web/studies?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
    assert said in answer.json()["detail"]
    assert "Muster" not in answer.text


def test_series_and_instances_are_found(web_house: WebHouse, files: list[Path], other: list[Path]) -> None:
    web_house.keep(*files, *other)
    client = web_house.dicomweb
    first, second = place(files[0])[1], place(files[-1])[1]
    found = client.search_for_series(STUDY)
    assert set(uids(found, "SeriesInstanceUID")) == {first, second}
    assert uids(found, "NumberOfSeriesRelatedInstances") == ["3", "3"]
    assert {one.SeriesDescription for one in map(pydicom.Dataset.from_json, found)} == {"t1", "t2"}
    assert uids(client.search_for_series(search_filters={"SeriesInstanceUID": second}), "SeriesInstanceUID") == [second]
    assert len(client.search_for_series(search_filters={"Modality": "MR"})) == 3
    assert client.search_for_series(STUDY, search_filters={"Modality": "SEG"}) == []
    of_study = uids(client.search_for_instances(STUDY), "SOPInstanceUID")
    assert set(of_study) == set(by_uid(files))
    paged = [client.search_for_instances(STUDY, limit=2, offset=start) for start in (0, 2, 4, 6)]
    assert [uid for page in paged for uid in uids(page, "SOPInstanceUID")] == of_study
    assert len(client.search_for_instances(STUDY, first)) == 3
    alone = client.search_for_instances(search_filters={"SOPInstanceUID": of_study[0]})
    assert uids(alone, "SOPInstanceUID") == [of_study[0]]
    assert pydicom.Dataset.from_json(alone[0]).AvailableTransferSyntaxUID == ExplicitVRLittleEndian


def test_fields_come_as_they_are_asked_for(web_house: WebHouse, files: list[Path]) -> None:
    web_house.keep(*files)
    plain = web_house.dicomweb.search_for_instances(STUDY)[0]
    assert {"00180087", "00180081"} & set(plain) == set()
    more = web_house.dicomweb.search_for_instances(STUDY, fields=["EchoTime", "00180087"])[0]
    assert {"00180087", "00180081"} <= set(more)
    every = web_house.client.get(f"/dicom-web/studies/{STUDY}/instances?includefield=all").json()[0]
    assert {"00200032", "00280010"} <= set(every)


# Retrieved


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, *COMPRESSED])
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


@pytest.mark.parametrize("stored", [np.int16, np.uint16, np.uint8])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, *COMPRESSED])
def test_frames_are_the_pixels_that_pydicom_reads(
    web_house: WebHouse, tmp_path: Path, syntax: UID, stored: type[np.integer]
) -> None:
    if syntax == ExplicitVRBigEndian and stored is np.uint8:
        pytest.skip("refused, see below")
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


# Results


def test_results_are_in_the_study(web_house: WebHouse, files: list[Path], outline: Path) -> None:
    web_house.keep(*files)
    web_house.happen(STUDY, Event.COMPLETED, Event.STARTED)
    web_house.keep_result(STUDY, "seg", outline)
    assert len(web_house.dicomweb.search_for_instances(STUDY)) == len(files)
    web_house.happen(STUDY, Event.READ)
    study, series, instance = place(outline)
    [found] = web_house.dicomweb.search_for_studies()
    shown = pydicom.Dataset.from_json(found)
    assert (shown.ModalitiesInStudy, shown.NumberOfStudyRelatedInstances) == (["MR", "SEG"], len(files) + 1)
    assert uids(
        web_house.dicomweb.search_for_series(study, search_filters={"Modality": "SEG"}), "SeriesInstanceUID"
    ) == [series]
    by_instance = web_house.dicomweb.search_for_instances(search_filters={"SOPInstanceUID": instance})
    assert uids(by_instance, "SeriesInstanceUID") == [series]
    assert web_house.dicomweb.retrieve_instance(study, series, instance) == pydicom.dcmread(outline)
    assert len(web_house.dicomweb.retrieve_study(study)) == len(files) + 1


def test_results_stay_until_a_newer_round_is_read(
    web_house: WebHouse, files: list[Path], outline: Path, tmp_path: Path
) -> None:
    web_house.keep(files[0])
    web_house.keep_result(STUDY, "seg", outline)
    web_house.happen(STUDY, *TO_READ)
    web_house.keep(files[1])
    assert len(web_house.dicomweb.search_for_instances(STUDY)) == 3
    web_house.happen(STUDY, *TO_READ)
    assert len(web_house.dicomweb.search_for_instances(STUDY)) == 2


# Refused


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
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
        ("/bulkdata/../../etc/passwd", "*/*", 422),
        ("/bulkdata/00081140/9/00291020", "*/*", 422),
    ],
)
def test_what_is_not_there_is_a_problem(
    web_house: WebHouse, files: list[Path], path: str, accept: str, status: int
) -> None:
    web_house.keep(files[0])
    answer = web_house.client.get(
        httpx.URL(web_house.server.address + url(files[0]) + path), headers={"Accept": accept}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)


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


@pytest.mark.parametrize(
    "path", ["studies/..%2F..%2Fetc", "studies/1.2/series/a", "studies/1.2%00", f"studies/{'1' * 65}"]
)
def test_what_is_no_uid_is_refused(web_house: WebHouse, path: str) -> None:
    answer = web_house.client.get(f"/dicom-web/{path}")
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"] == PROBLEM
