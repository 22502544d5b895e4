"""Settings are safe where nothing is set, come from file and environment alike, and name every fault by its key."""

import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zweitblick.errors import SettingsError
from zweitblick.settings import DicomSettings, HttpSettings, Settings, load_settings

HOME = {"HOME": "/home/somebody"}

FILE = """
data = "/srv/zweitblick"
key_file = "/etc/zweitblick/key"
models = "/opt/models"
quiet_time_s = 45
quiet_times_s = { SCANNER = 60, "PACS 1" = 0.5 }

[dicom]
host = "10.0.0.5"
port = 104
ae_title = "ZWEITBLICK"
calling_ae_titles = ["SCANNER", "PACS 1"]
certificate = "/etc/zweitblick/cert.pem"
key = "/etc/zweitblick/cert.key"
client_cas = "/etc/zweitblick/ca.pem"

[http]
host = "::1"
port = 8443
largest_upload_bytes = 1000000000
"""

ENVIRONMENT = {
    "ZWEITBLICK_DATA": "/srv/zweitblick",
    "ZWEITBLICK_KEY_FILE": "/etc/zweitblick/key",
    "ZWEITBLICK_MODELS": "/opt/models",
    "ZWEITBLICK_QUIET_TIME_S": "45",
    "ZWEITBLICK_QUIET_TIMES_S": "SCANNER=60,PACS 1=0.5",
    "ZWEITBLICK_DICOM_HOST": "10.0.0.5",
    "ZWEITBLICK_DICOM_PORT": "104",
    "ZWEITBLICK_DICOM_AE_TITLE": "ZWEITBLICK",
    "ZWEITBLICK_DICOM_CALLING_AE_TITLES": "SCANNER, PACS 1",
    "ZWEITBLICK_DICOM_CERTIFICATE": "/etc/zweitblick/cert.pem",
    "ZWEITBLICK_DICOM_KEY": "/etc/zweitblick/cert.key",
    "ZWEITBLICK_DICOM_CLIENT_CAS": "/etc/zweitblick/ca.pem",
    "ZWEITBLICK_HTTP_HOST": "::1",
    "ZWEITBLICK_HTTP_PORT": "8443",
    "ZWEITBLICK_HTTP_LARGEST_UPLOAD_BYTES": "1000000000",
}

EVERYTHING = Settings(
    data=Path("/srv/zweitblick"),
    key_file=Path("/etc/zweitblick/key"),
    models=Path("/opt/models"),
    quiet_time=timedelta(seconds=45),
    quiet_times={"SCANNER": timedelta(seconds=60), "PACS 1": timedelta(seconds=0.5)},
    dicom=DicomSettings(
        host="10.0.0.5",
        port=104,
        ae_title="ZWEITBLICK",
        calling_ae_titles=frozenset({"SCANNER", "PACS 1"}),
        certificate=Path("/etc/zweitblick/cert.pem"),
        key=Path("/etc/zweitblick/cert.key"),
        client_cas=Path("/etc/zweitblick/ca.pem"),
    ),
    http=HttpSettings(host="::1", port=8443, largest_upload_bytes=10**9),
)

FAULTS = {
    "data": "data = 3",
    "models": "models = ''",
    "quiet_time_s": "quiet_time_s = -1",
    "quiet_times_s": "quiet_times_s = { SCANNER = 'long' }",
    "dicom.host": "[dicom]\nhost = 'localhost'",
    "dicom.port": "[dicom]\nport = 65536",
    "dicom.ae_title": "[dicom]\nae_title = 'SEVENTEEN_LETTERS'",
    "dicom.calling_ae_titles": "[dicom]\ncalling_ae_titles = ['back\\slash']",
    "dicom.certificate": "[dicom]\ncertificate = 'cert.pem'",
    "dicom.client_cas": "[dicom]\nclient_cas = 'ca.pem'",
    "dicom.colour": "[dicom]\ncolour = 'blue'",
    "http.host": "[http]\nhost = '0.0.0.0'",
    "http.port": "[http]\nport = true",
    "http.largest_upload_bytes": "[http]\nlargest_upload_bytes = 1000",
    "colour": "colour = 'blue'",
}
"""What is wrong, by the key that must be named."""


def loaded(folder: Path, text: str, environment: dict[str, str] = HOME) -> Settings:
    file = folder / "settings.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, environment)


def test_without_settings_only_this_machine_is_listened_to() -> None:
    settings = load_settings(None, HOME)
    assert settings.dicom.host == settings.http.host == "127.0.0.1"
    assert settings.quiet_time == timedelta(seconds=30)
    assert settings.data == Path("/home/somebody/.local/share/zweitblick")
    assert settings.key_file == Path("/home/somebody/.config/zweitblick/key")


def test_folders_follow_the_xdg_variables() -> None:
    settings = load_settings(None, HOME | {"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "relative"})
    assert settings.data == Path("/data/zweitblick")
    assert settings.key_file == Path("/home/somebody/.config/zweitblick/key")


def test_the_file_sets_everything(tmp_path: Path) -> None:
    assert loaded(tmp_path, FILE) == EVERYTHING


def test_the_environment_sets_everything() -> None:
    assert load_settings(None, HOME | ENVIRONMENT) == EVERYTHING


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    settings = loaded(tmp_path, FILE, HOME | {"ZWEITBLICK_DICOM_PORT": "11112", "ZWEITBLICK_QUIET_TIME_S": "1.5"})
    assert settings.dicom.port == 11112
    assert settings.quiet_time == timedelta(seconds=1.5)
    assert settings.http == EVERYTHING.http


@pytest.mark.parametrize("key", FAULTS)
def test_a_fault_is_named_by_its_key(tmp_path: Path, key: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{key}\b"):
        loaded(tmp_path, FAULTS[key])


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(tmp_path, "data = 3\n[dicom]\nport = -1", HOME | {"ZWEITBLICK_HTTP_PORT": "x", "ZWEITBLICK_NEW": "1"})
    for key in ("data", "dicom.port", "http.port", "ZWEITBLICK_NEW"):
        assert key in str(raised.value)


def test_another_address_needs_titles_and_tls(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(tmp_path, "[dicom]\nhost = '0.0.0.0'")
    for key in ("dicom.ae_title", "dicom.calling_ae_titles", "dicom.certificate", "dicom.key"):
        assert key in str(raised.value)


@pytest.mark.parametrize("text", ["data = ", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1") + "= 1"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"settings\.toml"):
        loaded(tmp_path, text)


def test_the_documented_file_loads_and_its_variables_are_known(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[1] / "docs" / "serve.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", guide, re.DOTALL)[1]
    assert loaded(tmp_path, example).dicom.calling_ae_titles == {"PACS"}
    assert set(re.findall(r"ZWEITBLICK_\w+", example)) == set(ENVIRONMENT)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        load_settings(tmp_path / "nowhere.toml", HOME)


@given(st.dictionaries(st.sampled_from(sorted(ENVIRONMENT)), st.text(max_size=20)))
def test_any_environment_gives_settings_or_one_typed_error(environment: dict[str, str]) -> None:
    with suppress(SettingsError):
        settings = load_settings(None, HOME | environment)
        assert 0 <= settings.dicom.port <= 65535
        assert 0 <= settings.quiet_time.total_seconds() <= 86400
