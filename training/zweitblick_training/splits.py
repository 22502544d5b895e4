"""Splits: folds by patient, kept in a file, and the check that no patient is on both sides of one."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from zweitblick_training.datasets import Listing
from zweitblick_training.datasets.packed import BRATS_OR_LGG, E2E_PATIENT, told_patient

Group = tuple[str, ...]
"""Beginnings of the names of cases that may show the same patients, so that no split may part them."""

_MAYBE_LGG: Group = (*BRATS_OR_LGG, "BraTS19_TCIA10_", "BraTS19_TCIA13_", "BraTS-GLI-0147", "BraTS-GLI-0148")

OVERLAPS: tuple[Group, ...] = (_MAYBE_LGG,)
"""Known overlaps of public data: these BraTS cases may show each other's patients. The same patients go by one number
from BraTS 2021 to 2024 and by one name in 2018 and 2019."""

ALIASES: tuple[tuple[Group, Group], ...] = ((_MAYBE_LGG, ("TCGA_", "TCGA-")),)
"""Pairs of groups: a case of the one may show a patient of the other, whose own cases are told apart by their names.

These BraTS cases are or may be TCGA-LGG patients, who are published by themselves too. Folds may lie across such a
pair: what may be a patient that a fold tests is left out of what it learns from."""

FIRST_NAMES: Group = tuple(name for group, _ in ALIASES for name in group)
"""Those of each pair that `OVERLAPS` keep together anyway."""


class FoldsError(ValueError):
    """A file holds no folds, there is no such fold, or too few patients for the number asked."""


class LeakError(ValueError):
    """What is learnt from and what is tested are not apart.

    Parameters
    ----------
    leaks
        All of them, not only the first; each is a line of the message.
    """

    def __init__(self, leaks: Iterable[str]) -> None:
        self.leaks = tuple(leaks)
        super().__init__("\n".join(self.leaks))


@dataclass(frozen=True)
class Folds:
    """Parts of the data, each tested by a network that learnt from all others but who may be the same, by `ALIASES`.

    Parameters
    ----------
    folds
        For each fold, the cases of each of its patients.
    groups
        Further overlaps beside `OVERLAPS`, as whoever drew the folds knew them.

    Raises
    ------
    FoldsError
        If there are fewer than two folds, or one has nothing to test or to learn from.
    LeakError
        If a case is listed twice, a patient or an overlap is on both sides, or the end-to-end patient is among them.
    """

    folds: tuple[Mapping[str, tuple[str, ...]], ...]
    groups: tuple[Group, ...] = field(default=())

    def __post_init__(self) -> None:
        parts = [{patient: tuple(sorted(part[patient])) for patient in sorted(part)} for part in self.folds]
        object.__setattr__(self, "folds", tuple(MappingProxyType(part) for part in parts))
        if len(parts) < 2 or not all(any(part.values()) for part in parts):
            sizes = [sum(map(len, part.values())) for part in parts]
            raise FoldsError(f"folds of {sizes} cases: two or more are needed, none of them empty")
        leaks = [*_forbidden(self.cases), *_twice(self.cases), *self._parted()]
        if leaks:
            raise LeakError(leaks)
        for number in range(len(parts)):
            if not self.train(number):
                raise FoldsError(
                    f"fold {number} has nothing to learn from: all other cases may show patients that it tests; "
                    "add cases or draw fewer folds"
                )

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of all cases, sorted."""
        return tuple(sorted(name for part in self.folds for names in part.values() for name in names))

    @property
    def patients(self) -> dict[str, str]:
        """Whom each case shows, by the case's name."""
        return {name: patient for part in self.folds for patient, names in part.items() for name in names}

    def test(self, number: int) -> tuple[str, ...]:
        """Names of the cases that a fold tests, sorted; folds count from 0.

        Raises
        ------
        FoldsError
            If there is no such fold.
        """
        if not 0 <= number < len(self.folds):
            raise FoldsError(f"there is no fold {number}; there are 0 to {len(self.folds) - 1}")
        return tuple(sorted(name for names in self.folds[number].values() for name in names))

    def train(self, number: int) -> tuple[str, ...]:
        """Names of the cases that a fold learns from, sorted: all that it does not test and that show nobody it tests.

        Raises
        ------
        FoldsError
            If there is no such fold.
        """
        tested = self.test(number)
        left_out = {*tested, *_aliases(self.cases, tested)}
        return tuple(name for name in self.cases if name not in left_out)

    def check(self, names: Iterable[str]) -> None:
        """Make sure that these cases, mostly those of a cache, are all in the folds.

        Raises
        ------
        LeakError
            Naming each case that no fold knows: nothing tells on which side its patient belongs.
        """
        given = sorted(names)
        known = set(self.cases)
        unknown = [f"{name} is in no fold: add its patient to one, or remove it" for name in given if name not in known]
        leaks = [*_forbidden(given), *unknown]
        if leaks:
            raise LeakError(leaks)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises
        ------
        FoldsError, LeakError
            If the file is no such file, or its folds leak.
        """
        try:
            said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            folds = tuple(
                {str(patient): _names(names) for patient, names in said["folds"][str(number)].items()}
                for number in range(len(said["folds"]))
            )
            groups = tuple(_names(group) for group in said["groups"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FoldsError(f"{path.name} holds no folds ({type(error).__name__}); draw them again") from error
        return cls(folds, groups)

    def write(self, path: Path) -> None:
        """Write to a file that is read, and changed, by hand as well: fold -> patient -> cases."""
        said = {
            "groups": self.groups,
            "folds": {str(number): dict(part) for number, part in enumerate(self.folds)},
        }
        path.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")

    def _parted(self) -> list[str]:
        """Say what lies in more than one fold and must not."""
        found: dict[str, dict[int, str]] = {}
        for number, part in enumerate(self.folds):
            for patient, names in part.items():
                for name in names:
                    for mark in _marks(name, patient, self.groups):
                        found.setdefault(mark, {})[number] = name
        return [
            f"{mark} must be in one fold: " + ", ".join(f"{name} is in {number}" for number, name in where.items())
            for mark, where in found.items()
            if len(where) > 1
        ]


def draw(listings: Iterable[Listing], count: int, *, seed: int = 0, groups: Sequence[Group] = ()) -> Folds:
    """Draw folds by patient, each with its share of every site as far as overlaps allow.

    Two cases that may show one patient under two names, by `ALIASES`, come into different folds: one that tests both
    would learn from none of all whom either may be.

    Parameters
    ----------
    listings
        Cases; see `zweitblick_training.datasets.Layout.listed`.
    count
        Number of folds.
    seed
        Of the draw; the same cases, in any order, and seed give the same folds.
    groups
        Overlaps beside `OVERLAPS`.

    Raises
    ------
    FoldsError
        If there are fewer patients (or groups of them) than folds, or a fold would have nothing to learn from.
    LeakError
        If a name comes twice or the end-to-end patient is among them.
    """
    parts: list[dict[str, list[str]]] = [{} for _ in range(count)]
    sites: list[Counter[str]] = [Counter() for _ in range(count)]
    ordered = sorted(listings, key=lambda one: (one.name, one.patient))
    for unit in _units(ordered, tuple(groups), seed):
        own = Counter(one.site for one in unit)
        strangers = [_strangers(part, unit) for part in parts]
        number = min(range(count), key=lambda part: (strangers[part], _crowd(sites[part], own), sites[part].total()))
        sites[number].update(own)
        for one in unit:
            parts[number].setdefault(one.patient, []).append(one.name)
    return Folds(tuple({patient: tuple(names) for patient, names in part.items()} for part in parts), tuple(groups))


def overlapping(
    tested: Mapping[str, str], taught: Mapping[str, str], *, groups: Sequence[Group] = ()
) -> dict[str, str]:
    """Find the cases that are, or whose patient is or may be, among those that were learnt from.

    Parameters
    ----------
    tested, taught
        Patient by case, as far as declared, else empty: what the name tells counts besides.
    groups
        Overlaps beside `OVERLAPS`.

    Returns
    -------
    dict
        Each such case of ``tested``, by name, and the case of ``taught`` that it is or shares a patient with.
    """
    known = {mark: name for name in sorted(taught, reverse=True) for mark in _marks(name, taught[name], tuple(groups))}
    found = {name: name for name in tested if name in taught}
    for name in tested.keys() - found.keys():
        givers = [known[mark] for mark in _marks(name, tested[name], tuple(groups)) if mark in known]
        givers += _aliases(taught, [name])
        if givers:
            found[name] = min(givers)
    return dict(sorted(found.items()))


def _aliases(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """Return those of ``names`` that may show a patient of ``others`` by another name."""
    others = tuple(others)
    sought = [
        group
        for pair in ALIASES
        for group, alias in (pair, pair[::-1])
        if any(name.startswith(alias) for name in others)
    ]
    return [name for name in names if any(name.startswith(group) for group in sought)]


def _units(listings: Sequence[Listing], groups: tuple[Group, ...], seed: int) -> list[list[Listing]]:
    """Smallest sets that no split parts: those of `FIRST_NAMES` first, then the largest, otherwise shuffled."""
    units: list[tuple[set[str], list[Listing]]] = []
    for one in listings:
        marks = _marks(one.name, one.patient, groups)
        touched = [unit for unit in units if unit[0] & marks]
        units = [unit for unit in units if not unit[0] & marks]
        joined = [member for unit in touched for member in unit[1]]
        units.append((marks.union(*(unit[0] for unit in touched)), [*joined, one]))
    order = np.random.default_rng(seed).permutation(len(units))
    drawn = [units[place][1] for place in order]
    # Who may be somebody else as well first: all those can then come into other folds.
    return sorted(drawn, key=lambda unit: (not any(one.name.startswith(FIRST_NAMES) for one in unit), -len(unit)))


def _strangers(there: Mapping[str, Iterable[str]], coming: Sequence[Listing]) -> int:
    """Count a fold's cases that may show patients of a unit by other names."""
    return len(_aliases((name for names in there.values() for name in names), [one.name for one in coming]))


def _crowd(there: Counter[str], coming: Counter[str]) -> int:
    """Count the company that a unit's cases would find in a fold: cases of their own sites."""
    return sum(there[site] * cases for site, cases in coming.items())


def _marks(name: str, patient: str, groups: tuple[Group, ...]) -> set[str]:
    """All by which two cases may be told to show one patient: what is declared, what the name tells, known overlaps."""
    people = {f"patient {one}" for one in (patient, told_patient(name)) if one}
    overlaps = {f"group {', '.join(group)}" for group in (*OVERLAPS, *groups) if name.startswith(group)}
    return people | overlaps


def _forbidden(names: Iterable[str]) -> list[str]:
    marker = _letters(E2E_PATIENT)
    return [
        f"{name} is the end-to-end check and may be in no fold and no training: remove it"
        for name in names
        if marker in _letters(name)
    ]


def _letters(name: str) -> str:
    """Letters and digits of a name, in capitals: data sets write the same patient with other marks between."""
    return re.sub(r"[^A-Z0-9]", "", name.upper())


def _twice(names: Iterable[str]) -> list[str]:
    return [f"{name} is listed {count} times" for name, count in Counter(names).items() if count > 1]


def _names(values: Any) -> tuple[str, ...]:
    """Names from a file: a list of texts, and not one text, which would be read as its letters.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise TypeError("a list of texts is needed")
    return tuple(values)
