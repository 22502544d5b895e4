"""Enhanced multi-frame MR: functional groups, per frame and shared, and several volumes in one instance."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from dicom_writer import CORONAL, ds, head, oblique, write_enhanced
from zweitblick.dicom.read import read_study
from zweitblick.dicom.stack import parts, stack
from zweitblick.errors import DuplicatePositionError, MissingGeometryError, PixelDecodeError, SeriesError
from zweitblick.study import Series
from zweitblick.volume import Volume

SHAPE = (6, 7, 5)
GRID = oblique(SHAPE, degrees=14.0)


def _volume(seed: int = 0) -> Volume:
    return Volume(head(SHAPE, seed=seed), GRID)


def _series(path: Path) -> Series:
    [series] = read_study([path]).series
    return series


def _assert_read(series: Series, *written: Volume) -> None:
    read = [stack(part) for part in parts(series)]
    assert len(read) == len(written)
    for one, other in zip(read, written, strict=True):
        assert one.grid.is_close(other.grid, tolerance_mm=1e-6)
        assert np.allclose(one.voxels, other.voxels, rtol=1e-6)


def test_frames_in_any_order(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(SHAPE[0]).tolist()
    path = write_enhanced(tmp_path / "a.dcm", [_volume()], order=order)
    _assert_read(_series(path), _volume())


@pytest.mark.parametrize(
    "content",
    [
        lambda volume, _k: {"StackID": "1", "TemporalPositionIndex": volume + 1},
        lambda volume, _k: {"StackID": "1", "FrameAcquisitionNumber": volume + 1},
        lambda volume, _k: {"StackID": str(volume + 1)},
    ],
    ids=["temporal position", "acquisition", "stack"],
)
def test_several_volumes(tmp_path: Path, content: Callable[[int, int], dict[str, object]]) -> None:
    volumes = [_volume(seed) for seed in (1, 2)]
    path = write_enhanced(tmp_path / "a.dcm", volumes, frame_content=content)
    _assert_read(_series(path), *volumes)


def test_several_echoes_with_their_own_rescale(tmp_path: Path) -> None:
    volumes = [Volume(head(SHAPE, seed=1) * np.float32(2.5), GRID), Volume(head(SHAPE, seed=2) - np.float32(50), GRID)]
    path = write_enhanced(tmp_path / "a.dcm", volumes, echo_times=(15.0, 90.0), rescale=((2.5, 0.0), (1.0, -50.0)))
    series = _series(path)
    assert [part.physics.echo_time_ms for part in parts(series)] == [15.0, 90.0]
    _assert_read(series, *volumes)


def test_stacks_in_two_orientations_are_two_volumes(tmp_path: Path) -> None:
    """What is refused without stacks (mixed orientations) is legitimate with them."""
    volumes = [_volume(), Volume(head((4, 7, 5)), oblique((4, 7, 5), normal_first=((0, 1, 0), (0, 0, -1), (1, 0, 0))))]
    path = write_enhanced(tmp_path / "a.dcm", volumes, frame_content=lambda volume, _k: {"StackID": f"{volume}"})
    first, second = (stack(part) for part in parts(_series(path)))
    assert first.grid.is_close(volumes[0].grid)
    assert second.shape == (4, 7, 5)
    normal = second.lps_from_index[:3, 0] / np.linalg.norm(second.lps_from_index[:3, 0])
    assert np.allclose(np.abs(normal), np.abs(CORONAL[0]))


def test_two_volumes_that_nothing_tells_apart_clash(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "a.dcm", [_volume(1), _volume(2)])
    with pytest.raises(DuplicatePositionError):
        parts(_series(path))


def test_geometry_in_the_shared_groups_or_the_data_set_itself(tmp_path: Path) -> None:
    def change(data: Dataset, _k: int) -> None:
        shared = data.SharedFunctionalGroupsSequence[0]
        shared.PlaneOrientationSequence = data.PerFrameFunctionalGroupsSequence[0].PlaneOrientationSequence
        for frame in data.PerFrameFunctionalGroupsSequence:
            del frame.PlaneOrientationSequence
        data.PixelSpacing = shared.PixelMeasuresSequence[0].PixelSpacing
        del shared.PixelMeasuresSequence

    path = write_enhanced(tmp_path / "a.dcm", [_volume()], change=change)
    _assert_read(_series(path), _volume())


def test_per_frame_values_go_before_shared_ones(tmp_path: Path) -> None:
    def change(data: Dataset, _k: int) -> None:
        wrong = Dataset()
        wrong.RescaleSlope, wrong.RescaleIntercept = ds(9), ds(9)
        data.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = [wrong]

    path = write_enhanced(tmp_path / "a.dcm", [_volume()], change=change)
    _assert_read(_series(path), _volume())


@pytest.mark.parametrize(
    "change",
    [
        lambda data, _k: delattr(data.PerFrameFunctionalGroupsSequence[3], "PlanePositionSequence"),
        lambda data, _k: data.PerFrameFunctionalGroupsSequence.pop(),
        lambda data, _k: delattr(data, "PerFrameFunctionalGroupsSequence"),
        lambda data, _k: setattr(data, "NumberOfFrames", 7),
    ],
    ids=["no position in one frame", "a group too few", "no groups", "a frame too many"],
)
def test_incomplete_groups_are_refused(tmp_path: Path, change: Callable[[Dataset, int], None]) -> None:
    path = write_enhanced(tmp_path / "a.dcm", [_volume()], change=change)
    with pytest.raises(MissingGeometryError):
        parts(_series(path))


def test_a_frame_is_named_by_its_number(tmp_path: Path) -> None:
    def change(data: Dataset, _k: int) -> None:
        data.PerFrameFunctionalGroupsSequence[4].PixelMeasuresSequence = [Dataset()]
        data.PerFrameFunctionalGroupsSequence[4].PixelMeasuresSequence[0].PixelSpacing = [1, 1]

    path = write_enhanced(tmp_path / "a.dcm", [_volume()], change=change)
    with pytest.raises(SeriesError, match="instance 1 frame 5"):
        parts(_series(path))


def test_palette_colours_are_no_grey_values(tmp_path: Path) -> None:
    path = write_enhanced(
        tmp_path / "a.dcm",
        [_volume()],
        change=lambda data, _k: setattr(data, "PhotometricInterpretation", "PALETTE COLOR"),
    )
    [part] = parts(_series(path))
    with pytest.raises(PixelDecodeError, match="PALETTE"):
        stack(part)
