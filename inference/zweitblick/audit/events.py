"""The events of PS3.15 section A.5.3 that zweitblick reports, each with who takes part and what it is about.

What a reading does has no event of its own. It uses a study's instances and creates new ones, which is DICOM Instances
Accessed (section A.5.3.6: "viewed, utilized, updated"); Procedure Record (A.5.3.15) tells of what modalities do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from zweitblick.audit import codes
from zweitblick.audit.codes import Action, Code, ObjectRole, ObjectType, Outcome
from zweitblick.audit.message import AuditEvent, AuditObject, Description, Participant

ALERT_DESCRIPTION = "Alert Description"
"""Type of the detail that a Security Alert must have (PS3.15 section A.5.3.11)."""


@dataclass(frozen=True)
class AuditedStudy:
    """A study, as audit messages name it; nothing that identifies it is in its ``repr``.

    Parameters
    ----------
    study_instance_uid, patient_id, patient_name, accession_number
        As its headers have them; but for the first, empty where nobody has read them yet.
    sop_classes
        Number of instances that the event is about, by SOP Class UID.
    """

    study_instance_uid: str = field(repr=False)
    patient_id: str = field(default="", repr=False)
    patient_name: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)
    sop_classes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Transfer:
    """Instances of a study on their way between two nodes.

    Parameters
    ----------
    sender, receiver
        The processes at both ends; the one that asked for it is the requestor.
    study
        What is transferred.
    is_encrypted
        Whether the instances themselves are enciphered, not only their way; None if that does not arise.
    """

    sender: Participant
    receiver: Participant
    study: AuditedStudy
    is_encrypted: bool | None = None


def application_started(process: Participant) -> AuditEvent:
    """Tell that a process has started (section A.5.3.1)."""
    return _application(codes.APPLICATION_START, process)


def application_stopped(process: Participant) -> AuditEvent:
    """Tell that a process ends (section A.5.3.1)."""
    return _application(codes.APPLICATION_STOP, process)


def audit_log_used(reader: Participant, *, uri: str) -> AuditEvent:
    """Tell that somebody reads the audit trail (section A.5.3.2).

    Parameters
    ----------
    reader
        Who reads.
    uri
        Of the trail.
    """
    log = AuditObject(uri, codes.URI, ObjectType.SYSTEM, ObjectRole.SECURITY_RESOURCE, name="Security Audit Log")
    return AuditEvent(codes.AUDIT_LOG_USED, Action.READ, (replace(reader, is_requestor=True),), objects=(log,))


def transfer_begun(transfer: Transfer) -> AuditEvent:
    """Tell that instances are about to be transferred (section A.5.3.3)."""
    return _transferring(codes.BEGIN_TRANSFERRING, Action.EXECUTE, transfer)


def transferred(transfer: Transfer, *, action: Action = Action.CREATE) -> AuditEvent:
    """Tell that instances were transferred (section A.5.3.7).

    Parameters
    ----------
    transfer
        Of what.
    action
        `Action.CREATE` if they are new to their receiver, `Action.READ` if they are not, or if that is not known.
    """
    return _transferring(codes.INSTANCES_TRANSFERRED, action, transfer)


def exported(transfer: Transfer, *, uri: str) -> AuditEvent:
    """Tell that data leave the hospital's control (section A.5.3.4).

    Parameters
    ----------
    transfer
        From us to whom; its receiver's address is that of the medium.
    uri
        Where the data go to.
    """
    medium = Participant(
        uri, address=transfer.receiver.address, roles=(codes.DESTINATION_MEDIA,), media=codes.MEDIA_URI
    )
    return AuditEvent(
        codes.EXPORT,
        Action.READ,
        (_in_role(transfer.receiver, codes.DESTINATION), _in_role(transfer.sender, codes.SOURCE), medium),
        objects=_study_and_patient(transfer.study, is_encrypted=transfer.is_encrypted),
    )


def accessed(study: AuditedStudy, *who: Participant, action: Action = Action.READ) -> AuditEvent:
    """Tell that instances of a study, or findings made of them, are read or made (section A.5.3.6).

    Parameters
    ----------
    study
        Whose.
    who
        Person, process, or both.
    action
        What is done to them; not `Action.EXECUTE`.
    """
    return AuditEvent(codes.INSTANCES_ACCESSED, action, who, objects=_study_and_patient(study))


def study_deleted(study: AuditedStudy, *who: Participant) -> AuditEvent:
    """Tell that a study is deleted for good (section A.5.3.8).

    Parameters
    ----------
    study
        Which.
    who
        Person, process, or both.
    """
    return AuditEvent(codes.STUDY_DELETED, Action.DELETE, who, objects=_study_and_patient(study))


def procedure_recorded(study: AuditedStudy, *who: Participant, action: Action) -> AuditEvent:
    """Tell that what is known of a procedure is made or changed (section A.5.3.15).

    Parameters
    ----------
    study
        That the procedure is about.
    who
        Person, process, or both.
    action
        What is done.
    """
    return AuditEvent(codes.PROCEDURE_RECORD, action, who, objects=_study_and_patient(study))


def queried(asking: Participant, answering: Participant, *, query: bytes, sop_class_uid: str = "") -> AuditEvent:
    """Tell that somebody asks what there is (section A.5.3.10).

    Parameters
    ----------
    asking, answering
        Who asks whom.
    query
        A data set in Implicit VR Little Endian if it is one of DIMSE, else the query in its protocol's form.
    sop_class_uid
        That is queried by DIMSE; empty for another protocol.
    """
    if sop_class_uid:
        details = {"TransferSyntax": b"1.2.840.10008.1.2"}
        subject = AuditObject(sop_class_uid, codes.SOP_CLASS_UID, ObjectType.SYSTEM, ObjectRole.REPORT, details=details)
    else:
        subject = AuditObject("query", codes.SEARCH_CRITERIA, ObjectType.SYSTEM, ObjectRole.QUERY)
    return AuditEvent(
        codes.QUERY,
        Action.EXECUTE,
        (
            _in_role(replace(asking, is_requestor=True), codes.SOURCE),
            _in_role(replace(answering, is_requestor=False), codes.DESTINATION),
        ),
        objects=(replace(subject, query=query),),
    )


def security_alert(kind: Code, reporter: Participant, *, subject: str, text: str, outcome: Outcome) -> AuditEvent:
    """Tell of something that touches security (section A.5.3.11).

    Parameters
    ----------
    kind
        Of PS3.16 CID 403, as in `codes.NODE_AUTHENTICATION`.
    reporter
        Who tells.
    subject
        Node that it is about, or URI of a resource.
    text
        What happened; without anything of a patient.
    outcome
        `Outcome.SUCCESS` merely informs; how bad it is otherwise.
    """
    about = AuditObject(
        subject,
        codes.URI if "://" in subject else codes.NODE_ID,
        ObjectType.SYSTEM,
        ObjectRole.SECURITY_RESOURCE,
        details={ALERT_DESCRIPTION: text.encode()},
    )
    return AuditEvent(
        codes.SECURITY_ALERT, Action.EXECUTE, (reporter,), types=(kind,), outcome=outcome, objects=(about,)
    )


def emergency_override(
    kind: Code, person: Participant, process: Participant, study: AuditedStudy, *, reason: str
) -> AuditEvent:
    """Tell that somebody sees a study in an emergency, without the right to, or does so no more (section A.5.3.11).

    Parameters
    ----------
    kind
        `codes.EMERGENCY_OVERRIDE_STARTED` or `codes.EMERGENCY_OVERRIDE_STOPPED`.
    person, process
        Who does so, and which process lets them.
    study
        Which.
    reason
        Why, and until when.
    """
    alert = security_alert(kind, person, subject=process.user_id, text=reason, outcome=Outcome.SUCCESS)
    return replace(
        alert,
        participants=(replace(person, is_requestor=True), replace(process, is_requestor=False)),
        objects=(*alert.objects, *_study_and_patient(study)),
    )


def logged_in(person: Participant, node: Participant) -> AuditEvent:
    """Tell that somebody logs in, or tries to (section A.5.3.12).

    Parameters
    ----------
    person
        Who; with an address.
    node
        Which lets them in.
    """
    return _authentication(codes.LOGIN, person, node)


def logged_out(person: Participant, node: Participant) -> AuditEvent:
    """Tell that somebody logs out, or is logged out (section A.5.3.12)."""
    return _authentication(codes.LOGOUT, person, node)


def failed(event: AuditEvent, code: str, *, outcome: Outcome = Outcome.SERIOUS_FAILURE) -> AuditEvent:
    """Tell that something did not succeed.

    Parameters
    ----------
    event
        What was tried.
    code
        Of `zweitblick.errors`.
    outcome
        How bad it is.
    """
    return replace(event, outcome=outcome, outcome_description=code)


def _application(kind: Code, process: Participant) -> AuditEvent:
    return AuditEvent(
        codes.APPLICATION_ACTIVITY, Action.EXECUTE, (_in_role(process, codes.APPLICATION),), types=(kind,)
    )


def _transferring(event: Code, action: Action, transfer: Transfer) -> AuditEvent:
    return AuditEvent(
        event,
        action,
        (_in_role(transfer.sender, codes.SOURCE), _in_role(transfer.receiver, codes.DESTINATION)),
        objects=_study_and_patient(transfer.study, is_encrypted=transfer.is_encrypted),
    )


def _authentication(kind: Code, person: Participant, node: Participant) -> AuditEvent:
    return AuditEvent(
        codes.USER_AUTHENTICATION,
        Action.EXECUTE,
        (replace(person, is_requestor=True), replace(node, is_requestor=False)),
        types=(kind,),
    )


def _in_role(participant: Participant, role: Code) -> Participant:
    return replace(participant, roles=(role,))


def _study_and_patient(study: AuditedStudy, *, is_encrypted: bool | None = None) -> tuple[AuditObject, AuditObject]:
    description = Description(study.sop_classes, study.accession_number, is_encrypted)
    return (
        AuditObject(
            study.study_instance_uid,
            codes.STUDY_INSTANCE_UID,
            ObjectType.SYSTEM,
            ObjectRole.REPORT,
            description=description,
        ),
        AuditObject(
            study.patient_id, codes.PATIENT_NUMBER, ObjectType.PERSON, ObjectRole.PATIENT, name=study.patient_name
        ),
    )
