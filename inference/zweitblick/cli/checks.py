"""What ``zweitblick check`` tries, one function each: it returns what it found, or raises what is wrong with it."""

import json
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from cryptography import x509
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, SegmentationStorage

from zweitblick.cli.doors import access_checks
from zweitblick.cli.keyholder import opened_holder
from zweitblick.cli.models import configured_bundles
from zweitblick.cli.places import store_places
from zweitblick.cli.receipts import receipt_key
from zweitblick.cli.seals import sealable
from zweitblick.cli.watchers import LATER, watcher_checks
from zweitblick.delivery.route import Route
from zweitblick.dimse import server_context
from zweitblick.errors import (
    CertificateError,
    KeyHolderError,
    SettingsError,
    StoreFullError,
    StoreKeyError,
    StoreUnavailableError,
    TokenError,
)
from zweitblick.peers.cstore import StoreSender
from zweitblick.peers.destination import FolderDestination, StoreDestination
from zweitblick.peers.dimse_archive import DimseArchive
from zweitblick.peers.folder import FolderSender
from zweitblick.peers.sender import http_sender
from zweitblick.settings import DicomSettings, HttpSettings, Settings
from zweitblick.store.inspection import inspect
from zweitblick.vault.data_key import DataKey

Check = Callable[[], str]

LEAST_FREE_BYTES = 2 * 10**9
"""Some ten studies."""

ANSWER_S = 5.0
"""So long a running service may take to answer."""

SOP_CLASSES = {
    "seg": SegmentationStorage,
    "sr": Comprehensive3DSRStorage,
    "encapsulated-pdf": EncapsulatedPDFStorage,
}
"""Of the results that are DICOM instances."""


def checks(settings: Settings) -> Mapping[str, Check]:
    """Return what can be tried with these settings, by name; a name with a dot is a key of the settings."""
    found: dict[str, Check] = {
        "data": lambda: data_folder(settings.data),
        "keys": lambda: key_holder(settings),
        "store": lambda: store(settings),
        "models": lambda: models(settings),
        "service": lambda: service(settings.http),
    }
    if settings.receipts is not None:
        found["receipts.hsm_key"] = lambda: receipt_key(settings)
    if settings.dicom.certificate:
        found["dicom.certificate"] = lambda: certificates(settings.dicom, datetime.now(UTC))
    found["dicom.port"] = lambda: port("dicom.port", settings.dicom, settings.http)
    found["http.port"] = lambda: port("http.port", settings.http, settings.http)
    found |= access_checks(settings.access)
    found |= watcher_checks(settings)
    for route in settings.routes:
        if route.seal is not None:
            found[f"seal for {route.destination.name}"] = partial(sealable, route.seal, datetime.now(UTC))
        found[f"to {route.destination.name}"] = partial(destination, route)
    return found


def data_folder(folder: Path) -> str:
    """Try whether the data folder can be written to.

    Raises
    ------
    StoreUnavailableError, StoreFullError
        If not, or if there is next to no room.
    """
    place = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        raise StoreUnavailableError(f"{place} cannot be written ({error.strerror}); set data to another") from error
    if free < LEAST_FREE_BYTES:
        raise StoreFullError(f"{place} has {free / 1e9:.1f} GB left, less than {LEAST_FREE_BYTES / 1e9:.0f}; free some")
    return f"{folder}, {free / 1e9:.1f} GB free"


def key_holder(settings: Settings) -> str:
    """Try whether the key holder wraps a key, and unwraps it again.

    Raises
    ------
    KeyHolderError
        If not, or if there is none and none can be made.
    """
    is_file = _is_in_file(settings)
    if is_file and not settings.key_file.exists():
        place = _nearest(settings.key_file.parent)
        try:
            with tempfile.TemporaryFile(dir=place):
                return f"{settings.key_file} {LATER}"
        except OSError as error:
            raise KeyHolderError(f"{place} cannot be written ({error.strerror}); set key_file to another") from error
    with opened_holder(settings) as holder:
        holder.unwrap(holder.wrap(DataKey.fresh()))
        return f"{settings.key_file}, for development only" if is_file else f"key-encryption key {holder.kek_id}"


def _is_in_file(settings: Settings) -> bool:
    return settings.keys.hsm is None and settings.keys.vault is None


def store(settings: Settings) -> str:
    """Look at the store without changing it.

    Raises
    ------
    StoreError, VaultError
        See `zweitblick.store.inspection.inspect`.
    """
    if not (settings.data / "data").exists():
        return f"in {settings.data}, {LATER}"
    needed = [settings.data / "keys", *([settings.key_file] if _is_in_file(settings) else [])]
    for one in needed:
        if not one.exists():
            raise StoreKeyError(f"{one} is gone, and what is in {settings.data} needs it to be opened; restore it")
    with opened_holder(settings) as holder:
        standing = inspect(store_places(settings), holder)
    return ", ".join(f"{one.count} {state}" for state, one in standing.items()) or "no studies yet"


def models(settings: Settings) -> str:
    """Open all bundles, which checks their signatures, compares their digests and runs their golden inputs.

    Raises
    ------
    BundleError
        If one cannot be used.
    SigningKeyError
        If a key that is trusted cannot be read.
    """
    bundles = configured_bundles(settings)
    used = (bundles.tumour, bundles.brain_mask, bundles.sequence)
    named = (f"{one.name} {one.version}{'' if one.signed_by else ' (NOT SIGNED)'}" for one in used)
    return ", ".join(named) + f"; {bundles.tumour.runtime}"


def certificates(dicom: DicomSettings, now: datetime) -> str:
    """Try whether certificate, key and authorities belong together and are valid now.

    Raises
    ------
    CertificateError
        If not.
    """
    if dicom.certificate is None or dicom.key is None:
        return "none: no TLS"
    server_context(dicom.certificate, dicom.key, client_cas=dicom.client_cas)
    files = [dicom.certificate] + ([dicom.client_cas] if dicom.client_cas else [])
    ends = [_valid_until(file, now) for file in files]
    return f"valid until {min(ends):%Y-%m-%d}, for {(min(ends) - now).days} days"


def port(key: str, listening: DicomSettings | HttpSettings, http: HttpSettings) -> str:
    """Try whether a port is free, or in use by the service itself.

    Raises
    ------
    SettingsError
        If another program uses it, or the address is not of this machine.
    """
    where = f"{listening.host} port {listening.port}"
    if not listening.port:
        return f"{listening.host}, any free port"
    with socket.socket(socket.AF_INET6 if ":" in listening.host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((listening.host, listening.port))
            listener.listen()
        except OSError as error:
            if _is_running(http):
                return f"{where}, in use by the running service"
            raise SettingsError(f"{where} is not to be had ({error.strerror}); set {key} to another") from error
    return f"{where} is free"


def service(http: HttpSettings) -> str:
    """Ask the service, if it runs at these settings, whether it is ready.

    Raises
    ------
    StoreUnavailableError
        If it runs and is not.
    """
    if not _is_running(http):
        return "does not run at http.port"
    status, answer = _asked(http, "/ready")
    if status != 200:
        raise StoreUnavailableError(f"it runs and is not ready: {answer.get('detail', status)}")
    return "runs and is ready"


def destination(route: Route) -> str:
    """Try whether a destination would take what goes there; nothing is sent.

    Raises
    ------
    PeerError
        If not.
    """
    there = route.destination
    if isinstance(there, StoreDestination):
        if route.priors or route.inputs:
            DimseArchive(there).check()
        if not route.results:
            return f"{there.host} port {there.port} answers queries"
        StoreSender(there).check([SOP_CLASSES[result] for result in route.results])
        return f"{there.host} port {there.port} takes {', '.join(route.results)}"
    if isinstance(there, FolderDestination):
        FolderSender(there).check()
        return f"{there.folder} can be written"
    http_sender(there).check()
    return f"{there.url} answers"


def _nearest(folder: Path) -> Path:
    """Return a folder, or what is nearest above it."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def _valid_until(file: Path, now: datetime) -> datetime:
    found = x509.load_pem_x509_certificates(file.read_bytes())
    for one in found:
        if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
            raise CertificateError(
                f"{file} has a certificate that is valid from {one.not_valid_before_utc:%Y-%m-%d} to "
                f"{one.not_valid_after_utc:%Y-%m-%d}; renew it"
            )
    return min(one.not_valid_after_utc for one in found)


def _is_running(http: HttpSettings) -> bool:
    """Tell whether what listens for HTTP is this program."""
    try:
        return bool(http.port) and _asked(http, "/api/v1/session")[1]["code"] == TokenError.code
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return False


def _asked(http: HttpSettings, path: str) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection(http.host, http.port, timeout=ANSWER_S)
    try:
        connection.request("GET", path)
        answer: HTTPResponse = connection.getresponse()
        return answer.status, json.load(answer)
    finally:
        connection.close()
