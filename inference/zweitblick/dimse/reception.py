"""Reception: what one association brings, on record as a beginning and an end of each study, not by instances."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pynetdicom.association import ServiceUser

from zweitblick.audit.auditor import Auditor
from zweitblick.audit.events import AuditedStudy, Transfer, failed, transfer_begun, transferred
from zweitblick.audit.message import Participant
from zweitblick.dimse.instance import Received
from zweitblick.errors import AuditError
from zweitblick.errors.root import code_of

log = logging.getLogger(__name__)

MOST_STUDIES = 1000
"""Of one association that are begun at once; after that they are ended, and begin anew if more of them comes."""


@dataclass
class _Progress:
    """What has come of a study: number of instances by SOP class, and of those that were refused by why as well."""

    transfer: Transfer
    kept: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Counter[str]] = field(default_factory=dict)


class Reception:
    """Records what an association brings, in the association's own thread.

    Parameters
    ----------
    audit
        Where it goes on record.
    """

    def __init__(self, audit: Auditor) -> None:
        self._audit = audit
        self._studies: dict[str, _Progress] = {}

    @contextmanager
    def of(self, instance: Received) -> Iterator[None]:
        """Note an instance that is kept in the block; the first of a study goes on record before.

        Raises
        ------
        AuditError
            If it cannot be put on record. The block is then not entered.
        """
        progress = self._begun(instance)
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

    def _begun(self, instance: Received) -> _Progress:
        if instance.study_instance_uid not in self._studies:
            if len(self._studies) >= MOST_STUDIES:
                self.end()
            progress = _Progress(_transfer(instance, self._audit.process))
            self._audit.record(transfer_begun(progress.transfer))
            self._studies[instance.study_instance_uid] = progress
        return self._studies[instance.study_instance_uid]

    def _end(self, progress: _Progress) -> None:
        """Put what was kept and what was refused on record, apart as PS3.15 table A.5.2-1 asks."""
        if progress.kept:
            self._audit.record(transferred(_of(progress.transfer, progress.kept)))
        for code, instances in progress.refused.items():
            self._audit.record(failed(transferred(_of(progress.transfer, instances)), code))


def requestor_of(association: ServiceUser) -> Participant:
    """Return who asks, as it is named on record: by IP address and AE title."""
    return _sender(address_of(association), association.ae_title.strip())


def receiver_of(association: ServiceUser, process: Participant) -> Participant:
    """Return our process under the AE title that it was called by."""
    return replace(process, ae_titles=(called_title_of(association),))


def address_of(association: ServiceUser) -> str:
    """Return the IP address of who asks; empty if there is none."""
    return association.address_info.address if association.address_info else ""


def called_title_of(association: ServiceUser) -> str:
    """Return the AE title that we were called by."""
    return association.primitive.called_ae_title.strip() if association.primitive else ""


def _sender(address: str, title: str) -> Participant:
    return Participant(address, ae_titles=(title,), address=address, is_requestor=True)


def _transfer(instance: Received, process: Participant) -> Transfer:
    sender = _sender(instance.peer_address, instance.calling_ae_title)
    receiver = replace(process, ae_titles=(instance.called_ae_title,))
    return Transfer(sender, receiver, AuditedStudy(instance.study_instance_uid, instance.patient_id))


def _of(transfer: Transfer, sop_classes: Counter[str]) -> Transfer:
    return replace(transfer, study=replace(transfer.study, sop_classes=dict(sop_classes)))
