"""C-STORE as a provider (PS3.4 annex B): from request to `Received`, to the keeper, to a status."""

import logging
from typing import Protocol

from pynetdicom.association import ServiceUser
from pynetdicom.presentation import PresentationContext

from zweitblick.audit.reception import Reception
from zweitblick.dicom.identity import identity
from zweitblick.dimse.instance import Keeper, Received
from zweitblick.dimse.messages import Request
from zweitblick.dimse.participants import called_title_of, requestor_of
from zweitblick.dimse.status import PROCESSING_FAILURE, SUCCESS, status_of
from zweitblick.errors import (
    DamagedInstanceError,
    MismatchedInstanceError,
    ZweitblickError,
)
from zweitblick.store.ingest import Outcome

log = logging.getLogger(__name__)


class Observer(Protocol):
    """Counts what happens; called from several threads at once, must return at once and raise nothing."""

    def associated(self) -> None:
        """Count an accepted association."""
        ...

    def rejected(self) -> None:
        """Count a rejected association."""
        ...

    def ended(self) -> None:
        """Count the end of an accepted association, in whatever way it ended."""
        ...

    def answered(self, status: int, size_bytes: int) -> None:
        """Count a C-STORE by its status and the length of its data set, 0 if that was dropped."""
        ...

    def conflicted(self) -> None:
        """Count an instance that was kept apart: one of its UID and other content was there."""
        ...


class Storage:
    """Answers C-STORE requests.

    Parameters
    ----------
    keeper
        Where instances go.
    observer
        Is told of each answer.
    """

    def __init__(self, keeper: Keeper, observer: Observer) -> None:
        self._keeper = keeper
        self._observer = observer

    def serve(
        self, request: Request, context: PresentationContext, requestor: ServiceUser, *, reception: Reception
    ) -> int:
        """Keep the instance of a request and return the status for its sender: 0x0000 only once it is durable.

        Parameters
        ----------
        request, context, requestor
            What came, as what, from whom.
        reception
            Of the association.
        """
        status = self._status(request, context, requestor, reception)
        self._observer.answered(status, request.data.tell() if request.data else 0)
        return status

    def _status(
        self, request: Request, context: PresentationContext, requestor: ServiceUser, reception: Reception
    ) -> int:
        try:
            instance = received(request, context, requestor)
            with reception.of(instance, sender=requestor_of(requestor), called=(called_title_of(requestor),)):
                outcome = self._keeper.keep(instance)
        except ZweitblickError as error:
            log.warning("an instance was refused: %s", error.code)
            return status_of(error)
        except Exception as error:  # noqa: BLE001  # the request's edge: the sender must be told that nothing is kept
            log.error("keeping an instance failed by %s", type(error).__name__)  # noqa: TRY400  # texts may quote data
            return PROCESSING_FAILURE
        if outcome is Outcome.CONFLICT:
            self._observer.conflicted()
        return SUCCESS


def received(request: Request, context: PresentationContext, requestor: ServiceUser) -> Received:
    """Take the instance of a C-STORE request as it came.

    Raises
    ------
    InstanceTooLargeError, ReceptionFullError
        If it was longer than allowed, or than there was room for, and was dropped.
    DamagedInstanceError
        If there is no data set, or it cannot be understood.
    MismatchedInstanceError
        If data set, request and presentation context do not name the same SOP class and instance.
    """
    if request.data is None:
        raise DamagedInstanceError("a C-STORE came without a data set; send the instance again")
    data, syntax = request.data.content(), str(context.transfer_syntax[0])
    found = identity(data, syntax)
    asked = request.sop_class_uid, request.sop_instance_uid
    if asked != (found.sop_class_uid, found.sop_instance_uid) or request.sop_class_uid != context.abstract_syntax:
        raise MismatchedInstanceError("data set, request and context are not of one instance; repair the sender")
    return Received(
        sop_class_uid=found.sop_class_uid,
        sop_instance_uid=found.sop_instance_uid,
        transfer_syntax_uid=syntax,
        study_instance_uid=found.study_instance_uid,
        series_instance_uid=found.series_instance_uid,
        calling_ae_title=requestor.ae_title.strip(),
        data=data,
        patient_id=found.patient_id,
        is_fetched=bool(request.move_originator) and request.move_originator == called_title_of(requestor),
    )
