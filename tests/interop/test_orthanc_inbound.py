"""Orthanc sends one study over DICOM TLS and another by STOW-RS; findings come back in each, and are found by QIDO."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dimse.certificates import Authority, new_authority
from interop.orthanc import Orthanc
from interop.service import Service, serving
from reading_house import with_new_uids
from zweitblick.store.life import State

RESULTS = ("SEG", "SR", "DOC")
"""Modalities of what comes back."""


@dataclass
class Sent:
    """A study in Orthanc that was sent to us."""

    study: str
    patient: str
    name: str
    frame: str
    instances: set[str]


@dataclass
class House:
    """A PACS, and a service that has read what came from it."""

    pacs: Orthanc
    service: Service
    studies: dict[str, Sent]

    def qido(self, uri: str, **arguments: str) -> list[dict[str, Any]]:
        """Search in ours from the PACS."""
        asked = {"Uri": uri, "Arguments": arguments}
        answer = self.pacs.client.post("/dicom-web/servers/us/qido", json=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def house(quick_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    authority = new_authority(folder, "authority")
    with closing(Orthanc(folder / "pacs", "PACS", authority=authority)) as pacs:
        pacs.start()
        studies = {
            "DICOM TLS": uploaded(pacs, quick_files, folder),
            "STOW": uploaded(pacs, quick_files, folder, PatientID="ANOTHER", PatientName="Another^Somebody"),
        }
        settings = folder / "settings.toml"
        settings.write_text(as_set(pacs, authority))
        with serving(folder, "--config", str(settings)) as service:
            send_over_tls(pacs, service, studies["DICOM TLS"].study)
            send_by_stow(pacs, service, studies["STOW"].study)
            for sent in studies.values():
                service.reached(sent.study, State.AWAITING_REVIEW)
            yield House(pacs, service, studies)


def uploaded(pacs: Orthanc, files: list[Path], folder: Path, **header: str) -> Sent:
    """Let the PACS have a study under new UIDs."""
    study = folder / header.get("PatientID", "same")
    study.mkdir()
    data = [with_new_uids(path, study.name, **header) for path in files]
    for number, one in enumerate(data):
        one.save_as(study / str(number))
    pacs.upload(sorted(study.iterdir()))
    first = data[0]
    instances = {str(one.SOPInstanceUID) for one in data}
    return Sent(first.StudyInstanceUID, first.PatientID, str(first.PatientName), first.FrameOfReferenceUID, instances)


def as_set(pacs: Orthanc, authority: Authority) -> str:
    ours = authority.issue("zweitblick")
    return f"""
        [dicom]
        ae_title = "ZWEITBLICK"
        calling_ae_titles = ["PACS"]
        certificate = "{ours.certificate}"
        key = "{ours.key}"
        client_cas = "{authority.files.certificate}"
        [[destinations]]
        name = "PACS"
        inside = true
        host = "127.0.0.1"
        port = {pacs.dicom_port}
        called_ae_title = "PACS"
        tls = true
        ca = "{authority.files.certificate}"
        certificate = "{ours.certificate}"
        key = "{ours.key}"
    """


def send_over_tls(pacs: Orthanc, service: Service, study: str) -> None:
    (resource,) = pacs.found("Study", StudyInstanceUID=study)
    pacs.send(resource, service.port)


def send_by_stow(pacs: Orthanc, service: Service, study: str) -> None:
    """The plugin of Orthanc learns our address and token first."""
    us = {"Url": f"{service.client.base_url}/dicom-web/"}
    us["HttpHeaders"] = {"Authorization": service.client.headers["Authorization"]}
    assert pacs.client.put("/dicom-web/servers/us", json=us).status_code == 200
    (resource,) = pacs.found("Study", StudyInstanceUID=study)
    sent = pacs.client.post("/dicom-web/servers/us/stow", json={"Resources": [resource], "Synchronous": True})
    assert sent.status_code == 200, sent.text


WAYS = pytest.mark.parametrize("way", ["DICOM TLS", "STOW"])


@WAYS
def test_results_come_back_in_the_study_of_the_patient_once(house: House, way: str) -> None:
    sent = house.studies[way]
    assert len(house.pacs.found("Patient")) == len(house.pacs.found("Study")) == len(house.studies)
    assert len(house.pacs.found("Instance", StudyInstanceUID=sent.study)) == len(sent.instances) + len(RESULTS)
    for modality in RESULTS:
        result = house.pacs.of_modality(modality, StudyInstanceUID=sent.study)
        assert (result.PatientID, str(result.PatientName)) == (sent.patient, sent.name)
        assert result.StudyInstanceUID == sent.study


@WAYS
def test_they_lie_in_the_space_of_the_images_and_name_those(house: House, way: str) -> None:
    sent = house.studies[way]
    seg, sr = (house.pacs.of_modality(modality, StudyInstanceUID=sent.study) for modality in ("SEG", "SR"))
    assert seg.FrameOfReferenceUID == sent.frame
    assert set(values(sr, "ReferencedFrameOfReferenceUID")) == {sent.frame}
    assert set(values(seg.ReferencedSeriesSequence, "ReferencedSOPInstanceUID")) == sent.instances


@WAYS
def test_they_are_found_by_qido_in_the_pacs_and_in_ours(house: House, way: str) -> None:
    sent = house.studies[way]
    (theirs,) = house.pacs.get(f"/dicom-web/studies?PatientID={sent.patient}")
    assert theirs["0020000D"]["Value"] == [sent.study]
    found = house.pacs.get(f"/dicom-web/studies/{sent.study}/series")
    assert sorted(one["00080060"]["Value"][0] for one in found) == sorted(["MR", *RESULTS])
    (ours,) = house.qido("/studies", PatientID=sent.patient)
    assert ours["0020000D"]["Value"] == sent.study  # in Orthanc's own form
    shown = house.qido(f"/studies/{sent.study}/series")
    assert sorted(one["00080060"]["Value"] for one in shown) == sorted(["MR", *RESULTS])


def values(data: Any, keyword: str) -> list[str]:
    """Return every value of an attribute, however deep it lies."""
    items = [data] if isinstance(data, pydicom.Dataset) else data
    return [element.value for item in items for element in item.iterall() if element.keyword == keyword]
