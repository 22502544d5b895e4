"""Worklist: work items from their making to their end, for whoever asks for readings and whoever performs them."""

import json
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime

from pydicom import Dataset
from pydicom.uid import generate_uid

from zweitblick.audit.auditor import Auditor, Unrecorded, recorded
from zweitblick.audit.codes import Action
from zweitblick.audit.events import procedure_recorded
from zweitblick.audit.message import Participant
from zweitblick.errors import WorkitemContentError, WorkitemStateError
from zweitblick.store.workitems import Change, KeptWorkitem, Workitems
from zweitblick.worklist.cancellation import discontinuation
from zweitblick.worklist.content import (
    PROGRESS,
    PUSH,
    audited_study,
    check_change,
    check_completed,
    check_new,
    published,
    study_uid,
)
from zweitblick.worklist.notices import EventType, Notices
from zweitblick.worklist.query import Key, matching
from zweitblick.worklist.step import StepState, changed, check_modifiable


class Worklist:
    """Makes, changes and ends work items, on record before; for several threads at once.

    Whoever it is that makes or changes one is named by ``by``; if nobody is, this process does so itself. Where an
    AuditError is raised nothing was changed.

    Parameters
    ----------
    items
        Where they are kept.
    notices
        Who is told.
    clock
        Tells the time, aware.
    audit
        Has changes on record; what cannot be put there does not happen.
    """

    def __init__(
        self, items: Workitems, notices: Notices, clock: Callable[[], datetime], audit: Auditor | None = None
    ) -> None:
        self.notices = notices
        self._items = items
        self._clock = clock
        self._audit = audit or Unrecorded()

    def create(self, content: Dataset, *, uid: str, by: Participant | None = None) -> None:
        """Make a work item, which is then scheduled.

        Parameters
        ----------
        content
            Its attributes; changed.
        uid
            Its SOP Instance UID.
        by
            Who makes it.

        Raises
        ------
        WorkitemContentError
            If it is not as PS3.4 Table CC.2.5-3 asks, or not about one study.
        WorkitemExistsError
            If there is one of this UID.
        AuditError
            If it cannot be put on record.
        """
        check_new(content)
        content.SOPClassUID, content.SOPInstanceUID = PUSH, uid
        content.ScheduledProcedureStepModificationDateTime = self._now()
        with self._recorded(content, by, Action.CREATE):
            self._items.add(
                uid=uid,
                study_uid=study_uid(content),
                state=StepState.SCHEDULED,
                content=json.dumps(content.to_json_dict()),
            )
        self._tell(self._items.item(uid), EventType.STATE_REPORT)

    def item(self, uid: str, *, transaction_uid: str = "") -> Dataset:
        """Return what a work item says, with its Transaction UID; see `published`.

        Parameters
        ----------
        uid
            Of the work item.
        transaction_uid
            Of the claim: who knows it sees their own draft.

        Raises
        ------
        UnknownWorkitemError
            If there is none of this UID.
        """
        item = self._items.item(uid)
        is_own = secrets.compare_digest(item.transaction_uid.encode(), transaction_uid.encode())
        return content_of(item) if is_own else published(content_of(item))

    def search(self, keys: Sequence[Key]) -> list[Dataset]:
        """Return the work items that match all keys, the oldest first. Each that is kept is opened for it."""
        found = (published(content_of(item)) for item in self._items.items())
        return [content for content in found if matching(keys, content)]

    def update(self, uid: str, change: Dataset, *, transaction_uid: str, by: Participant | None = None) -> None:
        """Set attributes of a work item; those that are not named stay.

        Raises
        ------
        WorkitemContentError, WorkitemStateError, TransactionError, UnknownWorkitemError
            If it is not allowed, see `check_change` and `check_modifiable`.
        AuditError
            If it cannot be put on record.
        """
        check_change(change)

        def updated(item: KeptWorkitem) -> KeptWorkitem:
            check_modifiable(StepState(item.state), claimed_by=item.transaction_uid, given=transaction_uid)
            content = content_of(item)
            content.update(change)
            content.ScheduledProcedureStepModificationDateTime = self._now()
            return _saying(item, content)

        item = self._changed(uid, updated, by)
        if PROGRESS in change:
            self._tell(item, EventType.PROGRESS_REPORT)
        if "InputReadinessState" in change:
            self._tell(item, EventType.STATE_REPORT)

    def change_state(self, uid: str, asked: str, *, transaction_uid: str, by: Participant | None = None) -> bool:
        """Claim a work item, complete or cancel it; return whether its state is another than before.

        Raises
        ------
        WorkitemContentError, WorkitemStateError, TransactionError, UnknownWorkitemError
            If it is not allowed, see `changed` and `check_completed`.
        AuditError
            If it cannot be put on record.
        """
        is_changed = False

        def moved(item: KeptWorkitem) -> KeptWorkitem:
            nonlocal is_changed
            is_changed = changed(StepState(item.state), asked, claimed_by=item.transaction_uid, given=transaction_uid)
            if not is_changed:
                return item
            if asked == StepState.COMPLETED:
                _check_completed(item)
            if asked == StepState.CANCELED:
                item = self._discontinued(item, Dataset())
            return _moved(item, asked, transaction_uid)

        item = self._changed(uid, moved, by)
        if is_changed:
            self._tell(item, EventType.STATE_REPORT)
        return is_changed

    def request_cancel(self, uid: str, request: Dataset, *, by: Participant | None = None) -> bool:
        """Tell those who listen that somebody wants a work item cancelled, and cancel it if nobody has claimed it.

        What nobody has claimed is in progress before it is cancelled (PS3.4 section CC.2.2.3), for no longer than that.

        Parameters
        ----------
        uid
            Of the work item.
        request
            Its reason and whom to ask: PS3.4 Table CC.2.2-1.
        by
            Who asks.

        Returns
        -------
        Whether it was not cancelled before.

        Raises
        ------
        WorkitemStateError
            If it is completed (C311).
        UnknownWorkitemError
            If there is none of this UID.
        AuditError
            If it cannot be put on record.
        """
        before = StepState.SCHEDULED
        steps: list[KeptWorkitem] = []

        def cancelled(item: KeptWorkitem) -> KeptWorkitem:
            nonlocal before
            before = StepState(item.state)
            if before is StepState.COMPLETED:
                raise WorkitemStateError("the work item is COMPLETED, and cannot be cancelled any more")
            steps[:] = self._cancelled(item, request) if before is StepState.SCHEDULED else [item]
            return steps[-1]

        item = self._changed(uid, cancelled, by)
        if before is StepState.CANCELED:
            return False
        self.notices.publish(self._items.subscribers(item), EventType.CANCEL_REQUESTED, uid=uid, about=request)
        if before is StepState.SCHEDULED:
            for step in steps:
                self._tell(step, EventType.STATE_REPORT)
        return True

    def subscribe(self, ae_title: str, uid: str | None) -> None:
        """Have a subscriber told of a work item, or of all; it is told the state at once."""
        self._items.subscribe(ae_title, uid)
        for item in self._items.items() if uid is None else [self._items.item(uid)]:
            self.notices.publish([ae_title], EventType.STATE_REPORT, uid=item.uid, about=content_of(item))

    def unsubscribe(self, ae_title: str, uid: str | None) -> None:
        """End a subscription to a work item, or all of a subscriber."""
        self._items.unsubscribe(ae_title, uid)

    def suspend(self, ae_title: str) -> None:
        """End a subscription to all, but for the work items that are there."""
        self._items.suspend(ae_title)

    def _cancelled(self, item: KeptWorkitem, request: Dataset) -> list[KeptWorkitem]:
        """Return a work item that is scheduled as it is in progress and cancelled, one after the other (CC.2.2.3)."""
        claim = str(generate_uid(prefix=None))
        claimed = _moved(item, StepState.IN_PROGRESS, claim)
        return [claimed, _moved(self._discontinued(claimed, request), StepState.CANCELED, claim)]

    def _discontinued(self, item: KeptWorkitem, request: Dataset) -> KeptWorkitem:
        """Return a work item as it must be before it is cancelled, by the reasons of a request."""
        content = content_of(item)
        reason = str(request.get("ReasonForCancellation") or "")
        codes = request.get("ProcedureStepDiscontinuationReasonCodeSequence") or ()
        content.update(discontinuation(content, self._now(), reason=reason, codes=codes))
        return _saying(item, content)

    def _changed(self, uid: str, change: Change, by: Participant | None) -> KeptWorkitem:
        with self._recorded(content_of(self._items.item(uid)), by, Action.UPDATE):
            return self._items.change(uid, change)

    def _recorded(self, content: Dataset, by: Participant | None, action: Action) -> AbstractContextManager[None]:
        process = replace(self._audit.process, is_requestor=by is None)
        who = (process,) if by is None else (by, process)
        return recorded(self._audit, procedure_recorded(audited_study(content), *who, action=action))

    def _tell(self, item: KeptWorkitem, kind: EventType) -> None:
        self.notices.publish(self._items.subscribers(item), kind, uid=item.uid, about=content_of(item))

    def _now(self) -> str:
        return self._clock().strftime("%Y%m%d%H%M%S.%f%z")


def content_of(item: KeptWorkitem) -> Dataset:
    """Return what a work item says."""
    return Dataset.from_json(item.content)


def _saying(item: KeptWorkitem, content: Dataset) -> KeptWorkitem:
    return replace(item, content=json.dumps(content.to_json_dict()))


def _moved(item: KeptWorkitem, state: str, transaction_uid: str) -> KeptWorkitem:
    content = content_of(item)
    content.ProcedureStepState = state
    if transaction_uid:
        content.TransactionUID = transaction_uid
    return replace(_saying(item, content), state=state, transaction_uid=transaction_uid)


def _check_completed(item: KeptWorkitem) -> None:
    try:
        check_completed(content_of(item))
    except WorkitemContentError as error:
        raise WorkitemStateError(str(error)) from error
