"""C-STORE as a user (PS3.4 annex B): each instance goes out as its file has it."""

from collections.abc import Sequence
from io import BytesIO

from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext, build_context

from zweitblick.errors import PeerAnswerError, PeerContextError
from zweitblick.peers.association import PATIENCE, Patience, associated, exchange
from zweitblick.peers.destination import StoreDestination
from zweitblick.peers.instance import Outgoing, Receipt
from zweitblick.peers.status import SUCCESS, is_warning, refusal

_MEDIUM = 0x0000
"""Priority (0000,0700) (PS3.7 section 9.3.1)."""


class StoreSender:
    """Sends by C-STORE, over one association a time.

    Parameters
    ----------
    destination
        Where.
    patience
        How long it may take.
    """

    def __init__(self, destination: StoreDestination, *, patience: Patience = PATIENCE) -> None:
        self._destination = destination
        self._patience = patience

    def send(self, instances: Sequence[Outgoing]) -> Receipt:
        """Send instances, and return once each was acknowledged; see `zweitblick.peers.instance.Sender`.

        Raises
        ------
        PeerRefusedError, PeerContextError
            If one was refused, and would be refused again.
        PeerError
            If one was not acknowledged for another reason; those before it were.
        """
        kinds = dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in instances)
        contexts = [build_context(UID(sop_class), [UID(syntax)]) for sop_class, syntax in kinds]
        warnings = []
        with associated(self._destination, contexts, self._patience) as association:
            accepted = [self._context(one, association.accepted_contexts) for one in instances]
            for number, (one, context_id) in enumerate(zip(instances, accepted, strict=True), start=1):
                status = self._stored(association, one, context_id=context_id, message_id=number)
                if is_warning(status):
                    warnings.append(status)
                elif status != SUCCESS:
                    raise refusal(status, destination=self._destination.name)
        return Receipt(tuple(warnings))

    def _context(self, instance: Outgoing, accepted: Sequence[PresentationContext]) -> int:
        kind = instance.sop_class_uid, [instance.transfer_syntax_uid]
        for context in accepted:
            if (context.abstract_syntax, context.transfer_syntax) == kind and context.context_id is not None:
                return context.context_id
        raise PeerContextError(
            f"{self._destination.name} takes no {UID(instance.sop_class_uid).name} in the transfer syntax "
            f"{UID(instance.transfer_syntax_uid).name}; allow it there, or leave this result out"
        )

    def _stored(self, association: Association, instance: Outgoing, *, context_id: int, message_id: int) -> int:
        request = C_STORE()
        request.MessageID = message_id
        request.Priority = _MEDIUM
        request.AffectedSOPClassUID = UID(instance.sop_class_uid)
        request.AffectedSOPInstanceUID = UID(instance.sop_instance_uid)
        with instance.open() as file:
            file.seek(instance.data_at)
            request.DataSet = BytesIO(file.read())
        response = exchange(association, request, context_id)
        answered = getattr(response, "MessageIDBeingRespondedTo", None)
        status = getattr(response, "Status", None)
        if not isinstance(response, C_STORE) or answered != message_id or status is None:
            raise PeerAnswerError(f"{self._destination.name} did not answer a C-STORE with one; it is sent again")
        return int(status)
