"""The service: store, receiver, worker and HTTP put together, and taken apart in the right order."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from fastapi import FastAPI

from zweitblick.audit.events import application_started, application_stopped
from zweitblick.audit.trail import Trail
from zweitblick.cli.doors import opened_doors, said_of
from zweitblick.cli.keyholder import make_key_file_once, opened_holder
from zweitblick.cli.models import configured_bundles
from zweitblick.cli.receipts import receipt_signer
from zweitblick.cli.receiving import receiving, store_of
from zweitblick.cli.recording import audit_sealer, exporting, recording
from zweitblick.cli.seals import check_seals
from zweitblick.cli.watchers import traces
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.route import Route
from zweitblick.metrics import Metrics
from zweitblick.peers.destination import OWN_AE_TITLE, Archive
from zweitblick.retrieval.lookup import PriorLookup
from zweitblick.settings import DicomSettings, Settings
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import KeyHolder
from zweitblick.web import HttpServer, Service, Watched, create_app, create_worker_app
from zweitblick.worker import Notary, Partners, Worker, WorkPlace
from zweitblick.worklist import Inputs, Notices, Performer, Worklist


@contextmanager
def serving(settings: Settings) -> Iterator[Mapping[str, str]]:
    """Compose the service, and yield what people must know to use it.

    At the end it stops being ready first, so that nobody sends more; then nothing more is received, requests are
    answered, and readings finished or handed back.

    Parameters
    ----------
    settings
        Everything that can be set.

    Raises
    ------
    ZweitblickError
        If it cannot start.
    """
    listening = threading.Event()
    with ExitStack() as stack:
        holder = stack.enter_context(_holder(settings))
        sealer = audit_sealer(settings, holder)
        trail = stack.enter_context(recording(settings, sealer, clock=_now))
        stack.enter_context(exporting(settings, sealer))
        readers = stack.enter_context(_readers(settings, holder, trail))
        store, worker, partners = readers.store, readers.worker, readers.partners
        worklist = Worklist(store.workitems, Notices(), _now, trail)
        inputs = Inputs(store, _archives(settings, lambda route: route.inputs), audit=trail)
        stack.enter_context(Performer(worklist, store, worker.submit, clock=_now, inputs=inputs))
        service = Service(
            store,
            worker.submit,
            lambda: worker.is_working and listening.is_set(),
            worklist,
            partners.audit,
            settings.http.largest_upload_bytes,
            partners.metrics.conflicted,
        )
        doors = stack.enter_context(opened_doors(settings.access, clock=_now))
        app = create_app(service, doors=doors, exposition=partners.metrics.exposition, observer=partners.metrics.access)
        http = stack.enter_context(_http(app, settings, settings.http.port))
        port = stack.enter_context(receiving(settings, store, partners, listening=listening))
        yield {
            "DICOM": f"{settings.dicom.host} port {port}",
            "HTTP": settings.access.public_url or http.address,
            **said_of(doors),
            "Data": str(settings.data),
        }


@contextmanager
def working(settings: Settings) -> Iterator[Mapping[str, str]]:
    """Read what others receive; yield what people must know.

    Parameters
    ----------
    settings
        Everything that can be set.

    Raises
    ------
    ZweitblickError
        If it cannot start.
    """
    with ExitStack() as stack:
        holder = stack.enter_context(opened_holder(settings))
        trail = stack.enter_context(recording(settings, audit_sealer(settings, holder), clock=_now))
        readers = stack.enter_context(_readers(settings, holder, trail))
        yield {**stack.enter_context(_watched(settings, readers)), "Data": str(settings.data)}


@contextmanager
def opened_store(settings: Settings) -> Iterator[Store]:
    """Open the store that the settings name, until the end.

    Raises
    ------
    StoreError, VaultError
        If it cannot be opened.
    """
    with opened_holder(settings) as holder, store_of(settings, holder, audit=None) as store:
        yield store


@dataclass(frozen=True)
class _Readers:
    store: Store
    worker: Worker
    partners: Partners


@contextmanager
def _watched(settings: Settings, readers: _Readers) -> Iterator[Mapping[str, str]]:
    """Tell by HTTP how a worker is, if it is set where."""
    if settings.http.worker_port is None:
        yield {}
        return
    metrics = readers.partners.metrics
    watched = Watched(readers.store, lambda: readers.worker.is_working, metrics.exposition)
    with opened_doors(settings.access, clock=_now) as doors:
        app = create_worker_app(watched, doors=doors, audit=readers.partners.audit, observer=metrics.access)
        with _http(app, settings, settings.http.worker_port) as http:
            yield {"HTTP": http.address, **said_of(doors)}


def _http(app: FastAPI, settings: Settings, port: int) -> HttpServer:
    return HttpServer(app, host=settings.http.host, port=port, is_proxied=bool(settings.access.public_url))


@contextmanager
def _readers(settings: Settings, holder: KeyHolder, trail: Trail) -> Iterator[_Readers]:
    """Compose what reads, whether it receives or not."""
    check_seals(settings.routes, _now())
    bundles = configured_bundles(settings)
    with ExitStack() as stack:
        stack.enter_context(_activity(trail, settings.dicom))
        store = stack.enter_context(store_of(settings, holder, audit=trail))
        metrics = stack.enter_context(_metrics(settings, store))
        deliverer = Deliverer(store, settings.routes, audit=trail, observer=metrics)
        notary = Notary(receipt_signer(settings), trail.signed_head)
        archives = _archives(settings, lambda route: route.priors)
        lookup = PriorLookup(store, archives, clock=_now, audit=trail)
        partners = Partners(deliverer, metrics, trail, lookup, notary)
        place = WorkPlace(settings.data / "data" / "work", settings.database, settings.largest_study_bytes)
        worker = stack.enter_context(
            Worker(store, bundles, place, clock=_now, priorities=settings.priorities, partners=partners)
        )
        yield _Readers(store, worker, partners)


@contextmanager
def _metrics(settings: Settings, store: Store) -> Iterator[Metrics]:
    """Count, and tell of stages as spans where a receiver of these is set."""
    if settings.otlp_endpoint is None:
        yield Metrics(store.standing, clock=_now)
        return
    spans = traces().exported_to(settings.otlp_endpoint)
    with traces().TracedMetrics(store.standing, clock=_now, spans=spans) as metrics:
        yield metrics


def _archives(settings: Settings, is_asked: Callable[[Route], bool]) -> list[Archive]:
    return [one.destination for one in settings.routes if is_asked(one) and isinstance(one.destination, Archive)]


@contextmanager
def _activity(trail: Trail, dicom: DicomSettings) -> Iterator[None]:
    """Have start and end of the service on record."""
    process = replace(trail.process, ae_titles=(dicom.ae_title or OWN_AE_TITLE,), address=dicom.host)
    trail.record(application_started(process))
    try:
        yield
    finally:
        trail.record(application_stopped(process))


def _holder(settings: Settings) -> AbstractContextManager[KeyHolder]:
    """Open the key holder; only a key file, for development, is made where there is none."""
    if settings.keys.hsm is None and settings.keys.vault is None:
        make_key_file_once(settings.key_file)
    return opened_holder(settings)


def _now() -> datetime:
    return datetime.now(UTC)
