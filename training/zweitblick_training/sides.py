"""Sides: which cases a run learns from and which it never sees, written down where the run and its bundle are."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from zweitblick_training.datasets import Listing
from zweitblick_training.splits import Folds, LeakError, overlapping


@dataclass(frozen=True)
class Sides:
    """Names of the cases on either side of a split.

    Parameters
    ----------
    train, test
        Sorted; a case is in at most one.

    Raises
    ------
    LeakError
        If a case is in both.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        both = sorted({*self.train} & {*self.test})
        if both:
            raise LeakError(f"{name} is both learnt from and tested" for name in both)

    @classmethod
    def of_fold(cls, folds: Folds, number: int) -> Self:
        """Learn from all cases but those of one fold."""
        return cls(folds.train(number), folds.test(number))

    @classmethod
    def of_all(cls, folds: Folds) -> Self:
        """Learn from every case: nothing is left to test."""
        return cls(folds.cases, ())

    def unseen(self, listings: Sequence[Listing]) -> list[Listing]:
        """Choose the cases of a data set whose patients were, as far as can be told, not learnt from."""
        patients = {one.name: one.patient for one in listings}
        seen = overlapping(patients, {name: patients.get(name, "") for name in self.train})
        return [one for one in listings if one.name not in seen]

    def check_start(self, bundle: Path, folds: Folds) -> None:
        """Make sure that a bundle whose weights a run starts from has learnt of no patient that the run is tested on.

        Parameters
        ----------
        bundle
            Its folder.
        folds
            Those that these sides are of: they know whom a case shows where its name does not tell.

        Raises
        ------
        LeakError
            Naming each case of such a patient, or if the bundle does not say what it learnt from.
        """
        path = bundle / "splits.json"
        if not path.is_file():
            raise LeakError([f"bundle {bundle.name} does not say what it learnt from: splits.json is missing"])
        patients = folds.patients
        tested, taught = (
            {name: patients.get(name, "") for name in names} for names in (self.test, Sides.read(path).train)
        )
        known = overlapping(tested, taught, groups=folds.groups)
        if known:
            raise LeakError(_told(bundle, name, giver) for name, giver in known.items())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises
        ------
        LeakError
            If the file says something else.
        """
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            return cls(tuple(map(str, said["train"])), tuple(map(str, said["test"])))
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise LeakError([f"{path.name} does not say which cases were learnt from"]) from error

    def write(self, path: Path) -> None:
        """Write as JSON, ``train`` and ``test``."""
        path.write_text(json.dumps({"train": self.train, "test": self.test}, indent=1) + "\n", encoding="utf-8")


def _told(bundle: Path, name: str, giver: str) -> str:
    if name == giver:
        return f"bundle {bundle.name} has learnt from {name}, which is to be tested"
    return f"bundle {bundle.name} has learnt from {giver}, which may show the patient of {name}, which is to be tested"
