"""SignedHead: how many entries a trail has and what they lead to, under a signature that one public key checks."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from zweitblick.errors import HeadError
from zweitblick.signing.keys import is_signed

SIGNATURE_BYTES = 64
"""Ed25519 (RFC 8032)."""

_DOMAIN = b"zweitblick audit head 1"
_HEXADECIMAL = {"trail": 32, "head": 64, "signature": 128}


@dataclass(frozen=True)
class SignedHead:
    """What a trail was at a moment; for receipts, and for whoever keeps watch over it from outside.

    Parameters
    ----------
    trail
        Id of the trail, 32 hexadecimal digits.
    count
        Number of its last entry; they count from 1.
    head
        SHA-256 that the chain of entries leads to, 64 hexadecimal digits.
    signature
        Ed25519 over the other three, 128 hexadecimal digits; see `signed_bytes`.

    Raises
    ------
    HeadError
        If one of them is of another form.
    """

    trail: str
    count: int
    head: str
    signature: str

    def __post_init__(self) -> None:
        for name, digits in _HEXADECIMAL.items():
            value = getattr(self, name)
            if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
                raise HeadError(
                    f"{name} of the signed head is not {digits} hexadecimal digits; give the head as it was"
                )
        if type(self.count) is not int or not 0 < self.count < 2**64:
            raise HeadError(f"count of the signed head is {self.count!r} and no number of entries; give another head")

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a head as `json` wrote it; keys that it does not know are passed over, as in a receipt's part.

        Raises
        ------
        HeadError
            If it is none.
        """
        try:
            values = json.loads(data)
            return cls(*(values[name] for name in ("trail", "count", "head", "signature")))
        except (ValueError, KeyError, TypeError) as error:
            raise HeadError("this is no signed head; give JSON with trail, count, head and signature") from error

    def json(self) -> bytes:
        """Write it, in one line."""
        return json.dumps(asdict(self)).encode()

    def check(self, keys: Sequence[Ed25519PublicKey]) -> None:
        """Check the signature.

        Parameters
        ----------
        keys
            One of these must have signed.

        Raises
        ------
        HeadError
            If none has.
        """
        message = signed_bytes(bytes.fromhex(self.trail), self.count, bytes.fromhex(self.head))
        if not is_signed(message, bytes.fromhex(self.signature), keys):
            raise HeadError(
                f"the head of {self.count} entries is not signed by this key; give the service's public key"
            )


def signed_bytes(trail: bytes, count: int, head: bytes) -> bytes:
    """Return what is signed: 23 letters that no other signature of ours begins with, id, count and head.

    Parameters
    ----------
    trail
        16 bytes.
    count
        Number of the last entry.
    head
        32 bytes.
    """
    return _DOMAIN + trail + count.to_bytes(8, "big") + head
