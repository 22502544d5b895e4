"""Escrow: a key-encryption key in shares for several people, so many of whom together restore it, and fewer nothing.

Shares are words, as SLIP-0039 describes them (Shamir's secret sharing over GF(256), a checksum in each share, a digest
over all; https://github.com/satoshilabs/slips/blob/master/slip-0039.md), without a passphrase. They can be written on
paper, and other programs can join them. Needs nothing but the words.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from shamir_mnemonic import MnemonicError, decode_mnemonics, generate_mnemonics, recover_ems

from zweitblick.errors import ShareError
from zweitblick.vault.data_key import KEY_BYTES
from zweitblick.vault.keyholders import Kek

MOST_SHARES = 16
"""SLIP-0039."""
_LINE = re.compile(r"key (\d+) ([0-9a-f]{32}): ([a-z ]+)")


@dataclass(frozen=True)
class Share:
    """One person's part of key-encryption keys.

    Parameters
    ----------
    number, of
        Which of how many.
    threshold
        So many restore the keys.
    words
        Of each key.
    """

    number: int
    of: int
    threshold: int
    words: dict[Kek, str] = field(repr=False)

    def text(self) -> str:
        """Return what is written down: the words, and how they are used."""
        lines = [
            f"zweitblick key share {self.number} of {self.of}; any {self.threshold} of them restore the keys.",
            "Keep it where nobody else reads it. zweitblick keys restore takes files of such lines.",
            *(f"key {kek.version} {kek.id}: {words}" for kek, words in self.words.items()),
        ]
        return "\n".join(lines) + "\n"


def split(keks: dict[Kek, bytes], *, shares: int, threshold: int) -> list[Share]:
    """Split key-encryption keys among people.

    Parameters
    ----------
    keks
        32 bytes each, by name.
    shares
        Number of people, up to 16.
    threshold
        How many of them restore the keys, at least 2: one alone would be a copy of the key.

    Raises
    ------
    ShareError
        If shares and threshold are none that can be.
    """
    if not 2 <= threshold <= shares <= MOST_SHARES:
        raise ShareError(f"{threshold} of {shares} cannot be; give a threshold of 2 or more, and up to 16 shares")
    words = {kek: generate_mnemonics(1, [(threshold, shares)], secret)[0] for kek, secret in keks.items()}
    return [
        Share(number + 1, shares, threshold, {kek: each[number] for kek, each in words.items()})
        for number in range(shares)
    ]


def joined(texts: Iterable[str]) -> dict[Kek, bytes]:
    """Join shares to the key-encryption keys that they are of.

    Parameters
    ----------
    texts
        As `Share.text` gives them, in any order; what is none of its lines is passed over. More than are needed may be
        given.

    Raises
    ------
    ShareError
        If a share is damaged, too few are there, or they are not of the same keys.
    """
    words: dict[Kek, list[str]] = {}
    for text in texts:
        for line in text.splitlines():
            if match := _LINE.fullmatch(line.strip()):
                words.setdefault(Kek(match[2], int(match[1])), []).append(match[3].strip())
    if not words:
        raise ShareError("no share was given; its lines begin with 'key', a number and an id")
    return {kek: joined_words(each) for kek, each in sorted(words.items(), key=lambda item: item[0].version)}


def joined_words(mnemonics: Sequence[str], passphrase: bytes = b"") -> bytes:
    """Join the words of one key's shares.

    Parameters
    ----------
    mnemonics
        Words of each share.
    passphrase
        Ours have none.

    Raises
    ------
    ShareError
        If a share is damaged, too few are there, they are not of the same key, or it has not 32 bytes.
    """
    try:
        groups = decode_mnemonics(mnemonics)
        enough = {index: group.get_minimal_group() for index, group in groups.items()}
        secret = bytes(recover_ems(enough).decrypt(passphrase))
    except MnemonicError as error:
        raise ShareError(
            "the shares do not give a key: one was copied wrongly or is missing, or they are of different keys; "
            "compare each with its original"
        ) from error
    if len(secret) != KEY_BYTES:
        raise ShareError(f"the shares give {len(secret)} bytes, and no key has so many; give those of a key")
    return secret
