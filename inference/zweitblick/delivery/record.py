"""What goes to a destination goes on record: before it is sent, and what came of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

from zweitblick.audit.auditor import Auditor
from zweitblick.audit.codes import Action
from zweitblick.audit.events import Transfer, failed, transfer_begun, transferred
from zweitblick.audit.message import Participant
from zweitblick.errors.root import code_of
from zweitblick.peers.destination import Destination, FolderDestination, StoreDestination
from zweitblick.peers.instance import Outgoing
from zweitblick.store.studies import KeptStudy


@contextmanager
def recorded_transfer(
    audit: Auditor, study: KeptStudy, destination: Destination, instances: Sequence[Outgoing]
) -> Iterator[None]:
    """Have on record that the block sends instances; whether they are new to who takes them is not known here.

    Parameters
    ----------
    audit
        Where it goes on record.
    study
        That they are of.
    destination
        Where they go.
    instances
        What is sent.

    Raises
    ------
    AuditError
        If it cannot be put on record. The block is then not entered.
    """
    sop_classes = Counter(one.sop_class_uid for one in instances if one.sop_class_uid)
    named = replace(study.audited, sop_classes=sop_classes)
    transfer = Transfer(_sender(audit.process, destination), _receiver(destination), named)
    # the sender does not know what the receiver held before (PS3.15 table A.5.3.7-1)
    done = transferred(transfer, action=Action.READ)
    audit.record(transfer_begun(transfer))
    try:
        yield
    except Exception as error:
        audit.record(failed(done, code_of(error)))
        raise
    audit.record(done)


def _sender(process: Participant, destination: Destination) -> Participant:
    titles = (destination.calling_ae_title,) if isinstance(destination, StoreDestination) else ()
    return replace(process, ae_titles=titles, is_requestor=True)


def _receiver(destination: Destination) -> Participant:
    if isinstance(destination, StoreDestination):
        return Participant(
            destination.name, ae_titles=(destination.called_ae_title,), address=destination.host, is_requestor=False
        )
    if isinstance(destination, FolderDestination):
        return Participant(destination.name)
    return Participant(destination.name, address=urlsplit(destination.url).hostname or "")
