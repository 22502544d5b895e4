"""The common open stack on one study, stage by stage: what a careful engineer would put together from libraries.

pydicom reads, SimpleITK aligns (Mattes mutual information at 6, 3 and 1.5 mm, two threads), SciPy resamples to 1 mm,
and MONAI's SegResNet runs in torch as its brats bundle has it (sliding windows of 240×240×160, overlap one half). Skull
stripping, measurement and reports are left out, to the reference's advantage.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pydicom
import SimpleITK as sitk
import torch
from monai.inferers.inferer import SlidingWindowInferer
from numpy.typing import NDArray
from scipy import ndimage

from zweitblick.study import Sequence
from zweitblick.volume import Grid, Volume, axis_aligned_grid
from zweitblick_training.network import built
from zweitblick_training.recipe import Recipe

WINDOW = (160, 240, 240)
"""Slices, rows, columns of 1 mm."""

FINEST_MM = 1.5
THREADS = 2
Result = TypeVar("Result")


def read_study(folders: dict[Sequence, Path], network: torch.nn.Module) -> dict[str, float]:
    """Run the stack on one study and return the seconds of each stage."""
    seconds: dict[str, float] = {}

    def timed(stage: str, call: Callable[[], Result]) -> Result:
        started = time.perf_counter()
        result = call()
        seconds[stage] = time.perf_counter() - started
        return result

    volumes = timed("read", lambda: {sequence: stacked(folder) for sequence, folder in folders.items()})
    fixed = volumes[Sequence.T1C]
    maps = timed("register", lambda: {sequence: fixed_to_moving(volume, fixed) for sequence, volume in volumes.items()})
    x = timed("resample", lambda: _network_input(volumes, maps))
    timed("network", lambda: _predicted(network, x))
    return seconds


def segresnet() -> torch.nn.Module:
    """MONAI's bundle network; untrained, as the cost does not depend on the weights."""
    return built(Recipe(architecture="segresnet")).eval()


def stacked(folder: Path) -> Volume:
    """Read a series of parallel slices with pydicom, in the order of their positions."""
    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    rows, columns = (np.array(slices[0].ImageOrientationPatient[n : n + 3], float) for n in (0, 3))
    normal = np.cross(rows, columns)
    slices.sort(key=lambda one: float(np.array(one.ImagePositionPatient, float) @ normal))
    first, last = (np.array(one.ImagePositionPatient, float) for one in (slices[0], slices[-1]))
    down, right = (float(value) for value in slices[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([(last - first) / (len(slices) - 1), columns * down, rows * right])
    affine[:3, 3] = first
    voxels = np.stack([one.pixel_array for one in slices]).astype(np.float32)
    return Volume(voxels, Grid(voxels.shape, affine))


def itk_image(volume: Volume) -> sitk.Image:
    """Give ITK a volume with its direction, spacing and origin."""
    image = sitk.GetImageFromArray(volume.voxels)
    columns = volume.lps_from_index[:3, [2, 1, 0]]
    spacing = np.linalg.norm(columns, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((columns / spacing).ravel().tolist())
    image.SetOrigin(volume.lps_from_index[:3, 3].tolist())
    return image


def registered(moving: Volume, fixed: Volume) -> sitk.Transform:
    """Align with SimpleITK from the centres of gravity; maps points of ``fixed`` to ``moving``."""
    images = [sitk.Cast(itk_image(_coarse(one)), sitk.sitkFloat32) for one in (fixed, moving)]
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(THREADS)
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.2, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 200, relaxationFactor=0.85)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([3.0, 1.5, 0.0])
    method.SetInitialTransform(
        sitk.CenteredTransformInitializer(
            *images, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
        )
    )
    return method.Execute(*images)


def _coarse(volume: Volume) -> Volume:
    """Resample to the finest level's spacing along the volume's own axes."""
    steps = np.append(FINEST_MM / np.array(volume.spacing_mm), 1.0)
    shape = tuple(int(size // step) for size, step in zip(volume.shape, steps, strict=False))
    grid = Grid((shape[0], shape[1], shape[2]), volume.lps_from_index @ np.diag(steps))
    return Volume(ndimage.affine_transform(volume.voxels, steps[:3], output_shape=shape, order=1), grid)


def fixed_to_moving(moving: Volume, fixed: Volume) -> NDArray[np.float64]:
    """Give the map from ``fixed`` to ``moving`` as a matrix, LPS mm."""
    if moving is fixed:
        return np.eye(4)
    found = registered(moving, fixed)
    ends = np.array([found.TransformPoint(point) for point in np.vstack([np.zeros(3), np.eye(3)]).tolist()])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = (ends[1:] - ends[0]).T, ends[0]
    return matrix


def _network_input(volumes: dict[Sequence, Volume], maps: dict[Sequence, NDArray[np.float64]]) -> torch.Tensor:
    grid = axis_aligned_grid(volumes[Sequence.T1C].grid.center_lps, WINDOW, 1.0)
    channels = []
    for sequence in Sequence:
        index = volumes[sequence].grid.index_from_lps @ maps[sequence] @ grid.lps_from_index
        image = ndimage.affine_transform(
            volumes[sequence].voxels, index[:3, :3], index[:3, 3], output_shape=grid.shape, order=1
        )
        head = image[image > 0]
        channels.append(np.where(image > 0, (image - head.mean()) / head.std(), 0))
    return torch.from_numpy(np.stack(channels)[np.newaxis].astype(np.float32))


def _predicted(network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    inferer = SlidingWindowInferer(roi_size=WINDOW, sw_batch_size=1, overlap=0.5)
    with torch.inference_mode():
        masks: torch.Tensor = inferer(x, network).sigmoid() > 0.5
    return masks
