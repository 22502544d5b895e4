"""Our end of one association: pynetdicom's, with its memory bounded, its patience limited and its polling replaced.

pynetdicom 3.0 reads a PDU of any length that the peer announces (up to 4 GiB), queues any number of requests, waits
for ever for the rest of a PDU, holds a thread for the whole ACSE timeout after a peer that came and went, looks for
work once a millisecond in two threads of each association, and logs what it receives. Its classes are made to be
replaced one by one; this module replaces the parts that do so, and no global of that library is changed.
"""

import logging
import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from threading import Event as Flag
from threading import Lock
from typing import TYPE_CHECKING

from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.service_class import VerificationServiceClass
from pynetdicom.transport import AssociationSocket

from zweitblick.dimse.contexts import VERIFICATION
from zweitblick.dimse.response import command_primitives, store_response

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.association import ServiceUser
    from pynetdicom.presentation import PresentationContext

log = logging.getLogger(__name__)

REQUEST_BYTES = 2**20
"""Longest A-ASSOCIATE-RQ: 128 contexts of 128 transfer syntaxes each (PS3.8 section 9.3.2) fit."""

COMMAND_BYTES = 2**16
"""Longest command set (PS3.7 section 6.3), a hundred times what a C-STORE-RQ takes."""

_HEADER_BYTES = 6
_TICK_S = 0.25
"""How late a timer may be noticed; work wakes whoever waits."""

_LOGGING_HANDLERS = (
    (evt.EVT_DIMSE_RECV, standard_dimse_recv_handler),
    (evt.EVT_DIMSE_SENT, standard_dimse_sent_handler),
    (evt.EVT_PDU_RECV, standard_pdu_recv_handler),
    (evt.EVT_PDU_SENT, standard_pdu_sent_handler),
)


class ProtocolViolationError(Exception):
    """The peer broke a rule that the association cannot outlive; never leaves this module."""


class BoundedBuffer(BytesIO):
    """Takes any number of bytes and holds none as soon as there are more than ``limit``."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self.overflowed = False

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # pynetdicom writes bytes only
        """Append, or let go of everything."""
        if self.overflowed or self.tell() + len(data) > self._limit:
            self.overflowed = True
            self.seek(0)
            self.truncate()
            return len(data)
        return super().write(data)


Store = Callable[[C_STORE, "PresentationContext", "ServiceUser"], int]
"""Serves the request that came in a context from a requestor, and returns its status."""


class Acceptor(Association):
    """One association, from connection to its end; serves C-ECHO and C-STORE, and aborts on anything else.

    Parameters
    ----------
    ae
        Holds the timeouts and the longest PDU.
    maximum_instance_bytes
        See `zweitblick.dimse.ListenerConfig`.
    store
        Serves a C-STORE request and returns its status.
    ended
        Called when an accepted association has ended.
    """

    def __init__(
        self, ae: "ApplicationEntity", maximum_instance_bytes: int, *, store: Store, ended: Callable[[], None]
    ) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self._store = store
        self._ended = ended
        self._news = Flag()
        self._serving = Lock()
        self.dul: UpperLayer = UpperLayer(self)
        self.dimse: Messages = Messages(self, maximum_instance_bytes)
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
        try:
            self.dul.shake_hands()
            super().run_reactor()
        except Exception as error:  # noqa: BLE001  # the association's edge: whatever a peer provokes ends here
            log.info("an association ended by %s", type(error).__name__)
            self.dul.hang_up()
            self.kill()
        finally:
            self.dul.close()

    def _run_reactor(self) -> None:
        try:
            while self.is_established:
                if not self._turn():
                    self._news.wait(_TICK_S)
                    self._news.clear()
            self.kill()
        finally:
            self._ended()

    def _turn(self) -> bool:
        """Do one thing that waits to be done; False if there is none."""
        context_id, message = self.dimse.get_msg(block=False)
        if message is not None and context_id is not None:
            self._serve_request(message, context_id)
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

    def _serve_request(self, msg: object, context_id: int) -> None:
        """Serve one request; what no accepted context allows aborts the association (PS3.8 section 7.3)."""
        context = self._accepted_cx.get(context_id)
        with self._serving:
            if not self.is_established:
                return
            if context is None or not self._answer(msg, context):
                log.info("a request that no presentation context allows ended its association")
                self.abort(block=False)
        self.dimse.cancel_req = {}
        self.dul.restart_idle_timer()
        self.dul.ring()

    def _answer(self, message: object, context: "PresentationContext") -> bool:
        """Answer a C-ECHO on a verification context or a C-STORE on any other; False if it is neither."""
        is_verification = context.abstract_syntax == VERIFICATION
        if is_verification and isinstance(message, C_ECHO) and message.is_valid_request:
            VerificationServiceClass(self).SCP(message, context)
        elif not is_verification and isinstance(message, C_STORE) and message.is_valid_request:
            status = self._store(message, context, self.requestor)
            if self.is_established:
                self.dimse.answer_store(message, status, context)
        else:
            return False
        return True


class UpperLayer(DULServiceProvider):
    """The DICOM Upper Layer of one association, woken by the network and by who has something to send."""

    def __init__(self, assoc: Acceptor) -> None:
        super().__init__(assoc)
        self._acceptor = assoc
        self._bell, self._rope = socket.socketpair()
        self._bell.settimeout(0)
        self._rope.settimeout(0)

    def ring(self) -> None:
        """Wake the thread."""
        with suppress(OSError):  # it has ended, or so many rings wait that one more says nothing new
            self._rope.send(b"\0")

    def shake_hands(self) -> None:
        """Finish the TLS handshake, within the ACSE timeout for each of its steps.

        Raises
        ------
        OSError
            If it fails.
        """
        connection = self._connection
        if isinstance(connection, ssl.SSLSocket):
            connection.do_handshake()
        if connection is not None:
            connection.settimeout(self.network_timeout)

    def restart_idle_timer(self) -> None:
        """Count the network timeout from now."""
        self._idle_timer.restart()

    def hang_up(self) -> None:
        """Break the connection, whatever is going on."""
        connection = self._connection
        if connection is not None:
            with suppress(OSError):  # it is broken already
                # The plain method: SSLSocket's own would forget its state under the reading thread.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        self.ring()

    def close(self) -> None:
        """Give back the descriptors, once the thread has ended."""
        for one in (self._connection, self._bell, self._rope):
            if one is not None:
                one.close()

    def send_pdu(self, primitive: object) -> None:
        """Queue a primitive for the peer."""
        super().send_pdu(primitive)  # type: ignore[arg-type]  # one of a dozen classes
        self.ring()

    def stop_dul(self) -> bool:
        """End the thread if the connection is closed; False if it is not yet."""
        if self.state_machine.current_state != "Sta1":
            return False
        self._kill_thread = True
        self.ring()
        self.join()
        return True

    def run_reactor(self) -> None:
        """Run until stopped; the edge at which the failure of a connection stops."""
        self._idle_timer.start()
        self._acceptor._dul_ready.set()  # noqa: SLF001  # as the base class does
        try:
            while not self._kill_thread:
                self._turn()
        except Exception as error:  # noqa: BLE001  # the association's edge: whatever a peer provokes ends here
            log.info("a connection ended by %s", type(error).__name__)
            self._abort()
        finally:
            self._acceptor.tell()

    def _turn(self) -> None:
        if self.artim_timer.expired and self.state_machine.current_state in ("Sta2", "Sta13"):
            self.event_queue.put("Evt18")
        if not self._process_recv_primitive() and self._is_transport_event():
            self._idle_timer.restart()
        if self.event_queue.empty():
            self._wait()
            return
        self.state_machine.do_action(self.event_queue.get())
        if self.state_machine.current_state == "Sta1":
            # The association may wait for a request that will not come: None is what its wait ends with.
            self.to_user_queue.put(None)  # type: ignore[arg-type]  # as above
        if self.to_user_queue.qsize() or self._acceptor.dimse.msg_queue.qsize():
            self._acceptor.tell()

    def _wait(self) -> None:
        waiting = select.poll()
        waiting.register(self._bell, select.POLLIN)
        connection = self._connection
        if connection is not None and connection.fileno() >= 0 and not self.is_held_back:
            if isinstance(connection, ssl.SSLSocket) and connection.pending():
                return
            waiting.register(connection, select.POLLIN)
        waiting.poll(_TICK_S * 1000)
        with suppress(BlockingIOError):  # nobody rang
            self._bell.recv(4096)

    @property
    def _connection(self) -> socket.socket | None:
        return None if self.socket is None else self.socket.socket

    @property
    def is_held_back(self) -> bool:
        """Whether a request waits to be served; nothing more is read until then, so that they cannot pile up."""
        return self._acceptor.dimse.msg_queue.qsize() > 0

    def _abort(self) -> None:
        """Tell the peer by hand (A-ABORT, PS3.8 section 9.3.8), since the state machine may be lost."""
        farewell = A_ABORT_RQ()
        farewell.source = 0x02
        farewell.reason_diagnostic = 0x00
        if self.socket is not None and self.socket.socket is not None:
            self.socket.send(farewell.encode())
        self._acceptor.is_aborted = True
        self._acceptor.is_established = False
        self.to_user_queue.put(None)  # type: ignore[arg-type]  # ends the wait for a request


class Messages(DIMSEServiceProvider):
    """Puts messages together, none longer than allowed."""

    def __init__(self, assoc: Acceptor, maximum_instance_bytes: int) -> None:
        super().__init__(assoc)
        self._maximum_instance_bytes = maximum_instance_bytes

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take a P-DATA primitive."""
        if self.message is None:
            self.message = DIMSEMessage()
            self.message.encoded_command_set = BoundedBuffer(COMMAND_BYTES)
            self.message.data_set = BoundedBuffer(self._maximum_instance_bytes)
        super().receive_primitive(primitive)

    def answer_store(self, request: C_STORE, status: int, context: "PresentationContext") -> None:
        """Send a C-STORE-RSP."""
        for primitive in command_primitives(
            context.context_id or 0, store_response(request, status), self.maximum_pdu_size
        ):
            self.dul.send_pdu(primitive)


class Connection(AssociationSocket):
    """The socket of one association."""

    assoc: Acceptor

    @property
    def ready(self) -> bool:
        """Whether there is something to read, and it may be read now."""
        if self.socket is None or not self._is_connected or self.assoc.dul.is_held_back:
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        waiting = select.poll()  # select.select would fail on a descriptor beyond 1023
        waiting.register(self.socket, select.POLLIN)
        return bool(waiting.poll(0))

    def recv(self, nr_bytes: int) -> bytearray:
        """Read ``nr_bytes``, or fewer if the peer closes.

        Raises
        ------
        ProtocolViolationError
            If a PDU is longer than negotiated.
        TimeoutError
            If the bytes do not all come within the network timeout.
        """
        self._check_length(nr_bytes)
        if self.socket is None:
            return bytearray()
        patience = self.assoc.network_timeout or 0.0
        end = time.monotonic() + patience
        received = bytearray(nr_bytes)
        view, filled = memoryview(received), 0
        while filled < nr_bytes:
            count = self.socket.recv_into(view[filled:])
            if count == 0:
                return received[:filled]
            filled += count
            if time.monotonic() > end:
                raise TimeoutError
        return received

    def _check_length(self, nr_bytes: int) -> None:
        limit = self.assoc.ae.maximum_pdu_size + _HEADER_BYTES if self.assoc.is_established else REQUEST_BYTES
        if nr_bytes > limit:
            raise ProtocolViolationError
