"""Events of every kind that the product can report, of hostile text, and what puts them on record."""

from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from hypothesis import strategies as st

from zweitblick.audit import codes, events
from zweitblick.audit.codes import Action, Outcome
from zweitblick.audit.events import AuditedStudy, Transfer
from zweitblick.audit.message import AuditEvent, Participant, Source
from zweitblick.audit.reader import TrailReader
from zweitblick.audit.trail import FILE_BYTES, Trail
from zweitblick.signing.keys import FileSigner, make_signing_key
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.envelope import opened, sealed

SOURCE = Source("reader@hospital.example", "Radiology")
NOW = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)
PATIENT = "PID-geheim-4711"

text = st.text(max_size=40)
uids = st.from_regex(r"[0-2](\.(0|[1-9][0-9]{0,8})){1,6}", fullmatch=True)
addresses = st.one_of(st.just(""), st.ip_addresses().map(str), text)
participants = st.builds(
    Participant, user_id=text, ae_titles=st.lists(text, max_size=3).map(tuple), user_name=text, address=addresses
)
studies = st.builds(
    AuditedStudy,
    study_instance_uid=uids,
    patient_id=text,
    patient_name=text,
    accession_number=text,
    sop_classes=st.dictionaries(uids, st.integers(0, 10**6), max_size=4),
)
transfers = st.builds(
    Transfer,
    sender=participants,
    receiver=participants,
    study=studies,
    is_encrypted=st.sampled_from([None, True, False]),
)
alert_kinds = st.sampled_from(
    [
        codes.NODE_AUTHENTICATION,
        codes.EMERGENCY_OVERRIDE_STARTED,
        codes.EMERGENCY_OVERRIDE_STOPPED,
        codes.SECURITY_CONFIGURATION,
        codes.USE_OF_RESTRICTED_FUNCTION,
        codes.RECORDING_STARTED,
        codes.RECORDING_STOPPED,
    ]
)
successes = st.one_of(
    st.builds(events.application_started, participants),
    st.builds(events.application_stopped, participants),
    st.builds(events.audit_log_used, participants, uri=text),
    st.builds(events.transfer_begun, transfers),
    st.builds(events.transferred, transfers),
    st.builds(events.exported, transfers, uri=text),
    st.builds(events.accessed, studies, participants, action=st.sampled_from([*Action])),
    st.builds(events.accessed, studies, participants, participants),
    st.builds(events.study_deleted, studies, participants),
    st.builds(events.procedure_recorded, studies, participants, participants, action=st.sampled_from([*Action])),
    st.builds(
        events.queried,
        participants,
        participants,
        query=st.binary(max_size=60),
        sop_class_uid=st.one_of(st.just(""), uids),
    ),
    st.builds(
        events.security_alert, alert_kinds, participants, subject=text, text=text, outcome=st.sampled_from([*Outcome])
    ),
    st.builds(events.emergency_override, alert_kinds, participants, participants, studies, reason=text),
    st.builds(events.logged_in, participants, participants),
    st.builds(events.logged_out, participants, participants),
)
happenings = st.one_of(successes, st.builds(events.failed, successes, text, outcome=st.sampled_from([*Outcome])))


def access(patient: str = PATIENT) -> AuditEvent:
    return events.accessed(AuditedStudy("1.2.3", patient), Participant("doctor@hospital.example", is_requestor=True))


class EnvelopeSealer:
    """Seals with `zweitblick.vault.envelope`, as the service does."""

    def __init__(self) -> None:
        self._key = DataKey(bytes(range(32)))

    def seal(self, plain: bytes, /, *, name: str) -> bytes:
        return sealed(plain, self._key, study="audit", name=name)

    def open(self, data: bytes, /, *, name: str) -> bytes:
        return opened(data, self._key, study="audit", name=name)


def signer_in(folder: Path) -> FileSigner:
    path = folder / "signing.pem"
    if not path.exists():
        make_signing_key(path)
    return FileSigner(path)


def opened_trail(folder: Path, *, file_bytes: int = FILE_BYTES) -> Trail:
    """Open the trail of a folder, whose signing key is beside it."""
    return Trail(
        folder / "audit",
        EnvelopeSealer(),
        signer_in(folder),
        source=SOURCE,
        clock=lambda: NOW,
        file_bytes=file_bytes,
    )


def patients(folder: Path) -> list[str]:
    """Return the Patient IDs of all that is on record, in order; of other messages their code."""
    recorded = TrailReader(folder / "audit", EnvelopeSealer()).after(0, most=10**6)
    return [_patient(ET.fromstring(one.message)) for one in recorded]  # noqa: S314 -- our own


def _patient(message: ET.Element) -> str:
    code = message.find("EventIdentification/EventID").attrib["csd-code"]
    return (
        message.findall("ParticipantObjectIdentification")[-1].attrib["ParticipantObjectID"]
        if code == "110103"
        else code
    )
