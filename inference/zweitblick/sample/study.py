"""Write the synthetic study and say what is in it."""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import numpy as np

from zweitblick.findings import Side
from zweitblick.prediction import CORE, ENHANCING, OEDEMA, Region
from zweitblick.sample.files import SeriesHeader, make_folder, write_series
from zweitblick.sample.head import Head, build_head
from zweitblick.sample.lesion import truth_labels, with_lesion
from zweitblick.sample.scan import Scanner, head_pose, rigid, slice_grid, tissue_texture
from zweitblick.sample.spec import SampleSeries, SampleSpec, SampleTruth, Triple
from zweitblick.sample.template import HEAD_GRID, TissueMaps, load_tissue_maps
from zweitblick.sample.tissues import PROTOCOLS
from zweitblick.study import Sequence
from zweitblick.volume import Float64, Grid, Volume, covering_grid

ORDER = (Sequence.FLAIR, Sequence.T2, Sequence.T1, Sequence.T1C)
"""In which the series are acquired; contrast agent comes last."""

DEFAULT_SPEC = SampleSpec()
"""A right frontal lesion in an oblique study of 5 mm slices."""

_BRAIN = 4
"""Added to a voxel's label in the brain; more than any label."""

LABELS_OF = {Region.ET: (ENHANCING,), Region.TC: (CORE, ENHANCING), Region.WT: (CORE, OEDEMA, ENHANCING)}


def write_sample(out: Path, *, spec: SampleSpec = DEFAULT_SPEC) -> SampleTruth:
    """Write a four-sequence study of a synthetic head as Part 10 files, one folder per series.

    Parameters
    ----------
    out
        Folder, made if absent; it then holds ``FLAIR``, ``T2``, ``T1`` and ``T1c``. An earlier sample is replaced.
    spec
        What to draw; equal specs give equal bytes.

    Returns
    -------
    SampleTruth
        Lesion, volumes, side and geometry of what was written.

    Raises
    ------
    SampleError
        If the tissue maps are not installed.
    OutputError
        If the folder cannot be written.
    """
    for sequence in ORDER:
        make_folder(out / sequence.value)
    head, behind = _healthy(load_tissue_maps(), spec.seed)
    rng = deepcopy(behind)
    if spec.lesion is not None:
        head = with_lesion(head, spec.lesion, rng)
    scanner = Scanner(head, tissue_texture(rng), spec.noise)
    lps_from_head = head_pose(spec)
    series = {sequence: _acquire(out, spec, sequence, scanner) for sequence in ORDER}
    return _truth(head, lps_from_head, series)


@lru_cache(maxsize=1)
def _healthy(maps: TissueMaps, seed: int) -> tuple[Head, np.random.Generator]:
    """Draw a seed's head, and give the generator as it is behind that; one head is often scanned several times.

    Both are kept: nobody may change them.
    """
    rng = np.random.default_rng(seed)
    head = build_head(maps, rng)
    head.labels.flags.writeable = head.mixture.flags.writeable = False
    return head, rng


def _acquire(out: Path, spec: SampleSpec, sequence: Sequence, scanner: Scanner) -> SampleSeries:
    moved = _moved(spec, sequence)
    frame = "head" if np.array_equal(moved, np.eye(4)) else "moved head"
    header = SeriesHeader(sequence, PROTOCOLS[sequence], ORDER.index(sequence) + 1, frame, spec.identity, spec.day)
    lps_from_head = moved @ head_pose(spec)
    grid = slice_grid(spec, sequence, lps_from_head)
    # Each series draws its own noise, whatever was acquired before it.
    noise = np.random.default_rng((spec.seed, header.number, *((spec.day,) if spec.day else ())))
    folder = out / sequence.value
    write_series(folder, scanner.image(header.protocol, grid, lps_from_head, noise), header)
    return SampleSeries(sequence, folder, header.series_uid, header.number, grid, moved)


def _moved(spec: SampleSpec, sequence: Sequence) -> Float64:
    if sequence is not Sequence.FLAIR:
        return np.eye(4)
    return rigid(spec.flair_motion_mm, spec.flair_motion_deg)


def _truth(head: Head, lps_from_head: Float64, series: dict[Sequence, SampleSeries]) -> SampleTruth:
    head_from_lps = np.asarray(np.linalg.inv(lps_from_head), np.float64)
    own = covering_grid(Grid(HEAD_GRID.shape, lps_from_head @ HEAD_GRID.lps_from_index), 1.0)
    # both at once: of all that a sample takes, laying a map on another grid takes longest
    both = Volume(np.asarray(truth_labels(head) + _BRAIN * head.brain, np.float32), HEAD_GRID)
    laid = both.resampled(own, own_from_grid_lps=head_from_lps, order=0).voxels.astype(np.uint8)
    codes = laid % _BRAIN
    counts = np.bincount(codes.ravel(), minlength=_BRAIN)
    labels, brain = (Volume(part.astype(np.float32), own) for part in (codes, laid >= _BRAIN))
    volume_ml = {region: float(counts[list(of)].sum()) * own.voxel_ml for region, of in LABELS_OF.items()}
    center = _center(labels)
    return SampleTruth(labels, brain, volume_ml, center, _side(center, head_from_lps), head_from_lps, series)


def _center(labels: Volume) -> Triple | None:
    where = np.argwhere(labels.voxels > 0)
    if not len(where):
        return None
    x, y, z = labels.grid.lps(where.mean(axis=0))
    return float(x), float(y), float(z)


def _side(center_lps: Triple | None, head_from_lps: Float64) -> Side | None:
    if center_lps is None:
        return None
    x = float(head_from_lps[0, :3] @ np.array(center_lps) + head_from_lps[0, 3])
    return Side.LEFT if x > 0 else Side.RIGHT
