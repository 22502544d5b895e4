"""Settings of who is let in: halves of them are told, and what would let others in is refused."""

from pathlib import Path

import pytest

from test_settings import HOME, loaded
from zweitblick.access_settings import AccessSettings
from zweitblick.errors import SettingsError

PROVIDER = "[access]\nissuer = 'https://login.example'\naudience = 'zb'\n"


def test_without_settings_nobody_is_known_but_who_has_the_token(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").access == AccessSettings()


def test_machines_need_no_client(tmp_path: Path) -> None:
    provider = loaded(tmp_path, PROVIDER).access.provider
    assert provider is not None
    assert (provider.issuer, provider.client("https://zb.example", None)) == ("https://login.example", None)


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://ZB.Example", "https://zb.example"),
        ("https://zb.example:443", "https://zb.example"),
        ("https://zb.example:8443", "https://zb.example:8443"),
        ("https://[2001:db8::443]", "https://[2001:db8::443]"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://127.0.0.1:443", "http://127.0.0.1:443"),
    ],
)
def test_the_public_address_is_the_origin_that_browsers_send(tmp_path: Path, given: str, origin: str) -> None:
    assert loaded(tmp_path, f"[access]\npublic_url = '{given}'").access.public_url == origin


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[access]\naudience = 'zb'", "access.audience needs access.issuer"),
        ("[access]\nissuer = 'https://login.example'", "access.issuer needs access.audience"),
        ("[access]\nissuer = 'http://login.example'", "no address such as https"),
        ("[access]\npublic_url = 'http://zb.example'", "no address such as https"),
        ("[access]\npublic_url = 'https://zb.example/path'", "without a path"),
        (f"{PROVIDER}client_id = 'browser'", "access.client_id needs access.public_url"),
        (f"{PROVIDER}client_id = 'zb'\npublic_url = 'https://zb.example'", "log-in would be an access token"),
        (f"{PROVIDER}client_secret_file = '/run/secret'", "needs access.client_id"),
        (f"{PROVIDER}tenant = 'north'", "access.tenant needs access.tenant_claim"),
        (f"{PROVIDER}tenant_claim = 'org'", "access.tenant_claim needs access.tenant"),
        (f"{PROVIDER}roles = {{ x = 'king' }}", "'king' is no role; give radiologist"),
        (f"{PROVIDER}roles = 7", "no table of roles"),
        (f"{PROVIDER}token = 'x'", "access.token is no setting"),
        ("[dicom]\nclient_certificates = { A = 'CN=a' }", "needs dicom.client_cas"),
        ("[dicom]\nclient_certificates = { A = 'a' }", "no certificate; give its SHA-256"),
        ("[dicom]\nclient_certificates = 7", "no table of certificates"),
    ],
)
def test_what_is_half_said_or_not_safe_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        loaded(tmp_path, text)


def test_the_environment_says_the_same(tmp_path: Path) -> None:
    text = f"{PROVIDER}roles = {{ rad-7 = 'radiologist' }}"
    variables = {"ZWEITBLICK_ACCESS_ROLES": "rad-7=radiologist"}
    assert loaded(tmp_path, text).access == loaded(tmp_path, PROVIDER, HOME | variables).access
