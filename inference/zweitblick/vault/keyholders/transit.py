"""Key-encryption keys in the Transit engine of HashiCorp Vault or OpenBao, over HTTPS. Needs the extra ``vault``."""

import base64
import re
import ssl
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import httpx

from zweitblick.errors import KeyHolderError, UnknownKekError
from zweitblick.vault.data_key import DataKey
from zweitblick.vault.keyholders.holder import Kek, WrappedKey, changed, checked_key
from zweitblick.vault.keyholders.places import TransitPlace
from zweitblick.vault.keyholders.private import read_private

_CIPHERTEXT = re.compile(r"vault:v([1-9][0-9]*):([A-Za-z0-9+/]+=*)")


class TransitKeyHolder:
    """Key-encryption keys that never leave a Vault or OpenBao server; for several threads at once.

    Data keys are encrypted by the server (AES-256-GCM), so they pass over the wire, inside TLS. The environment's
    proxies are not used.

    Parameters
    ----------
    place
        Where the key is.

    Raises
    ------
    KeyHolderError
        If the authorities' file cannot be used.
    """

    def __init__(self, place: TransitPlace) -> None:
        self._place = place
        self._checked = False
        try:
            context = ssl.create_default_context(cafile=place.ca)
        except OSError as error:
            raise KeyHolderError(f"{place.ca} holds no certificates that can be used; give another") from error
        self._client = httpx.Client(
            base_url=f"{place.url}/v1/{place.mount}/", verify=context, timeout=place.timeout_s, trust_env=False
        )

    @property
    def kek_id(self) -> str:
        """Name of the key that wraps: the key's, and its version."""
        return self.keks()[-1].id

    def wrap(self, key: DataKey) -> WrappedKey:
        """Have a data key encrypted with the newest version.

        Raises
        ------
        KeyHolderError
            If the server cannot be used, or has no such key.
        """
        if not self._checked:
            self.keks()  # encrypting with a key that is not there would make one
        data = self._asked("POST", f"encrypt/{self._place.key}", plaintext=base64.b64encode(key.secret).decode())
        if not (match := _CIPHERTEXT.fullmatch(str(data.get("ciphertext")))):
            raise KeyHolderError("the server's answer holds no wrapped key; see to keys.vault_url")
        return WrappedKey(self._kek(int(match[1])).id, key.id, base64.b64decode(match[2]))

    def unwrap(self, wrapped: WrappedKey) -> DataKey:
        """Have a data key decrypted.

        Raises
        ------
        UnknownKekError
            If another key wrapped it, or a version that is not there any more.
        KeyUnwrapError
            If it was changed, is another's, or is not the data key that it is said to be.
        KeyHolderError
            If the server cannot be used.
        """
        match = re.fullmatch(re.escape(self._place.key) + ":v([1-9][0-9]*)", wrapped.kek_id)
        if not match:
            raise self._unknown(wrapped)
        ciphertext = f"vault:v{match[1]}:{base64.b64encode(wrapped.ciphertext).decode()}"
        answer = self._answer("POST", f"decrypt/{self._place.key}", {"ciphertext": ciphertext})
        if answer.status_code == HTTPStatus.BAD_REQUEST:
            if wrapped.kek_id not in [kek.id for kek in self.keks()]:
                raise self._unknown(wrapped)
            raise changed(wrapped)
        return checked_key(base64.b64decode(str(_data(answer).get("plaintext"))), wrapped)

    def keks(self) -> Sequence[Kek]:
        """Return the key's versions, the one that wraps last."""
        answer = self._answer("GET", f"keys/{self._place.key}")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise KeyHolderError(f"the server has no key {self._place.key}; say zweitblick keys init")
        data = _data(answer)
        if data.get("type") != "aes256-gcm96" or data.get("derived") or data.get("exportable"):
            raise KeyHolderError(
                f"key {self._place.key} is not of type aes256-gcm96, or is derived or exportable; make another"
            )
        self._checked = True
        oldest = int(data["min_decryption_version"])
        return [self._kek(version) for version in sorted(map(int, data["keys"])) if version >= oldest]

    def make_kek(self) -> Kek:
        """Have the key made or, if it is there, its next version.

        Raises
        ------
        KeyHolderError
            If the server cannot be used, or the token may not do so.
        """
        if self._answer("GET", f"keys/{self._place.key}").status_code == HTTPStatus.NOT_FOUND:
            self._asked("POST", f"keys/{self._place.key}", type="aes256-gcm96", exportable=False)
        else:
            self._asked("POST", f"keys/{self._place.key}/rotate")
        return self.keks()[-1]

    def destroy_kek(self, kek: Kek) -> None:
        """Have the oldest version destroyed; the server's own backups are for its administrator to destroy.

        Raises
        ------
        KeyHolderError
            If it is not the oldest or the only one, or the token may not do so.
        """
        keks = self.keks()
        if kek != keks[0] or len(keks) == 1:
            raise KeyHolderError(f"key {kek.id} is the one that wraps, or not the oldest; destroy the oldest first")
        next_version = keks[1].version
        path = f"keys/{self._place.key}"
        self._asked("POST", f"{path}/config", min_decryption_version=next_version, min_encryption_version=next_version)
        self._asked("POST", f"{path}/trim", min_available_version=next_version)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _kek(self, version: int) -> Kek:
        return Kek(f"{self._place.key}:v{version}", version)

    def _unknown(self, wrapped: WrappedKey) -> UnknownKekError:
        return UnknownKekError(
            f"key {wrapped.kek_id} wrapped this data key and the server does not have it as {self._place.key}; name "
            "the server and key that did"
        )

    def _asked(self, method: str, path: str, **body: object) -> Mapping[str, Any]:
        return _data(self._answer(method, path, body or None))

    def _answer(self, method: str, path: str, body: Mapping[str, object] | None = None) -> httpx.Response:
        """Ask; what says nothing of the request itself means that the holder cannot be used."""
        token, _ = read_private(self._place.token_file, "token file")
        try:
            answer = self._client.request(method, path, json=body, headers={"X-Vault-Token": token})
        except httpx.TransportError as error:
            raise KeyHolderError(
                f"{self._place.url} does not answer ({type(error).__name__}); see to the server and its connection"
            ) from error
        if answer.status_code == HTTPStatus.FORBIDDEN:
            raise KeyHolderError(
                f"{self._place.url} refuses the token of {self._place.token_file}, or its policy {method} {path}; "
                "renew it, or widen its policy"
            )
        if answer.is_server_error or answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise KeyHolderError(f"{self._place.url} answers {answer.status_code}; see whether it is sealed")
        return answer


def _data(answer: httpx.Response) -> Mapping[str, Any]:
    """Return what an answer holds; its text is in no message, since it may quote the request."""
    if not answer.is_success:
        raise KeyHolderError(f"the server refuses a request ({answer.status_code}); see to the key and its server")
    if answer.status_code == HTTPStatus.NO_CONTENT:
        return {}
    try:
        data = answer.json()["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise KeyHolderError("the answer is not one of a Vault server; see to keys.vault_url") from error
    return data if isinstance(data, dict) else {}
