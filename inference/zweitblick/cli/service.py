"""The service: store, receiver, worker and HTTP put together, and taken apart in the right order."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from zweitblick.dimse import DicomServer, ListenerConfig, server_context
from zweitblick.errors import KeyHolderError
from zweitblick.model.bundle import Bundles, default_models, load_bundles
from zweitblick.settings import DicomSettings, Settings
from zweitblick.store.store import Store, StorePlaces
from zweitblick.vault.keyholders import FileKeyHolder, make_key_file
from zweitblick.web import HttpServer, Service, create_app
from zweitblick.worker import Worker, WorkPlace

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
    _make_key_file_once(settings.key_file)
    with ExitStack() as stack:
        store = stack.enter_context(opened_store(settings))
        worker = stack.enter_context(_worker(settings, store, bundles))
        app = create_app(Service(store, worker.submit, lambda: worker.is_working), token=token)
        http = stack.enter_context(HttpServer(app, host=settings.http.host, port=settings.http.port))
        dicom = stack.enter_context(DicomServer(_listener(settings.dicom), store))
        yield {
            "DICOM": f"{settings.dicom.host} port {dicom.port}",
            "HTTP": http.address,
            "Token": token,
            "Data": str(settings.data),
        }


@contextmanager
def working(settings: Settings) -> Iterator[Mapping[str, str]]:
    """Read what others receive, without listening; yield what people must know.

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
    with opened_store(settings) as store, _worker(settings, store, bundles):
        yield {"Data": str(settings.data)}


def opened_store(settings: Settings) -> Store:
    """Open the store that the settings name.

    Raises
    ------
    StoreError, VaultError
        If it cannot be opened.
    """
    holder = FileKeyHolder(settings.key_file)  # first, so that without it no folder is made
    return Store(
        _places(settings),
        holder,
        clock=_now,
        quiet_time=lambda title: settings.quiet_times.get(title, settings.quiet_time),
    )


def _places(settings: Settings) -> StorePlaces:
    if settings.database is None or settings.keys_database is None:
        return StorePlaces.within(settings.data)
    return StorePlaces(settings.database, settings.keys_database, settings.data / "data" / "objects")


def _worker(settings: Settings, store: Store, bundles: Bundles) -> Worker:
    place = WorkPlace(settings.data / "data" / "work", queue=settings.database)
    return Worker(store, bundles, place, clock=_now, priorities=settings.priorities)


def _now() -> datetime:
    return datetime.now(UTC)


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
