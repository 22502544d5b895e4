"""Settings of destinations: each fault is named by the destination and its key."""

import json
import re
from pathlib import Path

import pytest

from test_settings import DESTINATIONS, HOME, ROUTES, loaded
from zweitblick.delivery.route import Origin, Route
from zweitblick.delivery.seal import Form, Seal, SigningFiles, SigningToken
from zweitblick.errors import SettingsError
from zweitblick.peers.destination import FhirDestination, JweDestination, Trust
from zweitblick.settings import load_settings
from zweitblick.vault.keyholders.places import TokenPlace

PLAIN = {"name": "PACS", "inside": True, "host": "10.0.0.7", "port": 104, "called_ae_title": "PACS"}
STOW = {"name": "PACS", "inside": True, "url": "https://pacs.example/dicom-web"}
FOLDER = {"name": "SHARE", "folder": "/mnt/share", "recipients": ["clinic.pem"]}
FHIR = {"name": "EHR", "inside": True, "fhir": "https://ehr.example/fhir"}
CLOUD = {"name": "CLOUD", "url": "https://cloud.example/dicom-web", "recipients": ["clinic.pem"]}
SEALING = "[sealing]\nkey = 'sealing.key'\ncertificate = 'sealing.pem'\n"
DESTINATION_FAULTS: list[tuple[str, dict[str, object]]] = [
    ("1.name", PLAIN | {"name": ""}),
    ("1.name", PLAIN | {"name": "a name"}),
    ("1.name", PLAIN | {"name": "x" * 33}),
    ("PACS.host", {key: value for key, value in PLAIN.items() if key != "host"}),
    ("PACS.host", PLAIN | {"host": "http://pacs"}),
    ("PACS.port", PLAIN | {"port": 0}),
    ("PACS.port", PLAIN | {"port": "x"}),
    ("PACS.called_ae_title", {key: value for key, value in PLAIN.items() if key != "called_ae_title"}),
    ("PACS.calling_ae_title", PLAIN | {"calling_ae_title": "SEVENTEEN_LETTERS"}),
    ("PACS.tls", PLAIN | {"tls": "yes"}),
    ("PACS.ca", PLAIN | {"ca": "ca.pem"}),
    ("PACS.certificate", PLAIN | {"tls": True, "certificate": "cert.pem"}),
    ("PACS.certificate", PLAIN | {"certificate": "cert.pem", "key": "cert.key"}),
    ("PACS.storage_commitment", STOW | {"storage_commitment": True}),
    ("PACS.token_file", PLAIN | {"token_file": "token"}),
    ("PACS.results", PLAIN | {"results": []}),
    ("PACS.results", PLAIN | {"results": ["pdf"]}),
    ("PACS.priors", PLAIN | {"priors": "yes"}),
    ("PACS.results", STOW | {"results": [], "priors": False}),
    ("PACS.senders", PLAIN | {"senders": ["back\\slash"]}),
    ("PACS.modalities", PLAIN | {"modalities": "MR"}),
    ("PACS.body_parts", PLAIN | {"body_parts": ["brain"]}),
    ("PACS.url", STOW | {"url": "pacs.example"}),
    ("PACS.url", STOW | {"url": "https://user:password@pacs.example"}),
    ("PACS.url", STOW | {"url": "https://pacs.example:port"}),
    ("PACS.token_file", STOW | {"url": "http://pacs.example", "token_file": "token"}),
    ("PACS.password_file", STOW | {"token_file": "token", "password_file": "password"}),
    ("PACS.colour", PLAIN | {"colour": "blue"}),
    ("PACS.recipients", {key: value for key, value in PLAIN.items() if key != "inside"}),
    ("PACS.recipients", PLAIN | {"inside": False}),
    ("PACS.inside", PLAIN | {"inside": "yes"}),
    ("PACS.recipients", PLAIN | {"recipients": ["clinic.pem"]}),
    ("PACS.form", PLAIN | {"form": "encrypted-attributes"}),
    ("SHARE.recipients", {key: value for key, value in FOLDER.items() if key != "recipients"}),
    ("SHARE.recipients", FOLDER | {"recipients": []}),
    ("SHARE.recipients", FOLDER | {"recipients": "clinic.pem"}),
    ("SHARE.form", FOLDER | {"form": "plain"}),
    ("SHARE.folder", FOLDER | {"folder": ""}),
    ("SHARE.host", FOLDER | {"host": "10.0.0.7"}),
    ("CLOUD.form", CLOUD | {"form": "sealed-file"}),
    ("CLOUD.results", CLOUD | {"results": ["seg", "sr"]}),
    ("SHARE.results", FOLDER | {"form": "encrypted-attributes", "results": ["encapsulated-pdf"]}),
    ("SHARE.form", FOLDER | {"form": "jwe"}),
    ("CLOUD.form", CLOUD | {"form": "jwe"}),
    ("EHR.fhir", FHIR | {"fhir": "https://user:password@ehr.example"}),
    ("EHR.recipients", {key: value for key, value in FHIR.items() if key != "inside"}),
    ("EHR.recipients", FHIR | {"recipients": ["clinic.pem"]}),
    ("EHR.token_file", FHIR | {"fhir": "http://ehr.example/fhir", "token_file": "token"}),
    ("EHR.ca", FHIR | {"fhir": "http://ehr.example/fhir", "ca": "ca.pem"}),
    ("EHR.form", FHIR | {"form": "jwe"}),
    ("EHR.results", FHIR | {"results": ["sr"]}),
    ("EHR.priors", FHIR | {"priors": True}),
    ("EHR.url", FHIR | {"url": "https://pacs.example/dicom-web"}),
    ("SHARE.fhir", FOLDER | {"fhir": "https://ehr.example/fhir"}),
]
"""What is wrong with a table, by the key that must be named."""


def test_destinations_say_where_and_what_for(tmp_path: Path) -> None:
    assert loaded(tmp_path, DESTINATIONS).routes == ROUTES
    assert load_settings(None, HOME).routes == ()


def test_findings_go_as_they_are_to_a_fhir_server_inside_and_sealed_to_somebody_outside(tmp_path: Path) -> None:
    inside = FHIR | {"ca": "ehr.pem", "token_file": "token", "modalities": ["MR"]}
    outside = {"name": "CLINIC", "fhir": "https://clinic.example/inbox", "recipients": ["clinic.pem"]}
    server, clinic = loaded(tmp_path, "\n".join([SEALING, table(inside), table(outside)])).routes
    there = FhirDestination("EHR", "https://ehr.example/fhir", Trust(Path("ehr.pem")), token_file=Path("token"))
    assert server == Route(there, ("fhir",), modalities=frozenset({"MR"}))
    signing = SigningFiles(Path("sealing.key"), Path("sealing.pem"))
    seal = Seal(Form.JWE, (Path("clinic.pem"),), signing)
    assert clinic == Route(JweDestination("CLINIC", "https://clinic.example/inbox"), ("fhir",), seal=seal)


@pytest.mark.parametrize(("key", "table"), DESTINATION_FAULTS)
def test_a_fault_of_a_destination_is_named_by_its_key(tmp_path: Path, key: str, table: dict[str, object]) -> None:
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
    with pytest.raises(SettingsError, match=rf"^destinations\.{re.escape(key)}\b"):
        loaded(tmp_path, "\n".join([SEALING, "[[destinations]]", *lines]))


@pytest.mark.parametrize("table", [FOLDER, CLOUD], ids=lambda table: table["name"])
def test_what_is_sealed_must_be_signed(tmp_path: Path, table: dict[str, object]) -> None:
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
    text = "\n".join(["[[destinations]]", *lines])
    (route,) = loaded(tmp_path, SEALING + text).routes
    assert route.seal is not None
    with pytest.raises(SettingsError, match=rf"^destinations\.{table['name']}\b.*sealing\.key"):
        loaded(tmp_path, text)


def test_a_key_in_the_hsm_signs_too(tmp_path: Path) -> None:
    keys = "[keys]\nholder = 'pkcs11'\npkcs11_module = 'hsm.so'\npkcs11_pin_file = 'pin'\npkcs11_token = 'Hospital 1'"
    lines = [f"{name} = {json.dumps(value)}" for name, value in CLOUD.items()]
    sealing = "[sealing]\nhsm_key = 'signing'\ncertificate = 'sealing.pem'"
    (route,) = loaded(tmp_path, "\n".join([keys, sealing, "[[destinations]]", *lines])).routes
    place = TokenPlace(Path("hsm.so"), "Hospital 1", "zweitblick", Path("pin"))
    assert route.seal is not None
    assert route.seal.signing == SigningToken(place, "signing", Path("sealing.pem"))


def test_all_faults_of_all_destinations_are_told_at_once(tmp_path: Path) -> None:
    text = """
        data = 3
        [[destinations]]
        name = "PACS"
        host = "a b"
        port = -1
        [[destinations]]
        name = "PACS"
        url = "https://pacs.example"
        [[destinations]]
        url = "https://pacs.example"
    """
    with pytest.raises(SettingsError) as raised:
        loaded(tmp_path, text)
    for key in ("data", "PACS.host", "PACS.port", "PACS.called_ae_title", "destinations.3.name"):
        assert key in str(raised.value)


@pytest.mark.parametrize("text", ["destinations = 3", "destinations = [3]", "[destinations]\nname = 'PACS'"])
def test_destinations_are_tables(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"^destinations\b"):
        loaded(tmp_path, text)


@pytest.mark.parametrize(
    ("guide", "names"),
    [("serve", {"PACS", "ARCHIVE", "EHR", "CLOUD", "SHARE", "CLINIC"}), ("pacs", {"ORTHANC", "CLOUD", "DCM4CHEE"})],
)
def test_the_documented_destinations_load(tmp_path: Path, guide: str, names: set[str]) -> None:
    text = (Path(__file__).parents[1] / "docs" / f"{guide}.md").read_text(encoding="utf-8")
    found = [loaded(tmp_path, example).routes for example in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    assert {route.destination.name for routes in found for route in routes} == names


def test_an_archive_may_be_for_earlier_studies_alone(tmp_path: Path) -> None:
    [route] = loaded(tmp_path, table(PLAIN | {"results": [], "priors": True})).routes
    assert route.priors
    assert not route.takes(Origin())
    [usual] = loaded(tmp_path, table(PLAIN)).routes
    assert not usual.priors
    assert usual.takes(Origin())


def test_an_archive_must_get_through_to_us(tmp_path: Path) -> None:
    asked = table(PLAIN | {"priors": True})
    with pytest.raises(SettingsError, match=r"destinations\.PACS\.calling_ae_title.*dicom\.calling_ae_titles"):
        loaded(tmp_path, f'[dicom]\nae_title = "OURS"\ncalling_ae_titles = ["SCANNER"]\n{asked}')
    ours = table(PLAIN | {"priors": True, "calling_ae_title": "OURS"})
    assert loaded(tmp_path, f'[dicom]\nae_title = "OURS"\ncalling_ae_titles = ["PACS"]\n{ours}').routes


def table(keys: dict[str, object]) -> str:
    return "\n".join(["[[destinations]]", *(f"{name} = {json.dumps(value)}" for name, value in keys.items())])
