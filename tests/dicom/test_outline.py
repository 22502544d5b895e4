"""A SEG of ours read back, against highdicom's reading of the same bytes."""

import io
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readings import ORIENTATIONS, STUDY_UID, Phantom, phantom_reading
from zweitblick.dicom.outline import read_outline
from zweitblick.dicom.seg import segmentation
from zweitblick.errors import PriorDamagedError
from zweitblick.overlay import LABEL_NAMES
from zweitblick.prediction import Prediction
from zweitblick.reading import Reading

LABEL = {name: label for label, name in LABEL_NAMES.items()}


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    return phantom_reading(tmp_path_factory.mktemp("source"), Phantom("oblique"))


@pytest.fixture(scope="module")
def written(reading: Reading) -> bytes:
    return segmentation(reading)


def labelled_by_highdicom(seg: bytes) -> dict[tuple[float, float, float], int]:
    """Label of each marked voxel by its place in the patient, rounded to 0.01 mm."""
    opened = hd.seg.segread(io.BytesIO(seg))
    volume = opened.get_volume(combine_segments=False, allow_missing_positions=True)
    found = {}
    for channel, number in enumerate(opened.segment_numbers):
        label = LABEL[opened.get_segment_description(number).segment_label]
        index = np.argwhere(volume.array[..., channel] > 0)
        lps = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        found.update(dict.fromkeys(map(tuple, np.round(lps, 2) + 0.0), label))
    return found


def labelled(seg: bytes) -> dict[tuple[float, float, float], int]:
    labels = read_outline(seg).labels
    index = np.argwhere(labels.voxels > 0)
    places = map(tuple, np.round(labels.grid.lps(index), 2) + 0.0)
    return dict(zip(places, labels.voxels[tuple(index.T)].astype(int), strict=True))


@pytest.mark.parametrize(
    "phantom",
    [*(Phantom(orientation) for orientation in ORIENTATIONS), Phantom(enhanced=True), Phantom(enhancing=False)],
    ids=lambda phantom: f"{phantom.orientation}-{phantom.enhanced}-{phantom.enhancing}",
)
def test_every_voxel_is_where_highdicom_puts_it(tmp_path: Path, phantom: Phantom) -> None:
    seg = segmentation(phantom_reading(tmp_path, phantom))
    expected = labelled_by_highdicom(seg)
    assert len(expected) > 300
    assert labelled(seg) == expected


def test_it_is_the_outline_on_the_reference_grid(reading: Reading, written: bytes) -> None:
    labels = read_outline(written).labels
    expected = reading.on_reference().labels()
    index = np.rint(reading.reference_volume.grid.index(labels.grid.lps(np.argwhere(labels.voxels > 0)))).astype(int)
    assert np.array_equal(expected[tuple(index.T)], labels.voxels[labels.voxels > 0])
    assert len(index) == np.count_nonzero(expected)


def test_slices_without_tumour_between_two_lesions_keep_their_place(tmp_path: Path) -> None:
    """Frames are written only where something is: two lesions with 4 empty slices between them."""
    reading = phantom_reading(tmp_path)
    k, j, i = np.indices(reading.prediction.grid.shape)
    far = ((abs(k - 15) <= 4) | (abs(k - 75) <= 8)) & (abs(j - 60) <= 6) & (abs(i - 50) <= 6)
    probabilities = np.repeat(far[None], 3, axis=0).astype(np.float32)
    two = replace(reading, prediction=Prediction(probabilities, reading.prediction.brain, reading.prediction.grid))
    seg = segmentation(two)
    slices = np.flatnonzero(read_outline(seg).labels.voxels.any(axis=(1, 2)))
    assert np.diff(slices).max() > 3
    assert labelled(seg) == labelled_by_highdicom(seg)


@pytest.mark.parametrize("only", [None, 4.0, 0.0])
def test_the_slice_distance_is_found_without_a_true_spacing_in_the_header(written: bytes, only: float | None) -> None:
    dataset = pydicom.dcmread(io.BytesIO(written))
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if only is None:
        del measures.SpacingBetweenSlices
    else:
        measures.SpacingBetweenSlices = only
    assert labelled(bytes_of(dataset)) == labelled(written)


def test_nothing_found_is_an_empty_label_map_on_every_slice(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path, Phantom(lesions=0))
    outline = read_outline(segmentation(reading))
    assert not outline.labels.voxels.any()
    assert outline.labels.grid.is_close(reading.reference_volume.grid)


def test_it_says_whose_it_is_and_shows_nothing_of_it(reading: Reading, written: bytes) -> None:
    outline = read_outline(written)
    assert outline.study_uid == STUDY_UID
    assert outline.started_at == reading.study.started_at.replace(tzinfo=None)
    assert outline.patient == replace(reading.study.patient, age_years=None)
    for secret in ("Anna", "ZB-0815", "1961", STUDY_UID, "2026"):
        assert secret not in repr(outline)


def bytes_of(dataset: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_other_segments_and_other_objects_are_refused(reading: Reading, written: bytes) -> None:
    dataset = pydicom.dcmread(io.BytesIO(written))
    dataset.SegmentSequence[0].SegmentLabel = "Liver"
    with pytest.raises(PriorDamagedError, match="not ours"):
        read_outline(bytes_of(dataset))
    source = reading.study.series[0].instances[0].source
    with pytest.raises(PriorDamagedError, match="no DICOM SEG"):
        read_outline(Path(str(source)).read_bytes())
    with pytest.raises(PriorDamagedError, match="read the earlier study again"):
        read_outline(b"")


@settings(max_examples=60)
@given(st.data())
def test_damaged_bytes_are_an_error_of_ours_or_a_label_map(written: bytes, data: st.DataObject) -> None:
    damaged = bytearray(written)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, min(len(damaged), 20_000) - 1))] = data.draw(st.integers(0, 255))
    try:
        outline = read_outline(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    except PriorDamagedError:
        return
    assert set(np.unique(outline.labels.voxels)) <= {0.0, 1.0, 2.0, 3.0}
