"""The conformance statement says what the code does: its tables are those of the code, and of what is written."""

import io
import re
import ssl
from dataclasses import replace
from functools import partial
from pathlib import Path

import pydicom
import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import tag_for_keyword
from pydicom.pixels import get_decoder
from pydicom.uid import UID, ExplicitVRLittleEndian

from dimse.certificates import new_authority
from readings import phantom_reading
from vault.cms_house import NOW, recipient, signer
from zweitblick.catalogue.query import MATCHED, MOST_RESULTS
from zweitblick.cli.checks import SOP_CLASSES
from zweitblick.delivery.route import DICOM_RESULTS
from zweitblick.delivery.seal import Form
from zweitblick.dicom.capture import secondary_capture
from zweitblick.dicom.commitment import REPORT_NOT_TAKEN, REPORT_STATUS, REPORT_TAKEN
from zweitblick.dicom.encrypted import Filing, encrypted_instance
from zweitblick.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from zweitblick.dicom.pdf import encapsulated_pdf
from zweitblick.dicom.predecessor import predecessor
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.dimse import ListenerConfig, server_context
from zweitblick.dimse.contexts import is_encoding, is_storage
from zweitblick.dimse.find import ABOVE
from zweitblick.dimse.status import CANCELLED, FIND_STATUS, PENDING, PROCESSING_FAILURE, STATUS, STEP_STATUS, SUCCESS
from zweitblick.report.pdf import pdf
from zweitblick.vault.cms.certificates import Recipients
from zweitblick.vault.cms.enveloped import enveloped
from zweitblick.vault.cms.signed import signed
from zweitblick.web import Service, create_app, one_token

PSEUDONYM = "0123456789abcdef0123456789abcdef"
STATEMENT = (Path(__file__).parents[1] / "docs" / "conformance.md").read_text(encoding="utf-8")


def table(first: str) -> list[list[str]]:
    """Rows of the table whose header begins with a word."""
    (found,) = re.findall(rf"^\| {re.escape(first)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", STATEMENT, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found.splitlines()]


def section(title: str) -> str:
    """Text from one heading to the next."""
    return re.search(rf"^#+ {re.escape(title)}.*?\n(.*?)(?=^#|\Z)", STATEMENT, re.MULTILINE | re.DOTALL)[1]


def uids(title: str) -> dict[str, str]:
    """Names by UID of the table in a section."""
    return {uid: name for name, uid in re.findall(r"^\| ([^|]+?) \| ([0-9.]+) \|", section(title), re.MULTILINE)}


def test_sections_are_numbered_one_after_the_other_and_what_is_referred_to_is_there() -> None:
    numbers = re.findall(r"^##+ ([0-9.]*[0-9])\.? ", STATEMENT, re.MULTILINE)
    chapters = [number for number in numbers if "." not in number]
    assert chapters == [str(place) for place in range(len(chapters))]
    for chapter in chapters:
        below = [number for number in numbers if number.startswith(f"{chapter}.")]
        assert below == [f"{chapter}.{place}" for place in range(1, len(below) + 1)]
    assert set(re.findall(r"(?:(?<![0-9] )section|see) ([0-9]\.[0-9]+)\b", STATEMENT)) <= set(numbers)


def test_storage_classes_are_those_that_are_accepted() -> None:
    assert uids("Annex A.") == {uid: UID(uid).name for uid in UID_dictionary if is_storage(UID(uid))}


def test_transfer_syntaxes_are_those_that_are_accepted() -> None:
    assert uids("Annex B.") == {uid: UID(uid).name for uid in UID_dictionary if is_encoding(UID(uid))}


def test_transfer_syntaxes_that_are_read_have_a_decoder() -> None:
    read = {row[1] for row in table("Transfer syntax") if row[2] == "x"}
    assert read == {uid for uid in uids("Annex B.") if not UID(uid).is_encapsulated or decodes(uid)}


def decodes(uid: str) -> bool:
    try:
        return get_decoder(UID(uid)).is_available
    except NotImplementedError:
        return False


def test_the_implementation_is_named() -> None:
    assert f"| {IMPLEMENTATION_CLASS_UID} |" in section("2.1 ")
    assert IMPLEMENTATION_VERSION.startswith("ZWEITBLICK_")
    assert "`ZWEITBLICK_`" in section("2.1 ")


def test_limits_are_the_listeners() -> None:
    config = ListenerConfig()
    said = {name.strip("`"): float(value) for name, value, _ in table("Limit")}
    assert said == {name: getattr(config, name) for name in said}
    assert {name for name in vars(config) if name.startswith("maximum") or name.endswith("_s")} == set(said)


def test_statuses_are_those_that_are_given() -> None:
    assert {int(status, 16) for status, _, _ in table("Status")} == {SUCCESS, PROCESSING_FAILURE, *STATUS.values()}


def test_statuses_of_queries_are_those_that_are_given() -> None:
    said = {int(status, 16) for status, _, _ in table("Find status")}
    assert said == {SUCCESS, PENDING, CANCELLED, *FIND_STATUS.values()}
    assert f"more than {MOST_RESULTS:,} match" in section("2.7 ")


def test_keys_are_those_that_are_matched() -> None:
    said = table("Key")
    assert {f"{tag_for_keyword(keyword):08X}" for keyword, _, _ in said} == set(MATCHED)
    assert {level.strip("`") for _, level, _ in said} == set(ABOVE)


def test_statuses_of_commitment_reports_are_those_that_are_given() -> None:
    said = {int(status, 16) for status, _, _ in table("Report status")}
    assert said == {REPORT_TAKEN, REPORT_NOT_TAKEN, *REPORT_STATUS.values()}


def test_statuses_of_procedure_steps_are_those_that_are_given() -> None:
    said = {int(status, 16) for status, _, _ in table("MPPS status")}
    assert said == {SUCCESS, PROCESSING_FAILURE, *STEP_STATUS.values()}


def test_cipher_suites_are_those_that_are_offered(tmp_path: Path) -> None:
    ours = new_authority(tmp_path, "authority").issue("server")
    context = server_context(ours.certificate, ours.key)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    offered = {(cipher["name"], cipher["protocol"].removeprefix("TLSv")) for cipher in context.get_ciphers()}
    assert {tuple(row) for row in table("Cipher suite")} == offered


def test_objects_that_are_sent_are_those_of_a_destination() -> None:
    assert [uid for _, uid, _ in table("Sent")] == [SOP_CLASSES[result] for result in DICOM_RESULTS]


def test_transactions_are_those_that_are_served() -> None:
    described = create_app(Service(None, None, None, None), doors=one_token("")).openapi()["paths"]
    served = {
        (method.upper(), path.removeprefix("/dicom-web"))
        for path, methods in described.items()
        for method in methods
        if path.startswith("/dicom-web/")
    }
    said = [*table("Transaction"), *table("Web service")]
    assert {(method, path.strip("`")) for _, method, path in said} == {
        (method, path.replace("{path:path}", "{path}")) for method, path in served
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pydicom.Dataset]:
    """Objects of a reading that supersedes another."""
    first = phantom_reading(tmp_path_factory.mktemp("source"))
    documents = (structured_report(first, segmentation(first)), encapsulated_pdf(first, pdf(first)))
    reading = replace(first, predecessors=tuple(map(predecessor, documents)))
    seg = segmentation(reading)
    made = {
        "SEG": seg,
        "SR": structured_report(reading, seg),
        "PDF": encapsulated_pdf(reading, pdf(reading)),
        "SC": secondary_capture(reading)[0],
    }
    return {name: pydicom.dcmread(io.BytesIO(content)) for name, content in made.items()}


def test_objects_are_of_the_classes_that_are_said_to_be_made(written: dict[str, pydicom.Dataset]) -> None:
    said = re.findall(r"^\| .+ Storage \| ([0-9.]+) \|$", section("1. Objects"), re.MULTILINE)
    assert said == [dataset.SOPClassUID for dataset in written.values()]
    for dataset in written.values():
        assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert dataset.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID


def test_attributes_are_those_that_are_written(written: dict[str, pydicom.Dataset]) -> None:
    rows = table("Tag")
    for row in rows:
        tag = tag_for_keyword(row[1])
        assert row[0] == f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    for column, (name, dataset) in enumerate(written.items(), start=2):
        said = {row[1] for row in rows if row[column] == "x"}
        assert said == {element.keyword for element in dataset}, name


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> tuple[pydicom.Dataset, pydicom.Dataset]:
    """A report, and what is filed of it outside."""
    reading = phantom_reading(tmp_path_factory.mktemp("source"))
    report = structured_report(reading, segmentation(reading))
    made = encrypted_instance(
        report,
        Filing(PSEUDONYM, bytes(32)),
        signed=partial(signed, signer=signer(), at=NOW),
        enveloped=partial(enveloped, recipients=Recipients((recipient().certificate,)), at=NOW),
    )
    return pydicom.dcmread(io.BytesIO(report)), pydicom.dcmread(io.BytesIO(made))


def test_attributes_in_clear_are_those_that_are_said(encrypted: tuple[pydicom.Dataset, pydicom.Dataset]) -> None:
    original, filed = encrypted
    rows = table("In clear")
    assert [keyword for _, keyword, _ in rows] == [element.keyword for element in filed]
    for tag, keyword, value in rows:
        assert tag == f"({tag_for_keyword(keyword) >> 16:04X},{tag_for_keyword(keyword) & 0xFFFF:04X})"
        if said := re.fullmatch(r"`([^`]+)`", value):
            assert str(filed[keyword].value) == said[1], keyword
        elif value == "empty":
            assert not filed[keyword].value, keyword
        elif value == "derived":
            assert filed[keyword].value.startswith(f"{IMPLEMENTATION_CLASS_UID}."), keyword
            assert filed[keyword].value != original[keyword].value
    assert filed.PatientName == f"{filed.PatientID}^"
    assert filed.PatientID == PSEUDONYM
    assert filed.DeidentificationMethodCodeSequence[0].CodeValue == "113100"


def test_forms_are_those_that_can_be_set() -> None:
    assert [form.strip("`") for form, _ in table("Form")] == list(Form)


def test_values_in_code_font_are_written(written: dict[str, pydicom.Dataset]) -> None:
    """Of the values that are said alike for all objects."""
    checked = 0
    for _, keyword, *_, value in table("Tag"):
        if (said := re.fullmatch(r"`([^`]+)`", value)) and keyword != "CodingSchemeIdentificationSequence":
            for dataset in written.values():
                if keyword in dataset:
                    checked += 1
                    assert str(dataset[keyword].value) == said[1], keyword
    assert checked > 20
