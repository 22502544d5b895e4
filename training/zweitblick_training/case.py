"""Case: one patient as the network is shown it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from zweitblick.volume import Bool


@dataclass(frozen=True, eq=False)
class Case:
    """One patient, prepared as serving would.

    Parameters
    ----------
    name, source
        Case and data set.
    images
        ``(4, K, J, I)`` float16, normalised; zeros where a sequence is missing.
    brain
        ``(K, J, I)`` bool.
    labels
        ``(K, J, I)`` uint8: 0 none, 1 core, 2 oedema, 3 enhancing.
    present
        ``(4,)`` bool, which sequences there are.
    labelled
        ``(3,)`` bool, which of ET, TC, WT the experts drew.
    """

    name: str
    source: str
    images: NDArray[np.float16]
    brain: Bool
    labels: NDArray[np.uint8]
    present: Bool
    labelled: Bool

    def save(self, path: Path) -> None:
        """Write to ``path`` by way of a temporary name, so that a killed run leaves no half case."""
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(
                file,
                name=np.array(self.name),
                source=np.array(self.source),
                images=self.images,
                brain=self.brain,
                labels=self.labels,
                present=self.present,
                labelled=self.labelled,
            )
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(
                str(file["name"]),
                str(file["source"]),
                *(file[key] for key in ("images", "brain", "labels", "present", "labelled")),
            )
