"""What a Vault server adds to what every key holder promises; the server is a real OpenBao or Vault."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from vault.holders import Server, vault_server
from zweitblick.errors import KeyHolderError
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.keyholders.places import TransitPlace
from zweitblick.vault.keyholders.transit import TransitKeyHolder

KEY = DataKey(bytes.fromhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"))
SERVICE = """
path "transit/keys/served" { capabilities = ["read"] }
path "transit/encrypt/served" { capabilities = ["update"] }
path "transit/decrypt/served" { capabilities = ["update"] }
"""
"""What docs/keys.md gives the service."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with vault_server(tmp_path_factory.mktemp("server")) as server:
        yield server


Opened = Callable[[TransitPlace], TransitKeyHolder]


@pytest.fixture
def opened() -> Iterator[Opened]:
    with ExitStack() as stack:
        yield lambda place: stack.enter_context(closing(TransitKeyHolder(place)))


def test_the_service_s_token_wraps_and_may_do_nothing_else(server: Server, tmp_path: Path, opened: Opened) -> None:
    place = server.place(tmp_path, "served")
    opened(place).make_kek()
    assert server.asked("PUT", "sys/policies/acl/service", {"policy": SERVICE}).is_success
    token = server.asked("POST", "auth/token/create", {"policies": ["service"]}).json()["auth"]["client_token"]
    place.token_file.write_text(token)
    service = opened(place)
    assert service.unwrap(service.wrap(KEY)) == KEY
    with pytest.raises(KeyHolderError, match="policy"):
        service.make_kek()
    with pytest.raises(KeyHolderError, match="policy"):
        opened(replace(place, key="other")).wrap(KEY)


def test_a_key_that_is_not_there_is_not_made_by_wrapping(server: Server, tmp_path: Path, opened: Opened) -> None:
    holder = opened(server.place(tmp_path, "absent"))
    for _ in range(2):
        with pytest.raises(KeyHolderError, match="zweitblick keys init"):
            holder.wrap(KEY)
    assert server.asked("GET", "transit/keys/absent").status_code == 404


@pytest.mark.parametrize(
    ("name", "made_as"),
    [("readable", {"exportable": True}), ("signing", {"type": "ed25519"}), ("d", {"derived": True})],
)
def test_a_key_that_can_be_read_out_or_is_of_another_kind_is_refused(
    server: Server, tmp_path: Path, opened: Opened, name: str, made_as: dict[str, object]
) -> None:
    assert server.asked("POST", f"transit/keys/{name}", made_as).is_success
    with pytest.raises(KeyHolderError, match=name):
        opened(server.place(tmp_path, name)).wrap(KEY)


def test_made_keys_cannot_be_read_out(server: Server, tmp_path: Path, opened: Opened) -> None:
    opened(server.place(tmp_path, "kept")).make_kek()
    for path in ("export/encryption-key/kept", "backup/kept"):
        answer = server.asked("GET", f"transit/{path}")
        assert answer.status_code >= 400, path


def test_a_token_is_read_anew_once_it_was_renewed(server: Server, tmp_path: Path, opened: Opened) -> None:
    place = server.place(tmp_path, "renewed")
    holder = opened(place)
    holder.make_kek()
    right = place.token_file.read_text()
    place.token_file.write_text("expired")
    with pytest.raises(KeyHolderError, match="renew") as caught:
        holder.wrap(KEY)
    assert "expired" not in str(caught.value)
    place.token_file.write_text(right)
    assert holder.unwrap(holder.wrap(KEY)) == KEY


def test_a_server_of_another_authority_is_not_asked(server: Server, tmp_path: Path, opened: Opened) -> None:
    with pytest.raises(KeyHolderError, match="does not answer"):
        opened(replace(server.place(tmp_path, "any"), ca=None)).wrap(KEY)
    with pytest.raises(KeyHolderError, match="absent"):
        opened(replace(server.place(tmp_path, "any"), ca=tmp_path / "absent.pem"))


def test_nobody_at_the_address_and_somebody_silent_are_away(server: Server, tmp_path: Path, opened: Opened) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        place = replace(server.place(tmp_path, "any"), url=url, timeout_s=0.2)
        with pytest.raises(KeyHolderError, match="Timeout"):
            opened(place).wrap(KEY)
    with pytest.raises(KeyHolderError, match="does not answer"):
        opened(place).wrap(KEY)


def test_an_engine_that_is_not_mounted_is_no_key(server: Server, tmp_path: Path, opened: Opened) -> None:
    holder = opened(replace(server.place(tmp_path, "any"), mount="elsewhere"))
    with pytest.raises(KeyHolderError):
        holder.wrap(KEY)
    with pytest.raises(KeyHolderError, match="404"):
        holder.make_kek()
