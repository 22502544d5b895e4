"""elastix on two volumes: its default rigid parameters, started from the centres of gravity.

Needs ``pip install 'zweitblick[benchmarks]'`` (itk-elastix, Apache-2.0).
"""

import importlib
import importlib.util
from typing import Any

import numpy as np
from benchmarks.reference_stack import THREADS
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from zweitblick.volume import Volume


def fixed_to_moving(moving: Volume, fixed: Volume) -> NDArray[np.float64]:
    """Give the map from ``fixed`` to ``moving`` as a matrix, LPS mm."""
    itk = loaded()
    parameters = itk.ParameterObject.New()
    rigid = parameters.GetDefaultParameterMap("rigid", 4)
    rigid["AutomaticTransformInitialization"] = ["true"]
    rigid["AutomaticTransformInitializationMethod"] = ["CenterOfGravity"]
    rigid["WriteResultImage"] = ["false"]
    parameters.AddParameterMap(rigid)
    method = itk.ElastixRegistrationMethod.New(_image(itk, fixed), _image(itk, moving))
    method.SetParameterObject(parameters)
    method.SetNumberOfThreads(THREADS)
    method.LogToConsoleOff()
    method.UpdateLargestPossibleRegion()
    return _matrix(method.GetTransformParameterObject().GetParameterMap(0))


def loaded() -> Any:
    """Return ITK with elastix, or raise what says how to install it."""
    try:
        found = importlib.util.find_spec("itk.ElastixPython")
    except ModuleNotFoundError:  # no ITK at all
        found = None
    if found is None:
        raise ImportError("no elastix: pip install --constraint constraints.txt '.[benchmarks]'")
    return importlib.import_module("itk")


def _image(itk: Any, volume: Volume) -> Any:
    image = itk.GetImageFromArray(volume.voxels)
    columns = volume.lps_from_index[:3, [2, 1, 0]]
    spacing = np.linalg.norm(columns, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection(itk.matrix_from_array(columns / spacing))
    image.SetOrigin(volume.lps_from_index[:3, 3].tolist())
    return image


def _matrix(found: Any) -> NDArray[np.float64]:
    """An EulerTransform: x -> R (x - c) + c + t, where R turns about y first, then x, then z."""
    turns_x_y_z = [float(value) for value in found["TransformParameters"][:3]]
    shift = np.array([float(value) for value in found["TransformParameters"][3:]])
    center = np.array([float(value) for value in found["CenterOfRotationPoint"]])
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("yxz", np.array(turns_x_y_z)[[1, 0, 2]]).as_matrix()
    matrix[:3, 3] = center + shift - matrix[:3, :3] @ center
    return matrix
