"""How often the network is right on heads that it never learnt from, by source and kind, through the serving code."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from zweitblick.model.runtime import Network
from zweitblick.model.sequence_network import SURE, Kind, opinion_of
from zweitblick.volume import Volume
from zweitblick_training.brain_mask.heads import Head
from zweitblick_training.sequence_type.draw import reoriented, thickened
from zweitblick_training.sequence_type.heads import held_back_heads
from zweitblick_training.sequence_type.other import draw_other

Random = np.random.Generator

OTHERS = 60
"""Images of other kinds drawn from the held-back heads."""


@dataclass(frozen=True)
class Look:
    """One opinion.

    Parameters
    ----------
    name, source, condition
        Case, where it comes from, and what was done to it.
    truth, kind
        What it is and what the network takes it for.
    probability
        Of ``kind``.
    """

    name: str
    source: str
    condition: str
    truth: str
    kind: str
    probability: float


@dataclass(frozen=True, eq=False)
class Asked:
    """An image that the network is asked about; see `Look`."""

    name: str
    source: str
    condition: str
    truth: Kind
    volume: Volume


def held_back_looks(data: Path, teacher: Path, network: Network, *, seed: int = 0) -> list[Look]:
    """Ask the network about every held-back image, as stored and worse, and about images of other kinds.

    Parameters
    ----------
    data, teacher
        See `SequenceTypeRecipe`.
    network
        The released one, see `zweitblick.model.sequence_network.opinion_of`.
    seed
        Of what is changed in the images.
    """
    random = np.random.default_rng(seed)
    heads = held_back_heads(data, teacher)
    looks = [look for head in heads for look in _looks(head, network, random)]
    others = ((f"drawn {number}", draw_other(heads, random)) for number in range(OTHERS))
    drawn = (Asked(name, "drawn from held-back heads", "other kinds", Kind.OTHER, volume) for name, volume in others)
    return [*looks, *(_look(asked, network) for asked in drawn)]


def summary(looks: Iterable[Look]) -> list[dict[str, object]]:
    """Count images, right opinions, sure opinions and right ones among those, for each source, condition and kind."""
    groups: dict[tuple[str, str, str], list[Look]] = {}
    for look in looks:
        groups.setdefault((look.source, look.condition, look.truth), []).append(look)
    return [
        {**dict(zip(("source", "condition", "kind"), group, strict=True)), **counts(found)}
        for group, found in groups.items()
    ]


def as_record(looks: list[Look]) -> dict[str, object]:
    """Return ``evaluation.json``: the summary, all opinions together, and every single one."""
    return {"summary": summary(looks), "all": counts(looks), "looks": [asdict(look) for look in looks]}


def counts(looks: list[Look]) -> dict[str, int]:
    """Count images, right opinions, sure opinions and right ones among those."""
    sure = [look for look in looks if look.probability >= SURE]
    right, sure_right = (sum(look.kind == look.truth for look in some) for some in (looks, sure))
    return {"images": len(looks), "right": right, "sure": len(sure), "sure_and_right": sure_right}


def _looks(head: Head, network: Network, random: Random) -> list[Look]:
    return [
        _look(
            Asked(head.name, _source(head), condition, Kind(sequence), change(head.volume(sequence), random)), network
        )
        for sequence in head.sequences
        for condition, change in CONDITIONS.items()
    ]


def _look(asked: Asked, network: Network) -> Look:
    opinion = opinion_of(asked.volume, network)
    probability = round(float(opinion.probability[opinion.kind]), 4)
    return Look(asked.name, asked.source, asked.condition, str(asked.truth), str(opinion.kind), probability)


def _source(head: Head) -> str:
    if not head.stripped:
        return "lgg, whole heads"
    return "multiple sclerosis, stripped" if head.name.startswith("MS_") else "BraTS, stripped"


def _as_stored(volume: Volume, random: Random) -> Volume:
    del random
    return volume


def _unknown_orientation(volume: Volume, random: Random) -> Volume:
    return Volume(volume.voxels, reoriented(volume.grid, random))


CONDITIONS: Mapping[str, Callable[[Volume, Random], Volume]] = {
    "as stored": _as_stored,
    "thick slices": thickened,
    "unknown orientation": _unknown_orientation,
}
"""What is done to a held-back image before the network sees it."""
