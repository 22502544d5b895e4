"""What is wrong with settings is named by its key."""

from pathlib import Path

import pytest

from test_settings import HOME, loaded
from zweitblick.errors import SettingsError
from zweitblick.settings import load_settings

FAULTS = {
    "data": "data = 3",
    "models": "models = ''",
    "trusted_keys": "trusted_keys = ['']",
    "allow_unsigned_models": "allow_unsigned_models = 'yes'",
    "quiet_time_s": "quiet_time_s = -1",
    "quiet_times_s": "quiet_times_s = { SCANNER = 'long' }",
    "log_format": "log_format = ['json']",
    "otlp_endpoint": "otlp_endpoint = 'http://user:password@receiver:4318'",
    "priorities": "priorities = { SCANNER = 'soon' }",
    "database": "database = 'mysql://db/studies'",
    "keys_database": "keys_database = 'postgresql://'",
    "dicom.host": "[dicom]\nhost = 'localhost'",
    "dicom.port": "[dicom]\nport = 65536",
    "dicom.ae_title": "[dicom]\nae_title = 'SEVENTEEN_LETTERS'",
    "dicom.calling_ae_titles": "[dicom]\ncalling_ae_titles = ['back\\slash']",
    "dicom.certificate": "[dicom]\ncertificate = 'cert.pem'",
    "dicom.client_cas": "[dicom]\nclient_cas = 'ca.pem'",
    "dicom.receivers": "[dicom]\nreceivers = 0",
    "dicom.maximum_associations": "[dicom]\nmaximum_associations = 0",
    "dicom.maximum_pdu_bytes": "[dicom]\nmaximum_pdu_bytes = 1048577",
    "dicom.maximum_instance_bytes": "[dicom]\nmaximum_instance_bytes = 1023",
    "dicom.maximum_held_bytes": "[dicom]\nmaximum_held_bytes = 1e9",
    "largest_study_bytes": "largest_study_bytes = 1023",
    "dicom.acse_timeout_s": "[dicom]\nacse_timeout_s = 0",
    "dicom.network_timeout_s": "[dicom]\nnetwork_timeout_s = 'nan'",
    "dicom.colour": "[dicom]\ncolour = 'blue'",
    "http.host": "[http]\nhost = '0.0.0.0'",
    "http.port": "[http]\nport = true",
    "audit.folder": "[audit]\nfolder = ''",
    "audit.site": "[audit]\nsite = '  '",
    "audit.syslog_port": "[audit]\nsyslog_port = 70000",
    "audit.syslog_cas": "[audit]\nsyslog_host = 'a'\nsyslog_certificate = 'cert.pem'\nsyslog_key = 'cert.key'",
    "http.largest_upload_bytes": "[http]\nlargest_upload_bytes = 1000",
    "keys.holder": "[keys]\nholder = 'drawer'",
    "keys.pool": "[keys]\npool = -1",
    "keys.pool_age_s": "[keys]\npool_age_s = 59",
    "keys.pkcs11_token": "[keys]\npkcs11_token = ''",
    "keys.pkcs11_key": "[keys]\npkcs11_key = 'a/b'",
    "keys.pkcs11_module": "[keys]\nholder = 'pkcs11'\npkcs11_pin_file = 'pin'",
    "keys.pkcs11_pin_file": "[keys]\nholder = 'pkcs11'\npkcs11_module = 'hsm.so'",
    "keys.vault_url": "[keys]\nvault_url = 'http://vault.example:8200'",
    "keys.vault_mount": "[keys]\nvault_mount = '../sys'",
    "keys.vault_key": "[keys]\nvault_key = '..'",
    "keys.vault_token_file": "[keys]\nholder = 'vault'\nvault_url = 'https://vault.example:8200'",
    "keys.vault_ca": "[keys]\nvault_ca = ''",
    "sealing.key": "[sealing]\nkey = 'sealing.key'",
    "sealing.hsm_key": "[sealing]\nhsm_key = 'signing'\ncertificate = 'sealing.pem'",
    "sealing.certificate": "[sealing]\ncertificate = 'sealing.pem'",
    "receipts.hsm_key": "[receipts]\nhsm_key = 'receipts'\npublic_key = 'receipts.pub'",
    "receipts.hsm_key and receipts.public_key": "[receipts]\npublic_key = 'receipts.pub'",
    "keys.pin": "[keys]\npin = '1234'",
    "colour": "colour = 'blue'",
}
"""What is wrong, by the key that must be named."""


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


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        load_settings(tmp_path / "nowhere.toml", HOME)
