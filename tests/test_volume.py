"""Geometry against nibabel and SimpleITK, which know nothing of our conventions."""

import gzip
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from strategies import grids, itk_image, rotations, values
from zweitblick.errors import GeometryError, NiftiError, SourceMissingError, VoxelError, ZweitblickError
from zweitblick.volume import Grid, Volume, axis_aligned_grid, covering_grid, frozen, nifti_like, transformed

seeds = st.integers(0, 2**32 - 1)
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def every_index(grid: Grid) -> np.ndarray:
    return np.array(list(np.ndindex(grid.shape)))


@given(grids())
def test_index_and_lps_are_inverse(grid: Grid) -> None:
    index = every_index(grid)
    np.testing.assert_allclose(grid.index(grid.lps(index)), index, atol=1e-8)


@given(grids(), seeds)
def test_lps_is_where_simpleitk_puts_a_voxel(grid: Grid, seed: int) -> None:
    image = itk_image(Volume(values(grid, seed), grid))
    for k, j, i in every_index(grid)[:: max(1, int(np.prod(grid.shape)) // 8)]:
        expected = image.TransformIndexToPhysicalPoint((int(i), int(j), int(k)))
        np.testing.assert_allclose(grid.lps((k, j, i)), expected, atol=1e-6)


@given(grids())
def test_derived_numbers_agree_with_simpleitk(grid: Grid) -> None:
    image = itk_image(Volume(np.zeros(grid.shape, np.float32), grid))
    np.testing.assert_allclose(grid.spacing_mm, image.GetSpacing()[::-1], rtol=1e-9)
    np.testing.assert_allclose(grid.voxel_ml, np.prod(image.GetSpacing()) / 1000, rtol=1e-9)
    middle = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    np.testing.assert_allclose(grid.center_lps, middle, atol=1e-6)


def test_voxel_ml_of_a_sheared_voxel_is_its_volume() -> None:
    sheared = np.diag([4.0, 1.0, 1.0, 1.0])
    sheared[1, 0] = 3.0  # each slice shifted: the edge is 5 mm long, the height stays 4 mm
    grid = Grid((2, 2, 2), sheared)
    assert grid.spacing_mm[0] == pytest.approx(5.0)
    assert grid.voxel_ml == pytest.approx(0.004)


@given(grids(min_size=2))
def test_corners_are_the_extremes(grid: Grid) -> None:
    everywhere = grid.lps(every_index(grid))
    np.testing.assert_allclose(grid.corners_lps.min(axis=0), everywhere.min(axis=0), atol=1e-9)
    np.testing.assert_allclose(grid.corners_lps.max(axis=0), everywhere.max(axis=0), atol=1e-9)


@given(grids(), st.tuples(*[st.integers(-3, 3)] * 3), st.tuples(*[st.integers(1, 5)] * 3))
def test_cropped_keeps_every_voxel_in_place(
    grid: Grid, start: tuple[int, int, int], shape: tuple[int, int, int]
) -> None:
    cropped = grid.cropped(start, shape)
    assert cropped.shape == shape
    np.testing.assert_allclose(cropped.lps((0, 0, 0)), grid.lps(start), atol=1e-9)
    np.testing.assert_allclose(cropped.lps((1, 2, 3)), grid.lps(np.add(start, (1, 2, 3))), atol=1e-9)


@given(grids())
def test_axis_along_each_own_axis(grid: Grid) -> None:
    assert [grid.axis_along(grid.lps_from_index[:3, axis]) for axis in range(3)] == [0, 1, 2]


@given(grids(min_size=2), st.floats(0.5, 4.0))
def test_covering_grid_holds_every_corner(grid: Grid, spacing_mm: float) -> None:
    cover = covering_grid(grid, spacing_mm, multiple=8)
    index = cover.index(grid.corners_lps)
    assert (index > -1e-6).all()
    assert (index < np.array(cover.shape) - 1 + 1e-6).all()
    assert all(size % 8 == 0 for size in cover.shape)


def test_axis_aligned_grid_points_to_head_back_and_left() -> None:
    grid = axis_aligned_grid((1.0, 2.0, 3.0), (3, 5, 7), 2.0)
    np.testing.assert_allclose(grid.center_lps, (1.0, 2.0, 3.0))
    np.testing.assert_allclose(grid.lps((1, 1, 1)) - grid.lps((0, 0, 0)), (2.0, 2.0, 2.0))
    np.testing.assert_allclose(grid.lps((1, 0, 0)) - grid.lps((0, 0, 0)), (0.0, 0.0, 2.0))


@given(grids(min_size=2), st.floats(0.01, 2.0))
def test_is_close_measures_at_the_corners(grid: Grid, shift_mm: float) -> None:
    moved = grid.lps_from_index.copy()
    moved[0, 3] += shift_mm
    other = Grid(grid.shape, moved)
    assert grid.is_close(other, tolerance_mm=shift_mm * 1.01)
    assert not grid.is_close(other, tolerance_mm=shift_mm * 0.99)
    assert not grid.is_close(grid.cropped((0, 0, 0), (1, 1, 1)))


@given(grids(), seeds)
def test_nifti_round_trip(tmp_path_factory: pytest.TempPathFactory, grid: Grid, seed: int) -> None:
    volume = Volume(values(grid, seed), grid)
    path = tmp_path_factory.mktemp("nifti") / "volume.nii"
    nib.save(volume.to_nifti(), path)
    again = Volume.from_nifti(path)
    np.testing.assert_array_equal(again.voxels, volume.voxels)
    assert again.grid.is_close(grid)  # the header holds float32


@given(grids(min_size=2), seeds)
def test_nifti_lies_where_nibabel_and_simpleitk_read_it(
    tmp_path_factory: pytest.TempPathFactory, grid: Grid, seed: int
) -> None:
    volume = Volume(values(grid, seed), grid)
    path = tmp_path_factory.mktemp("nifti") / "volume.nii.gz"
    nib.save(volume.to_nifti(), path)
    ours, theirs = nib.load(path), sitk.ReadImage(path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(theirs), volume.voxels)
    for k, j, i in grid.index(grid.corners_lps).round().astype(int).tolist():
        ras = nib.affines.apply_affine(ours.affine, (i, j, k))
        np.testing.assert_allclose(grid.lps((k, j, i)), ras * (-1, -1, 1), atol=1e-3)
        np.testing.assert_allclose(grid.lps((k, j, i)), theirs.TransformIndexToPhysicalPoint((i, j, k)), atol=5e-3)
        assert ours.get_fdata()[i, j, k] == volume.voxels[k, j, i]


def test_nifti_scaling_is_applied_and_a_trailing_axis_dropped(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4, 1), np.eye(4))
    image.header.set_slope_inter(2.0, -5.0)
    nib.save(image, tmp_path / "scaled.nii")
    volume = Volume.from_nifti(tmp_path / "scaled.nii")
    raw = np.asarray(nib.load(tmp_path / "scaled.nii").dataobj)[..., 0]
    np.testing.assert_array_equal(volume.voxels, raw.transpose())
    assert volume.shape == (4, 3, 2)


@given(grids(min_size=4), grids(min_size=4), rotations(20.0), seeds)
def test_resampled_agrees_with_simpleitk(target: Grid, source: Grid, rotation: np.ndarray, seed: int) -> None:
    target = Grid(target.shape, centred(target, source))
    move = np.eye(4)
    move[:3, :3] = rotation
    move[:3, 3] = source.center_lps - rotation @ source.center_lps + (0.5, -0.25, 0.75)
    volume = Volume(values(source, seed), source)
    ours = volume.resampled(target, own_from_grid_lps=move, fill=-7.0).voxels
    transform = sitk.AffineTransform(rotation.ravel().tolist(), move[:3, 3].tolist())
    theirs = sitk.GetArrayFromImage(
        sitk.Resample(
            itk_image(volume),
            itk_image(Volume(np.zeros(target.shape, np.float32), target)),
            transform,
            sitk.sitkLinear,
            -7.0,
        )
    )
    index = source.index(transformed(move, target.lps(every_index(target)))).reshape(*target.shape, 3)
    last = np.array(source.shape) - 1
    inside = ((index > 1e-4) & (index < last - 1e-4)).all(axis=-1)
    # between the last centre and one voxel beyond, ours fades and ITK's holds on for half of it: not comparable
    outside = ((index < -1.01) | (index > last + 1.01)).any(axis=-1)
    np.testing.assert_allclose(ours[inside], theirs[inside], atol=0.05)
    assert (ours[outside] == -7.0).all()


def centred(target: Grid, source: Grid) -> np.ndarray:
    """Affine of the target with its centre moved onto the source's."""
    moved = target.lps_from_index.copy()
    moved[:3, 3] += source.center_lps - target.center_lps
    return moved


@given(grids(), seeds)
def test_resampled_onto_itself_changes_nothing(grid: Grid, seed: int) -> None:
    voxels = values(grid, seed)
    again = Volume(voxels, grid).resampled(grid, order=0)
    np.testing.assert_array_equal(again.voxels, voxels)


@given(grids(min_size=2), st.floats(-1e-5, 1e-5))
def test_a_hair_of_motion_does_not_empty_the_border(grid: Grid, shift_mm: float) -> None:
    moved = grid.lps_from_index.copy()
    moved[:3, 3] += shift_mm
    again = Volume(np.full(grid.shape, 100.0), grid).resampled(Grid(grid.shape, moved))
    np.testing.assert_allclose(again.voxels, 100.0, atol=0.1)


def test_arrays_are_copied_in_and_frozen() -> None:
    voxels, affine = np.zeros((2, 2, 2), np.float32), np.eye(4)
    volume = Volume(voxels, Grid((2, 2, 2), affine))
    voxels[:] = 9.0
    affine[:] = 9.0
    assert (volume.voxels == 0).all()
    np.testing.assert_array_equal(volume.lps_from_index, np.eye(4))
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        volume.lps_from_index[0, 3] = 1.0


def test_frozen_does_not_trust_a_read_only_view_of_a_writable_array() -> None:
    base = np.zeros(3, np.float32)
    view = base.view()
    view.flags.writeable = False
    kept = frozen(view, np.float32)
    base[:] = 1.0
    assert (kept == 0).all()


SINGULAR = np.diag([1.0, 1.0, 0.0, 1.0])
NOT_FINITE = np.diag([1.0, 1.0, np.nan, 1.0])
PROJECTIVE = np.eye(4) + np.outer([0, 0, 0, 1], [0.1, 0, 0, 0])


@pytest.mark.parametrize("affine", [SINGULAR, NOT_FINITE, PROJECTIVE, np.eye(3)], ids=str)
def test_bad_affine_is_a_geometry_error(affine: np.ndarray) -> None:
    with pytest.raises(GeometryError):
        Grid((2, 2, 2), affine)


@pytest.mark.parametrize("shape", [(2, 2), (0, 2, 2), (2, -1, 2)])
def test_bad_shape_is_a_geometry_error(shape: tuple[int, int, int]) -> None:
    with pytest.raises(GeometryError, match="three positive sizes"):
        Grid(shape, np.eye(4))


def test_voxels_must_fit_and_be_finite() -> None:
    grid = Grid((2, 3, 4), np.eye(4))
    with pytest.raises(VoxelError, match=r"\(4, 3, 2\)"):
        Volume(np.zeros((4, 3, 2), np.float32), grid)
    voxels = np.zeros(grid.shape, np.float32)
    voxels[1, 1, :2] = np.nan, np.inf
    with pytest.raises(VoxelError, match="2 voxels"):
        Volume(voxels, grid)


def test_values_beyond_float32_are_a_voxel_error() -> None:
    grid = Grid((1, 1, 1), np.eye(4))
    with pytest.raises(VoxelError):
        Volume(np.full(grid.shape, 1e39), grid)


def test_missing_nifti(tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError, match=r"nowhere\.nii"):
        Volume.from_nifti(tmp_path / "nowhere.nii")


def test_several_volumes_in_a_nifti(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, 3), np.float32), np.eye(4)), tmp_path / "four.nii")
    with pytest.raises(NiftiError, match="4 dimensions"):
        Volume.from_nifti(tmp_path / "four.nii")


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x00" * 400], ids=["empty", "text", "zeros"])
def test_no_nifti_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.nii").write_bytes(content)
    with pytest.raises(NiftiError, match=r"bad\.nii"):
        Volume.from_nifti(tmp_path / "bad.nii")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated_nifti(tmp_path: Path, suffix: str, kept: float) -> None:
    noise = np.random.default_rng(0).random((16, 16, 16), np.float32)
    path = tmp_path / f"cut{suffix}"
    nib.save(nib.Nifti1Image(noise, np.eye(4)), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(NiftiError, match="cut"):
        Volume.from_nifti(path)


def test_gzip_with_damaged_bytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((16, 16, 16), np.float32)
    nib.save(nib.Nifti1Image(noise, np.eye(4)), tmp_path / "whole.nii")
    packed = bytearray(gzip.compress((tmp_path / "whole.nii").read_bytes()))
    packed[len(packed) // 2] ^= 0xFF
    packed[-8:] = bytes(8)
    (tmp_path / "damaged.nii.gz").write_bytes(packed)
    with pytest.raises(NiftiError, match="damaged"):
        Volume.from_nifti(tmp_path / "damaged.nii.gz")


@pytest.mark.parametrize("dtype", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])], ids=str)
def test_nifti_of_no_real_numbers(tmp_path: Path, dtype: np.dtype) -> None:
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), dtype), np.eye(4)), tmp_path / "colour.nii")
    with pytest.raises(NiftiError, match="real numbers"):
        Volume.from_nifti(tmp_path / "colour.nii")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, for the wild scales that such headers hold
@given(st.dictionaries(st.integers(0, 351), st.integers(0, 255), min_size=1, max_size=4), st.booleans())
def test_any_damaged_header_is_a_typed_error_or_a_volume(
    tmp_path_factory: pytest.TempPathFactory, damage: dict[int, int], packed: bool
) -> None:
    content = bytearray(nib.Nifti1Image(np.ones((3, 4, 5), np.int16), np.eye(4)).to_bytes())
    for offset, value in damage.items():
        content[offset] = value
    path = tmp_path_factory.mktemp("damaged") / ("image.nii.gz" if packed else "image.nii")
    path.write_bytes(gzip.compress(content) if packed else bytes(content))
    try:
        outcome = Volume.from_nifti(path).voxels.dtype.name
    except ZweitblickError as error:
        outcome = error.code
    assert outcome in {"float32", "source.nifti", "volume.geometry", "volume.voxels"}


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(("qform_code", "sform_code"), [(1, 1), (2, 0), (0, 4), (1, 3), (0, 0)])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_nifti_like_keeps_the_geometry_bit_for_bit(
    tmp_path: Path, kind: type[nib.Nifti1Image], qform_code: int, sform_code: int, channels: tuple[int, ...]
) -> None:
    grid = oblique_grid((4, 3, 2))
    image = kind(np.zeros((2, 3, 4), np.int16), RAS @ grid.lps_from_index @ np.eye(4)[[2, 1, 0, 3]])
    image.set_qform(image.affine, qform_code)
    image.set_sform(image.affine @ np.diag([1.01, 1, 1, 1]), sform_code)  # the two may differ, and often do
    image.header["descrip"] = b"private text"
    image.header["cal_max"] = 4000
    image.header.set_slope_inter(2.0, -3.0)
    nib.save(image, tmp_path / "given.nii.gz")
    labels = np.arange(24 * math.prod(channels), dtype=np.uint8).reshape(*channels, *grid.shape)
    nib.save(nifti_like(tmp_path / "given.nii.gz", labels), tmp_path / "labels.nii.gz")
    given, written = nib.load(tmp_path / "given.nii.gz"), nib.load(tmp_path / "labels.nii.gz")
    assert type(written) is type(given)
    assert written.affine.tobytes() == given.affine.tobytes()
    for name in ("qform_code", "sform_code", "quatern_b", "qoffset_x", "srow_x", "srow_z", "xyzt_units"):
        assert written.header[name].tobytes() == given.header[name].tobytes(), name
    assert written.header["pixdim"][:4].tobytes() == given.header["pixdim"][:4].tobytes()
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(written.dataobj).transpose(), labels)
    assert b"private" not in written.header.binaryblock
    assert written.header["cal_max"] == 0


def test_nifti_like_refuses_another_shape(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.eye(4)), tmp_path / "given.nii")
    with pytest.raises(VoxelError, match=r"given\.nii"):
        nifti_like(tmp_path / "given.nii", np.zeros((2, 3, 4), np.uint8))


@pytest.mark.parametrize("kind", [nib.Spm99AnalyzeImage, nib.MGHImage])
def test_formats_other_than_nifti_are_refused(tmp_path: Path, kind: type[nib.spatialimages.SpatialImage]) -> None:
    suffix = ".img" if kind is nib.Spm99AnalyzeImage else ".mgz"
    nib.save(kind(np.zeros((2, 2, 2), np.float32), np.eye(4)), tmp_path / f"other{suffix}")
    with pytest.raises(NiftiError, match="convert it to NIfTI"):
        Volume.from_nifti(tmp_path / f"other{suffix}")


def oblique_grid(shape: tuple[int, int, int]) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [7.7, -5.5, 16.9], degrees=True).as_matrix() * (5.5, 0.94, 0.86)
    affine[:3, 3] = (-91.3, 104.7, -33.1)
    return Grid(shape, affine)
