"""What receives: in the service's own process, or in several of which each has a store of its own."""

import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from threading import Event
from typing import TYPE_CHECKING

from zweitblick.audit.auditor import Auditor
from zweitblick.catalogue.search import Search
from zweitblick.cli.keyholder import opened_holder
from zweitblick.cli.log import log_to
from zweitblick.cli.places import store_places
from zweitblick.cli.recording import audit_sealer, recording
from zweitblick.core_dumps import forbid_core_dumps
from zweitblick.dimse import (
    Committed,
    Crew,
    DicomServer,
    ListenerConfig,
    Receivers,
    ServiceLink,
    Services,
    server_context,
)
from zweitblick.errors import ZweitblickError
from zweitblick.settings import DicomSettings, Settings
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import KeyHolder

if TYPE_CHECKING:  # a receiver process needs no worker, nor what that imports
    from zweitblick.worker import Partners

log = logging.getLogger(__name__)


@contextmanager
def receiving(settings: Settings, store: Store, partners: "Partners", *, listening: Event) -> Iterator[int]:
    """Listen for DICOM, and yield the port.

    Parameters
    ----------
    settings
        Say where, and in how many processes.
    store
        Keeps what this process receives.
    partners
        Are told what happens.
    listening
        Is set while everybody listens who is to.

    Raises
    ------
    ZweitblickError
        If it cannot start.
    """
    observer, committed = partners.metrics, partners.deliverer.committed
    dicom = settings.dicom
    with ExitStack() as stack:
        if dicom.receivers > 1:
            crew = Crew(dicom.host, dicom.port, dicom.receivers, partial(receive, settings))
            port = stack.enter_context(Receivers(crew, observer, committed, listening=listening)).port
        else:
            server = DicomServer(
                listener(dicom),
                store,
                observer=observer,
                audit=partners.audit,
                services=_services(store, committed),
            )
            port = stack.enter_context(server).port
            listening.set()
        stack.callback(listening.clear)
        yield port


def receive(settings: Settings, pipe: Connection, port: int) -> None:
    """Be a receiver process of a service, until it says stop or is gone.

    Parameters
    ----------
    settings
        Of the service.
    pipe
        To the service.
    port
        That all receivers share.

    Raises
    ------
    SystemExit
        With ``EX_SOFTWARE`` at a defect of ours, in place of the traceback that multiprocessing would write.
    """
    forbid_core_dumps()  # a process of its own, which does not come by `zweitblick.cli.main`
    warnings.simplefilter("ignore")  # as there: they quote header values
    stopped = Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the service says when to stop
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopped.set())
    log_to(sys.stderr, log_format=settings.log_format)
    link = ServiceLink(pipe)
    try:
        with opened_holder(settings) as holder, ExitStack() as stack:
            trail = stack.enter_context(recording(settings, audit_sealer(settings, holder), clock=_now))
            store = stack.enter_context(store_of(settings, holder, audit=trail))
            config = replace(listener(settings.dicom), port=port, reuse_port=True)
            services = _services(store, link.committed)
            stack.enter_context(DicomServer(config, store, observer=link, audit=trail, services=services))
            gc.freeze()  # what is there by now stays; pynetdicom collects every six seconds, for a tenth of one
            link.listening()
            link.serve(lambda: stopped.is_set() or not store.is_receiving)  # the service starts another one
    except ZweitblickError as error:
        link.not_listening(error)
    except Exception as error:  # noqa: BLE001 -- the process's edge: a traceback may hold patient data, so none is shown
        log.error("a receiver ended by %s, a defect in zweitblick", type(error).__name__)  # noqa: TRY400 -- see above
        sys.exit(os.EX_SOFTWARE)
    link.close()


def store_of(settings: Settings, holder: KeyHolder, *, audit: Auditor | None) -> Store:
    """Open the store that the settings name.

    Raises
    ------
    StoreError, VaultError
        If it cannot be opened.
    """
    return Store(
        store_places(settings),
        holder,
        clock=_now,
        quiet_time=lambda title: settings.quiet_times.get(title, settings.quiet_time),
        audit=audit,
        pool=settings.keys.pool,
    )


def listener(dicom: DicomSettings) -> ListenerConfig:
    """Return how the DICOM server listens.

    Raises
    ------
    CertificateError
        If certificate or key cannot be used.
    """
    tls = None
    if dicom.certificate and dicom.key:
        tls = server_context(dicom.certificate, dicom.key, client_cas=dicom.client_cas)
    return ListenerConfig(
        host=dicom.host,
        port=dicom.port,
        ae_title=dicom.ae_title,
        calling_ae_titles=dicom.calling_ae_titles,
        client_certificates=dicom.client_certificates,
        tls=tls,
        maximum_associations=dicom.maximum_associations,
        maximum_pdu_bytes=dicom.maximum_pdu_bytes,
        maximum_instance_bytes=dicom.maximum_instance_bytes,
        maximum_held_bytes=dicom.maximum_held_bytes,
        acse_timeout_s=dicom.acse_timeout_s,
        network_timeout_s=dicom.network_timeout_s,
    )


def _services(store: Store, committed: Committed) -> Services:
    return Services(committed, Search(store), store.procedure_steps)


def _now() -> datetime:
    return datetime.now(UTC)
