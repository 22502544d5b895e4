"""What else was tried: networks that were compared and ideas that were measured, kept by hand."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from zweitblick_training.evaluate.run import EvaluationError

CANDIDATES, IDEAS, REMARKS = "candidates.json", "ideas.json", "remarks.md"


@dataclass(frozen=True)
class Candidate:
    """A network that was compared.

    Parameters
    ----------
    name
        As the card calls it.
    parameters
        In millions.
    dice
        Mean by region, ``ET``, ``TC``, ``WT``.
    latency_s
        For one brain.
    size_mb
        Of its file.
    steps
        That it was trained.
    how
        Which cases, scorer and machine the figures are from; said under the table.
    """

    name: str
    parameters: float
    dice: dict[str, float]
    latency_s: float
    size_mb: float
    steps: int
    how: str = ""


@dataclass(frozen=True)
class Idea:
    """Something that was tried: what, what it changed and how that was measured."""

    idea: str
    change: str
    how: str


@dataclass(frozen=True)
class Trials:
    """All of them, in the order of the files, and what a reader of the figures has to know besides."""

    candidates: tuple[Candidate, ...] = ()
    ideas: tuple[Idea, ...] = ()
    remarks: str = ""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read ``candidates.json`` and ``ideas.json``; a file that is not there says nothing.

        Raises
        ------
        EvaluationError
            If a row lacks something or has too much.
        """
        try:
            candidates = tuple(Candidate(**row) for row in _rows(folder / CANDIDATES))
            ideas = tuple(Idea(**row) for row in _rows(folder / IDEAS))
        except (ValueError, TypeError) as error:
            raise EvaluationError(f"{CANDIDATES} or {IDEAS} of {folder.name} is not as it must be: {error}") from error
        remarks = folder / REMARKS
        return cls(candidates, ideas, remarks.read_text(encoding="utf-8").strip() if remarks.is_file() else "")


def _rows(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []
