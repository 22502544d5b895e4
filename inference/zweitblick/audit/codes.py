"""Codes of audit messages: PS3.16 context groups 400 to 405, and the value sets of PS3.15 section A.5.1.2."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


@dataclass(frozen=True)
class Code:
    """A coded value.

    Parameters
    ----------
    value, system, meaning
        As ``csd-code``, ``codeSystemName`` and ``originalText`` of PS3.15 section A.5.1.1.
    """

    value: str
    system: str
    meaning: str


def _dicom(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


# Events (PS3.16 CID 400)
APPLICATION_ACTIVITY = _dicom("110100", "Application Activity")
AUDIT_LOG_USED = _dicom("110101", "Audit Log Used")
BEGIN_TRANSFERRING = _dicom("110102", "Begin Transferring DICOM Instances")
INSTANCES_ACCESSED = _dicom("110103", "DICOM Instances Accessed")
INSTANCES_TRANSFERRED = _dicom("110104", "DICOM Instances Transferred")
STUDY_DELETED = _dicom("110105", "DICOM Study Deleted")
EXPORT = _dicom("110106", "Export")
PROCEDURE_RECORD = _dicom("110111", "Procedure Record")
QUERY = _dicom("110112", "Query")
SECURITY_ALERT = _dicom("110113", "Security Alert")
USER_AUTHENTICATION = _dicom("110114", "User Authentication")

# Their types (CID 401 and 403)
APPLICATION_START = _dicom("110120", "Application Start")
APPLICATION_STOP = _dicom("110121", "Application Stop")
LOGIN = _dicom("110122", "Login")
LOGOUT = _dicom("110123", "Logout")
NODE_AUTHENTICATION = _dicom("110126", "Node Authentication")
EMERGENCY_OVERRIDE_STARTED = _dicom("110127", "Emergency Override Started")
EMERGENCY_OVERRIDE_STOPPED = _dicom("110138", "Emergency Override Stopped")
SECURITY_CONFIGURATION = _dicom("110129", "Security Configuration")
USE_OF_RESTRICTED_FUNCTION = _dicom("110132", "Use of Restricted Function")
RECORDING_STOPPED = _dicom("110133", "Audit Recording Stopped")
RECORDING_STARTED = _dicom("110134", "Audit Recording Started")

# Roles of who takes part (CID 402)
APPLICATION = _dicom("110150", "Application")
DESTINATION = _dicom("110152", "Destination Role ID")
SOURCE = _dicom("110153", "Source Role ID")
DESTINATION_MEDIA = _dicom("110154", "Destination Media")

# Media (CID 405)
MEDIA_URI = _dicom("110037", "URI")

# What identifies an object (CID 404, and PS3.15 table A.5.1.2.4)
STUDY_INSTANCE_UID = _dicom("110180", "Study Instance UID")
SOP_CLASS_UID = _dicom("110181", "SOP Class UID")
NODE_ID = _dicom("110182", "Node ID")
PATIENT_NUMBER = Code("2", "RFC-3881", "Patient Number")
SEARCH_CRITERIA = Code("10", "RFC-3881", "Search Criteria")
URI = Code("12", "RFC-3881", "URI")


class Action(StrEnum):
    """What is done: EventActionCode of PS3.15 section A.5.1.1."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class Outcome(IntEnum):
    """How it ended: EventOutcomeIndicator of PS3.15 section A.5.1.1."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8
    MAJOR_FAILURE = 12


class ObjectType(IntEnum):
    """What an object is: ParticipantObjectTypeCode of PS3.15 section A.5.1.1."""

    PERSON = 1
    SYSTEM = 2


class ObjectRole(IntEnum):
    """What an object is for: ParticipantObjectTypeCodeRole of PS3.15 section A.5.1.2.2."""

    PATIENT = 1
    REPORT = 3
    SECURITY_RESOURCE = 13
    QUERY = 24
