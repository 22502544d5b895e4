"""Every number that a training of the series-type network depends on."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SequenceTypeRecipe:
    """One training run of the series-type network.

    Parameters
    ----------
    data
        Folder with the packed cases ``lgg``, ``brats`` and ``nontumour``.
    teacher
        Folder with a brain mask ``<case>.npz`` (key ``brain``) for each whole head.
    run
        Folder for the drawn pictures; those that are found there are not drawn again.
    seed
        Of everything drawn.
    pictures, showings
        How many are drawn, and how often each is shown, changed a little every time.
    patches
        Squares cut from every second picture to learn filters from.
    edge, fine_filters, coarse_filters
        Pixels along a filter, and filters of slices at full and at half resolution.
    whitening
        Added to the patches' variance along each axis, so that weak ones are not blown up to noise.
    rounds
        Of k-means.
    steps, penalty
        Iterations of the classifier's fit (L-BFGS) and weight of its squared weights beside the cross-entropy.
    threads
        CPU threads of torch.
    """

    data: Path
    teacher: Path
    run: Path
    seed: int = 0
    pictures: int = 5000
    showings: int = 2
    patches: int = 60
    edge: int = 7
    fine_filters: int = 192
    coarse_filters: int = 128
    whitening: float = 0.02
    rounds: int = 12
    steps: int = 80
    penalty: float = 1e-3
    threads: int = 1
