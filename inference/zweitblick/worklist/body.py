"""A body that is one data set in DICOM JSON (PS3.18 annex F), each attribute with the VR that PS3.6 gives it."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.errors import BytesLengthException

from zweitblick.errors import WorkitemContentError

MALFORMED = (
    *(ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError),
    BytesLengthException,
)
"""What pydicom raises, and what reading a data set raises, where something else stands than is expected."""

_TAG = re.compile(r"[0-9A-Fa-f]{8}")

_JSON_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("AE", "AS", "AT", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"), (str,)),
    **dict.fromkeys(("FD", "FL", "SL", "SS", "UL", "US"), (int, float)),
    **dict.fromkeys(("DS", "IS", "SV", "UV"), (int, float, str)),
    **dict.fromkeys(("PN", "SQ"), (dict,)),
}
"""What one value of a VR is in JSON (PS3.18 Table F.2.3-1); those that are not here are binary and have none."""

_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


def parsed(body: bytes) -> Dataset:
    """Read one data set in DICOM JSON, by itself or as a list of one.

    Parameters
    ----------
    body
        As it came.

    Returns
    -------
    Dataset
        What `Dataset.to_json_dict` writes of it can be read again.

    Raises
    ------
    WorkitemContentError
        If it is none; naming the tag where an attribute has another VR than PS3.6 gives it, or a value that its VR
        does not have.
    """
    try:
        content = json.loads(body)
        if isinstance(content, list) and len(content) == 1:
            content = content[0]
        _check_elements(content)
        model = Dataset.from_json(content).to_json_dict()  # values that do not fit their VR show here
        return Dataset.from_json(json.dumps(model, allow_nan=False, ensure_ascii=False).encode())
    except MALFORMED as error:
        raise WorkitemContentError(
            f"the body is not one data set in DICOM JSON ({type(error).__name__}); see PS3.18 annex F"
        ) from error


def _check_elements(elements: Mapping[str, Any]) -> None:
    for tag, element in elements.items():
        if not _TAG.fullmatch(tag):
            raise WorkitemContentError("a name of the body is no tag; give eight hexadecimal digits (PS3.18 F.2.2)")
        if element.get("vr") not in _vrs(tag):
            raise WorkitemContentError(f"({tag[:4]},{tag[4:]}) must have the VR {' or '.join(_vrs(tag))} (PS3.6)")
        if "BulkDataURI" in element:
            raise WorkitemContentError(f"({tag[:4]},{tag[4:]}) has bulk data, which is not fetched; give its value")
        _check_values(tag, element)


def _vrs(tag: str) -> list[str]:
    """Return the VRs that an attribute may have: that of PS3.6, any of one that is private or not in there."""
    try:
        return dictionary_VR(tag).split(" or ")
    except KeyError:
        return sorted({*_JSON_TYPES, *_BINARY})


def _check_values(tag: str, element: Mapping[str, Any]) -> None:
    types = _JSON_TYPES.get(element["vr"], ())
    given = element.get("Value", [])
    values = [one for one in given if one is not None]
    is_fit = all(isinstance(one, types) and not isinstance(one, bool) for one in values)
    if not isinstance(given, list) or not is_fit or (types and "InlineBinary" in element):
        raise WorkitemContentError(
            f"({tag[:4]},{tag[4:]}) has a value that is none of its VR in JSON; see PS3.18 Table F.2.3-1"
        )
    if element["vr"] == "SQ":
        for item in values:
            _check_elements(item)
