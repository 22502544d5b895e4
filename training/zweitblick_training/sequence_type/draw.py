"""Training samples: one picture of a known kind, changed as scanners, archives and bare headers change it."""

from collections.abc import Mapping
from itertools import permutations

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from zweitblick.errors import NotAHeadError
from zweitblick.model.sequence_network import Kind, head_picture
from zweitblick.study import Sequence
from zweitblick.volume import Bool, Float32, Grid, Volume
from zweitblick_training.brain_mask.draw import bias_field, noisy, t2_like
from zweitblick_training.brain_mask.heads import Head
from zweitblick_training.sequence_type.other import draw_other

Random = np.random.Generator

SHARES: Mapping[Kind, float] = {Kind.T1: 0.19, Kind.T1C: 0.2, Kind.T2: 0.2, Kind.FLAIR: 0.19, Kind.OTHER: 0.22}
"""How often each kind is drawn."""

TILT_DEGREES = 20.0
UNKNOWN_ORIENTATION = 0.35
"""Share of pictures put into any of the 48 orientations, as a file without a header may lie."""

ORIENTATIONS = tuple(permutations(range(3)))


def draw_sample(heads: list[Head], random: Random) -> tuple[Float32, Kind]:
    """One picture, `SHAPE`, taken by the product's own code, and its kind."""
    while True:
        kind = list(SHARES)[random.choice(len(SHARES), p=list(SHARES.values()))]
        volume = draw_other(heads, random) if kind is Kind.OTHER else _drawn(heads, Sequence(kind.value), random)
        try:
            return head_picture(changed(volume, random)), kind
        except NotAHeadError:  # a label map cut to nothing, for instance
            continue


def changed(volume: Volume, random: Random) -> Volume:
    """Slices, view, intensities and geometry as another scanner or archive might have them."""
    volume = _cut(thickened(volume, random), random)
    values = _changed_intensities(volume.voxels, random)
    grid = _moved(volume.grid, random)
    return Volume(values, reoriented(grid, random) if random.random() < UNKNOWN_ORIENTATION else grid)


def _drawn(heads: list[Head], sequence: Sequence, random: Random) -> Volume:
    """Draw one of the four sequences, whole or stripped."""
    if random.random() < 0.5:
        volume, brain = _stripped(heads, sequence, random)
        return Volume(volume.voxels * brain, volume.grid)
    head = _one([head for head in heads if not head.stripped], random)
    if sequence is Sequence.T2 or random.random() < 0.15:
        volume = _whole_made(head, heads, sequence, random)
    else:
        volume = _of(head, sequence, heads, random)
    if random.random() < 0.25:
        volume = Volume(np.where(head.brain, volume.voxels, 0.0), volume.grid)
    elif random.random() < 0.25:
        volume = _fat_suppressed(volume, head.brain, random)
    return volume


def _one(heads: list[Head], random: Random) -> Head:
    return heads[random.integers(len(heads))]


def _stripped(heads: list[Head], sequence: Sequence, random: Random) -> tuple[Volume, Bool]:
    head = _one([head for head in heads if head.stripped and sequence in head.sequences], random)
    return head.volume(sequence), head.brain


def _of(head: Head, sequence: Sequence, heads: list[Head], random: Random) -> Volume:
    """Take the sequence of this whole head, or of another where it has none."""
    if sequence in head.sequences:
        return head.volume(sequence)
    return _one([one for one in heads if not one.stripped and sequence in one.sequences], random).volume(sequence)


def _whole_made(head: Head, heads: list[Head], sequence: Sequence, random: Random) -> Volume:
    """Make a whole head: for T2, of which none is at hand, and now and then for others, so that seams tell nothing."""
    shell: Sequence = Sequence.T1 if sequence is Sequence.T2 else sequence
    if shell not in head.sequences:
        shell = next(iter(head.sequences))
    outer = head.volume(shell)
    if sequence is Sequence.T2 and shell is Sequence.T1 and random.random() < 0.15:
        turned = Volume(t2_like(outer.voxels, head.brain, random) * head.brain, outer.grid)
        return _joined(outer, turned, head.brain, random)
    brain = _fitted(*_stripped(heads, sequence, random), head)
    return _joined(outer, brain, head.brain, random)


def _fitted(volume: Volume, brain: Bool, head: Head) -> Volume:
    """Stretch a stripped brain onto the box of a whole head's brain; 0 outside."""
    theirs, ours = (_box_lps(mask, grid) for mask, grid in ((brain, volume.grid), (head.brain, head.grid)))
    scale = (theirs[1] - theirs[0]) / (ours[1] - ours[0])
    move = np.diag([*scale, 1.0])
    move[:3, 3] = theirs[0] - scale * ours[0]
    return Volume(volume.voxels * brain, volume.grid).resampled(head.grid, own_from_grid_lps=move)


def _box_lps(mask: Bool, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    places = grid.lps(np.argwhere(mask))
    return places.min(axis=0), places.max(axis=0)


def _joined(outer: Volume, brain: Volume, where: Bool, random: Random) -> Volume:
    """Put a brain into a head; what it does not fill is fluid, as bright as the brain's brightest or darkest part."""
    tissue = brain.voxels[where & (brain.voxels > 0)]
    low, middle, high = np.percentile(tissue, (3, 50, 98)) if tissue.size else (0.0, 1.0, 1.0)
    # Fluid is bright where the distribution reaches further up than down, as in T2.
    fluid = high if high - middle > 1.3 * (middle - low) else low
    inside = np.where(brain.voxels > 0, brain.voxels, fluid)
    fat = max(float(np.percentile(outer.voxels[~where], 99)), 1.0)
    shell = outer.voxels * np.float32(middle * random.uniform(0.7, 2.0) / fat)
    soft = ndimage.uniform_filter(where.astype(np.float32), 3)
    return Volume((soft * inside + (1 - soft) * shell).astype(np.float32), outer.grid)


def _fat_suppressed(volume: Volume, brain: Bool, random: Random) -> Volume:
    outside = 1 - ndimage.uniform_filter(brain.astype(np.float32), 3)
    return Volume(volume.voxels * (1 - outside * np.float32(random.uniform(0.2, 0.8))), volume.grid)


def thickened(volume: Volume, random: Random) -> Volume:
    """Fewer, thicker slices along one axis."""
    axis = int(random.integers(3))
    most = int(min(7.0 / volume.spacing_mm[axis], volume.shape[axis] / 12))
    if most < 2 or random.random() < 0.4:
        return volume
    count = int(random.integers(2, most + 1))
    step = [count if a == axis else 1 for a in range(3)]
    smooth = ndimage.uniform_filter1d(volume.voxels, count, axis=axis)
    kept = smooth[tuple(slice(None, None, n) for n in step)]
    return Volume(kept, Grid(kept.shape, volume.lps_from_index @ np.diag([*step, 1.0])))


def _cut(volume: Volume, random: Random) -> Volume:
    """Leave out up to a third of the view at one end, a fifth at another."""
    if random.random() < 0.6:
        return volume
    start, stop = [0, 0, 0], list(volume.shape)
    for share in (0.33, 0.2):
        axis = int(random.integers(3))
        lost = int(random.uniform(0, share) * volume.shape[axis])
        if random.random() < 0.5:
            start[axis] += lost
        else:
            stop[axis] -= lost
    window = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    kept = volume.voxels[window]
    return Volume(kept, volume.grid.cropped(start, kept.shape))


def _changed_intensities(voxels: Float32, random: Random) -> Float32:
    """Mild contrast (contrast is what is to be told), bias field, blur, noise in air too, background."""
    top = max(float(np.percentile(voxels[:, ::3, ::3], 99.5)), 1e-3)
    values = np.clip(voxels / top, 0, 2).astype(np.float32)
    air = values < 0.03
    values **= np.float32(np.exp(random.uniform(-0.2, 0.2)))
    if random.random() < 0.6:
        values = values * bias_field(values.shape, random)
    if random.random() < 0.2:
        values = ndimage.gaussian_filter(values, random.uniform(0.3, 0.7))
    if random.random() < 0.5:
        values = noisy(values, random, float(random.uniform(0.005, 0.07)))
    if random.random() < 0.25:
        values[air] = random.choice([0.0, random.uniform(0.0, 0.2)])
    return np.asarray(values, np.float32)


def _moved(grid: Grid, random: Random) -> Grid:
    """Turn, mirror left to right and, in a quarter, give a wrong spacing."""
    turn = Rotation.from_euler("xyz", random.uniform(-TILT_DEGREES, TILT_DEGREES, 3), degrees=True).as_matrix()
    scale = np.exp(random.uniform(-0.6, 0.6, 3)) if random.random() < 0.25 else random.uniform(0.85, 1.15, 3)
    scale[0] *= random.choice([-1.0, 1.0])
    moved = np.eye(4)
    moved[:3, :3] = turn @ np.diag(scale)
    center = grid.center_lps
    moved[:3, 3] = center - moved[:3, :3] @ center
    return Grid(grid.shape, moved @ grid.lps_from_index)


def reoriented(grid: Grid, random: Random) -> Grid:
    """Exchange and turn round the patient's axes about the centre."""
    turn = np.eye(4)
    turn[:3, :3] = np.eye(3)[list(ORIENTATIONS[random.integers(len(ORIENTATIONS))])] * random.choice([-1, 1], 3)
    turn[:3, 3] = grid.center_lps - turn[:3, :3] @ grid.center_lps
    return Grid(grid.shape, turn @ grid.lps_from_index)
