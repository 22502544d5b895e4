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
        ("database = 'postgresql://u:pass-word@db/a'", "go together"),
        ("database = 'postgresql://u:pass-word@db/a'\nkeys_database = 'postgresql://u:pass-word@db/a'", "backup"),
        ("database = 'mysql://u:pass-word@db/a'", "no URL of a PostgreSQL database"),
    ],
)
def test_databases_are_two_or_none_and_their_passwords_are_not_told(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(SettingsError, match=fault) as refused:
        load_settings(tmp_path / "file", HOME)
    assert "pass-word" not in str(refused.value)
    assert ":secret@" not in repr(EVERYTHING)
