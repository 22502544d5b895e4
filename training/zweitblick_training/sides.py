"""Sides: which cases a run learns from and which it never sees, written down where the run and its bundle are."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from zweitblick_training.datasets import Listing
from zweitblick_training.splits import Folds, LeakError, overlapping
from zweitblick_training.state_file import write_state

SPLITS, BEFORE, LEFT_OUT = "splits.json", "before", "left_out"
"""File of a run and of its bundle, and the keys in it that most runs from random weights lack."""


@dataclass(frozen=True)
class Sides:
    """Names of the cases on either side of a split.

    Parameters
    ----------
    train, test
        Sorted; a case is in at most one.
    before
        Cases that the weights it starts from have learnt from, whatever run that was in; sorted, none of them tested.
    left_out
        Cases on neither side, sorted: they may show patients that are tested, and other folds test them.

    Raises
    ------
    LeakError
        If a case is learnt from and tested.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    before: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        both = sorted({*self.learnt} & {*self.test})
        if both:
            raise LeakError(f"{name} is both learnt from and tested" for name in both)

    @classmethod
    def of_fold(cls, folds: Folds, number: int) -> Self:
        """Learn from all cases but those of one fold and those that may show the same patients."""
        train, test = folds.train(number), folds.test(number)
        return cls(train, test, left_out=tuple(sorted({*folds.cases} - {*train, *test})))

    @classmethod
    def of_all(cls, folds: Folds) -> Self:
        """Learn from every case: nothing is left to test."""
        return cls(folds.cases, ())

    @property
    def learnt(self) -> tuple[str, ...]:
        """Cases that the weights have learnt from, in this run and before it, sorted."""
        return tuple(sorted({*self.train, *self.before}))

    def starting_from(self, bundle: Path, folds: Folds) -> Self:
        """Return these sides with what a bundle has learnt from before; see `check_start`."""
        self.check_start(bundle, folds)
        return self.after(Sides.read(bundle / SPLITS).learnt)

    def after(self, learnt: Iterable[str]) -> Self:
        """Return these sides with further cases that were learnt from before."""
        return replace(self, before=tuple(sorted({*self.before, *learnt})))

    def unseen(self, listings: Sequence[Listing]) -> list[Listing]:
        """Choose the cases of a data set whose patients were, as far as can be told, not learnt from.

        What was left out is another fold's to judge.
        """
        patients = {one.name: one.patient for one in listings}
        seen = overlapping(patients, {name: patients.get(name, "") for name in self.learnt})
        return [one for one in listings if one.name not in seen and one.name not in self.left_out]

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
        path = bundle / SPLITS
        if not path.is_file():
            raise LeakError([f"bundle {bundle.name} does not say what it learnt from: splits.json is missing"])
        patients = folds.patients
        tested, taught = (
            {name: patients.get(name, "") for name in names} for names in (self.test, Sides.read(path).learnt)
        )
        known = overlapping(tested, taught, groups=folds.groups)
        if known:
            raise LeakError(_told(bundle, name, giver) for name, giver in known.items())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote; without ``before``, nothing was learnt from before, and so with ``left_out``.

        Raises
        ------
        LeakError
            If the file says something else.
        """
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            parts = (said["train"], said["test"], said.get(BEFORE, ()), said.get(LEFT_OUT, ()))
            train, test, before, left_out = (tuple(map(str, part)) for part in parts)
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise LeakError([f"{path.name} does not say which cases were learnt from"]) from error
        return cls(train, test, before, left_out)

    def write(self, path: Path) -> None:
        """Write `said` as JSON."""
        write_state(path, json.dumps(self.said(), indent=1) + "\n")

    def said(self) -> dict[str, tuple[str, ...]]:
        """Return the sides by name, as a run and its bundle say them: the rare ones only where there are any."""
        rare = {BEFORE: self.before, LEFT_OUT: self.left_out}
        return {"train": self.train, "test": self.test} | {side: names for side, names in rare.items() if names}


def _told(bundle: Path, name: str, giver: str) -> str:
    if name == giver:
        return f"bundle {bundle.name} has learnt from {name}, which is to be tested"
    return f"bundle {bundle.name} has learnt from {giver}, which may show the patient of {name}, which is to be tested"
