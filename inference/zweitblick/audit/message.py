"""Audit messages: an event, who took part, and what it was about, as the XML of PS3.15 section A.5.1."""

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from zweitblick.audit.codes import Action, Code, ObjectRole, ObjectType, Outcome

APPLICATION_SERVER = "4"
"""Audit Source Type Code of an application server process (PS3.15 section A.5.1.2.1)."""

_MACHINE_NAME, _IP_ADDRESS = "1", "2"
"""NetworkAccessPointTypeCode of PS3.15 section A.5.1.1."""

_NO_XML = re.compile("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (production 2) does not allow, and line ends, which a syslog receiver may take for a message's end."""


@dataclass(frozen=True)
class Source:
    """Who reports: AuditSourceIdentification.

    Parameters
    ----------
    id
        Name of this system.
    site
        Where it stands; empty if there is but one.
    """

    id: str
    site: str = ""


@dataclass(frozen=True)
class Participant:
    """A person, process or node that takes part: ActiveParticipant; nothing of it is in its ``repr``.

    Parameters
    ----------
    user_id
        ``login@domain`` of a person, id of a process, or name of a node (PS3.15 section A.5.2.1).
    ae_titles
        Of a DICOM application (section A.5.2.2).
    user_name
        For people.
    address
        IP address, or machine name; empty if it has none.
    is_requestor
        Whether it began what happened; of one participant at most.
    roles
        What it plays.
    media
        What kind of medium it is, if it is one.
    """

    user_id: str = field(repr=False)
    ae_titles: tuple[str, ...] = field(default=(), repr=False)
    user_name: str = field(default="", repr=False)
    address: str = field(default="", repr=False)
    is_requestor: bool = False
    roles: tuple[Code, ...] = ()
    media: Code | None = None


@dataclass(frozen=True)
class Description:
    """What is in a study: ParticipantObjectDescription.

    Written only if SOP classes are known: without them table A.5.2-1 allows none of the others.

    Parameters
    ----------
    sop_classes
        Number of instances by SOP Class UID.
    accession_number
        Empty if it is not known.
    is_encrypted
        Whether the instances were enciphered on their way; None if they were not on any.
    is_anonymized
        Whether what identifies the patient was removed; None if nobody asked.
    """

    sop_classes: Mapping[str, int] = field(default_factory=dict)
    accession_number: str = field(default="", repr=False)
    is_encrypted: bool | None = None
    is_anonymized: bool | None = None


@dataclass(frozen=True)
class AuditObject:
    """What an event is about: ParticipantObjectIdentification.

    Parameters
    ----------
    id
        Identifies it; of the kind that ``id_type`` says.
    id_type, type, role
        What it is.
    name
        For people.
    query
        What was asked for, in the form of its protocol; None if nothing was.
    details
        Further values by type.
    description
        Of a study; None of anything else.
    """

    id: str = field(repr=False)
    id_type: Code
    type: ObjectType
    role: ObjectRole | None = None
    name: str = field(default="", repr=False)
    query: bytes | None = field(default=None, repr=False)
    details: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    description: Description | None = None


@dataclass(frozen=True)
class AuditEvent:
    """What happened, but for when, and who says so.

    Parameters
    ----------
    id, types
        What it is.
    action, outcome
        What was done, and how it ended.
    outcome_description
        Why it failed: a code of `zweitblick.errors`.
    participants
        Who took part; at least one.
    objects
        What it is about.
    """

    id: Code
    action: Action
    participants: tuple[Participant, ...]
    types: tuple[Code, ...] = ()
    outcome: Outcome = Outcome.SUCCESS
    outcome_description: str = ""
    objects: tuple[AuditObject, ...] = ()


def xml(event: AuditEvent, *, at: datetime, source: Source) -> bytes:
    """Write an audit message, in UTF-8 and without line ends.

    Characters that XML does not have, which a hostile AE title or Patient ID may bring, become U+FFFD.

    Parameters
    ----------
    event
        What happened.
    at
        When; aware (PS3.15 section A.5.2.5).
    source
        Who says so.
    """
    root = ET.Element("AuditMessage")
    _add_event(root, event, at)
    for participant in event.participants:
        _add_participant(root, participant)
    _add_source(root, source)
    for subject in event.objects:
        _add_object(root, subject)
    return ET.tostring(root, encoding="unicode").encode()


def _add(parent: ET.Element, name: str, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, name, {key: _clean(value) for key, value in attributes.items()})


def _add_text(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = _clean(text)


def _clean(text: str) -> str:
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _add_code(parent: ET.Element, name: str, code: Code) -> None:
    element = _add(parent, name, codeSystemName=code.system, originalText=code.meaning)
    element.set("csd-code", code.value)


def _add_event(root: ET.Element, event: AuditEvent, at: datetime) -> None:
    element = _add(
        root,
        "EventIdentification",
        EventActionCode=event.action,
        EventDateTime=at.astimezone(UTC).isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=str(int(event.outcome)),
    )
    _add_code(element, "EventID", event.id)
    for kind in event.types:
        _add_code(element, "EventTypeCode", kind)
    if event.outcome_description:
        _add_text(element, "EventOutcomeDescription", event.outcome_description)


def _add_participant(root: ET.Element, participant: Participant) -> None:
    element = _add(
        root,
        "ActiveParticipant",
        UserID=participant.user_id,
        UserIsRequestor=_boolean(participant.is_requestor),
        **_alternative(participant),
        **_access_point(participant.address),
    )
    for role in participant.roles:
        _add_code(element, "RoleIDCode", role)
    if participant.media is not None:
        _add_code(_add(element, "MediaIdentifier"), "MediaType", participant.media)


def _alternative(participant: Participant) -> dict[str, str]:
    """Return what else a participant is called, as far as it is known."""
    names = {}
    if participant.ae_titles:
        names["AlternativeUserID"] = "AETITLES=" + ";".join(participant.ae_titles)
    if participant.user_name:
        names["UserName"] = participant.user_name
    return names


def _access_point(address: str) -> dict[str, str]:
    if not address:
        return {}
    try:
        ipaddress.ip_address(address)
        kind = _IP_ADDRESS
    except ValueError:
        kind = _MACHINE_NAME
    return {"NetworkAccessPointID": address, "NetworkAccessPointTypeCode": kind}


def _add_source(root: ET.Element, source: Source) -> None:
    site = {"AuditEnterpriseSiteID": source.site} if source.site else {}
    element = _add(root, "AuditSourceIdentification", AuditSourceID=source.id, **site)
    _add(element, "AuditSourceTypeCode").set("csd-code", APPLICATION_SERVER)


def _add_object(root: ET.Element, subject: AuditObject) -> None:
    role = {} if subject.role is None else {"ParticipantObjectTypeCodeRole": str(int(subject.role))}
    element = _add(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=subject.id,
        ParticipantObjectTypeCode=str(int(subject.type)),
        **role,
    )
    _add_code(element, "ParticipantObjectIDTypeCode", subject.id_type)
    if subject.query is None:  # the schema has one of the two, the tables of section A.5.3 ask for neither
        _add_text(element, "ParticipantObjectName", subject.name)
    else:
        _add_text(element, "ParticipantObjectQuery", _base64(subject.query))
    for kind, value in subject.details.items():
        _add(element, "ParticipantObjectDetail", type=kind, value=_base64(value))
    if subject.description is not None and subject.description.sop_classes:
        _add_description(element, subject.description)


def _add_description(parent: ET.Element, description: Description) -> None:
    element = _add(parent, "ParticipantObjectDescription")
    if description.accession_number:
        _add(element, "Accession", Number=description.accession_number)
    for uid, instances in sorted(description.sop_classes.items()):
        _add(element, "SOPClass", UID=uid, NumberOfInstances=str(instances))
    if description.is_encrypted is not None:
        _add_text(element, "Encrypted", _boolean(description.is_encrypted))
    if description.is_anonymized is not None:
        _add_text(element, "Anonymized", _boolean(description.is_anonymized))


def _boolean(value: bool) -> str:  # noqa: FBT001 -- it is the value that is written
    return "true" if value else "false"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
