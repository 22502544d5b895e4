"""A whole head around the brain: meninges, skull, scalp, face and neck.

Every part is drawn from signed distances in mm (negative inside) on `HEAD_GRID`; later parts are painted over earlier
ones. Positions are rounded anatomy of an adult in head coordinates (LPS mm), not measurements of one person.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from zweitblick.sample.template import HEAD_GRID, TissueMaps
from zweitblick.sample.tissues import Tissue
from zweitblick.volume import Bool, Float32

Point = tuple[float, float, float]
Axes = tuple[Float32, Float32, Float32]
"""Coordinates x, y and z, broadcastable to ``(K, J, I)``."""

SKULL = (
    (2.2, Tissue.CSF),
    (3.2, Tissue.DURA),
    (5.7, Tissue.BONE),
    (7.7, Tissue.MARROW),
    (10.0, Tissue.BONE),
)
"""Layers around the brain: outer distance from its hull in mm, and tissue."""

SCALP_MM = 17.0
"""Distance of the skin's surface from the hull over the vault: skull, galea, fat and skin."""

STEP_MM, PAD = 3, 14
"""Sampling of the slow distance transforms, and the border in samples that closing needs."""

SLICES_AT_ONCE = 4

SKIN_MM, FAT_MM = 2.0, 6.5
"""Depth below the surface of face and neck to which skin, then fat reaches."""


@dataclass(frozen=True, eq=False)
class Head:
    """Tissue of every voxel of `HEAD_GRID`.

    Parameters
    ----------
    labels
        ``(K, J, I)`` uint8 of `Tissue`; WHITE_MATTER wherever ``mixture`` decides.
    mixture
        ``(4, K, J, I)`` uint8 fractions of white matter, grey matter, CSF and oedema, of 255.
    brain
        ``(K, J, I)`` bool.
    """

    labels: NDArray[np.uint8]
    mixture: NDArray[np.uint8]
    brain: Bool


def build_head(maps: TissueMaps, rng: np.random.Generator) -> Head:
    """Draw a healthy head around the tissue maps."""
    brain_mm = _distance_mm(_hull(maps.brain)) + smooth_field(rng, 20.0) * 0.5
    labels = _soft_parts(_outline_mm(_distance_mm(maps.brain, close_mm=36.0), brain_mm), rng)
    for limit, tissue in reversed(SKULL):
        labels[(brain_mm < limit) & _above_foramen(tissue)] = tissue
    # Diploe comes in patches; between them the skull is compact.
    labels[(labels == Tissue.MARROW) & (smooth_field(rng, 14.0) < 0.1)] = Tissue.BONE
    _paint_face(labels, rng)
    _paint_spine(labels)
    _paint_vessels(labels, brain_mm, maps)
    inside = maps.brain & (labels != Tissue.VESSEL) & (labels != Tissue.CHOROID_PLEXUS)
    labels[inside] = Tissue.WHITE_MATTER
    oedema = np.zeros((1, *labels.shape), np.uint8)
    return Head(labels, np.concatenate([maps.mixture, oedema]), maps.brain)


def smooth_field(rng: np.random.Generator, scale_mm: float) -> Float32:
    """Random values of about unit variance on `HEAD_GRID`, smooth over ``scale_mm``."""
    shape = [int(n / scale_mm) + 3 for n in HEAD_GRID.shape]
    return _upsampled(rng.standard_normal(shape, np.float32), scale_mm) * np.float32(1.5)


def _upsampled(coarse: Float32, step_mm: float) -> Float32:
    """Linear interpolation of samples every ``step_mm`` to `HEAD_GRID`, one axis after the other (a matrix each)."""
    k, j, i = (_linear(size, few, step_mm) for size, few in zip(HEAD_GRID.shape, coarse.shape, strict=True))
    return np.asarray(np.matmul(j, np.tensordot(k, coarse, 1)) @ i.T, np.float32)


def _linear(size: int, few: int, step_mm: float) -> Float32:
    """Weights ``(size, few)`` of samples every ``step_mm`` in values every mm."""
    place = np.clip(np.arange(size) / step_mm, 0.0, few - 1.0)
    weights = np.clip(1.0 - np.abs(place[:, None] - np.arange(few)), 0.0, None)
    return np.asarray(weights, np.float32)


def axes_mm() -> Axes:
    """Head coordinates x, y and z of `HEAD_GRID`, broadcastable to ``(K, J, I)``."""
    first = HEAD_GRID.lps((0, 0, 0))
    z, y, x = np.ogrid[tuple(slice(0, n) for n in HEAD_GRID.shape)]
    return (x + first[0]).astype(np.float32), (y + first[1]).astype(np.float32), (z + first[2]).astype(np.float32)


def _ellipsoid_mm(axes: Axes, center: Point, radii: Point) -> Float32:
    """Approximate signed distance in mm to an ellipsoid, negative inside."""
    scaled = [(axis - c) / r for axis, c, r in zip(axes, center, radii, strict=True)]
    norm = np.sqrt(sum(part**2 for part in scaled))
    return np.asarray((norm - 1.0) * min(radii), np.float32)


def _hull(brain: Bool) -> Bool:
    """Brain with its fissures closed and the spinal cord continued below the maps."""
    x, y, z = axes_mm()
    cord = ((x / 7.0) ** 2 + ((y - _cord_y(z)) / 6.0) ** 2 < 1.0) & (z < -68.0)
    hull = _distance_mm(brain, close_mm=10.0) < 0.0
    return np.asarray(hull | cord | brain, np.bool_)


def _cord_y(z: Float32) -> Float32:
    """Middle of medulla and cord, y in mm: it runs slightly backwards going down."""
    return np.asarray(43.0 + (z + 70.0) * -0.1, np.float32)


def _distance_mm(mask: Bool, close_mm: float = 0.0) -> Float32:
    """Signed distance to a mask's surface, positive outside, computed every `STEP_MM` and interpolated.

    Gaps narrower than twice ``close_mm`` are filled first (morphological closing).
    """
    coarse = mask[::STEP_MM, ::STEP_MM, ::STEP_MM]
    if close_mm:
        grown = ndimage.distance_transform_edt(~np.pad(coarse, PAD)) <= close_mm / STEP_MM
        coarse = (ndimage.distance_transform_edt(grown) > close_mm / STEP_MM)[PAD:-PAD, PAD:-PAD, PAD:-PAD]
    signed = ndimage.distance_transform_edt(~coarse) - ndimage.distance_transform_edt(coarse)
    smooth = ndimage.gaussian_filter(np.asarray(signed * STEP_MM, np.float32), 0.6)
    return _upsampled(smooth, STEP_MM)


def _above_foramen(tissue: Tissue) -> Bool:
    """Where a layer of the skull exists: the bone ends around the foramen magnum, the spinal canal goes on."""
    x, y, z = axes_mm()
    if tissue in (Tissue.CSF, Tissue.DURA):
        return np.asarray(z > -1e3)
    return np.asarray((z > -64.0) | (y > 70.0) & (z > -70.0) | (np.abs(x) > 1e3))


def _soft_parts(outline_mm: Float32, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Air, skin, fat and muscle inside the head's outline."""
    surface = outline_mm + smooth_field(rng, 30.0) * 0.7
    muscle = smooth_field(rng, 9.0) > -0.55
    labels = np.where(muscle, np.uint8(Tissue.MUSCLE), np.uint8(Tissue.FAT))
    labels[surface > -FAT_MM] = Tissue.FAT
    labels[surface > -SKIN_MM] = Tissue.SKIN
    labels[surface > 0.0] = Tissue.AIR
    return labels


def _outline_mm(cranium_mm: Float32, brain_mm: Float32) -> Float32:
    """Signed distance to the skin: vault, base, face, jaw, nose and neck grown together."""
    vault = np.asarray(np.minimum(cranium_mm, brain_mm) - SCALP_MM, np.float32)
    outline = np.empty_like(vault)
    x, y, z = axes_mm()
    # What is at work stays in the processor's cache: three times faster than all slices at once.
    for start in range(0, len(outline), SLICES_AT_ONCE):
        part = slice(start, start + SLICES_AT_ONCE)
        outline[part] = _grown_together(vault[part], (x, y, z[part]))
    return outline


def _grown_together(vault_mm: Float32, axes: Axes) -> Float32:
    x, y, z = axes
    parts = (
        vault_mm,
        _ellipsoid_mm(axes, (0.0, 14.0, -18.0), (79.0, 110.0, 76.0)),
        _ellipsoid_mm(axes, (0.0, -44.0, -62.0), (66.0, 60.0, 66.0)),
        _ellipsoid_mm(axes, (0.0, -52.0, -104.0), (50.0, 48.0, 30.0)),
        np.sqrt((x / 0.9) ** 2 + (y + 103.0) ** 2 + ((z + 56.0) / 1.7) ** 2) - 13.0,
        np.sqrt((x / 1.08) ** 2 + (y - 22.0) ** 2) - 56.0 + np.clip(z + 62.0, 0.0, None),
    )
    return _smooth_union([np.asarray(part, np.float32) for part in parts], 5.0)


def _smooth_union(parts: list[Float32], width_mm: float) -> Float32:
    """Minimum of signed distances, rounded where two surfaces meet."""
    union = parts[0]
    for part in parts[1:]:
        blend = np.clip(0.5 + 0.5 * (part - union) / width_mm, 0.0, 1.0)
        union = np.asarray(part * (1 - blend) + union * blend - width_mm * blend * (1 - blend), np.float32)
    return union


FACE: tuple[tuple[Tissue, Point, Point], ...] = (
    (Tissue.BONE, (0.0, -70.0, -48.0), (46.0, 30.0, 20.0)),
    (Tissue.MARROW, (0.0, -66.0, -88.0), (30.0, 26.0, 12.0)),
    (Tissue.MUSCLE, (0.0, -52.0, -108.0), (24.0, 30.0, 18.0)),
    (Tissue.AIR, (0.0, -16.0, -88.0), (9.0, 8.0, 34.0)),
    (Tissue.AIR, (0.0, -22.0, -46.0), (13.0, 13.0, 9.0)),
    (Tissue.MUCOSA, (0.0, -62.0, -60.0), (17.0, 36.0, 21.0)),
    (Tissue.AIR, (0.0, -84.0, -4.0), (11.0, 4.0, 8.0)),
)
"""Unpaired parts: facial bone, maxilla, tongue, airway, sphenoid sinus, nose, frontal sinus."""

PAIRED: tuple[tuple[Tissue, Point, Point], ...] = (
    (Tissue.MARROW, (38.0, -58.0, -104.0), (8.0, 34.0, 9.0)),
    (Tissue.MARROW, (50.0, -12.0, -88.0), (5.0, 12.0, 26.0)),
    (Tissue.MUSCLE, (56.0, -24.0, -80.0), (6.0, 15.0, 24.0)),
    (Tissue.BONE, (30.0, -58.0, -63.0), (17.0, 22.0, 19.0)),
    (Tissue.AIR, (30.0, -58.0, -63.0), (14.5, 19.5, 16.5)),
    (Tissue.BONE, (33.0, -58.0, -31.0), (20.0, 30.0, 18.0)),
    (Tissue.FAT, (33.0, -62.0, -31.0), (18.5, 30.0, 16.5)),
    (Tissue.MUSCLE, (26.0, -54.0, -31.0), (3.0, 20.0, 4.0)),
    (Tissue.MUSCLE, (42.0, -54.0, -31.0), (2.5, 18.0, 4.0)),
    (Tissue.WHITE_MATTER, (27.0, -48.0, -31.0), (2.0, 24.0, 2.0)),
    (Tissue.DURA, (33.0, -76.0, -31.0), (13.0, 13.0, 13.0)),
    (Tissue.VITREOUS, (33.0, -76.0, -31.0), (12.0, 12.0, 12.0)),
    (Tissue.MUSCLE, (33.0, -84.0, -31.0), (4.5, 2.0, 4.5)),
    (Tissue.SKIN, (33.0, -91.0, -31.0), (15.0, 4.0, 13.0)),
    (Tissue.BONE, (58.0, 24.0, -46.0), (13.0, 14.0, 18.0)),
    (Tissue.MARROW, (45.0, 16.0, -40.0), (16.0, 8.0, 6.0)),
    (Tissue.AIR, (58.0, 26.0, -48.0), (8.0, 9.0, 13.0)),
    (Tissue.AIR, (66.0, 8.0, -44.0), (18.0, 3.0, 3.0)),
    (Tissue.MUSCLE, (64.0, -22.0, -24.0), (7.0, 24.0, 30.0)),
)
"""Left one of each pair: mandible, its ramus, masseter, maxillary sinus with its wall, orbit with eye and muscles,
mastoid with its cells, petrous bone, ear canal, temporalis muscle."""


def _paint_face(labels: NDArray[np.uint8], rng: np.random.Generator) -> None:
    outside, skull = labels == Tissue.AIR, (labels == Tissue.CSF) | (labels == Tissue.DURA)
    for tissue, center, radii in FACE:
        _paint(labels, tissue, center, radii)
    _paint_nose(labels, rng)
    for tissue, center, radii in PAIRED:
        _paint(labels, tissue, center, radii)
        _paint(labels, tissue, (-center[0], center[1], center[2]), radii)
    labels[outside] = Tissue.AIR
    labels[skull] = Tissue.CSF


def _paint(labels: NDArray[np.uint8], tissue: Tissue, center: Point, radii: Point) -> None:
    """Fill one ellipsoid, working only in its box."""
    middle = HEAD_GRID.index(center)
    reach = np.array(radii[::-1])
    low = np.clip(np.floor(middle - reach), 0, None).astype(int)
    high = np.minimum(np.ceil(middle + reach).astype(int) + 1, labels.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    index = np.ogrid[box]
    inside = sum(((axis - c) / r) ** 2 for axis, c, r in zip(index, middle, reach, strict=True)) < 1.0
    labels[box][inside] = tissue


def _paint_nose(labels: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Septum and turbinates are mucosa, the passages between them air."""
    x, y, z = axes_mm()
    folds = np.sin(np.abs(x) * 0.75 + 0.9 * np.sin(z * 0.28) + 0.03 * y) + smooth_field(rng, 6.0) * 0.25
    inside = (labels == Tissue.MUCOSA) & (np.abs(x) > 2.0) & (folds > 0.25)
    labels[inside] = Tissue.AIR


def _paint_spine(labels: NDArray[np.uint8]) -> None:
    """Vertebrae around the canal, the canal with its cord."""
    x, y, z = axes_mm()
    below = z < -66.0
    across = np.sqrt(x**2 + (y - _cord_y(z)) ** 2)
    body = np.sqrt(x**2 + (y - _cord_y(z) + 20.0) ** 2)
    disc = np.abs((z + 84.0) % 18.0 - 9.0) < 2.5
    labels[np.asarray(below & (across < 17.0))] = Tissue.BONE
    labels[np.asarray(below & (body < 12.0))] = Tissue.BONE
    labels[np.asarray(below & (body < 10.5) & ~disc)] = Tissue.MARROW
    labels[np.asarray(below & (across < 11.0))] = Tissue.CSF
    labels[np.asarray(below & ((x / 6.5) ** 2 + ((y - _cord_y(z)) / 5.5) ** 2 < 1.0))] = Tissue.GREY_MATTER


ARTERIES: tuple[tuple[Point, ...], ...] = (
    ((0.0, 18.0, -58.0), (0.0, 8.0, -34.0), (0.0, 8.0, -20.0), (14.0, 12.0, -16.0), (24.0, 30.0, -8.0)),
    ((13.0, -4.0, -40.0), (13.0, -6.0, -20.0), (26.0, -8.0, -18.0), (40.0, 0.0, -10.0), (42.0, 18.0, 4.0)),
    ((12.0, -8.0, -18.0), (3.0, -18.0, -12.0), (2.0, -44.0, 4.0), (2.0, -40.0, 22.0), (2.0, -10.0, 40.0)),
)
"""Basilar and posterior, carotid and middle, anterior cerebral artery; drawn on both sides, radius 1.5 mm."""

VEINS: tuple[tuple[Point, ...], ...] = (
    ((0.0, 36.0, 8.0), (0.0, 52.0, 2.0), (0.0, 84.0, -10.0)),
    ((2.0, 8.0, 16.0), (1.5, 24.0, 14.0), (0.0, 38.0, 8.0)),
)
"""Straight sinus and internal cerebral vein."""

CHOROID: tuple[tuple[Point, ...], ...] = (
    ((9.0, 4.0, 22.0), (15.0, 22.0, 20.0), (22.0, 40.0, 10.0), (26.0, 40.0, 4.0), (30.0, 26.0, -10.0)),
    ((3.0, 52.0, -36.0), (10.0, 50.0, -38.0)),
)
"""Choroid plexus of a lateral and of the fourth ventricle, drawn where there is CSF, radius 3 mm."""


def _paint_vessels(labels: NDArray[np.uint8], brain_mm: Float32, maps: TissueMaps) -> None:
    x, y, z = axes_mm()
    shell = (brain_mm > -0.5) & (brain_mm < 4.5)
    sagittal = (np.abs(x) < 1.5 + 0.8 * brain_mm) & ((z > 12.0) | (y > 60.0) & (z > -16.0))
    transverse = (np.abs(z + 16.0 + 0.12 * np.abs(x)) < 4.0) & (y > 30.0)
    labels[shell & (sagittal | transverse)] = Tissue.VESSEL
    for line in ARTERIES + VEINS:
        labels[_tube(line, 1.6)] = Tissue.VESSEL
    csf = maps.mixture[2] > 110
    for line in CHOROID:
        labels[_tube(line, 3.2) & csf] = Tissue.CHOROID_PLEXUS


def _tube(line: tuple[Point, ...], radius_mm: float) -> Bool:
    """Voxels near a polyline and near its mirror image, ``(K, J, I)`` bool."""
    ends = np.array(line)
    steps = np.linspace(0.0, 1.0, 60)[:, None]
    points = np.concatenate([a + steps * (b - a) for a, b in pairwise(ends)])
    points = np.concatenate([points, points * (-1.0, 1.0, 1.0)])
    reach = np.arange(-4, 5)
    ball = np.stack(np.meshgrid(reach, reach, reach), axis=-1).reshape(-1, 3)
    ball = ball[np.linalg.norm(ball, axis=1) <= radius_mm]
    index = np.rint(HEAD_GRID.index(points)).astype(int)[:, None] + ball
    mask = np.zeros(HEAD_GRID.shape, np.bool_)
    mask[tuple(index.reshape(-1, 3).T)] = True
    return mask
