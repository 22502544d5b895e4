"""The same search with SimpleITK, asked where the first search's result is not plausible.

Mattes mutual information (Mattes 2003, IEEE Trans Med Imaging 22:120) climbed by regular steps, with SimpleITK.
One thread and a given seed: with more, the order of ITK's sums, hence the last bits of the result, would depend
on the scheduler.
"""

from threading import Lock

import numpy as np
import SimpleITK as sitk

from zweitblick.register.information import BINS
from zweitblick.register.level import Level
from zweitblick.register.search import RADIUS_MM, SAMPLES, apart
from zweitblick.volume import Float64, transformed

RELAXATION = 0.85
"""Shrinks a step where the gradient turns. ITK's usual 0.5 stops after a dozen steps, up to 6 mm off."""


_ALONE = Lock()
"""ITK draws samples from one generator of the process: two searches at once would not give the same bytes again."""


def refined_by_itk(fixed: Level, moving: Level, start: Float64, *, step_mm: float, seed: int) -> Float64:
    """Climb from ``start`` to the nearest maximum of mutual information.

    Parameters and result are those of `zweitblick.register.search.refined`; the step shrinks where the gradient turns,
    down to a hundredth of the voxel.

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
        with _ALONE:
            method.Execute(fixed.image, moving.image)
    except RuntimeError as error:  # all that SimpleITK raises; its text holds addresses in memory
        raise apart(fixed, moving, start) from error
    return _matrix(transform)


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
