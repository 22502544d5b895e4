"""The service: store, receiver, worker and HTTP put together, and taken apart in the right order."""

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime

from zweitblick.cli.keyholder import make_key_file_once, opened_holder
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.dimse import DicomServer, ListenerConfig, server_context
from zweitblick.metrics import Metrics
from zweitblick.model.bundle import default_models, load_bundles
from zweitblick.settings import DicomSettings, Settings
from zweitblick.store.store import Store, StorePlaces
from zweitblick.vault.keyholders import KeyHolder
from zweitblick.web import HttpServer, Service, create_app
from zweitblick.worker import Worker
from zweitblick.worklist import Notices, Performer, Worklist

TOKEN_BYTES = 32


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
    bundles = load_bundles(settings.models or default_models())
    token = secrets.token_urlsafe(TOKEN_BYTES)
    stopping = threading.Event()
    with ExitStack() as stack:
        store = stack.enter_context(_store(settings, stack.enter_context(_holder(settings))))
        metrics = Metrics(store.standing, clock=_now)
        work, deliverer = settings.data / "data" / "work", Deliverer(store, settings.routes)
        worker = stack.enter_context(Worker(store, bundles, work, clock=_now, deliverer=deliverer, metrics=metrics))
        worklist = Worklist(store.workitems, Notices(), _now)
        stack.enter_context(Performer(worklist, store, worker.submit, clock=_now))
        service = Service(
            store,
            worker.submit,
            lambda: worker.is_working and not stopping.is_set(),
            worklist,
            settings.http.largest_upload_bytes,
        )
        app = create_app(service, token=token, exposition=metrics.exposition)
        http = stack.enter_context(HttpServer(app, host=settings.http.host, port=settings.http.port))
        listener = _listener(settings.dicom)
        dicom = stack.enter_context(DicomServer(listener, store, observer=metrics, committed=deliverer.committed))
        stack.callback(stopping.set)
        yield {
            "DICOM": f"{settings.dicom.host} port {dicom.port}",
            "HTTP": http.address,
            "Token": token,
            "Data": str(settings.data),
        }


def _now() -> datetime:
    return datetime.now(UTC)


def _holder(settings: Settings) -> AbstractContextManager[KeyHolder]:
    """Open the key holder; only a key file, for development, is made where there is none."""
    if settings.keys.hsm is None and settings.keys.vault is None:
        make_key_file_once(settings.key_file)
    return opened_holder(settings)


def _store(settings: Settings, holder: KeyHolder) -> Store:
    return Store(
        StorePlaces.within(settings.data),
        holder,
        clock=_now,
        quiet_time=lambda title: settings.quiet_times.get(title, settings.quiet_time),
        pool=settings.keys.pool,
    )


def _listener(dicom: DicomSettings) -> ListenerConfig:
    tls = None
    if dicom.certificate and dicom.key:
        tls = server_context(dicom.certificate, dicom.key, client_cas=dicom.client_cas)
    return ListenerConfig(
        host=dicom.host, port=dicom.port, ae_title=dicom.ae_title, calling_ae_titles=dicom.calling_ae_titles, tls=tls
    )
