"""Which sequences a case is read from: all 15 subsets of the four."""

import itertools
from collections.abc import Iterable

from zweitblick.study import Sequence

Subset = frozenset[Sequence]

ALL: Subset = frozenset({Sequence.T1, Sequence.T1C, Sequence.T2, Sequence.FLAIR})
"""Every sequence that the network knows."""

ORDER = (Sequence.T1, Sequence.T1C, Sequence.T2, Sequence.FLAIR)

SUBSETS: tuple[Subset, ...] = tuple(
    frozenset(members) for size in range(len(ORDER), 0, -1) for members in itertools.combinations(ORDER, size)
)
"""From all four down to each alone."""


def subset_name(subset: Iterable[Sequence]) -> str:
    """Name a subset as tables and file names do: ``T1c+FLAIR``."""
    there = frozenset(subset)
    return "+".join(str(sequence) for sequence in ORDER if sequence in there)
