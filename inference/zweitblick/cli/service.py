"""The service: store, receiver, worker and HTTP put together, and taken apart in the right order."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from zweitblick.dimse import DicomServer, ListenerConfig, server_context
from zweitblick.errors import KeyHolderError
from zweitblick.model.bundle import default_models, load_bundles
from zweitblick.settings import DicomSettings, Settings
from zweitblick.store.store import Store, StorePlaces
from zweitblick.vault.keyholders import FileKeyHolder, make_key_file
from zweitblick.web import HttpServer, Service, create_app
from zweitblick.worker import Worker

TOKEN_BYTES = 32


@contextmanager
def serving(settings: Settings) -> Iterator[Mapping[str, str]]:
    """Compose the service, and yield what people must know to use it.

    At the end nothing more is received first; then requests are answered, and readings finished or handed back.

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
    with ExitStack() as stack:
        store = stack.enter_context(_store(settings))
        worker = stack.enter_context(Worker(store, bundles, settings.data / "data" / "work", clock=_now))
        behind = Service(store, worker.submit, lambda: worker.is_working, settings.http.largest_upload_bytes)
        app = create_app(behind, token=token)
        http = stack.enter_context(HttpServer(app, host=settings.http.host, port=settings.http.port))
        dicom = stack.enter_context(DicomServer(_listener(settings.dicom), store))
        yield {
            "DICOM": f"{settings.dicom.host} port {dicom.port}",
            "HTTP": http.address,
            "Token": token,
            "Data": str(settings.data),
        }


def _now() -> datetime:
    return datetime.now(UTC)


def _store(settings: Settings) -> Store:
    _make_key_file_once(settings.key_file)
    holder = FileKeyHolder(settings.key_file)
    return Store(
        StorePlaces.within(settings.data),
        holder,
        clock=_now,
        quiet_time=lambda title: settings.quiet_times.get(title, settings.quiet_time),
    )


def _make_key_file_once(path: Path) -> None:
    if path.exists():
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeyHolderError(f"{path.parent} cannot be made ({error.strerror}); set key_file to another") from error
    make_key_file(path)


def _listener(dicom: DicomSettings) -> ListenerConfig:
    tls = None
    if dicom.certificate and dicom.key:
        tls = server_context(dicom.certificate, dicom.key, client_cas=dicom.client_cas)
    return ListenerConfig(
        host=dicom.host, port=dicom.port, ae_title=dicom.ae_title, calling_ae_titles=dicom.calling_ae_titles, tls=tls
    )
