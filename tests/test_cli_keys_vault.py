"""``zweitblick keys`` with a Vault server: a real OpenBao."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from store.stores import instance, plain_file, study_uid
from vault.holders import Server, vault_server
from zweitblick.cli import main
from zweitblick.cli.keyholder import opened_holder
from zweitblick.settings import load_settings
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store

Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with vault_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def config(server: Server, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Settings for a key of the test's own."""
    place = server.place(tmp_path, str(request.param))
    (tmp_path / "settings.toml").write_text(
        f'data = "{tmp_path}/kept"\n[keys]\nholder = "vault"\nvault_url = "{place.url}"\n'
        f'vault_key = "{place.key}"\nvault_token_file = "{place.token_file}"\nvault_ca = "{place.ca}"\n'
    )
    return tmp_path / "settings.toml"


@pytest.fixture
def shared(tmp_path: Path) -> list[str]:
    return ["--shares", "3", "--threshold", "2", "--out", str(tmp_path / "shares")]


def keys(said: Said, config: Path, *arguments: str) -> tuple[int, str]:
    code = main(["keys", *arguments, "--config", str(config)])
    return code, "".join(said.readouterr())


def kept_is_read(config: Path, *, first: bool) -> bool:
    settings = load_settings(config, {})
    with (
        opened_holder(settings) as holder,
        Store(StorePlaces.within(settings.data), holder, clock=lambda: datetime.now(UTC)) as store,
    ):
        if first:
            store.keep(instance())
        (one,) = store.instances(store.token(study_uid(1)))
        return plain_file(store, one.id).endswith(instance().data)


@pytest.mark.parametrize("config", ["served"], indirect=True)
def test_a_server_s_key_lives_through_rotation_and_gives_no_shares(
    config: Path, shared: list[str], tmp_path: Path, capsys: Said
) -> None:
    assert keys(capsys, config, "init", *shared)[0] == 3, "it takes no key in"
    assert keys(capsys, config, "init")[0] == 0
    assert keys(capsys, config, "init")[0] == 3
    assert kept_is_read(config, first=True)
    assert keys(capsys, config, "backup", *shared)[0] == keys(capsys, config, "rotate", *shared)[0] == 3
    code, said = keys(capsys, config, "rotate", "--destroy-old")
    assert (code, "Destroyed key 1 (served:v1)" in said) == (0, True)
    assert "Key 2 (served:v2): 2 data keys, wraps" in keys(capsys, config, "status")[1]
    assert kept_is_read(config, first=False)
    assert not (tmp_path / "shares").exists()
    load_settings(config, {}).keys.vault.token_file.write_text("revoked")
    assert "Away: " in keys(capsys, config, "status")[1]


@pytest.mark.parametrize("config", ["begun"], indirect=True)
def test_a_rotation_that_is_finished_destroys_nothing_if_the_shares_that_were_asked_for_cannot_be(
    config: Path, shared: list[str], tmp_path: Path, capsys: Said
) -> None:
    keys(capsys, config, "init")
    kept_is_read(config, first=True)
    with opened_holder(load_settings(config, {})) as holder:
        holder.make_kek()
    code, said = keys(capsys, config, "rotate", "--destroy-old", *shared)
    assert code == 3
    assert "Wrapped 2 data keys anew under key 2" in said
    assert "vault.share" in said
    assert "Key 1 (begun:v1): 0 data keys, rotated out" in keys(capsys, config, "status")[1]
    assert kept_is_read(config, first=False)
    assert not (tmp_path / "shares").exists()
