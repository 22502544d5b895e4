"""Search for work items: exact values, lists of UIDs, and ranges of dates and times (PS3.4 section C.2.2.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.tag import BaseTag, Tag

from zweitblick.errors import WorkitemQueryError

_RANGED = frozenset({"DA", "DT", "TM"})


@dataclass(frozen=True)
class Key:
    """One matching key.

    Parameters
    ----------
    path
        Tags from the outermost sequence to the attribute.
    value
        That it must have, as it was given; never in a ``repr``, since it may tell of a patient.
    """

    path: tuple[BaseTag, ...]
    value: str

    def __repr__(self) -> str:
        return f"Key({self.path})"

    def matches(self, dataset: Dataset) -> bool:
        """Tell whether one of the attributes at this path has the value, or one of the values."""
        return any(self._equals(value) for value in _values(dataset, self.path))

    def _equals(self, value: str) -> bool:
        vr = dictionary_VR(self.path[-1])
        if vr in _RANGED and "-" in self.value:
            first, last = self.value.split("-", 1)
            # a value that is less exact than the end of the range lies in it as its own beginning does
            return (not first or first <= value) and (not last or value[: len(last)] <= last)
        if vr == "UI":
            return value in self.value.replace("\\", ",").split(",")
        return value == self.value


def key_of(name: str, value: str) -> Key:
    """Read a matching key of a query string: keywords or tags, with dots between the levels of sequences.

    Raises
    ------
    WorkitemQueryError
        If there is no such attribute, or the value has a wildcard.
    """
    path = tuple(_tag(part) for part in name.split("."))
    if dictionary_VR(path[-1]) == "SQ":
        raise WorkitemQueryError(f"{keyword_for_tag(path[-1])} is a sequence; name an attribute within it")
    if "*" in value or "?" in value:
        raise WorkitemQueryError(
            f"{keyword_for_tag(path[-1])} has a wildcard, and only exact values are found; give the whole value"
        )
    return Key(path, value)


def matching(keys: Sequence[Key], dataset: Dataset) -> bool:
    """Tell whether a work item matches all keys; an empty value matches whatever there is."""
    return all(key.matches(dataset) for key in keys if key.value)


def _tag(name: str) -> BaseTag:
    number = tag_for_keyword(name) if name else None  # attributes without a keyword have an empty one
    if number is None and len(name) == 8:
        try:
            number = int(name, 16)
            dictionary_VR(number)
        except (ValueError, KeyError):
            number = None
    if number is None:
        raise WorkitemQueryError("a key of the query is no attribute's keyword or tag; see PS3.6")
    return Tag(number)


def _values(dataset: Dataset, path: tuple[BaseTag, ...]) -> list[str]:
    first, *rest = path
    if first not in dataset:
        return []
    element = dataset[first]
    if element.VR == "SQ":
        return [value for item in element.value for value in _values(item, tuple(rest))] if rest else []
    if rest or element.value is None:
        return []
    return [str(one) for one in element.value] if element.VM > 1 else [str(element.value)]
