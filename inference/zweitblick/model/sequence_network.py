"""What a picture itself says of its sequence: T1, T1 with contrast agent, T2, FLAIR or something else.

The network sees the head in a box of fixed size, whatever its extent: contrast does not depend on spacing, and
headerless files often have a wrong one. Intensities are those of the brain mask's network (air is not zero).
"""

import itertools
import math
from collections.abc import Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from zweitblick.errors import NotAHeadError
from zweitblick.model.brain_mask import FOREGROUND, network_grid, network_input
from zweitblick.model.runtime import Network
from zweitblick.study import Sequence
from zweitblick.volume import Bool, Float32, Grid, Volume

SHAPE = (12, 80, 80)
"""Slices through the head's box and pixels in each: about 2 mm in plane, at which cortex and vessels are still seen;
slices about a centimetre apart, since contrast is the same in all."""

ROUGH_SHAPE = (40, 40, 40)
"""Voxels of the view in which that box is looked for."""

RANK_LEVELS = 65
"""Quantiles between which ranks are interpolated."""

SURE = 0.9
"""From this probability on an opinion counts; its card says how often such an opinion was right."""

CLEAR_ODDS = 20.0
"""So much likelier must the same pictures be under other names before a user is warned."""

LEAST_PROBABILITY = 0.01
"""However sure the network is, one picture in a hundred may be another kind; so no single picture weighs more."""


class Kind(StrEnum):
    """What the network tells apart, in the order of its outputs."""

    T1 = "T1"
    T1C = "T1c"
    T2 = "T2"
    FLAIR = "FLAIR"
    OTHER = "other"


@dataclass(frozen=True)
class Opinion:
    """How likely each kind is, judged by the picture alone; the probabilities sum to 1."""

    probability: Mapping[Kind, float]

    @property
    def kind(self) -> Kind:
        """The likeliest."""
        return max(Kind, key=self.probability.__getitem__)

    @property
    def is_sure(self) -> bool:
        """Whether the likeliest kind reaches `SURE`."""
        return self.probability[self.kind] >= SURE


NO_OPINION = Opinion(dict.fromkeys(Kind, 1 / len(Kind)))
"""Of a picture in which no head can be looked for."""


def opinion_of(volume: Volume, network: Network) -> Opinion:
    """Ask the network which kind of image a volume is; `NO_OPINION` where its intensities or extent forbid a look.

    Parameters
    ----------
    volume
        Any image, in any orientation.
    network
        Maps ``(1, 2, *SHAPE)`` inputs of `kind_input` to ``(1, 5, 1, 1, 1)`` probabilities.
    """
    try:
        x = kind_input(volume)
    except NotAHeadError:
        return NO_OPINION
    probabilities = network(x[None]).reshape(len(Kind))
    return Opinion({kind: float(value) for kind, value in zip(Kind, probabilities, strict=True)})


def likelier_names(opinions: Mapping[Sequence, Opinion]) -> Mapping[Sequence, Sequence]:
    """Say which images look as if they had been given under another's name.

    Parameters
    ----------
    opinions
        Of each image, by the sequence it was given as.

    Returns
    -------
    For each image that looks misnamed, by the sequence it was given as, the sequence it looks like; empty unless the
    likeliest way to name all of them is `CLEAR_ODDS` times as likely as the given one.
    """
    given = tuple(opinions)
    orders = list(itertools.permutations(Sequence, len(given)))
    best = max(orders, key=lambda order: _likelihood(order, opinions))
    if _likelihood(best, opinions) < CLEAR_ODDS * _likelihood(given, opinions):
        return {}
    return {own: other for own, other in zip(given, best, strict=True) if own is not other}


def _likelihood(order: Seq[Sequence], opinions: Mapping[Sequence, Opinion]) -> float:
    pairs = zip(order, opinions.values(), strict=True)
    return math.prod(max(one.probability[Kind(sequence)], LEAST_PROBABILITY) for sequence, one in pairs)


def kind_input(volume: Volume) -> Float32:
    """Return the network's input: `head_picture` with its ranks, see `with_ranks`.

    Raises
    ------
    NotAHeadError
        If the view is larger than a scanner's or the intensities are constant.
    """
    return with_ranks(head_picture(volume))


def head_picture(volume: Volume) -> Float32:
    """Intensities in the head's box, `SHAPE` along the patient's axes: 0 is air, 1 mean tissue.

    Raises
    ------
    NotAHeadError
        If the view is larger than a scanner's or the intensities are constant.
    """
    view = _sampled(network_grid(volume), ROUGH_SHAPE)
    box = _tissue_box(view, network_input(volume, view) > FOREGROUND)
    return network_input(volume, _sampled(box, SHAPE))


def with_ranks(picture: Float32) -> Float32:
    """Add each voxel's rank among the tissue's intensities, -1 the darkest (and air) to 1 the brightest.

    Grey and white matter differ by a tenth where tissue and air differ by 1; ranks make that plain, and no gain or
    gamma changes them.

    Parameters
    ----------
    picture
        ``(K, J, I)`` from `head_picture`.

    Returns
    -------
    ``(2, K, J, I)``: the picture and the ranks.
    """
    tissue = picture[picture > FOREGROUND]
    shares = np.linspace(0, 1, RANK_LEVELS)
    levels = np.quantile(tissue[::4], shares) if tissue.size else shares
    ranks = np.interp(picture, levels, 2 * shares - 1).astype(np.float32)
    return np.stack([picture, ranks])


def _tissue_box(view: Grid, tissue: Bool) -> Grid:
    """Box around the tissue, a voxel of air on each side, one tissue voxel in two hundred left out at either end."""
    if not tissue.any():
        raise NotAHeadError("nothing stands out from the background; choose another series")
    start, size = [], []
    for axis in range(3):
        share = np.cumsum(tissue.sum(axis=tuple({0, 1, 2} - {axis}))) / tissue.sum()
        first = max(0, int(np.searchsorted(share, 0.005)) - 1)
        last = min(view.shape[axis], int(np.searchsorted(share, 0.995)) + 2)
        start.append(first)
        size.append(last - first)
    k, j, i = size
    return view.cropped(start, (k, j, i))


def _sampled(grid: Grid, shape: tuple[int, int, int]) -> Grid:
    """Cut the same box into so many voxels along each axis, corner voxels on corner voxels."""
    steps = [(count - 1) / (wanted - 1) for count, wanted in zip(grid.shape, shape, strict=True)]
    return Grid(shape, grid.lps_from_index @ np.diag([*steps, 1.0]))
