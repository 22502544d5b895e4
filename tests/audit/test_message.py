"""Every message is one of PS3.15 section A.5: by the standard's schema, its tables, and pydicom's list of codes."""

import base64
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree
from pydicom.sr.codedict import codes as codes_of

from audit.happenings import NOW, PATIENT, SOURCE, access, happenings
from zweitblick.audit import codes, events
from zweitblick.audit.codes import Action, Code, Outcome
from zweitblick.audit.events import AuditedStudy, Transfer
from zweitblick.audit.message import AuditEvent, Participant, xml

SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).with_name("audit-message.rng")))
OURS = [code for code in vars(codes).values() if isinstance(code, Code)]
STUDY = AuditedStudy("1.2.3", PATIENT, "Name^Vorname", "A-17", {"1.2.840.10008.5.1.4.1.1.4": 27})
SCANNER = Participant("10.0.0.7", ae_titles=("SCANNER",), address="10.0.0.7", is_requestor=True)
READER = Participant("4242", ae_titles=("ZWEITBLICK",), address="10.0.0.5")


def message(event: AuditEvent, at: datetime = NOW) -> ET.Element:
    """Write an event, and read it by a parser that is not the writer's."""
    written = xml(event, at=at, source=SOURCE)
    return ET.fromstring(etree.tostring(etree.fromstring(written)))  # noqa: S314 -- our own


def coded(element: ET.Element) -> tuple[str, str, str]:
    return element.attrib["csd-code"], element.attrib["codeSystemName"], element.attrib["originalText"]


def about(root: ET.Element, id_type: str) -> ET.Element:
    (found,) = [
        element
        for element in root.iter("ParticipantObjectIdentification")
        if element.find("ParticipantObjectIDTypeCode").attrib["csd-code"] == id_type
    ]
    return found


@given(happenings, st.datetimes(datetime(1970, 1, 2), timezones=st.timezones()))  # noqa: DTZ001 -- zones are drawn
@example(access("Böse\0\r\n\ud800\uffff<&\"'>]]>"), NOW)
def test_every_message_is_valid_and_has_no_line_end(event: AuditEvent, at: datetime) -> None:
    written = xml(event, at=at, source=SOURCE)
    parsed = etree.fromstring(written)
    assert SCHEMA.validate(parsed), SCHEMA.error_log
    assert b"\n" not in written
    assert b"\r" not in written
    assert len(parsed.findall("ActiveParticipant")) == len(event.participants)


@pytest.mark.parametrize(
    "wrong",
    [
        b'<AuditMessage EventID="1"/>',
        xml(access(), at=NOW, source=SOURCE).replace(b"ParticipantObjectName", b"ParticipantObjectTitle"),
        xml(access(), at=NOW, source=SOURCE).replace(b'UserIsRequestor="true"', b'UserIsRequestor="maybe"'),
        xml(access(), at=NOW, source=SOURCE).replace(b"T08:00", b" 08:00"),
    ],
)
def test_the_schema_refuses_what_is_wrong(wrong: bytes) -> None:
    assert not SCHEMA.validate(etree.fromstring(wrong))


def test_codes_mean_what_pydicom_says() -> None:
    known = {(entry.value, entry.meaning) for name in codes_of.DCM.dir() for entry in [getattr(codes_of.DCM, name)]}
    assert {(code.value, code.meaning) for code in OURS if code.system == "DCM"} <= known


@pytest.mark.parametrize(
    ("event", "code", "action"),
    [  # PS3.15 tables A.5.3.1-1 to A.5.3.12-1
        (events.application_started(READER), ("110100", "DCM", "Application Activity"), "E"),
        (events.audit_log_used(READER, uri="file:///audit"), ("110101", "DCM", "Audit Log Used"), "R"),
        (
            events.transfer_begun(Transfer(SCANNER, READER, STUDY)),
            ("110102", "DCM", "Begin Transferring DICOM Instances"),
            "E",
        ),
        (events.exported(Transfer(READER, SCANNER, STUDY), uri="u"), ("110106", "DCM", "Export"), "R"),
        (events.accessed(STUDY, READER), ("110103", "DCM", "DICOM Instances Accessed"), "R"),
        (
            events.transferred(Transfer(SCANNER, READER, STUDY)),
            ("110104", "DCM", "DICOM Instances Transferred"),
            "C",
        ),
        (events.study_deleted(STUDY, READER), ("110105", "DCM", "DICOM Study Deleted"), "D"),
        (events.procedure_recorded(STUDY, SCANNER, action=Action.UPDATE), ("110111", "DCM", "Procedure Record"), "U"),
        (events.queried(SCANNER, READER, query=b""), ("110112", "DCM", "Query"), "E"),
        (
            events.security_alert(
                codes.NODE_AUTHENTICATION, READER, subject="10.0.0.9", text="", outcome=Outcome.MINOR_FAILURE
            ),
            ("110113", "DCM", "Security Alert"),
            "E",
        ),
        (events.logged_in(SCANNER, READER), ("110114", "DCM", "User Authentication"), "E"),
    ],
    ids=lambda value: value[2] if isinstance(value, tuple) else "",
)
def test_events_have_the_codes_and_actions_of_the_tables(
    event: AuditEvent, code: tuple[str, str, str], action: str
) -> None:
    head = message(event).find("EventIdentification")
    assert coded(head.find("EventID")) == code
    assert head.attrib["EventActionCode"] == action
    assert head.attrib["EventOutcomeIndicator"] == ("4" if code[0] == "110113" else "0")
    assert datetime.fromisoformat(head.attrib["EventDateTime"]) == NOW


@pytest.mark.parametrize("kind", [events.transfer_begun, events.transferred])
def test_a_transfer_names_both_ends_the_study_and_the_patient(kind: object) -> None:
    root = message(kind(Transfer(SCANNER, READER, STUDY, is_encrypted=False)))
    sender, receiver = root.iter("ActiveParticipant")
    assert coded(sender.find("RoleIDCode")) == ("110153", "DCM", "Source Role ID")
    assert coded(receiver.find("RoleIDCode")) == ("110152", "DCM", "Destination Role ID")
    assert sender.attrib == {
        "UserID": "10.0.0.7",
        "AlternativeUserID": "AETITLES=SCANNER",
        "UserIsRequestor": "true",
        "NetworkAccessPointID": "10.0.0.7",
        "NetworkAccessPointTypeCode": "2",
    }
    study, patient = about(root, "110180"), about(root, "2")
    assert study.attrib["ParticipantObjectID"] == "1.2.3"
    assert (study.attrib["ParticipantObjectTypeCode"], study.attrib["ParticipantObjectTypeCodeRole"]) == ("2", "3")
    assert (patient.attrib["ParticipantObjectTypeCode"], patient.attrib["ParticipantObjectTypeCodeRole"]) == ("1", "1")
    assert patient.attrib["ParticipantObjectID"] == PATIENT
    assert patient.findtext("ParticipantObjectName") == "Name^Vorname"
    described = study.find("ParticipantObjectDescription")
    assert described.find("SOPClass").attrib == {"UID": "1.2.840.10008.5.1.4.1.1.4", "NumberOfInstances": "27"}
    assert described.find("Accession").attrib == {"Number": "A-17"}
    assert described.findtext("Encrypted") == "false"


def test_an_alert_has_its_description() -> None:
    event = events.security_alert(
        codes.RECORDING_STARTED, READER, subject="file:///audit", text="Wörter", outcome=Outcome.SUCCESS
    )
    subject = about(message(event), "12")
    detail = subject.find("ParticipantObjectDetail").attrib
    assert (detail["type"], base64.b64decode(detail["value"]).decode()) == ("Alert Description", "Wörter")


def test_a_query_holds_its_data_set_and_transfer_syntax() -> None:
    model = "1.2.840.10008.5.1.4.1.2.2.1"
    subject = about(message(events.queried(SCANNER, READER, query=b"\x10\0 \0", sop_class_uid=model)), "110181")
    assert subject.attrib["ParticipantObjectID"] == model
    assert base64.b64decode(subject.findtext("ParticipantObjectQuery")) == b"\x10\0 \0"
    detail = subject.find("ParticipantObjectDetail").attrib
    assert (detail["type"], base64.b64decode(detail["value"])) == ("TransferSyntax", b"1.2.840.10008.1.2")


@pytest.mark.parametrize(
    "event",
    [
        events.audit_log_used(READER, uri="u"),
        events.logged_in(SCANNER, READER),
        events.emergency_override(codes.EMERGENCY_OVERRIDE_STARTED, SCANNER, READER, STUDY, reason="now"),
        events.queried(READER, SCANNER, query=b""),
    ],
)
def test_who_asks_is_the_only_requestor(event: AuditEvent) -> None:
    asking = [one.attrib["UserIsRequestor"] for one in message(event).iter("ActiveParticipant")]
    assert asking == ["true", "false"][: len(asking)]


def test_a_failure_says_its_code() -> None:
    head = message(events.failed(access(), "store.full")).find("EventIdentification")
    assert head.attrib["EventOutcomeIndicator"] == "8"
    assert head.findtext("EventOutcomeDescription") == "store.full"


def test_a_repr_tells_nothing() -> None:
    secret = AuditedStudy(PATIENT, PATIENT, PATIENT, PATIENT)
    who = Participant(PATIENT, (PATIENT,), PATIENT, PATIENT)
    queried = events.queried(who, who, query=PATIENT.encode())
    shown = repr((secret, who, Transfer(who, who, secret), events.accessed(secret, who), queried))
    assert "Participant" in shown
    assert PATIENT not in shown
