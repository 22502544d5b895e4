"""Our end of one association: pynetdicom's, with its memory bounded, its patience limited and its polling replaced.

pynetdicom 3.0 reads a PDU of any length that the peer announces (up to 4 GiB), queues any number of requests, waits
for ever for the rest of a PDU, holds a thread for the whole ACSE timeout after a peer that came and went, looks for
work once a millisecond in two threads of each association, and logs what it receives. Its parts are classes that can be
replaced one by one; here, in `upper` and in `messages` those are replaced that do so, and no global of that library is
changed.
"""

import logging
import secrets
from collections.abc import Callable, Iterable
from threading import Event as Flag
from threading import Lock
from typing import TYPE_CHECKING

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)
from pynetdicom.association import Association
from structlog.contextvars import bound_contextvars

from zweitblick.dicom.commitment import STORAGE_COMMITMENT
from zweitblick.dicom.performed_step import PERFORMED_STEP
from zweitblick.dicom.query_retrieve import STUDY_ROOT_FIND
from zweitblick.dimse.buffer import BoundedBuffer
from zweitblick.dimse.contexts import VERIFICATION
from zweitblick.dimse.messages import (
    C_ECHO,
    C_FIND,
    C_STORE,
    N_CREATE,
    N_EVENT_REPORT,
    N_SET,
    Messages,
    Request,
    Response,
)
from zweitblick.dimse.status import CANCELLED, PENDING
from zweitblick.dimse.upper import TICK_S, UpperLayer

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.association import ServiceUser
    from pynetdicom.presentation import PresentationContext

log = logging.getLogger(__name__)

_LOGGING_HANDLERS = (
    (evt.EVT_DIMSE_RECV, standard_dimse_recv_handler),
    (evt.EVT_DIMSE_SENT, standard_dimse_sent_handler),
    (evt.EVT_PDU_RECV, standard_pdu_recv_handler),
    (evt.EVT_PDU_SENT, standard_pdu_sent_handler),
)

Serve = Callable[[Request, "PresentationContext", "ServiceUser"], Iterable[Response]]
"""Serves the request that came in a context from a requestor, and gives its responses as they are made."""

_COMMANDS = {
    VERIFICATION: frozenset({C_ECHO}),
    STORAGE_COMMITMENT: frozenset({N_EVENT_REPORT}),
    PERFORMED_STEP: frozenset({N_CREATE, N_SET}),
    STUDY_ROOT_FIND: frozenset({C_FIND}),
}
"""What may be asked in contexts of these; in all others `_STORAGE`."""
_STORAGE = frozenset({C_STORE})


class Acceptor(Association):
    """One association, from connection to its end; aborts on what its contexts do not allow.

    Parameters
    ----------
    ae
        Holds the timeouts and the longest PDU.
    buffer
        Makes the buffer of a data set.
    serve
        Serves a request and gives its responses; those that it gives after a C-CANCEL are not sent.
    ended
        Called when an accepted association has ended.
    """

    def __init__(
        self,
        ae: "ApplicationEntity",
        buffer: Callable[[], BoundedBuffer],
        *,
        serve: Serve,
        ended: Callable[[], None],
    ) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self._answer = serve
        self._ended = ended
        self._news = Flag()
        self._serving = Lock()
        self.dul: UpperLayer = UpperLayer(self)
        self.dimse: Messages = Messages(self, buffer)
        self.acse_timeout = ae.acse_timeout
        self.network_timeout = ae.network_timeout
        for event, handler in _LOGGING_HANDLERS:
            self.unbind(event, handler)

    def tell(self) -> None:
        """Wake the association: a message or primitive waits, or the connection has ended."""
        self._news.set()

    def kill(self) -> None:
        """End the association's threads."""
        self.tell()
        super().kill()

    def stop(self, patience_s: float) -> None:
        """Abort as soon as the request being served is answered, or after ``patience_s``; does not wait for the end."""
        served = self._serving.acquire(timeout=max(0.0, patience_s))
        try:
            if self.is_established:
                self.abort(block=False)
                self.tell()
            else:
                self.dul.hang_up()
        finally:
            if served:
                self._serving.release()

    def run_reactor(self) -> None:
        """Run from TLS handshake to end; the edge at which an association's failure stops."""
        with bound_contextvars(association=secrets.token_hex(8)):
            try:
                self.dul.shake_hands()
                super().run_reactor()
            except Exception as error:  # noqa: BLE001  # the association's edge: whatever a peer provokes ends here
                log.info("an association ended by %s", type(error).__name__)
                self.dul.hang_up()
                self.kill()
            finally:
                self.dimse.let_go()
                self.dul.close()

    def _run_reactor(self) -> None:
        try:
            while self.is_established:
                if not self._turn():
                    self._news.wait(TICK_S)
                    self._news.clear()
            self.kill()
        finally:
            self._ended()

    def _turn(self) -> bool:
        """Do one thing that waits to be done; False if there is none."""
        if not self.dimse.requests.empty():
            request = self.dimse.requests.get_nowait()
            try:
                self._serve(request)
            finally:
                request.let_go()
        elif self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self._end(evt.EVT_RELEASED)
            self.is_released = True
        elif self.acse.is_aborted():
            self.dul.receive_pdu(wait=False)
            self._end(evt.EVT_ABORTED)
            self.is_aborted = True
        elif not self.dul.is_alive():
            self._end(evt.EVT_ABORTED)
        elif self.dul.idle_timer_expired():
            self.abort(block=False)
        else:
            return False
        return True

    def _end(self, event: evt.NotificationEvent) -> None:
        self.is_established = False
        evt.trigger(self, event, {})

    def _serve(self, request: Request) -> None:
        """Serve one request; what its presentation context does not allow aborts the association."""
        context = self._accepted_cx.get(request.context_id)
        with self._serving:
            if not self.is_established:
                return
            if context is None or request.command not in _COMMANDS.get(context.abstract_syntax or UID(""), _STORAGE):
                log.info("a request that its presentation context does not allow ended an association")
                self.abort(block=False)
                return
            self._respond(request, context)
        self.dul.restart_idle_timer()
        self.dul.ring()

    def _respond(self, request: Request, context: "PresentationContext") -> None:
        for response in self._answer(request, context, self.requestor):
            request.let_go()  # before it is answered: whoever was answered may send as much again
            if not self.is_established or not self.dul.is_alive():
                return
            if response.status == PENDING:
                self.dul.wait_until_sent()
                if self.dimse.is_cancelled(request):
                    self.dimse.answer(request, Response(CANCELLED))
                    return
            self.dimse.answer(request, response)
