"""Training samples: one sequence of one head, changed as scanners, archives and strippers change them."""

from dataclasses import replace

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from zweitblick.model.brain_mask import SPACING_MM, network_input
from zweitblick.study import Sequence
from zweitblick.volume import Bool, Float32, Grid, Volume, axis_aligned_grid
from zweitblick_training.brain_mask.heads import Head, averaged

Random = np.random.Generator

TILT_DEGREES = (25.0, 12.0, 12.0)
"""Largest turn about the patient's left-right, front-back and head-foot axis."""


def draw_sample(heads: list[Head], random: Random, crop: tuple[int, int, int]) -> tuple[Float32, Float32]:
    """One network input and its target, both ``crop`` voxels at 2 mm, prepared by the product's own code."""
    stripped = random.random() < 0.45
    pool = [head for head in heads if head.stripped == stripped]
    head = pool[random.integers(len(pool))]
    sequence = drawn_sequence(head, random)
    volume, brain = head.volume(sequence), head.brain
    if not stripped and random.random() < 0.25:
        volume = Volume(t2_like(volume.voxels, brain, random), volume.grid)
    if not stripped and random.random() < 0.25:
        volume = Volume(np.where(brain, volume.voxels, 0.0), volume.grid)
    volume, brain = _thickened(volume, brain, random)
    volume, brain = _cut(volume, brain, random)
    if random.random() < 0.15:
        volume = _defaced(volume, brain, random)
    volume = Volume(changed_intensities(volume.voxels, random), _moved(volume.grid, random))
    return on_crop(volume, brain, random, crop)


def drawn_sequence(head: Head, random: Random) -> Sequence:
    """Draw T2 twice as often as another: its bright rim of fluid looks like scalp, and few heads have it."""
    weights = np.array([2.0 if sequence is Sequence.T2 else 1.0 for sequence in head.sequences])
    return list(head.sequences)[random.choice(len(weights), p=weights / weights.sum())]


def on_crop(volume: Volume, brain: Bool, random: Random, crop: tuple[int, int, int]) -> tuple[Float32, Float32]:
    """Input and target on a grid of ``crop`` voxels about the volume's centre, a little off it."""
    center = volume.grid.center_lps + random.uniform(-16, 16, 3)
    grid = axis_aligned_grid(center, crop, SPACING_MM)
    target = Volume(brain.astype(np.float32), volume.grid).resampled(grid).voxels > 0.5
    return network_input(volume, grid), target.astype(np.float32)


def t2_like(voxels: Float32, brain: Bool, random: Random) -> Float32:
    """Turn contrast over inside the skull only: fluid bright, as T2, of which no whole head is at hand."""
    inside = ndimage.uniform_filter(brain.astype(np.float32), (1, 3, 3))
    tissue = max(float(np.median(voxels[brain])), 1.0)
    turned = random.uniform(1.7, 2.6) - random.uniform(0.7, 1.4) * voxels / tissue
    turned = np.clip(turned, 0.1, None) * tissue * random.uniform(0.5, 1.2)
    return np.asarray(inside * turned + (1 - inside) * voxels, np.float32)


def changed_intensities(voxels: Float32, random: Random) -> Float32:
    """Contrast, bias field, noise (in air too), background and scale, in the order in which they arise."""
    top = max(float(np.percentile(voxels[:, ::4, ::4], 99.5)), 1.0)
    values = np.clip(voxels / top, 0, 2).astype(np.float32)
    air = values < 0.03
    values **= np.float32(np.exp(random.uniform(-0.4, 0.4)))
    if random.random() < 0.5:
        values = values + np.float32(random.uniform(-0.15, 0.15)) * np.sin(np.float32(np.pi) * values)
    if random.random() < 0.6:
        values = values * bias_field(values.shape, random)
    if random.random() < 0.4:
        values = noisy(values, random, float(random.uniform(0.005, 0.06)))
    if random.random() < 0.25:
        values[air] = random.choice([0.0, random.uniform(0.0, 0.3)])
    scale, offset = 10.0 ** random.uniform(-1, 3.5), random.choice([0.0, 0.0, random.uniform(-0.5, 0.5)])
    return np.asarray((values + np.float32(offset)) * np.float32(scale), np.float32)


def noisy(values: Float32, random: Random, sigma: float) -> Float32:
    """Rician noise: the magnitude of a complex signal with Gaussian noise in both parts."""
    real = values + sigma * random.standard_normal(values.shape, np.float32)
    imaginary = sigma * random.standard_normal(values.shape, np.float32)
    return np.asarray(np.sqrt(real**2 + imaginary**2), np.float32)


def bias_field(shape: tuple[int, ...], random: Random) -> Float32:
    """Receive-coil field: a product of smooth curves along the axes, at most e^.5 along each."""
    field = np.ones((1, 1, 1), np.float32)
    for axis, size in enumerate(shape):
        place = np.linspace(-1, 1, size, dtype=np.float32)
        curve = np.exp(random.uniform(-0.25, 0.25) * place + random.uniform(-0.25, 0.25) * place**2)
        field = field * curve.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    return field


def _thickened(volume: Volume, brain: Bool, random: Random) -> tuple[Volume, Bool]:
    """Average neighbouring thin slices along one axis, as a slower or older protocol would."""
    axis = int(random.choice([0, 0, 0, 1, 2]))
    most = int(7.0 / volume.spacing_mm[axis])
    count = int(random.integers(1, most + 1)) if most > 1 else 1
    if count == 1 or (volume.spacing_mm[0] > 1.5 and axis != 0):
        return volume, brain
    k, j, i = (count if a == axis else 1 for a in range(3))
    inside = averaged(Volume(brain.astype(np.float32), volume.grid), (k, j, i))
    return averaged(volume, (k, j, i)), inside.voxels > 0.5


def _cut(volume: Volume, brain: Bool, random: Random) -> tuple[Volume, Bool]:
    """Leave out up to a fifth of the view at an end, brain and all; the crown and the base most often."""
    if random.random() < 0.75:
        return volume, brain
    start, stop = [0, 0, 0], list(volume.shape)
    for axis in (0, int(random.integers(3))):
        lost = int(random.uniform(0, 0.2) * volume.shape[axis])
        if random.random() < 0.5:
            start[axis] += lost
        else:
            stop[axis] -= lost
    window = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    grid = volume.grid.cropped(start, (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2]))
    return Volume(volume.voxels[window], grid), brain[window]


def _defaced(volume: Volume, brain: Bool, random: Random) -> Volume:
    """Empty what lies before an oblique plane under the forehead, never within 6 mm of the brain."""
    if not brain.any():
        return volume
    distance = 6.0 / np.array(volume.spacing_mm)
    near = ndimage.uniform_filter(brain.astype(np.float32), np.maximum(1, 2 * np.round(distance) + 1).astype(int)) > 0
    axes = [np.arange(n, dtype=np.float32) for n in volume.shape]
    k, j, i = np.meshgrid(*axes, indexing="ij", sparse=True)
    matrix = volume.lps_from_index
    y, z = (matrix[row, 0] * k + matrix[row, 1] * j + matrix[row, 2] * i + matrix[row, 3] for row in (1, 2))
    low = volume.grid.lps(np.argwhere(brain)[::50]).min(axis=0)
    slope, shift = random.uniform(0.3, 1.5), random.uniform(20, 60)
    face = (y - low[1]) * slope + (z - low[2]) < shift
    return Volume(np.where(face & ~near, np.float32(volume.voxels.min()), volume.voxels), volume.grid)


def _moved(grid: Grid, random: Random) -> Grid:
    """Turn, scale, change the slice distance of and perhaps mirror left to right, about the centre."""
    turn = Rotation.from_euler("xyz", random.uniform(-1, 1, 3) * np.array(TILT_DEGREES), degrees=True)
    scale = random.uniform(0.85, 1.2) * np.array([random.choice([-1.0, 1.0]), 1.0, 1.0])
    moved = np.eye(4)
    moved[:3, :3] = turn.as_matrix() @ np.diag(scale)
    if min(grid.spacing_mm) < grid.spacing_mm[0]:
        moved[:3, :3] = moved[:3, :3] @ np.diag([1.0, 1.0, random.uniform(0.8, 1.25)])
    center = grid.center_lps
    moved[:3, 3] = center - moved[:3, :3] @ center
    return replace(grid, lps_from_index=moved @ grid.lps_from_index)
