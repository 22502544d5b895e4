"""``zweitblick serve``: studies come in over DICOM, findings and reports are there over HTTP."""

import argparse
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn

from zweitblick.cli.keeping import Keeping
from zweitblick.dimse import DicomServer, ListenerConfig, server_context
from zweitblick.errors import KeyHolderError, SettingsError
from zweitblick.model.bundle import default_models, load_bundles
from zweitblick.settings import DicomSettings, HttpSettings, Settings, load_settings
from zweitblick.store.store import Store, StorePlaces
from zweitblick.vault.keyholders import FileKeyHolder, make_key_file
from zweitblick.web import Service, create_app
from zweitblick.worker import Worker

DESCRIPTION = (
    "Receive studies over DICOM, read them, and serve findings and reports over HTTP. Without settings it listens on "
    "this machine only."
)
TOKEN_BYTES = 32


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "serve", parents=[shared], allow_abbrev=False, help="receive and read studies", description=DESCRIPTION
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="settings, as TOML (docs/serve.md)")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT; then finish what was begun.

    Raises
    ------
    ZweitblickError
        If it cannot start; see `zweitblick.errors`.
    """
    settings = load_settings(arguments.config, os.environ)
    _log()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    with _serving(settings) as addresses:
        for name, address in addresses.items():
            sys.stdout.write(f"{name}: {address}\n")
        sys.stdout.flush()
        stopped.wait()


@contextmanager
def _serving(settings: Settings) -> Iterator[Mapping[str, str]]:
    """Compose the service, and yield what people must know to use it.

    At the end nothing more is received first; then requests are answered, and readings finished or handed back.
    """
    bundles = load_bundles(settings.models or default_models())
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with ExitStack() as stack:
        store = stack.enter_context(_store(settings))
        worker = stack.enter_context(Worker(store, bundles, settings.data / "data" / "work", clock=_now))
        app = create_app(Service(store, worker.submit, lambda: worker.is_working), token=token)
        http = stack.enter_context(_http(app, settings.http))
        dicom = stack.enter_context(DicomServer(_listener(settings.dicom), Keeping(store)))
        yield {
            "DICOM": f"{settings.dicom.host} port {dicom.port}",
            "HTTP": http,
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


@contextmanager
def _http(app: Any, http: HttpSettings) -> Iterator[str]:
    """Serve HTTP in a thread, and yield its address. No access log: paths name studies."""
    listener = _bound(http)
    server = uvicorn.Server(
        uvicorn.Config(app, access_log=False, log_config=None, lifespan="off", timeout_graceful_shutdown=10)
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="http")
    thread.start()
    host = f"[{http.host}]" if ":" in http.host else http.host
    try:
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _bound(http: HttpSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((http.host, http.port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"http.port: {http.port} on {http.host} is not to be had ({error.strerror}); choose another"
        ) from error
    return listener


def _log() -> None:
    """Let our own log through, to standard error, and nobody else's: other libraries' lines may quote headers."""
    logging.disable(logging.NOTSET)
    logging.getLogger().addHandler(logging.NullHandler())
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    ours = logging.getLogger("zweitblick")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
