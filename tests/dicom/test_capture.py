import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from readings import HEAD_CENTER, ORIENTATIONS, SHAPE, SPACING_MM, Phantom, phantom_reading, source_uid
from zweitblick.dicom.capture import secondary_capture
from zweitblick.overlay import LABEL_RGB
from zweitblick.prediction import OEDEMA
from zweitblick.reading import Reading


def captured(reading: Reading) -> list[Dataset]:
    return [pydicom.dcmread(io.BytesIO(written)) for written in secondary_capture(reading)]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_outline_is_drawn_on_the_slices_that_hold_it(tmp_path: Path, orientation: str) -> None:
    phantom = Phantom(orientation)
    reading = phantom_reading(tmp_path, phantom)
    labels = reading.on_reference().labels()
    expected = np.flatnonzero((labels > 0).any(axis=(1, 2)))
    images = captured(reading)
    assert [image.SourceImageSequence[0].ReferencedSOPInstanceUID for image in images] == [
        source_uid(int(k), phantom) for k in expected
    ]
    for image, k in zip(images, expected, strict=True):
        rows, columns = outline(image)
        found_mm = np.array([rows.mean() * image.PixelSpacing[0], columns.mean() * image.PixelSpacing[1]])
        true_mm = np.argwhere(labels[k] > 0).mean(axis=0) * np.array(SPACING_MM[1:])
        assert np.abs(found_mm - true_mm).max() < 1.5


def outline(image: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the oedema's outline; the legend's letters, in the upper left, are left out."""
    coloured = (image.pixel_array == LABEL_RGB[OEDEMA]).all(axis=-1)
    coloured[: image.Rows // 5, : image.Columns // 2] = False
    rows, columns = np.nonzero(coloured)
    return rows, columns


def test_left_is_left(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path)
    image = captured(reading)[3]
    _, columns = outline(image)
    assert list(image.PatientOrientation) == ["L", "P"]
    assert columns.min() > image.Columns / 2
    assert reading.reference_volume.grid.center_lps == pytest.approx(HEAD_CENTER)


def test_it_is_marked_as_unverified_and_burnt_in(tmp_path: Path) -> None:
    image = captured(phantom_reading(tmp_path))[0]
    assert image.SOPClassUID == SecondaryCaptureImageStorage
    assert image.BurnedInAnnotation == "YES"
    assert "AI, not verified" in image.ImageComments
    assert "not verified" in image.SeriesDescription
    corner = image.pixel_array[: image.Rows // 20, : image.Columns // 3]
    assert (corner == 255).all(axis=-1).sum() > 50, "no white letters in the upper left corner"


def test_pixels_are_square_and_cover_the_slice(tmp_path: Path) -> None:
    image = captured(phantom_reading(tmp_path))[0]
    height, width = SHAPE[1] * SPACING_MM[1], SHAPE[2] * SPACING_MM[2]
    assert min(image.Rows, image.Columns) >= 512
    assert image.Rows * image.PixelSpacing[0] == pytest.approx(height, rel=1e-6)
    assert image.Columns * image.PixelSpacing[1] == pytest.approx(width, rel=1e-6)
    assert image.PixelSpacing[0] == pytest.approx(image.PixelSpacing[1], rel=2e-3)


def test_where_nothing_was_found_the_middle_slice_is_shown(tmp_path: Path) -> None:
    (image,) = captured(phantom_reading(tmp_path, Phantom(lesions=0)))
    assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == source_uid(SHAPE[0] // 2, Phantom())
    assert not outline(image)[0].size


def test_frames_of_an_enhanced_image_are_named_by_number(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path, Phantom(enhanced=True))
    numbers = [image.SourceImageSequence[0].ReferencedFrameNumber for image in captured(reading)]
    heights = {frame.number: frame.position_lps[2] for frame in reading.study.series[0].frames}
    shown = [heights[number] for number in numbers]
    assert np.allclose(np.diff(shown), SPACING_MM[0])
