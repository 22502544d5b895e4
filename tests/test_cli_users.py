"""``zweitblick users``, and the ways in that settings open."""

import io
import json
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.requests import HTTPConnection

from access.identity_provider import AUDIENCE, CLIENT, IdentityProvider
from kept_study import Clock
from zweitblick.access.principal import Role
from zweitblick.access_settings import USUAL_ACCESS, AccessSettings, ProviderSettings
from zweitblick.cli import main
from zweitblick.cli.doors import access_checks, opened_doors, said_of
from zweitblick.errors import IdentityProviderError, SettingsError, TokenError, UsersError

PASSWORD = "correct horse battery staple"  # noqa: S105 -- of this test alone


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "settings.toml"
    file.write_text(f"[access]\nusers_file = '{tmp_path / 'users'}'\n")
    return file


def bearing(token: str) -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]})


def test_people_and_machines_are_added_listed_and_removed(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    shared = ["--config", str(config)]
    assert main(["users", "add", "anna", "--role", "radiologist", "--role", "administrator", *shared]) == 0
    assert main(["users", "add", "pacs", "--machine", "--role", "service", *shared]) == 0
    token = capsys.readouterr().out.strip()
    with opened_doors(AccessSettings(users_file=tmp_path / "users"), clock=Clock()) as doors:
        assert doors.visitor(bearing(token)).principal.roles == {Role.SERVICE}
        assert doors.users is not None
        assert doors.users.logged_in("anna", PASSWORD).roles == {Role.RADIOLOGIST, Role.ADMINISTRATOR}
        assert said_of(doors) == {}
    assert main(["users", "list", *shared]) == 0
    assert capsys.readouterr().out == "anna  administrator, radiologist\npacs  service\n"
    assert main(["users", "remove", "pacs", *shared]) == 0
    assert json.loads((tmp_path / "users").read_text())["machines"] == {}


def test_a_password_that_is_too_short_is_not_taken_and_not_told(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2\n"))
    assert main(["users", "add", "anna", "--role", "auditor", "--config", str(config)]) == 3
    told = capsys.readouterr().err
    assert "access.users" in told
    assert "hunter2" not in told


def test_without_a_file_there_is_nowhere_to_add_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.toml").touch()
    assert main(["users", "list", "--config", str(tmp_path / "empty.toml")]) == 3
    assert "access.users_file is not set" in capsys.readouterr().err


def test_without_settings_a_token_opens_everything_and_no_other(tmp_path: Path) -> None:
    with opened_doors(USUAL_ACCESS, clock=Clock()) as doors, opened_doors(USUAL_ACCESS, clock=Clock()) as others:
        token = said_of(doors)["Token"]
        assert doors.visitor(bearing(token)).principal.roles == set(Role)
        assert token not in repr(doors)
        for other in ("", token[:-1], f"{token}x", "ä", said_of(others)["Token"]):
            with pytest.raises(TokenError):
                doors.visitor(bearing(other))


def test_with_a_provider_its_tokens_open_and_none_is_printed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    clock = Clock()
    with closing(IdentityProvider()) as idp:
        idp.begin(clock)
        provider = ProviderSettings(idp.issuer, AUDIENCE, CLIENT, secret)
        with opened_doors(AccessSettings(provider), clock=clock) as doors:
            assert doors.visitor(bearing(idp.access_token())).principal.roles == {Role.RADIOLOGIST}
            assert said_of(doors) == {}
            assert doors.code_flow is not None
        assert access_checks(AccessSettings(provider))["access.issuer"]() == f"{idp.issuer} answers"
        idp.is_away = True
        with pytest.raises(IdentityProviderError):
            access_checks(AccessSettings(provider))["access.issuer"]()


def test_files_that_cannot_be_used_are_named_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("{")
    provider = ProviderSettings("https://login.example", AUDIENCE, CLIENT, tmp_path / "missing")
    broken = {
        AccessSettings(users_file=tmp_path / "users"): (UsersError, "users"),
        AccessSettings(provider): (SettingsError, "missing"),
    }
    for access, (kind, named) in broken.items():
        with pytest.raises(kind, match=named), opened_doors(access, clock=Clock()):
            pass
