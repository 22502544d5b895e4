"""Search for the rigid map of greatest mutual information between two levels.

Mattes mutual information (Mattes 2003, IEEE Trans Med Imaging 22:120) climbed by regular steps, with SimpleITK.
One thread and a given seed: with more, the order of ITK's sums, hence the last bits of the result, would depend
on the scheduler.
"""

import numpy as np
import SimpleITK as sitk

from zweitblick.errors import RegistrationError
from zweitblick.register.level import Level
from zweitblick.volume import Bool, Float32, Float64, Volume, transformed

BINS = 32
"""Histogram bins per image (Mattes 2003 used 50 on whole volumes; fewer samples want fewer)."""

RADIUS_MM = 70.0
"""A radian moves the brain's surface by about this much: makes turns and shifts commensurable."""

RELAXATION = 0.85
"""Shrinks a step where the gradient turns. ITK's usual 0.5 stops after a dozen steps, up to 6 mm off."""

SAMPLES = 40_000
"""Voxels the metric looks at, at most."""

REMEDY = "check that both show the same head, or leave one out"


def refined(fixed: Level, moving: Level, start: Float64, *, step_mm: float, seed: int) -> Float64:
    """Climb from ``start`` to the nearest maximum of mutual information.

    Parameters
    ----------
    fixed, moving
        Both images at one resolution.
    start
        ``(4, 4)`` map from the fixed image's LPS mm to the moving one's.
    step_mm
        First step; it shrinks where the gradient turns, down to a hundredth of the voxel.
    seed
        Of the sampling, from 0.

    Returns
    -------
    Float64
        ``(4, 4)`` map of the same kind.

    Raises
    ------
    RegistrationError
        If the metric has no value on the way, as where the two images do not meet.
    """
    transform = _euler(start, fixed.center_lps)
    method = _method(fixed, moving, seed)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step_mm,
        minStep=fixed.volume.spacing_mm[0] / 100,
        numberOfIterations=200,
        relaxationFactor=RELAXATION,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScales([RADIUS_MM**2] * 3 + [1.0] * 3)
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed.image, moving.image)
    except RuntimeError as error:  # all that SimpleITK raises; its text holds addresses in memory
        apart_mm = float(np.linalg.norm(transformed(start, fixed.center_lps) - moving.center_lps))
        raise RegistrationError(
            f"two series cannot be compared from where their heads lie {apart_mm:.0f} mm apart; {REMEDY}"
        ) from error
    return _matrix(transform)


def mutual_information(fixed: Level, moving: Level, moving_from_fixed: Float64) -> float:
    """Normalised mutual information (Studholme 1999, Pattern Recognit 32:71), 1 for none, 2 for identity.

    Taken over the fixed foreground within both fields of view.
    """
    grid = fixed.volume.grid
    values = moving.volume.resampled(grid, own_from_grid_lps=moving_from_fixed).voxels
    both = fixed.foreground & carried(moving.covered, fixed, moving, moving_from_fixed)
    if not both.any():
        return 1.0
    return _normalised(fixed.volume.voxels[both], values[both])


def carried(mask: Bool, fixed: Level, moving: Level, moving_from_fixed: Float64) -> Bool:
    """Mask of the moving level, ``(K, J, I)`` bool, on the fixed level's grid."""
    own = Volume(mask.astype(np.float32), moving.volume.grid)
    there = own.resampled(fixed.volume.grid, own_from_grid_lps=moving_from_fixed)
    return np.asarray(there.voxels > 0.5, np.bool_)


def _normalised(one: Float32, other: Float32) -> float:
    joint = np.histogram2d(one, other, bins=BINS)[0] / one.size
    separate = _entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))
    together = _entropy(joint.ravel())
    return separate / together if together > 0 else 1.0


def _entropy(share: Float64) -> float:
    positive = share[share > 0]
    return float(-(positive * np.log(positive)).sum())


def _method(fixed: Level, moving: Level, seed: int) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    region = float(sitk.GetArrayViewFromImage(fixed.region_image).sum())
    share = min(1.0, SAMPLES / max(region, 1.0))
    method.SetMetricSamplingPercentage(share, seed + 1)  # ITK takes seed 0 for "by the clock"
    method.SetMetricFixedMask(fixed.region_image)
    method.SetMetricMovingMask(moving.covered_image)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _euler(matrix: Float64, center_lps: Float64) -> sitk.Euler3DTransform:
    """ITK's x -> R (x - c) + c + t, with the centre of turning in the head."""
    transform = sitk.Euler3DTransform()
    transform.SetCenter(center_lps.tolist())
    transform.SetMatrix(matrix[:3, :3].ravel().tolist(), 1e-6)
    transform.SetTranslation((transformed(matrix, center_lps) - center_lps).tolist())
    return transform


def _matrix(transform: sitk.Euler3DTransform) -> Float64:
    turn = np.array(transform.GetMatrix()).reshape(3, 3)
    center = np.array(transform.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = center + np.array(transform.GetTranslation()) - turn @ center
    return matrix
