"""The text of a PDF page, as its content streams hold it; our own reader would need another dependency."""

import contextlib
import re
import zlib


def shown(document: bytes) -> list[str]:
    """Lines of text on the page, from its content streams (ISO 32000-1 9.4.3)."""
    strings = [found for content in contents(document) for found in re.findall(rb"\((.*?[^\\]|)\) Tj", content)]
    return [re.sub(r"\\(.)", r"\1", string.decode("latin-1")) for string in strings]


def contents(document: bytes) -> list[bytes]:
    """Inflated streams of the file: the page's content among them."""
    inflated = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", document, re.DOTALL):
        with contextlib.suppress(zlib.error):
            inflated.append(zlib.decompress(stream))
    return inflated
