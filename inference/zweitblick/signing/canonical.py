"""Canonical JSON (RFC 8785): of equal documents equal bytes, so that they have one digest and one signature."""

import json
from collections.abc import Mapping
from typing import Any

MOST_INTEGER = 2**53 - 1
"""Larger numbers are not exact for every reader (RFC 8259 section 6)."""


def canonical(document: Mapping[str, Any]) -> bytes:
    """Write a document of texts, whole numbers, truth values, null, lists and objects.

    Fractions are refused, for which RFC 8785 prescribes ECMAScript's digits: write them as whole numbers of a smaller
    unit, or as text.

    Parameters
    ----------
    document
        What is written; mappings have texts as keys.

    Returns
    -------
    bytes
        UTF-8, without spaces, keys in the order of their UTF-16 code units (RFC 8785 section 3.2.3).

    Raises
    ------
    ValueError
        If it holds a fraction, a whole number beyond `MOST_INTEGER`, or text that is no Unicode.
    """
    return json.dumps(_ordered(document), ensure_ascii=False, separators=(",", ":")).encode()


def _ordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _ordered(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be"))}
    if isinstance(value, list | tuple):
        return [_ordered(one) for one in value]
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > MOST_INTEGER):
        raise ValueError(f"{value!r} has no canonical form here; write it as text")
    return value
