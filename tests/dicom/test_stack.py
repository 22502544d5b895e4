"""Series to volumes against phantoms of known affine and voxels, and every rejection by name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless

from dicom_writer import AXIAL, CORONAL, SAGITTAL, ds, head, oblique, uid, write_series
from strategies import grids
from zweitblick.dicom.read import read_study
from zweitblick.dicom.stack import examined, parts, stack
from zweitblick.errors import (
    DamagedInstanceError,
    DuplicatePositionError,
    LocalizerError,
    MissingGeometryError,
    MissingSliceError,
    MixedMatrixError,
    MixedOrientationError,
    NoPixelDataError,
    NotAVolumeError,
    NotMRError,
    PixelDecodeError,
    SecondaryCaptureError,
    SeriesError,
    TransferSyntaxError,
    UnevenSpacingError,
)
from zweitblick.study import Series, Study
from zweitblick.volume import Grid, Volume

SHAPE = (5, 7, 6)


def _volume(grid: Grid | None = None, seed: int = 0) -> Volume:
    grid = grid or oblique(SHAPE)
    return Volume(head(grid.shape, seed=seed), grid)


def _study(folder: Path) -> Study:
    return read_study(sorted(folder.rglob("*.dcm")))


def _series(folder: Path) -> Series:
    [series] = _study(folder).series
    return series


def _assert_same(read: Volume, written: Volume, tolerance_mm: float = 1e-6) -> None:
    """Every written voxel is found at its own place in the patient, with its own value."""
    index = np.array(list(np.ndindex(*written.shape)))
    found = read.grid.index(written.grid.lps(index))
    assert read.shape == written.shape
    assert np.abs(found - np.rint(found)).max() * max(read.spacing_mm) < tolerance_mm
    k, j, i = np.rint(found).astype(int).T
    assert np.array_equal(read.voxels[k, j, i], written.voxels.ravel())


@pytest.mark.parametrize("directions", [AXIAL, SAGITTAL, CORONAL])
@pytest.mark.parametrize("degrees", [0.0, 23.0])
@pytest.mark.parametrize("reverse", [False, True])
def test_orientations(tmp_path: Path, directions: tuple[tuple[int, ...], ...], degrees: float, reverse: bool) -> None:
    written = _volume(oblique(SHAPE, normal_first=directions, degrees=degrees))
    write_series(tmp_path, written, order=range(SHAPE[0])[:: -1 if reverse else 1])
    [part] = parts(_series(tmp_path))
    read = stack(part)
    _assert_same(read, written)
    k, j, i = read.lps_from_index[:3, :3].T
    assert np.cross(i, j) @ k > 0, "k grows along the normal"


def test_a_shear_is_kept_in_the_affine(tmp_path: Path) -> None:
    written = _volume(oblique(SHAPE, degrees=11.0, shear=(0.3, 1.2, 0.1)))
    write_series(tmp_path, written)
    read = stack(parts(_series(tmp_path))[0])
    _assert_same(read, written)
    k, j, _ = read.lps_from_index[:3, :3].T
    assert abs(k @ j) / np.linalg.norm(k) / np.linalg.norm(j) > 0.1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(grid=grids(min_size=3), seed=st.integers(0, 10**6))
def test_any_geometry_in_any_order(tmp_path_factory: pytest.TempPathFactory, grid: Grid, seed: int) -> None:
    folder = tmp_path_factory.mktemp("series")
    written = _volume(grid, seed=seed)
    order = np.random.default_rng(seed).permutation(grid.shape[0])
    paths = write_series(folder, written, order=order.tolist())
    [series] = read_study([paths[k] for k in np.argsort(order)[::-1]]).series
    _assert_same(stack(parts(series)[0]), written)


@pytest.mark.parametrize("rescale", [(1.0, 0.0), (0.25, -37.5), (3.0, 1000.0)])
def test_rescale(tmp_path: Path, rescale: tuple[float, float]) -> None:
    grid = oblique(SHAPE)
    written = Volume(head(SHAPE) * np.float32(rescale[0]) + np.float32(rescale[1]), grid)
    write_series(tmp_path, written, rescale=rescale)
    assert np.array_equal(stack(parts(_series(tmp_path))[0]).voxels, written.voxels)


def test_echoes_in_one_series_are_parted(tmp_path: Path) -> None:
    """The second echo has the first one's positions and instance numbers that follow on."""
    volumes = [_volume(seed=seed) for seed in (1, 2)]
    for place, volume in enumerate(volumes):

        def change(data: Dataset, k: int, place: int = place) -> None:
            data.SeriesInstanceUID = uid("both")
            data.SOPInstanceUID = uid("both", place, k)
            data.InstanceNumber = place * SHAPE[0] + k + 1
            data.EchoNumbers, data.EchoTime = place + 1, 20 + 70 * place

        write_series(tmp_path / str(place), volume, change=change)
    found = parts(_series(tmp_path))
    assert [part.physics.echo_time_ms for part in found] == [20.0, 90.0]
    for part, volume in zip(found, volumes, strict=True):
        assert len(part.instances) == SHAPE[0]
        assert np.array_equal(stack(part).voxels, volume.voxels)


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("DiffusionBValue", (0.0, 1000.0)),
        ("TemporalPositionIdentifier", (1, 2)),
        ("AcquisitionNumber", (1, 2)),
        ("ImageType", (["ORIGINAL", "PRIMARY", "M", "FFE"], ["ORIGINAL", "PRIMARY", "P", "FFE"])),
        ("InversionTime", (400, 900)),
    ],
)
def test_other_volumes_in_one_series_are_parted(tmp_path: Path, keyword: str, values: tuple[object, object]) -> None:
    for place in range(2):

        def change(data: Dataset, k: int, place: int = place) -> None:
            data.SeriesInstanceUID = uid("both")
            data.SOPInstanceUID = uid("both", place, k)
            setattr(data, keyword, values[place])

        write_series(tmp_path / str(place), _volume(seed=place), change=change)
    found = parts(_series(tmp_path))
    assert len(found) == 2
    assert {float(stack(part).voxels.sum()) for part in found} == {
        float(_volume(seed=place).voxels.sum()) for place in range(2)
    }


def test_an_acquisition_number_that_runs_with_the_slices_parts_nothing(tmp_path: Path) -> None:
    def change(data: Dataset, k: int) -> None:
        data.AcquisitionNumber = k % 2

    write_series(tmp_path, _volume(), change=change)
    assert len(parts(_series(tmp_path))) == 1


def test_scouts_among_other_images_are_left_out(tmp_path: Path) -> None:
    def scout(data: Dataset, k: int) -> None:
        data.SeriesInstanceUID = uid("study", "series", 1)
        data.SOPInstanceUID = uid("scout", k)
        data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    write_series(tmp_path / "a", _volume())
    write_series(tmp_path / "b", _volume(oblique(SHAPE, normal_first=CORONAL)), change=scout)
    [part] = parts(_series(tmp_path))
    assert np.array_equal(stack(part).voxels, _volume().voxels)


def _set(**attributes: object) -> Callable[[Dataset, int], None]:
    def change(data: Dataset, _k: int) -> None:
        for keyword, value in attributes.items():
            setattr(data, keyword, value)

    return change


def _drop(*keywords: str) -> Callable[[Dataset, int], None]:
    def change(data: Dataset, _k: int) -> None:
        for keyword in keywords:
            delattr(data, keyword)

    return change


def _move(k_moved: int, distance_mm: float) -> Callable[[Dataset, int], None]:
    def change(data: Dataset, k: int) -> None:
        if k == k_moved:
            x, y, z = data.ImagePositionPatient
            data.ImagePositionPatient = [x, y, ds(float(z) + distance_mm)]

    return change


def _only(k_changed: int, change: Callable[[Dataset, int], None]) -> Callable[[Dataset, int], None]:
    def at(data: Dataset, k: int) -> None:
        if k == k_changed:
            change(data, k)

    return at


REJECTIONS: list[tuple[str, Callable[[Dataset, int], None], type[SeriesError], str]] = [
    ("another modality", _set(Modality="CT"), NotMRError, "CT"),
    ("secondary capture", _set(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), SecondaryCaptureError, ""),
    ("screenshot", _set(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]), SecondaryCaptureError, ""),
    ("scout", _set(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), LocalizerError, "LOCALIZER"),
    ("mosaic", _set(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), NotAVolumeError, "mosaic"),
    ("no pixels", _drop("PixelData"), NoPixelDataError, "5 of 5"),
    ("no pixels in one", _only(4, _drop("PixelData")), NoPixelDataError, "1 of 5"),
    ("colour", _set(SamplesPerPixel=3), NotAVolumeError, "colour"),
    ("no position", _only(2, _drop("ImagePositionPatient")), MissingGeometryError, "1 of 5"),
    ("no orientation", _drop("ImageOrientationPatient"), MissingGeometryError, "5 of 5"),
    ("no spacing", _drop("PixelSpacing"), MissingGeometryError, ""),
    ("spacing zero", _set(PixelSpacing=[0, 1]), MissingGeometryError, ""),
    ("skewed axes", _set(ImageOrientationPatient=[1, 0, 0, 0.6, 0.8, 0]), MissingGeometryError, "orthogonal"),
    ("axes of no length", _set(ImageOrientationPatient=[0, 0, 0, 0, 1, 0]), MissingGeometryError, "orthogonal"),
    ("axes without end", _set(ImageOrientationPatient=[1e300, 0, 0, 0, 1e300, 0]), MissingGeometryError, "orthogonal"),
    ("missing slice", _move(4, 5.0), MissingSliceError, "instance 4 and instance 5"),
    ("slices at one place", _move(3, -5.0), DuplicatePositionError, "instance"),
    ("one slice shifted", _move(2, 0.4), UnevenSpacingError, "instance 3"),
    ("one slice tilted", _only(1, _set(ImageOrientationPatient=[1, 0, 0, 0, 0.8, 0.6])), MixedOrientationError, "2"),
    ("one slice larger", _only(1, _set(Rows=8)), MixedMatrixError, "instance 2"),
    ("one slice coarser", _only(1, _set(PixelSpacing=[1, 1])), MixedMatrixError, "instance 2"),
]


@pytest.mark.parametrize(
    ("change", "error", "words"), [row[1:] for row in REJECTIONS], ids=[row[0] for row in REJECTIONS]
)
def test_rejections(
    tmp_path: Path, change: Callable[[Dataset, int], None], error: type[SeriesError], words: str
) -> None:
    write_series(tmp_path, _volume(), number=9, change=change)
    series = _series(tmp_path)
    with pytest.raises(error) as caught:
        parts(series)
    message = str(caught.value)
    assert message.startswith("series 9")
    assert words in message
    assert series.uid not in message
    assert caught.value.series_uid == series.uid


@pytest.mark.parametrize(("count", "volume"), [(2, False), (3, True)])
def test_three_slices_make_a_volume(tmp_path: Path, count: int, volume: bool) -> None:
    write_series(tmp_path, _volume(oblique((count, 7, 6))))
    if volume:
        assert len(parts(_series(tmp_path))) == 1
    else:
        with pytest.raises(NotAVolumeError, match="2 slices"):
            parts(_series(tmp_path))


@pytest.mark.parametrize(("shift_mm", "even"), [(0.04, True), (0.06, False), (-0.04, True), (-0.06, False)])
def test_a_slice_may_lie_one_per_cent_off(tmp_path: Path, shift_mm: float, even: bool) -> None:
    write_series(tmp_path, _volume(), change=_move(2, shift_mm))
    if even:
        assert len(parts(_series(tmp_path))) == 1
    else:
        with pytest.raises(UnevenSpacingError, match="1%"):
            parts(_series(tmp_path))


def test_a_slow_drift_is_uneven(tmp_path: Path) -> None:
    """Each gap is within 1 % of the next, their sum is not: neighbours alone would not show it."""
    grid = oblique((60, 4, 4))

    def drift(data: Dataset, k: int) -> None:
        x, y, z = data.ImagePositionPatient
        data.ImagePositionPatient = [x, y, ds(float(z) + 0.0005 * k * k)]

    write_series(tmp_path, _volume(grid), change=drift)
    with pytest.raises(UnevenSpacingError):
        parts(_series(tmp_path))


def test_three_orientations_of_a_few_slices_are_a_scout(tmp_path: Path) -> None:
    for place, directions in enumerate((AXIAL, SAGITTAL, CORONAL)):

        def change(data: Dataset, k: int, place: int = place) -> None:
            data.SeriesInstanceUID = uid("scout")
            data.SOPInstanceUID = uid("scout", place, k)

        write_series(tmp_path / str(place), _volume(oblique((3, 7, 6), normal_first=directions)), change=change)
    with pytest.raises(LocalizerError, match="3 orientations"):
        parts(_series(tmp_path))


def test_unequal_instances_with_one_uid_clash(tmp_path: Path) -> None:
    write_series(tmp_path / "a", _volume(seed=1))
    write_series(tmp_path / "b", _volume(seed=2))
    with pytest.raises(DuplicatePositionError):
        parts(_series(tmp_path))


def test_of_two_echoes_the_sound_one_is_kept_and_the_other_ones_error_told(tmp_path: Path) -> None:
    for place in range(2):

        def change(data: Dataset, k: int, place: int = place) -> None:
            data.SeriesInstanceUID = uid("both")
            data.SOPInstanceUID = uid("both", place, k)
            data.EchoTime = 20 + 70 * place

        paths = write_series(tmp_path / str(place), _volume(seed=place), change=change)
        if place == 0:
            paths[2].unlink()
    series = _series(tmp_path)
    found = examined(series)
    [part] = found.sound
    assert part.physics.echo_time_ms == 90.0
    assert parts(series) == found.sound
    [error] = found.errors
    assert isinstance(error, MissingSliceError)
    assert str(error).startswith(series.name)
    assert "instance 2 and instance 4" in str(error)


def test_a_series_of_sound_volumes_only_has_no_errors(tmp_path: Path) -> None:
    write_series(tmp_path, _volume())
    assert examined(_series(tmp_path)).errors == ()


def test_two_echoes_that_both_lack_a_slice_are_named_so(tmp_path: Path) -> None:
    for place in range(2):

        def change(data: Dataset, k: int, place: int = place) -> None:
            data.SeriesInstanceUID = uid("both")
            data.SOPInstanceUID = uid("both", place, k)
            data.EchoTime = 20 + 70 * place

        write_series(tmp_path / str(place), _volume(seed=place), change=change)[2].unlink()
    with pytest.raises(MissingSliceError):
        parts(_series(tmp_path))


@pytest.mark.parametrize("missing_bytes", [2, 40, 83])
def test_a_file_cut_within_its_pixels_is_found(tmp_path: Path, missing_bytes: int) -> None:
    path = write_series(tmp_path, _volume())[4]
    path.write_bytes(path.read_bytes()[:-missing_bytes])
    [part] = parts(_series(tmp_path))
    with pytest.raises(DamagedInstanceError, match="instance 5"):
        stack(part)


def test_a_file_that_vanishes_is_damaged(tmp_path: Path) -> None:
    path = write_series(tmp_path, _volume())[0]
    [part] = parts(_series(tmp_path))
    path.unlink()
    with pytest.raises(DamagedInstanceError):
        stack(part)


def test_pixels_of_another_size_than_announced(tmp_path: Path) -> None:
    path = write_series(tmp_path, _volume(), transfer_syntax=RLELossless)[0]
    [part] = parts(_series(tmp_path))
    data = dcmread(path)
    data.Rows, data.Columns = data.Columns, data.Rows
    data.save_as(path)
    with pytest.raises(PixelDecodeError, match="announces"):
        stack(part)


def test_an_unknown_transfer_syntax_is_named(tmp_path: Path) -> None:
    write_series(tmp_path, _volume())
    [part] = parts(_series(tmp_path))
    video = "1.2.840.10008.1.2.4.102"
    frames = tuple(
        replace(frame, instance=replace(frame.instance, transfer_syntax_uid=video, native=None))
        for frame in part.frames
    )
    with pytest.raises(TransferSyntaxError, match="MPEG-4"):
        stack(replace(part, frames=frames, instances=tuple(frame.instance for frame in frames)))
