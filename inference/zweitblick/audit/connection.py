"""A connection to a syslog receiver: made, watched and waited for, since syslog itself acknowledges nothing."""

import fcntl
import socket
import ssl
import struct
import termios
import time

from zweitblick.audit.syslog import Receiver
from zweitblick.errors import PeerUnreachableError

ANSWER_S = 10.0
"""So long connecting may take, and the acknowledgement of what was sent."""

DRAIN_S = 0.005
"""So often it is looked for that acknowledgement."""

REFUSAL_S = 1.0
"""So long after the handshake a refusal of our certificate may come, as TLS 1.3 has it (RFC 8446 section 4.4.2.4)."""


def connected_to(receiver: Receiver) -> ssl.SSLSocket:
    """Connect; whoever asks closes it.

    Raises
    ------
    OSError
        If nobody answers there, or not by mutual TLS; `ssl.SSLError` is one.
    """
    plain = socket.create_connection((receiver.host, receiver.port), timeout=ANSWER_S)
    try:
        if plain.getsockname() == plain.getpeername():  # where nobody listens, TCP may connect a socket to itself
            raise ConnectionRefusedError("nobody listens there")
        return receiver.context.wrap_socket(plain, server_hostname=receiver.host)
    except OSError:
        plain.close()
        raise


def check_alive(connection: ssl.SSLSocket) -> None:
    """See whether the receiver has closed the connection; it sends nothing else, and what TLS itself sends is read.

    Raises
    ------
    OSError
        If so.
    """
    timeout = connection.gettimeout()
    connection.settimeout(0)
    try:
        if connection.recv(1) == b"":
            raise ConnectionResetError("the receiver has closed the connection")
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        pass
    finally:
        connection.settimeout(timeout)


def wait_until_acknowledged(connection: ssl.SSLSocket) -> None:
    """Wait until the receiver's machine has acknowledged all bytes (``SIOCOUTQ`` of Linux's tcp(7)).

    Raises
    ------
    OSError
        If it does not, or the connection breaks.
    """
    end = time.monotonic() + ANSWER_S
    while struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]:
        check_alive(connection)  # bytes that a reset has made vain still count as on their way
        if time.monotonic() > end:
            raise TimeoutError("the receiver acknowledges nothing")
        time.sleep(DRAIN_S)


def try_receiver(receiver: Receiver) -> None:
    """Try whether a receiver lets us in; nothing is sent to it.

    Raises
    ------
    PeerUnreachableError
        If nobody answers there, or one side does not take the other's certificate.
    """
    try:
        with connected_to(receiver) as connection:
            end = time.monotonic() + REFUSAL_S
            while time.monotonic() < end:
                check_alive(connection)
                time.sleep(DRAIN_S)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        raise PeerUnreachableError(
            f"the syslog receiver at {receiver.host} port {receiver.port} does not let us in ({reason}); see whether "
            "it runs, and to the certificates of both sides"
        ) from error
