"""Modality Performed Procedure Step as a provider (PS3.4 section F.7): N-CREATE and N-SET, to a keeper, to a status."""

import logging
from contextlib import AbstractContextManager
from typing import Protocol

from pynetdicom.association import ServiceUser
from pynetdicom.presentation import PresentationContext

from zweitblick.audit.auditor import Auditor, recorded
from zweitblick.audit.codes import Action
from zweitblick.audit.events import AuditedStudy, procedure_recorded
from zweitblick.dicom.identity import is_uid
from zweitblick.dicom.performed_step import PERFORMED_STEP, BegunStep, StepChange, begun_step, changed_step
from zweitblick.dimse.data_set import data_set_of
from zweitblick.dimse.messages import N_CREATE, Request
from zweitblick.dimse.participants import receiver_of, requestor_of
from zweitblick.dimse.status import PROCESSING_FAILURE, STEP_STATUS, SUCCESS, status_of
from zweitblick.errors import MismatchedInstanceError, StepUidError, ZweitblickError

log = logging.getLogger(__name__)


class StepKeeper(Protocol):
    """Keeps what modalities tell of their work, from several threads at once."""

    def begin(self, uid: str, step: BegunStep) -> None:
        """Return once a step is durable that has a SOP Instance UID.

        Raises
        ------
        StepExistsError
            If there is one of this UID.
        """
        ...

    def change(self, uid: str, change: StepChange) -> None:
        """Return once a change of a step is durable.

        Raises
        ------
        UnknownStepError, StepEndedError
            If there is none of this UID, or it has ended.
        """
        ...

    def study(self, uid: str) -> AuditedStudy:
        """Return the study of a step, as it is named on record.

        Raises
        ------
        UnknownStepError
            If there is none of this UID.
        """
        ...


class ProcedureSteps:
    """Answers N-CREATE and N-SET of performed procedure steps.

    Parameters
    ----------
    keeper
        Where they go.
    audit
        Has them on record; what cannot be put there is refused.
    """

    def __init__(self, keeper: StepKeeper, audit: Auditor) -> None:
        self._keeper = keeper
        self._audit = audit

    def serve(self, request: Request, context: PresentationContext, requestor: ServiceUser) -> int:
        """Keep what a request tells, and return the status for its sender: 0x0000 only once it is durable."""
        try:
            self._keep(request, context, requestor)
        except ZweitblickError as error:
            log.warning("what a procedure step is said to be was refused: %s", error.code)
            return status_of(error, STEP_STATUS)
        except Exception as error:  # noqa: BLE001  # the request's edge: the sender must be told that nothing is kept
            log.error("keeping a procedure step failed by %s", type(error).__name__)  # noqa: TRY400  # may quote data
            return PROCESSING_FAILURE
        return SUCCESS

    def _keep(self, request: Request, context: PresentationContext, requestor: ServiceUser) -> None:
        uid = request.sop_instance_uid
        if request.sop_class_uid != PERFORMED_STEP:
            raise MismatchedInstanceError("request and context are not of one SOP class; repair the sender")
        if not is_uid(uid):
            raise StepUidError("the SOP Instance UID of a procedure step is absent or no UID; repair the sender")
        attributes = data_set_of(request, context)
        if request.command == N_CREATE:
            step = begun_step(attributes)
            study = AuditedStudy(step.study_instance_uid, step.patient_id)
            with self._recorded(study, requestor, Action.CREATE):
                self._keeper.begin(uid, step)
        else:
            change = changed_step(attributes)
            with self._recorded(self._keeper.study(uid), requestor, Action.UPDATE):
                self._keeper.change(uid, change)

    def _recorded(self, study: AuditedStudy, requestor: ServiceUser, action: Action) -> AbstractContextManager[None]:
        sender, receiver = requestor_of(requestor), receiver_of(requestor, self._audit.process)
        return recorded(self._audit, procedure_recorded(study, sender, receiver, action=action))
