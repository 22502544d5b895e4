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


def test_a_server_s_key_lives_through_rotation_and_gives_no_shares(
    server: Server, tmp_path: Path, capsys: Said
) -> None:
    place = server.place(tmp_path, "served")
    config = tmp_path / "settings.toml"
    config.write_text(
        f'data = "{tmp_path}/kept"\n[keys]\nholder = "vault"\nvault_url = "{place.url}"\nvault_key = "served"\n'
        f'vault_token_file = "{place.token_file}"\nvault_ca = "{place.ca}"\n'
    )
    shared = ["--shares", "3", "--threshold", "2", "--out", str(tmp_path / "shares")]

    def keys(*arguments: str) -> tuple[int, str]:
        code = main(["keys", *arguments, "--config", str(config)])
        return code, "".join(capsys.readouterr())

    def kept_is_read(*, first: bool) -> bool:
        settings = load_settings(config, {})
        with (
            opened_holder(settings) as holder,
            Store(StorePlaces.within(settings.data), holder, clock=lambda: datetime.now(UTC)) as store,
        ):
            if first:
                store.keep(instance())
            (one,) = store.instances(store.token(study_uid(1)))
            return plain_file(store, one.id).endswith(instance().data)

    assert keys("init", *shared)[0] == 3, "it takes no key in"
    assert keys("init")[0] == 0
    assert keys("init")[0] == 3
    assert kept_is_read(first=True)
    assert keys("backup", *shared)[0] == keys("rotate", *shared)[0] == 3
    code, said = keys("rotate", "--destroy-old")
    assert (code, "Destroyed key 1 (served:v1)" in said) == (0, True)
    assert "Key 2 (served:v2): 2 data keys, wraps" in keys("status")[1]
    assert kept_is_read(first=False)
    assert not (tmp_path / "shares").exists()
    place.token_file.write_text("revoked")
    assert "Away: " in keys("status")[1]
