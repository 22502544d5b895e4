"""What a study of the head holds beside the four sequences, made from them: maps, projections, parts, and no heads.

None of these is a simulation of physics; each shows the contrast by which a reader tells the real one.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import ndimage

from zweitblick.study import Sequence
from zweitblick.volume import Bool, Float32, Grid, Volume, axis_aligned_grid
from zweitblick_training.brain_mask.heads import Head

Random = np.random.Generator
Maker = Callable[[Head, Random], Volume]

STRIPPED_NEEDS = frozenset(Sequence)
"""Maps are made from all four sequences of a stripped brain."""


def draw_other(heads: list[Head], random: Random) -> Volume:
    """Draw an image that is none of the four sequences."""
    makers = list(MAKERS)
    weights = np.array([MAKERS[maker] for maker in makers])
    maker = makers[random.choice(len(makers), p=weights / weights.sum())]
    fitting = [head for head in heads if _fits(maker, head)]
    return maker(fitting[random.integers(len(fitting))], random)


def _fits(maker: Maker, head: Head) -> bool:
    if maker in FROM_FOUR:
        return head.sequences.keys() >= STRIPPED_NEEDS
    if maker in FROM_T1_PAIR:
        return {Sequence.T1, Sequence.T1C} <= head.sequences.keys()
    return maker is not _computed_tomography or not head.stripped


def _level(values: Float32, brain: Bool) -> Float32:
    """Scale to a median of 1 in the brain."""
    return np.asarray(values / max(float(np.median(values[brain])), 1e-3), np.float32)


def _levels(head: Head, *sequences: Sequence) -> list[Float32]:
    return [_level(head.volume(sequence).voxels, head.brain) for sequence in sequences]


def _fluid(head: Head) -> Float32:
    """How much of a voxel is fluid, 0 to 1: bright on T2 and dark on FLAIR."""
    t2, flair = _levels(head, Sequence.T2, Sequence.FLAIR)
    share = np.clip((t2 - 1.1) / 0.9, 0, 1) * np.clip((1.15 - flair) / 0.6, 0, 1)
    return np.asarray(share * head.brain, np.float32)


def _blurred(values: Float32, head: Head, sigma_mm: float) -> Float32:
    sigma = [sigma_mm / spacing for spacing in head.grid.spacing_mm]
    return np.asarray(ndimage.gaussian_filter(values, sigma), np.float32)


def _texture(head: Head, random: Random, sigma_mm: float) -> Float32:
    """Smooth noise of deviation 1."""
    noise = _blurred(random.standard_normal(head.grid.shape, np.float32), head, sigma_mm)
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)


def _diffusion_map(head: Head, random: Random) -> Volume:
    """ADC: flat tissue, very bright fluid, salt in the air."""
    values = head.brain * (0.75 + 0.05 * _texture(head, random, 3)) + random.uniform(1.5, 3) * _fluid(head)
    values = _blurred(values.astype(np.float32), head, random.uniform(1.5, 2.5))
    salt = (random.random(head.grid.shape) < random.uniform(0, 0.3)) & ~head.brain
    return Volume(np.where(salt, random.uniform(0, 2, head.grid.shape), values).astype(np.float32), head.grid)


def _diffusion_weighted(head: Head, random: Random) -> Volume:
    """High b value: flat, coarse and noisy, no fluid at all."""
    t2 = _levels(head, Sequence.T2)[0]
    values = head.brain * (0.8 + 0.2 * np.clip(t2, 0, 1.5)) * np.exp(-random.uniform(2, 4) * _fluid(head))
    values = _blurred(values.astype(np.float32), head, random.uniform(2.0, 3.5))
    values = values * np.exp(0.15 * _texture(head, random, 25)) + 0.1 * _texture(head, random, 1.5) * head.brain
    return Volume(np.clip(values, 0, None).astype(np.float32), head.grid)


def _anisotropy(head: Head, random: Random) -> Volume:
    """FA: white matter bright in strands, the rest dark."""
    t1 = _levels(head, Sequence.T1)[0]
    strands = np.clip(0.6 + 0.5 * _texture(head, random, 4), 0.05, None)
    values = np.clip((t1 - 0.95) * 3, 0.08, 1) * strands * head.brain * (1 - _fluid(head))
    return Volume(values.astype(np.float32), head.grid)


def _proton_density(head: Head, random: Random) -> Volume:
    """Nearly flat: grey a little above white matter, fluid like grey."""
    t1 = _levels(head, Sequence.T1)[0]
    values = head.brain * (1.0 - random.uniform(0.1, 0.3) * np.clip(t1 - 1, -0.5, 0.5))
    return Volume(values.astype(np.float32), head.grid)


def _susceptibility(head: Head, random: Random) -> Volume:
    """SWI: flat tissue, veins and deep grey nuclei dark, most often as a thin minimum projection."""
    veins = np.clip(_levels(head, Sequence.T1C)[0] - _levels(head, Sequence.T1)[0] - 0.15, 0, 1)
    values = head.brain * (0.9 + 0.1 * _texture(head, random, 5)) * np.exp(-4 * veins) - 0.3 * _fluid(head)
    values = np.clip(values * (1 - 0.25 * np.clip(_texture(head, random, 8), 0, 2)), 0, None)
    if random.random() < 0.6:
        values = ndimage.minimum_filter1d(values, int(random.integers(2, 6)), axis=0)
    return Volume(values.astype(np.float32), head.grid)


def _echo_planar(head: Head, random: Random) -> Volume:
    """BOLD or perfusion source: coarse, flat T2*, signal lost here and there above the sinuses."""
    t2 = np.clip(_levels(head, Sequence.T2)[0], 0, 2)
    flat = random.uniform(0.3, 0.8)
    loss = np.clip(random.uniform(0, 1.5) * (_texture(head, random, 15) - 1), 0, 1)
    values = head.brain * (flat + (1 - flat) * t2) * (1 - loss)
    return Volume(_blurred(values.astype(np.float32), head, random.uniform(2.0, 4.0)), head.grid)


def _subtraction(head: Head, random: Random) -> Volume:
    """After minus before contrast agent: negative parts kept, cut or made positive."""
    after, before = _levels(head, Sequence.T1C, Sequence.T1)
    values = after - before
    fate = random.integers(3)
    if fate == 0:
        values = np.clip(values, 0, None)
    elif fate == 1:
        values = np.abs(values)
    return Volume(values.astype(np.float32), head.grid)


def _angiography(head: Head, random: Random) -> Volume:
    """Time of flight: tissue suppressed, vessels bright; often as a projection."""
    after, before = _levels(head, Sequence.T1C, Sequence.T1)
    vessels = np.clip(_blurred(after - before, head, 0.5) - 0.25, 0, 1)
    values = random.uniform(0.1, 0.35) * np.clip(before, 0, 1.5) + 3 * vessels
    if random.random() < 0.5:
        values = ndimage.maximum_filter1d(values, int(random.integers(4, 30)), axis=int(random.integers(3)))
    return Volume(values.astype(np.float32), head.grid)


def _any_volume(head: Head, random: Random) -> Volume:
    names = list(head.sequences)
    return head.volume(names[random.integers(len(names))])


def _projection(head: Head, random: Random) -> Volume:
    """Maximum or minimum over thick slabs of any sequence."""
    volume, axis = _any_volume(head, random), int(random.integers(3))
    thick = max(3, round(random.uniform(20, 60) / volume.spacing_mm[axis]))
    extreme = ndimage.maximum_filter1d if random.random() < 0.7 else ndimage.minimum_filter1d
    return Volume(extreme(volume.voxels, thick, axis=axis), volume.grid)


def _localizer(head: Head, random: Random) -> Volume:
    """One to four slices far apart."""
    volume, axis = _any_volume(head, random), int(random.integers(3))
    count, size = int(random.integers(1, 5)), volume.shape[axis]
    step = max(1, int(size * random.uniform(0.1, 0.22)))
    first = max(0, (size - count * step) // 2)
    window = tuple(slice(first, first + count * step, step) if a == axis else slice(None) for a in range(3))
    kept = volume.voxels[window]
    scale = np.diag([step if a == axis else 1.0 for a in range(3)] + [1.0])
    return Volume(kept, Grid(kept.shape, volume.lps_from_index @ scale))


def _mask(head: Head, random: Random) -> Volume:
    """Make a brain mask, a label map of intensity classes or a smooth probability map."""
    fate = random.integers(3)
    if fate == 0:
        return Volume(head.brain.astype(np.float32), head.grid)
    values = _blurred(_level(_any_volume(head, random).voxels, head.brain), head, 1.0)
    if fate == 1:
        cuts = np.sort(random.uniform(0.2, 1.6, int(random.integers(1, 5))))
        classes = random.permutation(len(cuts) + 1)
        labels = classes[np.digitize(values, cuts)] * head.brain
        return Volume(labels.astype(np.float32), head.grid)
    near = np.exp(-(((values - random.uniform(0.7, 1.3)) / 0.15) ** 2))
    return Volume((near * head.brain).astype(np.float32), head.grid)


def _inverted(head: Head, random: Random) -> Volume:
    """Grey values turned over, air and all: a display setting burnt in."""
    volume = _any_volume(head, random)
    return Volume(np.percentile(volume.voxels, 99.5) - volume.voxels, volume.grid)


def _phase(head: Head, random: Random) -> Volume:
    """Phase or field map: smooth and wrapped in the head, noise outside."""
    inside = np.angle(np.exp(1j * random.uniform(1, 4) * _texture(head, random, 25)))
    outside = random.uniform(-np.pi, np.pi, head.grid.shape) * random.choice([0.0, 1.0])
    return Volume(np.where(head.brain, inside, outside).astype(np.float32), head.grid)


def _computed_tomography(head: Head, random: Random) -> Volume:
    """Draw a bright shell of bone around a flat brain."""
    values = head.volume(next(iter(head.sequences))).voxels
    tissue = _level(values, head.brain)
    body = ndimage.binary_closing(tissue > 0.25, iterations=3) | head.brain
    near = ndimage.binary_dilation(head.brain, iterations=int(random.integers(4, 7))) & body
    inner = ndimage.binary_dilation(head.brain, iterations=int(random.integers(1, 3)))
    bone = near & ~inner
    flat = np.select([bone, inner, body], [random.uniform(2, 6), 1.0, 0.9], 0.0)
    noise = random.uniform(0.02, 0.1) * random.standard_normal(values.shape)
    return Volume((flat + noise * body).astype(np.float32), head.grid)


def _part(head: Head, random: Random) -> Volume:
    """Cut a small piece of a head: an orbit, a voxel box of spectroscopy, a phantom's corner."""
    volume = _any_volume(head, random)
    size = [max(6, int(n * random.uniform(0.15, 0.35))) for n in volume.shape]
    start = [int(random.integers(0, max(1, n - s))) for n, s in zip(volume.shape, size, strict=True)]
    window = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    kept = volume.voxels[window]
    return Volume(kept, volume.grid.cropped(start, kept.shape))


def _no_head(head: Head, random: Random) -> Volume:
    """Ellipsoids with smooth texture: other bodies, phantoms."""
    del head
    grid = axis_aligned_grid((0, 0, 0), (56, 60, 52), 3.5)
    places = np.moveaxis(grid.lps(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    values = np.zeros(grid.shape, np.float32)
    for _ in range(int(random.integers(1, 9))):
        middle, radius = random.uniform(-60, 60, 3), np.exp(random.uniform(2.3, 4.6, 3))
        inside = sum(((p - m) / r) ** 2 for p, m, r in zip(places, middle, radius, strict=True)) < 1
        values = np.where(inside, random.uniform(0.1, 2), values)
    texture = ndimage.gaussian_filter(random.standard_normal(grid.shape), random.uniform(0.5, 4))
    values = values * (1 + random.uniform(0, 0.5) * texture / texture.std())
    return Volume(np.clip(values, 0, None).astype(np.float32), grid)


def _noise(head: Head, random: Random) -> Volume:
    """Nothing but noise, fine or smooth, with or without a sign."""
    values = _texture(head, random, random.choice([0.5, 3.0, 10.0]))
    return Volume(np.abs(values) if random.random() < 0.7 else values, head.grid)


MAKERS: Mapping[Maker, float] = {
    _diffusion_map: 1.5,
    _diffusion_weighted: 1.5,
    _anisotropy: 1.0,
    _proton_density: 0.8,
    _susceptibility: 1.5,
    _echo_planar: 1.0,
    _subtraction: 2.0,
    _angiography: 1.5,
    _projection: 1.0,
    _localizer: 1.5,
    _mask: 1.0,
    _inverted: 0.7,
    _phase: 1.0,
    _computed_tomography: 1.0,
    _part: 0.7,
    _no_head: 2.0,
    _noise: 0.6,
}
"""How often each is drawn."""

FROM_FOUR = frozenset(
    {_diffusion_map, _diffusion_weighted, _anisotropy, _proton_density, _susceptibility, _echo_planar}
)
FROM_T1_PAIR = frozenset({_subtraction, _angiography})
