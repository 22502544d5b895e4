"""Many cases and subsets, one file each, so that a rerun does only what is missing."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from zweitblick.errors import ZweitblickError
from zweitblick.model.bundle import Bundles
from zweitblick.prediction import REGIONS
from zweitblick_training.datasets import RawCase
from zweitblick_training.evaluate.case import CaseReader
from zweitblick_training.evaluate.record import Asked, Record, record_from_json
from zweitblick_training.evaluate.subsets import ALL, Subset, subset_name


class EvaluationError(ValueError):
    """Records do not make one evaluation; the message names the case."""


def evaluate(
    cases: Iterable[RawCase], bundles: Bundles, folder: Path, *, subsets: Sequence[Subset] = (ALL,)
) -> list[Record]:
    """Score cases from each subset of the sequences; what the same networks and code scored before is read back.

    A case that was corrected since, its outline for one, is scored again.

    `ALL` means all that a case has. The other subsets are shown of cases with all four sequences and all three regions
    drawn, so that every row of the table has the same cases.

    Parameters
    ----------
    cases
        May be a generator: one case at a time is held.
    bundles
        The networks.
    folder
        Where the records are kept, see `record_path`.
    subsets
        Which sequences to show.

    Raises
    ------
    ZweitblickError
        If serving cannot read a case: its name and subset are in a note on the error.
    """
    return [record for case in cases for record in _answered(case, bundles, folder, subsets)]


def record_path(folder: Path, asked: Asked) -> Path:
    """Where a record is kept: ``<folder>/<network>/<case>--<subset>.json``."""
    return folder / asked.network / f"{asked.name}--{subset_name(asked.subset)}.json"


def stored(folder: Path) -> list[Record]:
    """Read every record below a folder, of whatever networks, in the order of their names."""
    return [_read(path) for path in sorted(folder.rglob("*--*.json"))]


def merged(folds: Iterable[Iterable[Record]]) -> list[Record]:
    """Join the test cases of several folds into one cross-validated evaluation, by case.

    Raises
    ------
    EvaluationError
        If a case was asked twice from the same sequences, some of its scores are of what it was before a correction, or
        a patient was scored by two folds.
    """
    records = [record for fold in folds for record in fold]
    seen: set[tuple[str, Subset]] = set()
    judge: dict[str, str] = {}
    version: dict[str, str] = {}
    for asked in (record.asked for record in records):
        if (asked.name, asked.subset) in seen:
            raise EvaluationError(
                f"case {asked.name} was scored twice from {subset_name(asked.subset)}; name a fold once"
            )
        seen.add((asked.name, asked.subset))
        if version.setdefault(asked.name, asked.case) != asked.case:
            raise EvaluationError(
                f"case {asked.name}: some of its scores are of what it was before a correction; run evaluate again "
                "with all subsets, or remove the older scores"
            )
        if judge.setdefault(asked.patient, asked.network) != asked.network:
            raise EvaluationError(f"case {asked.name}: its patient was scored by more than one fold")
    return sorted(
        records, key=lambda record: (record.asked.name, -len(record.asked.subset), sorted(record.asked.subset))
    )


def _answered(case: RawCase, bundles: Bundles, folder: Path, subsets: Sequence[Subset]) -> list[Record]:
    reader = CaseReader(case, bundles)
    # A case without T2 has the same answer from all four and from the other three: it is asked once.
    questions = {reader.question(subset).subset: subset for subset in subsets if _is_askable(case, subset)}
    return [_one(reader, folder, subset) for subset in questions]


def _is_askable(case: RawCase, subset: Subset) -> bool:
    return subset == ALL or (frozenset(case.volumes) >= ALL and len(case.labelled) == len(REGIONS))


def _one(reader: CaseReader, folder: Path, subset: Subset) -> Record:
    asked = reader.question(subset)
    path = record_path(folder, asked)
    if path.is_file():
        kept = _read(path)
        if kept.asked == asked:
            return kept
    try:
        record = reader.score(subset)
    except ZweitblickError as error:
        error.add_note(f"while scoring case {asked.name} from {subset_name(subset)}")
        raise
    _write(path, record)
    return record


def _read(path: Path) -> Record:
    return record_from_json(json.loads(path.read_text(encoding="utf-8")))


def _write(path: Path, record: Record) -> None:
    """Write by way of a temporary name, so that a killed run leaves no half record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record.to_json()) + "\n", encoding="utf-8")
    part.replace(path)
