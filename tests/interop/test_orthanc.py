"""Orthanc sends a study by C-STORE; findings go back by C-STORE, over TLS and by STOW-RS, once, though one was down."""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dimse.certificates import new_authority
from interop.orthanc import Orthanc
from interop.service import Service, serving
from kept_study import files_of, wait_until
from zweitblick.sample import SampleTruth
from zweitblick.store.ingest import Outcome
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import FileKeyHolder

RESULTS = {"seg": "SEG", "sr": "SR", "encapsulated-pdf": "DOC"}
"""Results, and the modality of each."""


@dataclass
class House:
    """What is left after a study went from a PACS to us and back to three."""

    pacs: Orthanc
    secured: Orthanc
    archive: Orthanc
    home: Path
    source: list[pydicom.Dataset]
    results: dict[str, bytes]
    waiting: dict[str, Any]
    shown: dict[str, Any]

    @property
    def all(self) -> list[Orthanc]:
        return [self.pacs, self.secured, self.archive]


@pytest.fixture(scope="module")
def study(sample: SampleTruth) -> Path:
    return next(iter(sample.series.values())).folder.parent


@pytest.fixture(scope="module")
def house(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    authority = new_authority(folder, "authority")
    pacs = Orthanc(folder / "pacs", "PACS", forwards=True)
    secured = Orthanc(folder / "secured", "SECURED", authority=authority)
    archive = Orthanc(folder / "archive", "ARCHIVE")
    with ExitStack() as stack:
        for one in (pacs, secured, archive):
            stack.callback(one.close)
            one.start()
            one.upload(files_of(study))
        archive.stop()
        settings = folder / "settings.toml"
        settings.write_text(destinations(pacs, secured, archive))
        with serving(folder, "--config", str(settings)) as service:
            yield sent_and_returned(service, (pacs, secured, archive), folder, files_of(study))


def destinations(pacs: Orthanc, secured: Orthanc, archive: Orthanc) -> str:
    ours = secured.authority.issue("zweitblick")
    return f"""
        [[destinations]]
        name = "PACS"
        inside = true
        host = "127.0.0.1"
        port = {pacs.dicom_port}
        called_ae_title = "PACS"
        storage_commitment = true
        [[destinations]]
        name = "SECURED"
        inside = true
        host = "127.0.0.1"
        port = {secured.dicom_port}
        called_ae_title = "SECURED"
        tls = true
        ca = "{secured.authority.files.certificate}"
        certificate = "{ours.certificate}"
        key = "{ours.key}"
        [[destinations]]
        name = "ARCHIVE"
        inside = true
        url = "http://127.0.0.1:{archive.http_port}/dicom-web"
        modalities = ["MR"]
        [[destinations]]
        name = "ELSEWHERE"
        inside = true
        host = "127.0.0.1"
        port = {pacs.dicom_port}
        called_ae_title = "ELSEWHERE"
        senders = ["ANOTHER"]
    """


def sent_and_returned(
    service: Service, stations: tuple[Orthanc, Orthanc, Orthanc], home: Path, files: list[Path]
) -> House:
    pacs, secured, archive = stations
    source = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    uid = source[0].StudyInstanceUID
    pacs.send_study(service.port)
    done = {"ARCHIVE": ("waiting", "peer.unreachable"), "PACS": ("delivered", None), "SECURED": ("delivered", None)}
    wait_until(lambda: states(service.read(uid)) == done)
    waiting = service.read(uid)
    archive.start()
    shown = service.reached(uid, "awaiting review")
    wait_until(lambda: pacs.forwarded() == len(RESULTS))
    results = {name: service.result(uid, name) for name in RESULTS}
    shown = service.read(uid)
    service.process.terminate()
    service.process.wait(60)
    return House(pacs, secured, archive, home, source, results, waiting, shown)


def states(shown: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {one["destination"]: (one["state"], one["error"]) for one in shown["deliveries"]}


def test_a_destination_that_is_down_keeps_nobody_waiting_and_loses_nothing(house: House) -> None:
    assert house.waiting["state"] == "delivering"
    assert states(house.shown) == dict.fromkeys(("ARCHIVE", "PACS", "SECURED"), ("delivered", None))
    assert house.shown["state"] == "awaiting review"


def test_results_come_back_in_the_same_study_of_the_same_patient_once(house: House) -> None:
    for orthanc in house.all:
        assert len(orthanc.get("/patients")) == len(orthanc.get("/studies")) == 1
        assert len(orthanc.get("/instances")) == len(house.source) + len(RESULTS)


def test_results_are_those_that_we_keep(house: House) -> None:
    for orthanc in house.all:
        for name, modality in RESULTS.items():
            theirs, ours = orthanc.of_modality(modality), pydicom.dcmread(io.BytesIO(house.results[name]))
            assert theirs == ours
            assert theirs.file_meta.TransferSyntaxUID == ours.file_meta.TransferSyntaxUID


def test_the_outline_lies_in_the_space_of_the_images(house: House) -> None:
    frames = {one.FrameOfReferenceUID for one in house.source}
    for orthanc in house.all:
        seg = orthanc.of_modality("SEG")
        assert seg.FrameOfReferenceUID in frames
        assert seg.PatientID == house.source[0].PatientID
        assert seg.PatientName == house.source[0].PatientName
        assert seg.StudyInstanceUID == house.source[0].StudyInstanceUID
        kept = {one.SOPInstanceUID for one in house.source}
        referenced = {
            item.ReferencedSOPInstanceUID
            for series in seg.ReferencedSeriesSequence
            for item in series.ReferencedInstanceSequence
        }
        assert referenced
        assert referenced <= kept


def test_results_are_found_by_qido(house: House) -> None:
    uid = house.source[0].StudyInstanceUID
    found = house.archive.get(f"/dicom-web/studies/{uid}/series")
    modalities = [one["00080060"]["Value"][0] for one in found]
    assert sorted(set(modalities)) == ["DOC", "MR", "SEG", "SR"]
    assert len([one for one in modalities if one != "MR"]) == len(RESULTS)


def test_nothing_that_is_kept_or_logged_names_patient_or_study(house: House) -> None:
    first = house.source[0]
    secrets = [str(first.PatientName), first.PatientID, first.StudyInstanceUID]
    secrets += [pydicom.dcmread(io.BytesIO(result)).SOPInstanceUID for result in house.results.values()]
    kept = [path for path in (house.home / ".local").rglob("*") if path.is_file()]
    assert {"store.sqlite", "work.sqlite"} <= {path.name for path in kept}
    for path in [*kept, house.home / "log"]:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path.name


def test_our_objects_that_auto_routing_sends_back_begin_no_round(house: House) -> None:
    assert house.shown["round"] == 1
    assert house.shown["state"] == "awaiting review"
    holder = FileKeyHolder(house.home / ".config" / "zweitblick" / "key")
    places = StorePlaces.within(house.home / ".local" / "share" / "zweitblick")
    with Store(places, holder, clock=lambda: datetime.now(UTC)) as store:
        token = store.token(house.source[0].StudyInstanceUID)
        outcomes = [one.outcome for one in store.receptions(token)]
        assert outcomes.count(Outcome.RETURNED) == len(RESULTS)
        assert len(store.rounds(token)) == 1
        assert len(store.instances(token)) == len(house.source)
