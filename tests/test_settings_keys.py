"""Settings of key holders and databases."""

from pathlib import Path

import pytest

from test_settings import EVERYTHING, HOME, loaded
from zweitblick.errors import SettingsError
from zweitblick.settings import load_settings
from zweitblick.vault.keyholders.places import TransitPlace


def test_a_vault_server_is_found_by_its_address_and_a_file_with_a_token(tmp_path: Path) -> None:
    text = "[keys]\nholder = 'vault'\nvault_url = 'https://vault.example:8200/'\nvault_token_file = '/run/token'"
    keys = loaded(tmp_path, text).keys
    assert keys.vault == TransitPlace("https://vault.example:8200", "transit", "zweitblick", Path("/run/token"))
    assert keys.hsm is None
    assert loaded(tmp_path, text.replace("https://vault.example", "http://127.0.0.1")).keys.vault is not None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("database = 'postgresql://u@db/a'", "go together"),
        ("database = 'postgresql://u@db/a'\nkeys_database = 'postgresql://u@db/a'", "backup"),
        ("database = 'mysql://u:pass-word@db/a'", "no URL of a PostgreSQL database"),
    ],
)
def test_databases_are_two_or_none(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=fault) as refused:
        loaded(tmp_path, text)
    assert "pass-word" not in str(refused.value)
    assert ":secret@" not in repr(EVERYTHING)


SECRET = "pass-word"  # noqa: S105 -- what must be refused


@pytest.mark.parametrize(
    "text",
    [
        f"database = 'postgresql://u:{SECRET}@db/a'",
        f"database = 'postgresql+psycopg://u:{SECRET}@/a?host=/run'",
        f"keys_database = 'postgresql://u@db/a?password={SECRET}'",
        f"keys_database = 'postgresql://db/a?passfile=/x&sslpassword={SECRET}'",
        f"[keys]\npkcs11_pin = '{SECRET}'",
        f"[keys]\nvault_token = '{SECRET}'",
        f"[[destinations]]\nname = 'A'\nurl = 'https://u:{SECRET}@archive/rs'",
        f"[[destinations]]\nname = 'A'\nurl = 'https://archive/rs'\ntoken = '{SECRET}'",
        f"[[destinations]]\nname = 'A'\nurl = 'https://archive/rs'\npassword = '{SECRET}'",
    ],
)
def test_no_secret_is_taken_from_the_settings_file_and_none_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path, text)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PGPASSWORD", SECRET),
        ("ZWEITBLICK_DATABASE", f"postgresql://u:{SECRET}@db/a"),
        ("ZWEITBLICK_KEYS_PKCS11_PIN", SECRET),
        ("ZWEITBLICK_KEYS_VAULT_TOKEN", SECRET),
    ],
)
def test_no_secret_is_taken_from_the_environment_and_none_is_told(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=r"^(database|PG|ZWEITBLICK_KEYS)") as refused:
        load_settings(None, HOME | {name: value})
    assert SECRET not in str(refused.value)


def test_a_password_of_a_database_is_in_a_file(tmp_path: Path) -> None:
    text = "database = 'postgresql://u@db/a?passfile=/p'\nkeys_database = 'postgresql://u@db/k?sslkey=/k'"
    assert loaded(tmp_path, text).database == "postgresql+psycopg://u@db/a?passfile=/p"
