"""The tissue maps that the synthetic brain is made of.

ICBM 152 nonlinear symmetric 2009a (Fonov 2011; copyright 1993-2009 Louis Collins, McConnell Brain Imaging Centre,
Montreal Neurological Institute, McGill University), read from the wheel of nilearn at run time; zweitblick ships
neither the maps nor anything made of them.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zweitblick.errors import SampleError
from zweitblick.volume import Bool, Float32, Volume, axis_aligned_grid

HEAD_GRID = axis_aligned_grid((0.0, 3.0, -20.0), (241, 251, 185), 1.0)
"""1 mm grid of the whole synthetic head with upper neck, in head coordinates (see `zweitblick.sample.spec`)."""

SHARPENING = 2.5
"""Power of the probabilities: the maps are means over 152 heads, whose cortex is blurred; one head's is not."""


@dataclass(frozen=True, eq=False)
class TissueMaps:
    """Fractions of white matter, grey matter and CSF on `HEAD_GRID`.

    Parameters
    ----------
    mixture
        ``(3, K, J, I)`` uint8, 0 to 255, in that order, summing to about 255 inside the brain and 0 outside.
    brain
        ``(K, J, I)`` bool, the outline of the maps with all sulci and ventricles.
    """

    mixture: NDArray[np.uint8]
    brain: Bool


@cache
def load_tissue_maps() -> TissueMaps:
    """Read the maps, once for all; nobody may change them.

    Raises
    ------
    SampleError
        If the package that carries them is not installed.
    """
    folder = _data_folder()
    t1, grey, white = (_on_head_grid(folder / name) for name in _MAPS)
    brain = t1 > 1.0
    mixture = _sharpened(white, grey, brain)
    for map_ in (mixture, brain):
        map_.flags.writeable = False
    return TissueMaps(mixture, brain)


_MAPS = tuple(f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz" for name in ("t1", "gm", "wm"))


def _data_folder() -> Path:
    # Importing nilearn would take seconds and scikit-learn; only its data files are needed.
    spec = find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        raise SampleError('the tissue maps of the sample are not installed; run: pip install "zweitblick[sample]"')
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data"


def _on_head_grid(path: Path) -> Float32:
    if not path.is_file():
        raise SampleError(f'{path.name} is not in the installed nilearn; run: pip install "zweitblick[sample]"')
    volume = Volume.from_nifti(path)
    # Both grids are 1 mm along the patient axes with centres on whole millimetres, x and y reversed: copying is exact.
    shape = np.array(volume.shape)
    start = np.rint(HEAD_GRID.index(volume.grid.lps((0, shape[1] - 1, shape[2] - 1)))).astype(int)
    low, high = np.maximum(start, 0), np.minimum(start + shape, HEAD_GRID.shape)
    target = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    source = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
    head = np.zeros(HEAD_GRID.shape, np.float32)
    head[target] = volume.voxels[:, ::-1, ::-1][source]
    return head


def _sharpened(white: Float32, grey: Float32, brain: Bool) -> NDArray[np.uint8]:
    """Return fractions ``p ** SHARPENING`` made to sum to 255 inside the brain."""
    parts = np.stack([white[brain], grey[brain], np.clip(255.0 - white[brain] - grey[brain], 0.0, None)])
    powers = (parts / 255.0) ** np.float32(SHARPENING)
    mixture = np.zeros((3, *brain.shape), np.uint8)
    mixture[:, brain] = np.rint(powers * (255.0 / np.maximum(powers.sum(axis=0), 1e-6)))
    return mixture
