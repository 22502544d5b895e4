"""Access: who is shown what of a study, on record before it is shown."""

from dataclasses import replace

from fastapi import Request

from zweitblick.audit.codes import Action
from zweitblick.audit.events import AuditedStudy, accessed
from zweitblick.audit.message import Participant
from zweitblick.web.service import Service

BEARER = "bearer of the token"
"""Who asks, as long as there is one token for all."""


def record_access(service: Service, request: Request, study: str, *, action: Action = Action.READ) -> None:
    """Put an access to a study on record; both who asks and this process take part (PS3.15 section A.5.3.6).

    Parameters
    ----------
    service
        Holds the study, and the record.
    request
        Who asks.
    study
        Token of the study.
    action
        What is done.

    Raises
    ------
    AuditError
        If it cannot be put on record. Nothing must be shown then.
    """
    kept = service.store.study(study)
    address = request.client.host if request.client else ""
    service.audit.record(
        accessed(
            AuditedStudy(kept.study_instance_uid, kept.patient_id, accession_number=kept.accession_number),
            Participant(BEARER, address=address, is_requestor=True),
            replace(service.audit.process, is_requestor=False),
            action=action,
        )
    )
