"""A header in the DICOM JSON model (PS3.18 annex F), its bulk data named and left out."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from zweitblick.dicom.header import DAMAGE, header_of, quietly
from zweitblick.errors import DamagedInstanceError

BULK_BYTES = 1024
"""A binary value whose base64 is longer than this is named by a URI."""

BULK_FOLDER = "bulkdata"
"""A URI is this and the path of the element, relative to the instance, as in ``bulkdata/00880200/1/7FE00010``."""

_CHARACTER_SET = "00080005"
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_UTF_8 = {"vr": "CS", "Value": ["ISO_IR 192"]}


def header_model(file: BinaryIO) -> dict[str, Any]:
    """Return the data set of a DICOM file up to its pixel data.

    Text is Unicode whatever the file's character set is, and (0008,0005) says so (PS3.18 section F.2). What cannot be
    written in JSON, such as a decimal string that is no number, is left out.

    Parameters
    ----------
    file
        Seekable; what lies behind the header is not read.

    Returns
    -------
    dict
        Attributes by tag, in its order. Pixel data are named and never inline.

    Raises
    ------
    DamagedInstanceError
        If there is no header to be read.
    """
    with quietly():
        header = header_of(file, None)
        model = dict(_attributes(header.data, BULK_FOLDER))
    if _CHARACTER_SET in model:
        model[_CHARACTER_SET] = _UTF_8
    if header.pixels is not None:
        model["7FE00010"] = {"vr": header.pixels_vr, "BulkDataURI": f"{BULK_FOLDER}/7FE00010"}
    return model


def bulk_value(file: BinaryIO, path: str) -> bytes:
    """Return the value that a URI of `header_model` names, as the file has it.

    Parameters
    ----------
    file
        Seekable.
    path
        What the URI has behind `BULK_FOLDER`.

    Raises
    ------
    DamagedInstanceError
        If there is no binary value of this path.
    """
    try:
        with quietly():
            return _value_at(dcmread(file, force=True), path.split("/"))
    except (*DAMAGE, OSError) as error:
        raise DamagedInstanceError("the instance has no bulk data of this path; take URIs from its metadata") from error


def _attributes(data: Dataset, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for tag in sorted(data.keys()):
        key = f"{tag:08X}"
        try:
            yield key, _attribute(data[tag], f"{place}/{key}")
        except DAMAGE:  # its value is no value of its VR
            continue


def _attribute(element: DataElement, place: str) -> dict[str, Any]:
    if element.VR == "SQ":
        items = enumerate(element.value, start=1)
        return {"vr": "SQ", "Value": [dict(_attributes(item, f"{place}/{number}")) for number, item in items]}
    if element.tag in _PIXELS:  # of an icon
        return {"vr": element.VR, "BulkDataURI": place}
    attribute: dict[str, Any] = element.to_json_dict(lambda _: place, BULK_BYTES)
    json.dumps(attribute, allow_nan=False)
    return attribute


def _value_at(data: Dataset, path: list[str]) -> bytes:
    tag, *rest = path
    element = data[int(tag, 16)]
    if rest:
        return _value_at(element.value[int(rest[0]) - 1], rest[1:])
    if not isinstance(element.value, bytes):
        raise TypeError("no binary value")
    return element.value
