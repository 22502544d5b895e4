"""Reception: what one association or request brings, on record as a beginning and an end of each study."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from zweitblick.audit.auditor import Auditor
from zweitblick.audit.events import AuditedStudy, Transfer, failed, transfer_begun, transferred
from zweitblick.audit.message import Participant
from zweitblick.errors import AuditError
from zweitblick.errors.root import code_of

log = logging.getLogger(__name__)

MOST_STUDIES = 1000
"""Of one reception that are begun at once; after that they are ended, and begin anew if more of them comes."""


class Arriving(Protocol):
    """What is noted of an instance that comes in."""

    @property
    def sop_class_uid(self) -> str:
        """(0008,0016)."""
        ...

    @property
    def study_instance_uid(self) -> str:
        """(0020,000D)."""
        ...

    @property
    def patient_id(self) -> str:
        """(0010,0020); empty if it has none."""
        ...


@dataclass
class _Progress:
    """What has come of a study: number of instances by SOP class, and of those that were refused by why as well."""

    transfer: Transfer
    kept: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Counter[str]] = field(default_factory=dict)


class Reception:
    """Records what an association or a request brings, in one thread.

    Parameters
    ----------
    audit
        Where it goes on record.
    """

    def __init__(self, audit: Auditor) -> None:
        self._audit = audit
        self._studies: dict[str, _Progress] = {}

    @contextmanager
    def of(self, instance: Arriving, *, sender: Participant, called: tuple[str, ...] = ()) -> Iterator[None]:
        """Note an instance that is kept in the block; the first of a study goes on record before.

        Parameters
        ----------
        instance
            Which.
        sender
            Who sends it.
        called
            AE title that our process was called by, if it was.

        Raises
        ------
        AuditError
            If it cannot be put on record. The block is then not entered.
        """
        progress = self._begun(instance, sender, called)
        try:
            yield
        except Exception as error:
            code = code_of(error)
            progress.refused.setdefault(code, Counter())[instance.sop_class_uid] += 1
            raise
        progress.kept[instance.sop_class_uid] += 1

    def end(self) -> None:
        """Put on record what has come; what cannot be is said in the log, and the beginning stands alone on record."""
        studies, self._studies = self._studies, {}
        try:
            for progress in studies.values():
                self._end(progress)
        except AuditError as error:
            log.error("the end of a transfer is not on record: %s", error.code)  # noqa: TRY400 -- its code says all

    def _begun(self, instance: Arriving, sender: Participant, called: tuple[str, ...]) -> _Progress:
        if instance.study_instance_uid not in self._studies:
            if len(self._studies) >= MOST_STUDIES:
                self.end()
            receiver = replace(self._audit.process, ae_titles=called)
            study = AuditedStudy(instance.study_instance_uid, instance.patient_id)
            progress = _Progress(Transfer(sender, receiver, study))
            self._audit.record(transfer_begun(progress.transfer))
            self._studies[instance.study_instance_uid] = progress
        return self._studies[instance.study_instance_uid]

    def _end(self, progress: _Progress) -> None:
        """Put what was kept and what was refused on record, apart as PS3.15 table A.5.2-1 asks."""
        if progress.kept:
            self._audit.record(transferred(_of(progress.transfer, progress.kept)))
        for code, instances in progress.refused.items():
            self._audit.record(failed(transferred(_of(progress.transfer, instances)), code))


def _of(transfer: Transfer, sop_classes: Counter[str]) -> Transfer:
    return replace(transfer, study=replace(transfer.study, sop_classes=dict(sop_classes)))
