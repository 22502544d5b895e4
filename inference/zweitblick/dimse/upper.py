"""The DICOM Upper Layer of one association and its socket (PS3.8)."""

import logging
import select
import socket
import ssl
import struct
import time
from contextlib import suppress
from threading import Event as Flag
from typing import TYPE_CHECKING, cast

from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.transport import AssociationSocket

from zweitblick.dimse.messages import ProtocolViolationError

if TYPE_CHECKING:
    from zweitblick.dimse.acceptor import Acceptor

log = logging.getLogger(__name__)

TICK_S = 0.25
"""How late a timer may be noticed; work wakes whoever waits."""

REQUEST_BYTES = 2**20
"""Longest A-ASSOCIATE-RQ: 128 contexts of 128 transfer syntaxes each (PS3.8 section 9.3.2) fit."""

_HEADER = struct.Struct(">BxL")
"""Kind and length of a PDU (PS3.8 section 9.3.1)."""
_PDU_KINDS = range(1, 8)
_P_DATA_TF = 0x04

_SLACK_BYTES = 64
"""A P-DATA-TF may be so much longer than agreed, for senders that count otherwise."""


class UpperLayer(DULServiceProvider):
    """The DICOM Upper Layer of one association, woken by the network and by who has something to send."""

    def __init__(self, assoc: "Acceptor") -> None:
        super().__init__(assoc)
        self.daemon = True  # as the association is: a keeper that hangs must not keep the process alive
        self._acceptor = assoc
        self._bell, self._rope = socket.socketpair()
        self._bell.settimeout(0)
        self._rope.settimeout(0)
        self._sent = Flag()

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

    @property
    def peer_certificate(self) -> bytes:
        """The certificate that the peer has shown, as DER; empty if it has shown none."""
        connection = self._connection
        shown = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
        return shown or b""

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
        self._sent.clear()
        super().send_pdu(primitive)  # type: ignore[arg-type]  # one of a dozen classes
        self.ring()

    def wait_until_sent(self) -> None:
        """Wait until nothing is queued for the peer, or the connection has ended; meanwhile what it sends is read."""
        while self.is_alive() and not self._sent.wait(TICK_S):
            pass

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
        has_received = False
        if not self._process_recv_primitive():
            self._sent.set()
            has_received = self._is_transport_event()
        if has_received:
            self._idle_timer.restart()
        if self.event_queue.empty():
            if not (has_received and self.state_machine.current_state == "Sta6"):  # more is likely to be there
                self._wait()
            return
        self.state_machine.do_action(self.event_queue.get())
        if self.state_machine.current_state == "Sta1":
            # The association may wait for a request that will not come: None is what its wait ends with.
            self.to_user_queue.put(None)
        if self.to_user_queue.qsize():
            self._acceptor.tell()

    def _read_pdu_data(self) -> None:
        """Read one PDU (PS3.8 section 9.3.1), and queue what it is for the state machine.

        One with data, which nearly all are, goes to the messages at once where the state machine would pass it on as it
        is (action DT-2, PS3.8 table 9-8); pynetdicom's way there copies it five times.
        """
        connection = cast("Connection", self.socket)
        try:
            kind, length = _HEADER.unpack(connection.read(_HEADER.size))
            if kind not in _PDU_KINDS:
                self.event_queue.put("Evt19")
                return
            content = connection.read(length)
        except (OSError, EOFError):
            self.event_queue.put("Evt17")
            return
        if kind == _P_DATA_TF and self.state_machine.current_state == "Sta6":
            self._acceptor.dimse.receive(content)
            return
        try:
            pdu, event = self._decode_pdu(bytearray(_HEADER.pack(kind, length) + content))
        except Exception:  # noqa: BLE001  # whatever is wrong with a PDU, it is invalid (PS3.8 section 9.2.3, Evt19)
            self.event_queue.put("Evt19")
            return
        self.event_queue.put(event)
        self._recv_pdu.put(pdu)

    def _wait(self) -> None:
        waiting = select.poll()
        waiting.register(self._bell, select.POLLIN)
        connection = self._connection
        if connection is not None and connection.fileno() >= 0 and not self.is_held_back:
            if isinstance(connection, ssl.SSLSocket) and connection.pending():
                return
            waiting.register(connection, select.POLLIN)
        if any(descriptor == self._bell.fileno() for descriptor, _ in waiting.poll(TICK_S * 1000)):
            self._bell.recv(4096)

    @property
    def _connection(self) -> socket.socket | None:
        return None if self.socket is None else self.socket.socket

    @property
    def is_held_back(self) -> bool:
        """Whether a request waits to be served; nothing more is read until then, so that they cannot pile up."""
        return self._acceptor.dimse.requests.qsize() > 0

    def _abort(self) -> None:
        """Tell the peer by hand (A-ABORT, PS3.8 section 9.3.8), since the state machine may be lost."""
        farewell = A_ABORT_RQ()
        farewell.source = 0x02
        farewell.reason_diagnostic = 0x00
        if self.socket is not None and self.socket.socket is not None:
            self.socket.send(farewell.encode())
        self._acceptor.is_aborted = True
        self._acceptor.is_established = False
        self.to_user_queue.put(None)  # ends the wait for a request


class Connection(AssociationSocket):
    """The socket of one association."""

    assoc: "Acceptor"

    def __init__(self, assoc: "Acceptor", client_socket: socket.socket) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._buffer = bytearray()

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

    def read(self, nr_bytes: int) -> memoryview:
        """Read ``nr_bytes`` into memory that is used again: they are there until the next call.

        Raises
        ------
        ProtocolViolationError
            If a PDU is longer than negotiated.
        TimeoutError
            If the bytes do not all come within the network timeout.
        EOFError
            If the peer closes before.
        """
        self._check_length(nr_bytes)
        if len(self._buffer) < nr_bytes:
            self._buffer = bytearray(nr_bytes)
        view, filled = memoryview(self._buffer)[:nr_bytes], 0
        end = time.monotonic() + (self.assoc.network_timeout or 0.0)
        while filled < nr_bytes:
            count = 0 if self.socket is None else self.socket.recv_into(view[filled:])
            if count == 0:
                raise EOFError
            filled += count
            if time.monotonic() > end:
                raise TimeoutError
        return view

    def _shutdown_socket(self) -> None:
        """Close the socket; the base class leaves it open if the peer was faster."""
        if self.socket is not None:
            with suppress(OSError):  # the peer was faster
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    def _check_length(self, nr_bytes: int) -> None:
        is_requested = self.assoc.dul.state_machine.current_state not in ("Sta1", "Sta2")
        if nr_bytes > (self.assoc.ae.maximum_pdu_size + _SLACK_BYTES if is_requested else REQUEST_BYTES):
            raise ProtocolViolationError("a PDU is longer than agreed")
