"""Grid and Volume: where voxels lie in the patient. All geometry lives here.

Arrays are ordered ``(K, J, I)``: slice, row, column for an axial stack. ``lps_from_index`` maps
``(k, j, i, 1)`` at voxel centres to DICOM patient coordinates in mm (LPS: x to the patient's left,
y to the back, z to the head; PS3.3 C.7.6.2.1.1). Only this module knows of NIfTI's RAS and ``(i, j, k)``.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from zweitblick.errors import GeometryError, NiftiError, SourceMissingError, VoxelError
from zweitblick.interpolation import interpolated

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

RAS_FROM_LPS: Float64 = np.diag([-1.0, -1.0, 1.0, 1.0])
"""NIfTI's x and y point the other way (nifti1.h, "orientation"); its own inverse."""

MAX_NIFTI_VOXELS = 2**29
"""A head of 280 mm in voxels of 0.35 mm; a damaged header may announce more than memory holds."""

GEOMETRY_FIELDS = (
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("sform_code", "srow_x", "srow_y", "srow_z", "xyzt_units"),
)
"""Fields of a NIfTI header that say where voxels lie; ``pixdim`` joins them (nifti1.h, methods 1 to 3)."""

KJI_FROM_IJK: Float64 = np.eye(4)[[2, 1, 0, 3]]
"""Reverses the order of an index; its own inverse."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A box of voxels in patient coordinates, without values.

    Parameters
    ----------
    shape
        Voxel counts ``(K, J, I)``, each at least 1.
    lps_from_index
        ``(4, 4)`` affine from ``(k, j, i, 1)`` at voxel centres to LPS mm; copied and frozen.

    Raises
    ------
    GeometryError
        If the affine is not finite, not affine or singular, or the shape is not three positive numbers.
    """

    shape: tuple[int, int, int]
    lps_from_index: Float64

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise GeometryError(f"a grid needs three positive sizes, not {self.shape}")
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        object.__setattr__(self, "lps_from_index", _frozen_affine(self.lps_from_index))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along k, j and i, in mm."""
        k, j, i = np.linalg.norm(self.lps_from_index[:3, :3], axis=0)
        return float(k), float(j), float(i)

    @property
    def slice_distance_mm(self) -> float:
        """Distance between neighbouring planes of constant k, along their normal (not along k, in a sheared stack)."""
        _, j, i = self.lps_from_index[:3, :3].T
        return float(abs(np.linalg.det(self.lps_from_index[:3, :3])) / np.linalg.norm(np.cross(j, i)))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres (shear included)."""
        return float(abs(np.linalg.det(self.lps_from_index[:3, :3]))) / 1000.0

    @property
    def index_from_lps(self) -> Float64:
        """``(4, 4)`` inverse of ``lps_from_index``."""
        return np.asarray(np.linalg.inv(self.lps_from_index), np.float64)

    @property
    def center_lps(self) -> Float64:
        """Centre of the box, ``(3,)`` LPS mm."""
        return self.lps((np.array(self.shape) - 1) / 2)

    @property
    def corners_lps(self) -> Float64:
        """Centres of the eight corner voxels, ``(8, 3)`` LPS mm."""
        last = np.array(self.shape) - 1
        return self.lps(np.array(list(np.ndindex(2, 2, 2))) * last)

    def lps(self, index: ArrayLike) -> Float64:
        """Patient coordinates of indices ``(..., 3)`` in ``(k, j, i)`` order, in LPS mm."""
        return transformed(self.lps_from_index, index)

    def index(self, lps: ArrayLike) -> Float64:
        """Continuous indices ``(..., 3)`` in ``(k, j, i)`` order of LPS points in mm."""
        return transformed(self.index_from_lps, lps)

    def is_close(self, other: "Grid", *, tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids have the same shape and all corners within ``tolerance_mm`` of each other."""
        if self.shape != other.shape:
            return False
        return float(np.abs(self.corners_lps - other.corners_lps).max()) <= tolerance_mm

    def axis_along(self, direction_lps: ArrayLike) -> int:
        """Return the array axis (0, 1 or 2) closest to an LPS direction; ``(0, 0, 1)`` finds the slices of axials."""
        columns = self.lps_from_index[:3, :3] / np.array(self.spacing_mm)
        return int(np.argmax(np.abs(np.asarray(direction_lps, np.float64) @ columns)))

    def inside(self, other: "Grid", *, own_from_grid_lps: ArrayLike | None = None, border: float = 0.5) -> Bool:
        """Which of this grid's voxel centres lie within another grid's box.

        Parameters
        ----------
        other
            The box.
        own_from_grid_lps
            ``(4, 4)`` map from this grid's LPS mm to the other's; identity if both share a frame of reference.
        border
            How far the box reaches beyond the outermost voxel centres, in the other grid's voxels.

        Returns
        -------
        ``(K, J, I)`` bool.
        """
        move = np.eye(4) if own_from_grid_lps is None else np.asarray(own_from_grid_lps, np.float64)
        other_from_own = other.index_from_lps @ move @ self.lps_from_index
        axes = np.meshgrid(*(np.arange(size) for size in self.shape), indexing="ij", sparse=True)
        inside = np.ones(self.shape, np.bool_)
        for row, size in zip(other_from_own[:3], other.shape, strict=True):
            index = row[0] * axes[0] + row[1] * axes[1] + row[2] * axes[2] + row[3]
            inside &= (index >= -border) & (index <= size - 1 + border)
        return inside

    def cropped(self, start: Sequence[int], shape: tuple[int, int, int]) -> "Grid":
        """Grid of ``shape`` voxels that begins at index ``start`` (may lie outside) of this one."""
        shift = np.eye(4)
        shift[:3, 3] = start
        return Grid(shape, self.lps_from_index @ shift)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxel values on a grid.

    Parameters
    ----------
    voxels
        ``(K, J, I)`` values; held as read-only float32 (copied unless already so).
    grid
        Where they lie.

    Raises
    ------
    VoxelError
        If the array does not have the grid's shape or holds NaN or infinity.
    """

    voxels: Float32
    grid: Grid

    def __post_init__(self) -> None:
        if self.voxels.shape != self.grid.shape:
            raise VoxelError(f"voxels of shape {self.voxels.shape} do not fit a grid of shape {self.grid.shape}")
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused below
            voxels = frozen(self.voxels, np.float32)
        if not np.isfinite(voxels).all():
            count = int((~np.isfinite(voxels)).sum())
            raise VoxelError(f"{count} voxels are NaN or infinite in float32; repair or re-export the image")
        object.__setattr__(self, "voxels", voxels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxel counts ``(K, J, I)``."""
        return self.grid.shape

    @property
    def lps_from_index(self) -> Float64:
        """The grid's affine; see `Grid`."""
        return self.grid.lps_from_index

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """The grid's spacing; see `Grid`."""
        return self.grid.spacing_mm

    def resampled(
        self, grid: Grid, *, own_from_grid_lps: ArrayLike | None = None, order: int = 1, fill: float = 0.0
    ) -> "Volume":
        """Values interpolated at another grid's voxel centres.

        Parameters
        ----------
        grid
            Target grid.
        own_from_grid_lps
            ``(4, 4)`` rigid or affine map from the target's LPS mm to this volume's (a registration's result);
            identity if both share a frame of reference.
        order
            Spline order: 0 nearest, 1 linear, 3 cubic.
        fill
            Value outside this volume; the outermost voxels fade into it within one voxel, so that a border
            voxel that rounding puts a hair outside keeps its value.
        """
        move = np.eye(4) if own_from_grid_lps is None else np.asarray(own_from_grid_lps, np.float64)
        own_from_grid_index = self.grid.index_from_lps @ move @ grid.lps_from_index
        if order == 1:
            return Volume(interpolated(self.voxels, own_from_grid_index, grid.shape, fill=fill), grid)
        values = ndimage.affine_transform(
            self.voxels,
            own_from_grid_index[:3, :3],
            own_from_grid_index[:3, 3],
            output_shape=grid.shape,
            output=np.float32,
            order=order,
            mode="grid-constant",
            cval=fill,
        )
        return Volume(values, grid)

    @classmethod
    def from_nifti(cls, path: Path) -> Self:
        """Read a NIfTI file of one three-dimensional image (scaling applied).

        Raises
        ------
        SourceMissingError
            If there is no such file.
        NiftiError
            If the file is no NIfTI, is cut short, holds colours or complex numbers, or has more than one volume.
        GeometryError, VoxelError
            If its affine is singular or its values are not finite.
        """
        data, affine = _load_nifti(path)
        while data.ndim > 3 and data.shape[-1] == 1:
            data = data[..., 0]
        if data.ndim != 3:
            raise NiftiError(f"{path.name}: {data.ndim} dimensions {data.shape}; give one 3-D volume per sequence")
        return cls(data.transpose(), Grid(data.shape[::-1], RAS_FROM_LPS @ affine @ KJI_FROM_IJK))

    @classmethod
    def channels_from_nifti(cls, path: Path) -> tuple[Self, ...]:
        """Read a NIfTI file whose fourth dimension holds several images of one head (scaling applied).

        Raises
        ------
        SourceMissingError, NiftiError, GeometryError, VoxelError
            See `from_nifti`; a file without exactly four dimensions is refused.
        """
        data, affine = _load_nifti(path)
        if data.ndim != 4:
            raise NiftiError(f"{path.name}: {data.ndim} dimensions {data.shape} where the fourth holds the sequences")
        grid = Grid(data.shape[2::-1], RAS_FROM_LPS @ affine @ KJI_FROM_IJK)
        return tuple(cls(channel.transpose(), grid) for channel in np.moveaxis(data, -1, 0))

    def to_nifti(self, dtype: type[np.generic] = np.float32) -> nib.Nifti1Image:
        """As a NIfTI image in RAS mm with ``(i, j, k)`` axes; both qform and sform are set to scanner space."""
        ras_from_ijk = RAS_FROM_LPS @ self.lps_from_index @ KJI_FROM_IJK
        image = nib.Nifti1Image(self.voxels.transpose().astype(dtype), ras_from_ijk)
        image.header.set_xyzt_units("mm")
        image.set_sform(ras_from_ijk, code=1)
        image.set_qform(ras_from_ijk, code=1)
        return image


def nifti_like(path: Path, values: NDArray[Any]) -> nib.Nifti1Image:
    """Return a NIfTI image of ``values`` with the geometry of the file at ``path``, bit for bit.

    The header's qform and sform with their codes, voxel sizes and units are those of the file, so that any program
    puts both images in one place; what described the file's own values (scaling, display range, texts) is not kept.

    Parameters
    ----------
    path
        NIfTI file that `Volume.from_nifti` reads.
    values
        ``(K, J, I)`` or ``(C, K, J, I)`` array on its grid; its dtype is the file's. C becomes the fourth dimension.

    Raises
    ------
    SourceMissingError, NiftiError
        If ``path`` is no NIfTI file.
    VoxelError
        If ``values`` do not fit its grid.
    """
    like = _opened_nifti(path)
    if values.shape[-3:] != like.shape[2::-1]:
        raise VoxelError(f"values of shape {values.shape} do not fit {path.name} of shape {like.shape}")
    image = type(like)(values.transpose(), None)
    for name in GEOMETRY_FIELDS:
        image.header[name] = like.header[name]
    image.header["pixdim"][:4] = like.header["pixdim"][:4]
    return type(like)(image.dataobj, image.header.get_best_affine(), image.header)


def transformed(b_from_a: ArrayLike, points_a: ArrayLike) -> Float64:
    """Points ``(..., 3)`` sent through a ``(4, 4)`` affine."""
    matrix = np.asarray(b_from_a, np.float64)
    return np.asarray(points_a, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def axis_aligned_grid(center_lps: ArrayLike, shape: tuple[int, int, int], spacing_mm: float) -> Grid:
    """Isotropic grid along the patient axes: k to the head, j to the back, i to the left (all LPS-positive).

    Parameters
    ----------
    center_lps
        Centre of the box, LPS mm.
    shape
        ``(K, J, I)``.
    spacing_mm
        Edge of a voxel.
    """
    lps_from_index = np.zeros((4, 4))
    lps_from_index[[2, 1, 0], [0, 1, 2]] = spacing_mm
    lps_from_index[3, 3] = 1.0
    middle = transformed(lps_from_index, (np.array(shape) - 1) / 2)
    lps_from_index[:3, 3] = np.asarray(center_lps, np.float64) - middle
    return Grid(shape, lps_from_index)


def covering_grid(grid: Grid, spacing_mm: float, multiple: int = 1) -> Grid:
    """Smallest axis-aligned isotropic grid that holds every corner of ``grid``, sizes rounded up to ``multiple``."""
    low, high = grid.corners_lps.min(axis=0), grid.corners_lps.max(axis=0)
    counts = [math.ceil((extent / spacing_mm + 1) / multiple) * multiple for extent in (high - low)[::-1]]
    return axis_aligned_grid((low + high) / 2, (counts[0], counts[1], counts[2]), spacing_mm)


def frozen(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """Return a read-only array of ``dtype``: the same one if nobody can write to it, otherwise a copy."""
    if array.dtype == dtype and not array.flags.writeable and array.flags.owndata:
        return array
    copy = np.array(array, dtype, order="C")
    copy.flags.writeable = False
    return copy


def _frozen_affine(affine: ArrayLike) -> Float64:
    matrix = frozen(np.asarray(affine), np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise GeometryError(f"an affine needs 4 x 4 finite numbers, not {matrix.tolist()}")
    if not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise GeometryError(f"the last row of an affine is 0 0 0 1, not {matrix[3].tolist()}")
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise GeometryError(f"the affine is singular: {matrix[:3, :3].tolist()}; repair the header")
    return matrix


def _load_nifti(path: Path) -> tuple[Float32, Float64]:
    image = _opened_nifti(path)
    try:
        values = np.asarray(image.get_fdata(dtype=np.float32))
    except (OSError, EOFError, ValueError, OverflowError, zlib.error) as error:
        raise NiftiError(f"{path.name} is cut short or damaged: {type(error).__name__}; copy it again") from error
    return values, np.asarray(image.affine, np.float64)


def _opened_nifti(path: Path) -> nib.Nifti1Image:
    """Header of a NIfTI file; Analyze, whose sides are ambiguous, and other formats are refused."""
    if not path.is_file():
        raise SourceMissingError(f"no file at {path}; check the path")
    try:
        image = nib.load(path)
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, OverflowError, zlib.error) as error:
        raise NiftiError(f"{path.name} is not a readable NIfTI file: {type(error).__name__}") from error
    if not isinstance(image, nib.Nifti1Image):
        raise NiftiError(f"{path.name} is {type(image).__name__}; convert it to NIfTI (.nii or .nii.gz)")
    _check_nifti_values(image, path)
    return image


def _check_nifti_values(image: Any, path: Path) -> None:
    """Refuse what is no image of real numbers or too large to be one head, before memory is taken for it."""
    if image.get_data_dtype().kind not in "iufb":
        raise NiftiError(f"{path.name}: values of type {image.get_data_dtype()}; give an image of real numbers")
    if math.prod(image.shape) > MAX_NIFTI_VOXELS:
        raise NiftiError(f"{path.name}: {image.shape} voxels are more than {MAX_NIFTI_VOXELS}; give one head")
