"""The DICOM server: listens, associates, and stops without losing what it was about to acknowledge."""

import logging
import socket
import time
from datetime import UTC, datetime
from functools import partial
from socketserver import BaseServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self, cast

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from zweitblick.audit import codes
from zweitblick.audit.auditor import Auditor, Unrecorded
from zweitblick.audit.codes import Outcome
from zweitblick.audit.events import security_alert
from zweitblick.audit.reception import Reception
from zweitblick.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from zweitblick.dimse.acceptor import Acceptor
from zweitblick.dimse.buffer import BoundedBuffer, HeldBytes
from zweitblick.dimse.config import ListenerConfig, cannot_listen
from zweitblick.dimse.contexts import VERIFICATION, accepted
from zweitblick.dimse.identity import is_bound
from zweitblick.dimse.instance import Keeper
from zweitblick.dimse.services import NO_MORE, Provider, Services
from zweitblick.dimse.storage import Observer, Storage
from zweitblick.dimse.upper import Connection
from zweitblick.peers.destination import OWN_AE_TITLE
from zweitblick.silence import silence

log = logging.getLogger(__name__)

CONNECTIONS_PER_ASSOCIATION = 2
"""So many times ``maximum_associations`` connections are open at most, the others being told that they are rejected."""

_POLL_S = 0.1


class Unobserved:
    """An observer that does nothing."""

    def associated(self) -> None:
        """Do nothing."""

    def rejected(self) -> None:
        """Do nothing."""

    def ended(self) -> None:
        """Do nothing."""

    def answered(self, status: int, size_bytes: int) -> None:
        """Do nothing."""

    def conflicted(self) -> None:
        """Do nothing."""


class DicomServer:
    """Provider of C-ECHO, C-STORE, C-FIND and performed procedure steps, user of storage commitment.

    It listens from construction until `close`; use as a context manager, or close it.

    Parameters
    ----------
    config
        Where and to whom it listens.
    keeper
        Where instances go.
    observer
        Counts associations and instances.
    audit
        Has what associations bring on record; what cannot be put there is refused.
    services
        What it provides besides C-ECHO and C-STORE.

    Raises
    ------
    DimseSettingError
        If it cannot listen on the address.
    """

    def __init__(
        self,
        config: ListenerConfig,
        keeper: Keeper,
        *,
        observer: Observer | None = None,
        audit: Auditor | None = None,
        services: Services = NO_MORE,
    ) -> None:
        observer = observer or Unobserved()
        audit = audit or Unrecorded()
        silence("pynetdicom")
        try:
            provider = Provider(Storage(keeper, observer), services, audit)
            self._listener = _Listener(config, provider, observer, audit)
        except OSError as error:
            raise cannot_listen(config.host, config.port, error) from error
        self._thread = Thread(target=self._listener.serve_forever, args=(_POLL_S,), name="dicom-listener")
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listener.server_address[1])

    def close(self, *, patience_s: float = 30.0) -> None:
        """Stop listening, let requests being served be answered, abort all associations, end all threads.

        Parameters
        ----------
        patience_s
            How long a request may take to be answered; its association is then aborted unanswered, and a thread that
            the keeper still holds ends when the keeper lets go.
        """
        self._listener.shutdown()
        self._thread.join()
        end = time.monotonic() + patience_s
        associations = self._listener.associations()
        for association in associations:
            association.stop(end - time.monotonic())
        for association in associations:
            association.join(max(1.0, end - time.monotonic()))
            if association.is_alive():
                association.dul.hang_up()
                association.join(1.0)
        left = sum(association.is_alive() for association in associations)
        if left:
            log.warning("%d associations are still held by the keeper", left)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Handler(RequestHandler):
    """Starts the association of a connection."""

    server: "_Listener"

    def handle(self) -> None:
        self.server.start(self._create_association())

    def _create_association(self) -> Acceptor:
        observer = self.server.observer
        reception = Reception(self.server.audit)
        association = Acceptor(
            self.ae,
            self.server.buffer,
            serve=partial(self.server.provider.serve, reception=reception),
            ended=lambda: _ended(observer, reception),
        )
        association._server = self.server  # noqa: SLF001  # as the base class does
        association.name = f"AcceptorThread@{datetime.now(UTC):%Y%m%d%H%M%S}"  # pynetdicom finds them by this name
        association.set_socket(Connection(association, client_socket=self.request))
        association.acceptor.maximum_length = self.ae.maximum_pdu_size
        association.acceptor.ae_title = self.server.ae_title
        association.acceptor.address_info = self.local
        association.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        association.acceptor.implementation_version_name = self.ae.implementation_version_name
        association.requestor.address_info = self.remote
        association.bind(evt.EVT_REQUESTED, self.server.offer)
        association.bind(evt.EVT_ESTABLISHED, lambda _event: observer.associated())
        association.bind(evt.EVT_REJECTED, lambda _event: observer.rejected())
        return association


def _ended(observer: Observer, reception: Reception) -> None:
    observer.ended()
    reception.end()


class _Listener(ThreadedAssociationServer):
    """The listening socket."""

    request_queue_size = 128

    def __init__(
        self,
        config: ListenerConfig,
        provider: Provider,
        observer: Observer,
        audit: Auditor,
    ) -> None:
        self.config = config
        self.provider = provider
        self.observer = observer
        self.audit = audit
        held = HeldBytes(max(config.maximum_held_bytes, config.maximum_instance_bytes))
        self.buffer = partial(BoundedBuffer, config.maximum_instance_bytes, held)
        self._associations: set[Acceptor] = set()
        self._changing = Lock()
        entity = _entity(config)
        address = (config.host, config.port)
        contexts = [build_context(VERIFICATION)]
        super().__init__(entity, address, entity.ae_title, contexts, config.tls, request_handler=_Handler)

    def offer(self, event: evt.Event) -> None:
        """Support what the sender proposes, as far as we take it; pynetdicom then negotiates as always."""
        request = event.assoc.requestor.primitive
        if not isinstance(request, A_ASSOCIATE):
            return
        acceptor = cast("Acceptor", event.assoc)
        if not self._is_themselves(acceptor, request):
            self._turn_away(acceptor)
            return
        acceptor.acceptor.supported_contexts = accepted(
            request.presentation_context_definition_list,
            also=self.provider.provided,
            reversed_roles=self.provider.used,
        )

    def _is_themselves(self, association: Acceptor, request: A_ASSOCIATE) -> bool:
        title = (request.calling_ae_title or "").strip()
        return is_bound(title, association.dul.peer_certificate, self.config.client_certificates)

    def _turn_away(self, association: Acceptor) -> None:
        """Reject who uses another's AE title: "calling AE title not recognized" (PS3.8 table 9-21)."""
        association.acse.send_reject(0x01, 0x01, 0x03)
        evt.trigger(association, evt.EVT_REJECTED, {})
        association.kill()
        log.warning("an association was rejected: its certificate is not that of its calling AE title")
        sender = association.requestor.address_info
        self.audit.record(
            security_alert(
                codes.NODE_AUTHENTICATION,
                self.audit.process,
                subject=sender.address if sender else "unknown",
                text="the certificate is not that of the calling AE title",
                outcome=Outcome.SERIOUS_FAILURE,
            )
        )

    def associations(self) -> list[Acceptor]:
        """Associations whose threads run."""
        with self._changing:
            self._associations = {one for one in self._associations if one.is_alive()}
            return list(self._associations)

    def start(self, association: Acceptor) -> None:
        """Start an association; whoever asks for them once its peer was answered is told of it."""
        with self._changing:
            association.start()
            self._associations.add(association)

    def server_bind(self) -> None:
        if self.config.reuse_port and self.socket is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; the TLS handshake waits, so that nobody has to wait for a slow one."""
        if self.socket is None:
            raise OSError("the server is closed")
        connection, address = self.socket.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(self.config.acse_timeout_s)
        if self.config.tls is not None:
            connection = self.config.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def verify_request(self, request: object, client_address: object) -> bool:  # noqa: ARG002  # given by socketserver
        """Close connections beyond the number that can be told that they are rejected."""
        return len(self.associations()) < self.config.maximum_associations * CONNECTIONS_PER_ASSOCIATION + 1

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  # given by socketserver
        """Say that no association could be started, where the base class would print a traceback."""
        log.warning("a connection was closed, since no association could be started")

    def shutdown(self) -> None:
        """Stop listening; associations go on."""
        BaseServer.shutdown(self)
        self.server_close()


class _Entity(ApplicationEntity):
    """Our application entity; a connection counts as an association from its request on."""

    @property
    def active_associations(self) -> list[Association]:
        return [one for one in super().active_associations if one.requestor.primitive is not None]


def _entity(config: ListenerConfig) -> ApplicationEntity:
    entity = _Entity(config.ae_title or OWN_AE_TITLE)
    entity.require_called_aet = config.ae_title is not None
    entity.require_calling_aet = sorted(config.calling_ae_titles)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION
    entity.maximum_associations = config.maximum_associations
    entity.maximum_pdu_size = config.maximum_pdu_bytes
    entity.acse_timeout = config.acse_timeout_s
    entity.network_timeout = config.network_timeout_s
    return entity
