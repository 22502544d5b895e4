"""An association that we request, with pynetdicom; every way in which it can fail has its error."""

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket

from zweitblick import __version__
from zweitblick.errors import (
    CertificateError,
    PeerBrokenOffError,
    PeerContextError,
    PeerError,
    PeerRejectedError,
    PeerTimeoutError,
    PeerUnreachableError,
)
from zweitblick.peers.destination import StoreDestination
from zweitblick.reading import UID_ROOT
from zweitblick.silence import silence
from zweitblick.tls import client_context

_LOGGING_HANDLERS = (
    (evt.EVT_DIMSE_RECV, standard_dimse_recv_handler),
    (evt.EVT_DIMSE_SENT, standard_dimse_sent_handler),
    (evt.EVT_PDU_RECV, standard_pdu_recv_handler),
    (evt.EVT_PDU_SENT, standard_pdu_sent_handler),
)
"""They format what they log even where it is dropped."""

_ROUND_S = 0.005
"""More than pynetdicom's reactor takes for a round, which begins with a millisecond of sleep."""

Handler = tuple[Any, Any]
"""An event of `pynetdicom.evt` and its handler."""


@dataclass(frozen=True)
class Patience:
    """How long a peer may take.

    Parameters
    ----------
    connection_s
        To take the connection.
    association_s
        To answer the association request, and to release.
    answer_s
        To take an instance and answer.
    report_s
        To report what it commits itself to keep, on the association on which it was asked.
    commitment_s
        To report it in another way; after that it is sent everything again.
    """

    connection_s: float = 10.0
    association_s: float = 30.0
    answer_s: float = 120.0
    report_s: float = 2.0
    commitment_s: float = 3600.0


PATIENCE = Patience()


@contextmanager
def associated(
    destination: StoreDestination,
    contexts: Sequence[PresentationContext],
    patience: Patience,
    *,
    handlers: Sequence[Handler] = (),
) -> Iterator[Association]:
    """Associate with a destination, and release or abort at the end.

    Parameters
    ----------
    destination
        With whom.
    contexts
        What is proposed.
    patience
        How long it may take.
    handlers
        For requests of the peer.

    Raises
    ------
    PeerUnreachableError, PeerRejectedError, PeerContextError, PeerTimeoutError, PeerBrokenOffError
        If there is no association.
    """
    silence("pynetdicom")
    association = _requested(destination, contexts, patience, handlers)
    try:
        yield association
        association.release()
    finally:
        if association.is_established:
            association.abort()
        association.kill()
        association.join()


def exchange(association: Association, request: Any, context_id: int) -> Any:
    """Send a request as it is, and return its response; pynetdicom's own methods would encode its data set anew.

    Raises
    ------
    PeerTimeoutError, PeerBrokenOffError
        If there is none.
    """
    name = association.acceptor.ae_title
    # the reactor would take the response for a request; this is how pynetdicom's send_c_store holds it
    association._reactor_checkpoint.clear()  # noqa: SLF001 -- as said
    # it may just have passed with its flag still up, and takes what comes in this round: let it finish that
    time.sleep(_ROUND_S)
    while not association._is_paused and association.is_alive():  # noqa: SLF001 -- as said
        time.sleep(0.0001)
    association.dimse.send_msg(request, context_id)
    _, response = association.dimse.get_msg(block=True)
    ended = association.acse.is_aborted() or not association.dul.is_alive()
    association._reactor_checkpoint.set()  # noqa: SLF001 -- as said
    if response is not None:
        return response
    if ended or not association.is_established:
        raise PeerBrokenOffError(f"{name} ended the association before it answered; it is sent again")
    raise PeerTimeoutError(f"{name} did not answer within {association.dimse_timeout:g} s; it is sent again")


def _requested(
    destination: StoreDestination,
    contexts: Sequence[PresentationContext],
    patience: Patience,
    handlers: Sequence[Handler],
) -> Association:
    entity = _Entity(destination.calling_ae_title)
    entity.implementation_class_uid = UID(UID_ROOT)
    entity.implementation_version_name = f"ZWEITBLICK_{__version__}"[:16]
    entity.connection_timeout = patience.connection_s
    entity.acse_timeout = patience.association_s
    entity.dimse_timeout = patience.answer_s
    entity.network_timeout = patience.answer_s
    addresses = _addresses(destination)
    for address in addresses:
        opened: list[object] = []
        association = entity.associate(
            address,
            destination.port,
            contexts=list(contexts),
            ae_title=destination.called_ae_title,
            evt_handlers=[(evt.EVT_CONN_OPEN, opened.append), *handlers],
            tls_args=_tls(destination),
        )
        for event, handler in _LOGGING_HANDLERS:
            association.unbind(event, handler)
        if association.is_established:
            return association
        if opened or address == addresses[-1]:
            break
    raise _failure(association, destination, was_open=bool(opened))


class _Entity(ApplicationEntity):
    """Our application entity, with connections of ours."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[ssl.SSLContext, str] | None
    ) -> AssociationSocket:
        connection = _Connection(assoc, address=address)
        connection.tls_args = tls_args
        if connection.socket is not None:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


class _Connection(AssociationSocket):
    """The socket of one association."""

    def _shutdown_socket(self) -> None:
        """Close the socket; the base class leaves it open if it was never connected, or the peer was faster."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


def _failure(association: Association, destination: StoreDestination, *, was_open: bool) -> PeerError:
    where = f"{destination.name} at {destination.host} port {destination.port}"
    if association.is_rejected:
        answer: Any = association.acceptor.primitive
        return PeerRejectedError(f"{where} rejected the association: {answer.reason_str}; check both AE titles")
    if not was_open:
        return PeerUnreachableError(f"{where} cannot be reached, or its certificate is not trusted; check both")
    if association.acceptor.primitive is not None:  # it was accepted, with no context
        return PeerContextError(f"{where} takes nothing of what is proposed; allow it there, or leave it out")
    if association.acse.is_aborted():
        return PeerBrokenOffError(f"{where} broke the association off; it is sent again")
    return PeerTimeoutError(f"{where} did not answer the association request; it is sent again")


def _addresses(destination: StoreDestination) -> list[str]:
    """IP addresses of the destination's host; pynetdicom takes a name without dots for one of IPv6."""
    try:
        found = socket.getaddrinfo(destination.host, destination.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PeerUnreachableError(
            f"the host {destination.host} of {destination.name} is not found; check its name"
        ) from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _tls(destination: StoreDestination) -> tuple[ssl.SSLContext, str] | None:
    trust = destination.trust
    if trust is None:
        return None
    try:
        context = client_context(trust.cas, certificate=trust.certificate, key=trust.key)
    except CertificateError as error:
        raise PeerUnreachableError(f"{destination.name}: {error}") from error
    return context, destination.host
