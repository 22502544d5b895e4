"""How well masks agree with the teacher and with what a stripper left, on heads that were never learnt from."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from zweitblick.errors import NotAHeadError
from zweitblick.model.brain_mask import brain_mask
from zweitblick.model.runtime import Network
from zweitblick.study import Sequence
from zweitblick.volume import Bool, Grid, Volume
from zweitblick_training.brain_mask.draw import noisy
from zweitblick_training.brain_mask.heads import TEST_STRIPPED, TEST_WHOLE, Head, stripped_head, whole_head
from zweitblick_training.datasets.packed import packed_names


@dataclass(frozen=True, eq=False)
class Scan:
    """A held-back volume with the mask to compare with.

    Parameters
    ----------
    name, group
        Case, and what kind of picture it is, as the card names it.
    sequence
        Its contrast.
    volume
        As stored.
    brain
        ``(K, J, I)`` on the volume's grid.
    """

    name: str
    group: str
    sequence: Sequence
    volume: Volume
    brain: Bool


@dataclass(frozen=True)
class Score:
    """One mask's agreement.

    Parameters
    ----------
    name, group, sequence, condition
        What was tried.
    dice
        Overlap 0 to 1 on the scan's own grid; 0 where no brain was found.
    seconds
        From volume to mask.
    """

    name: str
    group: str
    sequence: str
    condition: str
    dice: float
    seconds: float


def evaluate_brain_mask(scans: Iterable[Scan], network: Network) -> list[Score]:
    """Score the product's own `brain_mask` on every scan as it is, and in one of the worse conditions in turn."""
    scores = []
    for number, scan in enumerate(scans):
        # Of three sequences of one head each meets another condition, and the next head's begin one further on.
        worse = list(WORSE)[(number + number // len(WORSE)) % len(WORSE)]
        scores += [_score(scan, "as stored", network), _score(WORSE[worse](scan), worse, network)]
    return scores


def summary(scores: Iterable[Score]) -> list[dict[str, object]]:
    """Give number, mean and worst Dice for each group, sequence and condition, as rows of the card's table."""
    kinds: dict[tuple[str, str, str], list[float]] = {}
    for score in scores:
        kinds.setdefault((score.group, score.sequence, score.condition), []).append(score.dice)
    return [
        dict(zip(("group", "sequence", "condition"), kind, strict=True))
        | {"scans": len(dice), "dice_mean": round(float(np.mean(dice)), 4), "dice_worst": round(min(dice), 4)}
        for kind, dice in kinds.items()
    ]


def as_record(scores: list[Score]) -> dict[str, object]:
    """Return ``evaluation.json``: the summary and every single score."""
    return {"summary": summary(scores), "scores": [asdict(score) for score in scores]}


def dice_of(found: Bool, truth: Bool) -> float:
    """Twice the overlap over the sum of both; 1 if both are empty."""
    total = int(found.sum()) + int(truth.sum())
    return 2 * int((found & truth).sum()) / total if total else 1.0


def held_back_scans(data: Path, teacher: Path) -> list[Scan]:
    """Read whole heads with the teacher's masks, and stripped ones, of the splits' test side."""
    heads = [whole_head(data, teacher, name) for name in TEST_WHOLE]
    for source in ("brats", "nontumour"):
        heads += [stripped_head(data, source, n) for n in packed_names(data, source) if n in TEST_STRIPPED]
    return [scan for head in heads for scan in _scans(head)]


def stored_scans(folder: Path) -> list[Scan]:
    """Read ``<name>_<sequence>.npz`` files with ``voxels``, ``affine`` (``lps_from_index``) and ``brain``."""
    scans = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as stored:
            grid = Grid(stored["voxels"].shape, stored["affine"])
            volume = Volume(stored["voxels"], grid)
            name, sequence = path.stem.rsplit("_", 1)
            scans.append(Scan(name, name, Sequence(sequence), volume, stored["brain"]))
    return scans


def _scans(head: Head) -> list[Scan]:
    group = "stripped" if head.stripped else "whole"
    return [Scan(head.name, group, name, head.volume(name), head.brain) for name in head.sequences]


def _score(scan: Scan, condition: str, network: Network) -> Score:
    started = time.monotonic()
    found = _found(scan.volume, network)
    seconds = time.monotonic() - started
    return Score(scan.name, scan.group, scan.sequence, condition, dice_of(found, scan.brain), seconds)


def _found(volume: Volume, network: Network) -> Bool:
    try:
        return brain_mask(volume, network)
    except NotAHeadError:
        return np.zeros(volume.shape, np.bool_)


def _cropped(scan: Scan) -> Scan:
    """Lose an eighth of the view at the crown and at one side."""
    k, _, i = (size // 8 for size in scan.volume.shape)
    top = scan.volume.lps_from_index[2, 0] > 0
    start = [0 if top else k, 0, i]
    shape = (scan.volume.shape[0] - k, scan.volume.shape[1], scan.volume.shape[2] - i)
    window = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    volume = Volume(scan.volume.voxels[window], scan.volume.grid.cropped(start, shape))
    return Scan(scan.name, scan.group, scan.sequence, volume, scan.brain[window])


def _noisy(scan: Scan) -> Scan:
    """Rician noise of a tenth of the brain's median, in the air too."""
    median = float(np.median(scan.volume.voxels[scan.brain]))
    values = noisy(scan.volume.voxels, np.random.default_rng(0), 0.1 * median)
    return Scan(scan.name, scan.group, scan.sequence, Volume(values, scan.volume.grid), scan.brain)


def _zero_background(scan: Scan) -> Scan:
    """Set all that is darker than a tenth of the brain's median to exactly 0."""
    values = scan.volume.voxels
    median = float(np.median(values[scan.brain]))
    changed = Volume(np.where(values < 0.1 * median, np.float32(0), values), scan.volume.grid)
    return Scan(scan.name, scan.group, scan.sequence, changed, scan.brain)


WORSE: Mapping[str, Callable[[Scan], Scan]] = {
    "cropped": _cropped,
    "noisy": _noisy,
    "zero background": _zero_background,
}
"""What is done to scans to see what a mask stands."""
