"""Stored and found by a client that knows nothing of ours: dicomweb-client asks, pydicom says what is right."""

import io
import itertools
from contextlib import closing
from pathlib import Path

import httpx
import pydicom
from pydicom.uid import (
    ExplicitVRLittleEndian,
)

from kept_study import Clock
from store.stores import Holder, file_holder
from web.dicomweb_study import OTHER, STUDY, by_uid, corrected, place, uids
from web.web_house import PROBLEM, TO_READ, WebHouse
from zweitblick.intake.parts import MediaType
from zweitblick.store.ingest import Outcome
from zweitblick.store.life import Event
from zweitblick.store.places import StorePlaces
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.store import Store
from zweitblick.web.dicomweb.stow import keep_instances


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


def test_other_content_under_a_known_uid_is_acknowledged_with_a_warning_and_leads_nowhere(
    web_house: WebHouse, files: list[Path]
) -> None:
    """PS3.18 sections 10.5.3 and I.2.1; a Retrieve URL would lead to what came first."""
    first = files[0].read_bytes()
    assert post(web_house, [first]).status_code == 200
    answer = post(web_house, [corrected(files[0]), files[1].read_bytes()])
    assert answer.status_code == 202
    told = pydicom.Dataset.from_json(answer.json())
    stored = {one.ReferencedSOPInstanceUID: one for one in told.ReferencedSOPSequence}
    apart, other = (stored[place(path)[2]] for path in files[:2])
    assert (apart.WarningReason, bool(apart.RetrieveURL)) == (0xB111, False)
    assert ("WarningReason" in other, bool(other.RetrieveURL)) == (False, True)
    assert "FailedSOPSequence" not in told
    assert web_house.counted == 1
    assert web_house.dicomweb.retrieve_instance(*place(files[0])).get("PatientComments") is None


def test_nothing_stored_is_a_conflict(web_house: WebHouse) -> None:
    assert post(web_house, [b"no DICOM", b""]).status_code == 409


def test_what_is_larger_than_an_instance_may_be_is_a_conflict() -> None:
    """Not for want of room: sent again it would be refused again."""
    piece = bytes(2**20)
    too_large = keep_instances(nobody, itertools.repeat(piece, 2**10 + 1), MediaType("application/dicom", {}))
    assert too_large.status == 409
    [failure] = pydicom.Dataset.from_json(too_large.model("")).OtherFailuresSequence
    assert failure.FailureReason == 0xC001
    largest = keep_instances(nobody, itertools.repeat(piece, 2**10), MediaType("application/dicom", {}))
    assert [reason for _, reason in largest.failed] == [0xC000]


def nobody(_instance: ReceivedInstance) -> Outcome:
    raise AssertionError("nothing of this can be kept")


def test_without_its_key_holder_nothing_is_stored_until_it_is_back(tmp_path: Path, files: list[Path]) -> None:
    holder, clock = Holder(file_holder(tmp_path)), Clock()
    places = StorePlaces.within(tmp_path / "store")
    with Store(places, holder, clock=clock) as store, closing(WebHouse(store, clock)) as house:
        holder.away = True
        answer = post(house, [files[0].read_bytes()])
        assert answer.status_code == 503
        [failed] = pydicom.Dataset.from_json(answer.json()).FailedSOPSequence
        assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (place(files[0])[2], 0xA700)
        holder.away = False
        assert post(house, [files[0].read_bytes()]).status_code == 200


def post(house: WebHouse, contents: list[bytes], *, study: str = "") -> httpx.Response:
    body = b"".join(b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in contents)
    return house.client.post(
        f"/dicom-web/studies{'/' if study else ''}{study}",
        content=body + b"--cut--\r\n",
        headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=cut'},
    )


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


FOUND = [
    {"PatientID": "PAT-0001"},
    {"00100020": "PAT-0001"},
    {"AccessionNumber": "A1"},
    {"StudyInstanceUID": STUDY},
    {"StudyInstanceUID": f"{STUDY},1.2.3"},
    {"StudyDate": "20220304"},
    {"StudyDate": "20220101-20221231"},
    {"StudyDate": "-20221231"},
    {"PatientID": "PAT-0001", "AccessionNumber": "A1", "ModalitiesInStudy": "CT,MR"},
]
NOT_FOUND = [
    {"PatientID": "PAT-000"},
    {"PatientID": "PAT-0001", "AccessionNumber": "A2"},
    {"StudyInstanceUID": "1.2.3"},
    {"StudyDate": "20250102-"},
    {"ModalitiesInStudy": "CT"},
]


def test_studies_are_found_by_exact_values(web_house: WebHouse, files: list[Path], other: list[Path]) -> None:
    web_house.keep(*files, *other)
    for query in (*FOUND, *FOUND):  # the second time by the index
        found = web_house.dicomweb.search_for_studies(search_filters=query)
        assert uids(found, "StudyInstanceUID") == [STUDY], query
    for query in NOT_FOUND:
        assert web_house.dicomweb.search_for_studies(search_filters=query) == [], query


MORE = "There are additional results that can be requested"


def test_a_page_says_whether_there_is_more(web_house: WebHouse, files: list[Path], other: list[Path]) -> None:
    """PS3.18 section 8.3.4.4.1: a warning of code 299 while matches remain, whoever set the limit."""
    web_house.keep(*files)
    web_house.keep_later(*other)
    ends = {
        "studies": 2,
        "studies?StudyDate=19000101-": 2,
        "studies?PatientID=PAT-0001": 1,
        "series": 3,
        f"studies/{STUDY}/series": 2,
        f"studies/{STUDY}/instances": len(files),
    }
    for path, end in ends.items():
        for offset, limit in ((0, end - 1), (end - 1, 1), (0, end), (end, 1), (0, end + 1), (0, 0)):
            page = {"offset": offset, "limit": limit}
            answer = web_house.client.get(httpx.URL(f"/dicom-web/{path}").copy_merge_params(page))
            assert (answer.status_code, len(answer.json())) == (200, min(limit, end - offset)), (path, page)
            said = f'299 {web_house.root}: "{MORE}"' if offset + limit < end else None
            assert answer.headers.get("warning") == said, (path, page)


REFUSED = [
    ("PatientName=Muster*", "names"),
    ("00100010=Muster^Erika", "names"),
    ("PatientID=PAT*", "wildcards"),
    ("PatientID=PAT-000?", "wildcards"),
    ("StudyInstanceUID=../../etc/passwd", "UID"),
    ("StudyInstanceUID=1.2%00", "UID"),
    ("StudyDate=yesterday", "YYYYMMDD"),
    ("PatientID=1&PatientID=2", "twice"),
    ("fuzzymatching=true", "exactly"),
    ("limit=-1", "limit"),
    ("offset=many", "offset"),
    ("no-such-attribute=1", "matched"),
]


def test_what_is_not_matched_is_refused(web_house: WebHouse) -> None:
    for query, said in REFUSED:
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
    study = web_house.client.get("/dicom-web/studies?includefield=all").json()[0]
    assert "00100010" in study
    assert not {"00080018", "0020000E"} & set(study)


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


def test_nothing_that_is_kept_for_searches_is_in_clear(web_house: WebHouse, files: list[Path], tmp_path: Path) -> None:
    web_house.keep(*files)
    web_house.dicomweb.search_for_studies(search_filters={"PatientID": "PAT-0001"})
    web_house.dicomweb.retrieve_study_metadata(STUDY)
    kept = [path for path in (tmp_path / "house").rglob("*") if path.is_file()]
    assert any(path.name == "store.sqlite" for path in kept)
    for path in kept:
        content = path.read_bytes()
        assert not [one for one in (b"Muster", b"PAT-0001", STUDY.encode(), b"MR Kopf") if one in content], path.name
