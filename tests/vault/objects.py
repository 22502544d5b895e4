"""Objects to seal, and what their sealed form is bound to."""

import random

from hypothesis import strategies as st

from zweitblick.vault.data_key import DataKey

MIB = 2**20
MARK = 4
HEADER = 40
TAG = 16
FIRST_BORDER = MIB - HEADER - TAG
"""Plaintext of a first segment that is full; every further one holds `MIB` - `TAG`."""

KEY = DataKey(bytes(range(32)))
STUDY = "study 7"
NAME = "series 3/Übersicht"
INFO = b"zwb\x01" + b"\x00\x00\x00\x07study 7" + b"\x00\x00\x00\x13series 3/" + "Übersicht".encode()
"""What binds a subkey, spelt out: mark, then each name after its length in UTF-8."""

borders = st.builds(
    lambda number, offset: FIRST_BORDER + number * (MIB - TAG) + offset, st.integers(0, 2), st.integers(-2, 2)
)
sizes = st.one_of(st.integers(0, 300), borders, st.integers(0, 3 * MIB))


def plain_bytes(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - bytes to seal, no secret


def sealed_size(size: int) -> int:
    """From Tink's specification: every segment has a tag, and only an empty message has an empty segment."""
    further = -(-max(0, size - FIRST_BORDER) // (MIB - TAG))
    return MARK + HEADER + size + (1 + further) * TAG
