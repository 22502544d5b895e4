"""``zweitblick check`` finds each fault by itself, says what to do, and changes nothing."""

import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dimse.certificates import new_authority
from kept_study import Clock, new_store
from zweitblick.cli import main
from zweitblick.cli.checks import certificates, checks
from zweitblick.cli.service import serving
from zweitblick.errors import (
    BundleMissingError,
    CertificateError,
    KeyHolderError,
    SettingsError,
    StoreKeyError,
    StoreUnavailableError,
    StoreVersionError,
    UnknownKekError,
    ZweitblickError,
)
from zweitblick.settings import DicomSettings, HttpSettings, Settings
from zweitblick.store.received import ReceivedInstance
from zweitblick.vault.keyholders import make_key_file
from zweitblick.web import HttpServer, Service, create_app, one_token
from zweitblick.worklist import Notices, Worklist

TOKEN = "a token that is never printed"  # noqa: S105 -- of this test alone


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a store with one study."""
    with new_store(tmp_path, lambda: datetime.now(UTC)) as store:
        store.keep(ReceivedInstance("1.2.3", "1.2.4", "1.2.840.10008.1.2.1", "1.2.5", "1.2.6", "SCANNER", b"image"))
    free = DicomSettings(port=0), HttpSettings(port=0)
    return Settings(data=tmp_path / "data", key_file=tmp_path / "key", dicom=free[0], http=free[1])


def found(settings: Settings, name: str) -> str:
    return checks(settings)[name]()


def contents(folder: Path) -> dict[Path, bytes]:
    """Files, but for those that SQLite keeps only while somebody reads."""
    return {
        path: path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
        if not path.name.endswith(("-shm", "-wal"))
    }


def config(folder: Path, settings: Settings) -> Path:
    file = folder / "settings.toml"
    ports = f"[dicom]\nport = {settings.dicom.port}\n[http]\nport = {settings.http.port}\n"
    file.write_text(f'data = "{settings.data}"\nkey_file = "{settings.key_file}"\n{ports}')
    return file


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ZWEITBLICK_"):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_variables")
def test_what_is_in_order_is_ok_and_is_left_as_it_was(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    file = config(tmp_path, settings)
    before = contents(tmp_path)
    assert main(["check", "--config", str(file)]) == 0
    assert contents(tmp_path) == before
    said, errors = capsys.readouterr()
    lines = [line.split(maxsplit=2) for line in said.splitlines()]
    assert {word for word, _, _ in lines} == {"ok"}
    assert [name for _, name, _ in lines] == [
        "settings",
        "data",
        "keys",
        "store",
        "models",
        "service",
        "dicom.port",
        "http.port",
        "audit",
    ]
    assert {name: detail for _, name, detail in lines}["store"] == "1 receiving"
    assert errors == ""


@pytest.mark.usefixtures("no_variables")
def test_a_fault_is_said_with_its_code_and_the_rest_is_tried(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.key_file.chmod(0o644)
    assert main(["check", "--config", str(config(tmp_path, settings))]) == 3
    said, errors = capsys.readouterr()
    lines = [line.split(maxsplit=2) for line in said.splitlines()]
    assert [name for word, name, _ in lines if word == "FAULT"] == ["keys", "store"]
    assert all("vault.key-holder" in detail for word, _, detail in lines if word == "FAULT")
    assert len(lines) == 9
    assert errors.startswith("error: check.faults: 2 of 8")


def test_settings_that_do_not_parse_are_the_only_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("colour = 'blue'")
    assert main(["check", "--config", str(file)]) == 3
    said, errors = capsys.readouterr()
    assert said.startswith("FAULT  settings")
    assert "settings.invalid: colour is no setting" in said
    assert len(said.splitlines()) == len(errors.splitlines()) == 1


def test_before_the_first_start_nothing_is_there_and_nothing_is_made(tmp_path: Path) -> None:
    fresh = Settings(data=tmp_path / "a" / "data", key_file=tmp_path / "b" / "key")
    for name in ("data", "keys", "store", "service"):
        found(fresh, name)
    assert list(tmp_path.iterdir()) == []


def in_the_way(settings: Settings) -> Settings:
    return replace(settings, data=settings.key_file / "data")


def no_place_for_a_key(settings: Settings) -> Settings:
    return replace(settings, key_file=settings.key_file / "below" / "key")


def lost_key(settings: Settings) -> Settings:
    settings.key_file.unlink()
    return settings


def other_key(settings: Settings) -> Settings:
    settings.key_file.unlink()
    make_key_file(settings.key_file)
    return settings


def lost_wrapped_keys(settings: Settings) -> Settings:
    shutil.rmtree(settings.data / "keys")
    return settings


def emptied_wrapped_keys(settings: Settings) -> Settings:
    for path in (settings.data / "keys").iterdir():
        path.unlink()
    return settings


def lost_objects(settings: Settings) -> Settings:
    shutil.rmtree(settings.data / "data" / "objects")
    return settings


def newer_version(settings: Settings) -> Settings:
    with closing(sqlite3.connect(settings.data / "data" / "store.sqlite", isolation_level=None)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'data_9999'")
    return settings


def not_a_database(settings: Settings) -> Settings:
    (settings.data / "data" / "store.sqlite").write_bytes(b"no database " * 1000)
    return settings


def no_models(settings: Settings) -> Settings:
    return replace(settings, models=settings.data)


def elsewhere(settings: Settings) -> Settings:
    return replace(settings, http=HttpSettings("192.0.2.1", 8080))  # RFC 5737: of no machine


FAULTS: list[tuple[object, str, type[ZweitblickError]]] = [
    (in_the_way, "data", StoreUnavailableError),
    (no_place_for_a_key, "keys", KeyHolderError),
    (lost_key, "store", StoreKeyError),
    (other_key, "store", UnknownKekError),
    (lost_wrapped_keys, "store", StoreKeyError),
    (emptied_wrapped_keys, "store", StoreUnavailableError),
    (lost_objects, "store", StoreUnavailableError),
    (newer_version, "store", StoreVersionError),
    (not_a_database, "store", StoreUnavailableError),
    (no_models, "models", BundleMissingError),
    (elsewhere, "http.port", SettingsError),
]


@pytest.mark.parametrize(("broken", "name", "error"), FAULTS, ids=lambda value: getattr(value, "__name__", value))
def test_each_fault_is_found_where_it_is_and_nothing_is_repaired(
    tmp_path: Path, settings: Settings, broken: object, name: str, error: type[ZweitblickError]
) -> None:
    faulty = broken(settings)
    before = contents(tmp_path)
    with pytest.raises(error):
        found(faulty, name)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("key", ["dicom.port", "http.port"])
def test_a_port_that_another_program_uses_is_a_fault(settings: Settings, key: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        taken = other.getsockname()[1]
        faulty = (
            replace(settings, dicom=DicomSettings(port=taken))
            if key == "dicom.port"
            else replace(settings, http=HttpSettings(port=taken))
        )
        with pytest.raises(SettingsError, match=f"port {taken} .*set {key} "):
            found(faulty, key)


def test_certificates_must_fit_their_key_and_be_valid(tmp_path: Path) -> None:
    authority = new_authority(tmp_path, "authority")
    ours, theirs, now = authority.issue("server"), authority.issue("other"), datetime.now(UTC)
    tls = DicomSettings(certificate=ours.certificate, key=ours.key, client_cas=authority.files.certificate)
    assert f"{now + timedelta(days=1):%Y-%m-%d}" in certificates(tls, now)
    for faulty, at in (
        (replace(tls, key=theirs.key), now),
        (replace(tls, certificate=ours.key), now),
        (replace(tls, client_cas=ours.key), now),
        (tls, now + timedelta(days=2)),
        (tls, now - timedelta(days=2)),
    ):
        with pytest.raises(CertificateError):
            certificates(faulty, at)


def test_tls_is_tried_where_it_is_set(settings: Settings, tmp_path: Path) -> None:
    ours = new_authority(tmp_path, "authority").issue("server")
    tls = replace(settings, dicom=DicomSettings(port=0, certificate=ours.certificate, key=ours.key))
    assert found(tls, "dicom.certificate").startswith("valid until")
    assert "dicom.certificate" not in checks(settings)


@pytest.fixture
def running(settings: Settings) -> Iterator[Settings]:
    """A service at work, and the settings that say where."""
    with serving(settings) as addresses:
        dicom, http = (int(addresses[name].replace(":", " ").split()[-1]) for name in ("DICOM", "HTTP"))
        yield replace(settings, dicom=DicomSettings(port=dicom), http=HttpSettings(port=http))


def test_a_service_that_is_not_ready_is_a_fault(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with new_store(tmp_path / "other", lambda: datetime.now(UTC)) as store:
        worklist = Worklist(store.workitems, Notices(), Clock())
        app = create_app(Service(store, lambda _: None, lambda: False, worklist), doors=one_token(TOKEN))
        with HttpServer(app, host="127.0.0.1", port=0) as server:
            there = HttpSettings(port=int(server.address.rsplit(":", 1)[1]))
            with pytest.raises(StoreUnavailableError, match="runs and is not ready: studies are not read"):
                found(replace(settings, http=there), "service")


def test_a_service_that_runs_is_not_disturbed_and_its_ports_are_its_own(running: Settings) -> None:
    assert "in use by the running service" in found(running, "dicom.port")
    assert "in use by the running service" in found(running, "http.port")
    assert found(running, "service") == "runs and is ready"
    assert found(running, "store") == "1 receiving"
