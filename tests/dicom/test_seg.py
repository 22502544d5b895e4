import io
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.coding import Code

from readings import (
    CORE_MM,
    ENHANCING_MM,
    HEAD_CENTER,
    LESION_CENTER,
    OEDEMA_MM,
    ORIENTATIONS,
    SERIES_UID,
    SHAPE,
    SPACING_MM,
    STUDY_UID,
    Phantom,
    phantom_reading,
    source_uid,
    turn,
)
from zweitblick.dicom import codes
from zweitblick.dicom.planes import reference_planes
from zweitblick.dicom.seg import segmentation
from zweitblick.errors import GeometryError
from zweitblick.prediction import CORE, ENHANCING, OEDEMA
from zweitblick.reading import Reading
from zweitblick.volume import Grid, Volume

PHANTOMS = [*(Phantom(orientation) for orientation in ORIENTATIONS), Phantom("oblique", enhanced=True)]


@pytest.fixture(scope="module", params=PHANTOMS, ids=lambda phantom: f"{phantom.orientation}-{phantom.enhanced}")
def phantom(request: pytest.FixtureRequest) -> Phantom:
    result: Phantom = request.param
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, phantom: Phantom) -> Path:
    return tmp_path_factory.mktemp("source")


@pytest.fixture(scope="module")
def reading(folder: Path, phantom: Phantom) -> Reading:
    return phantom_reading(folder, phantom)


@pytest.fixture(scope="module")
def seg(reading: Reading) -> hd.seg.Segmentation:
    return hd.seg.segread(io.BytesIO(segmentation(reading)))


def read_back(seg: hd.seg.Segmentation, phantom: Phantom, folder: Path) -> NDArray[np.uint8]:
    """Label map by source slice, found through the references to the source and nothing of ours."""
    if phantom.enhanced:
        source = pydicom.dcmread(next(folder.iterdir()))
        heights = [
            np.cross(*np.array(source_orientation(source)).reshape(2, 3)) @ np.array(position, float)
            for position in frame_positions(source)
        ]
        wanted = [int(number) + 1 for number in np.argsort(heights)]
        return np.asarray(
            seg.get_pixels_by_source_frame(
                source.SOPInstanceUID, wanted, combine_segments=True, assert_missing_frames_are_empty=True
            )
        )
    uids = [source_uid(k, phantom) for k in range(SHAPE[0])]
    return np.asarray(
        seg.get_pixels_by_source_instance(uids, combine_segments=True, assert_missing_frames_are_empty=True)
    )


def frame_positions(source: pydicom.Dataset) -> list[list[float]]:
    groups = source.PerFrameFunctionalGroupsSequence
    return [group.PlanePositionSequence[0].ImagePositionPatient for group in groups]


def source_orientation(source: pydicom.Dataset) -> list[float]:
    shared, first = source.SharedFunctionalGroupsSequence[0], source.PerFrameFunctionalGroupsSequence[0]
    holder = shared if "PlaneOrientationSequence" in shared else first
    return [float(value) for value in holder.PlaneOrientationSequence[0].ImageOrientationPatient]


def lps_of_segmented(seg: hd.seg.Segmentation) -> tuple[NDArray[np.float64], float]:
    """Places of all segmented voxels and the volume of one, by highdicom's own geometry."""
    volume = seg.get_volume(combine_segments=True)
    index = np.argwhere(volume.array > 0)
    lps = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return lps, abs(float(np.linalg.det(volume.affine[:3, :3])))


def test_the_mask_is_read_back_voxel_for_voxel(
    seg: hd.seg.Segmentation, reading: Reading, phantom: Phantom, folder: Path
) -> None:
    expected = reading.on_reference().labels()
    assert expected.any()
    assert np.array_equal(read_back(seg, phantom, folder), expected)


def test_the_outline_is_on_the_left_and_where_the_lesion_is(seg: hd.seg.Segmentation) -> None:
    lps, _ = lps_of_segmented(seg)
    assert (lps[:, 0] > HEAD_CENTER[0]).all()
    assert np.abs(lps.mean(axis=0) - LESION_CENTER).max() < 1.0


def test_the_volume_agrees_with_the_one_millimetre_mask(seg: hd.seg.Segmentation, reading: Reading) -> None:
    lps, voxel_mm3 = lps_of_segmented(seg)
    at_one_millimetre = np.count_nonzero(reading.prediction.labels())
    assert len(lps) * voxel_mm3 == pytest.approx(at_one_millimetre, rel=0.05)
    assert at_one_millimetre == pytest.approx(4 / 3 * np.pi * OEDEMA_MM**3, rel=0.02)


def test_simpleitk_finds_the_bright_lesion_of_the_source_at_the_same_place(
    seg: hd.seg.Segmentation, phantom: Phantom, tmp_path: Path
) -> None:
    phantom_reading(tmp_path, replace(phantom, enhanced=False))  # SimpleITK sorts no frames of an enhanced image
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path)))
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(image > 550)
    lps, _ = lps_of_segmented(seg)
    assert np.abs(lps.mean(axis=0) - shape.GetCentroid(1)).max() < 1.0


def test_frames_are_only_where_something_is_and_name_their_source(seg: hd.seg.Segmentation) -> None:
    assert all(frame.any() for frame in seg.pixel_array)
    for group in seg.PerFrameFunctionalGroupsSequence:
        assert group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == SERIES_UID
    assert seg.SegmentationType == "BINARY"
    assert seg.SegmentsOverlap == "NO"


@pytest.fixture
def axial(tmp_path: Path) -> Reading:
    return phantom_reading(tmp_path)


def test_segments_are_coded_and_name_the_algorithm(axial: Reading) -> None:
    seg = hd.seg.segread(io.BytesIO(segmentation(axial)))
    segments = list(seg.SegmentSequence)
    kinds = [segment.SegmentedPropertyTypeCodeSequence[0] for segment in segments]
    assert [segment.SegmentLabel for segment in segments] == [
        "Necrotic or non-enhancing core",
        "Oedema",
        "Enhancing tumour",
    ]
    assert [kind.CodingSchemeDesignator for kind in kinds] == ["SCT"] * 3
    assert [kind.CodeValue for kind in kinds] == ["108369006", "79654002", "108369006"]
    for segment in segments:
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert algorithm.AlgorithmName == "zweitblick tumour"
        assert algorithm.AlgorithmVersion == "0.1.0"
        assert "ab12" * 16 in algorithm.AlgorithmParameters
    assert len({segment.TrackingUID for segment in segments}) == 3
    assert len({tuple(segment.RecommendedDisplayCIELabValue) for segment in segments}) == 3


def test_patient_and_study_are_the_sources_and_private_tags_stay_behind(axial: Reading) -> None:
    seg = pydicom.dcmread(io.BytesIO(segmentation(axial)))
    assert (str(seg.PatientName), seg.PatientID, seg.PatientBirthDate) == ("Grün^Anna", "ZB-0815", "19610402")
    assert (seg.StudyInstanceUID, seg.StudyDate, seg.AccessionNumber) == (STUDY_UID, "20261119", "ACC1")
    assert seg.ContentDate == "20261120"
    assert not [element for element in seg.iterall() if element.tag.is_private]
    assert "ContentCreatorName" not in seg or not seg.ContentCreatorName


def test_a_study_without_enhancement_has_no_enhancing_segment(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path, Phantom(enhancing=False))
    seg = hd.seg.segread(io.BytesIO(segmentation(reading)))
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == ["Necrotic or non-enhancing core", "Oedema"]
    assert np.array_equal(read_back(seg, Phantom(), tmp_path), reading.on_reference().labels())


def test_where_nothing_was_found_every_slice_is_written_empty(tmp_path: Path) -> None:
    seg = hd.seg.segread(io.BytesIO(segmentation(phantom_reading(tmp_path, Phantom(lesions=0)))))
    assert seg.number_of_segments == 3
    assert seg.NumberOfFrames == 3 * SHAPE[0]
    assert not seg.pixel_array.any()


def test_a_header_that_breaks_its_own_rules_still_gets_a_segmentation(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path)
    for path in tmp_path.iterdir():
        dataset = pydicom.dcmread(path)
        with pydicom.config.disable_value_validation():
            dataset.PatientSex, dataset.PatientBirthDate = "W", "unknown"
            del dataset.StudyID, dataset.FrameOfReferenceUID, dataset.AccessionNumber, dataset.SliceThickness
            dataset.save_as(path)
    seg = pydicom.dcmread(io.BytesIO(segmentation(reading)))
    assert (seg.PatientSex, seg.PatientBirthDate, seg.StudyID, seg.AccessionNumber) == ("", "", "", "")
    assert seg.FrameOfReferenceUID == reading.uid("frame of reference")


def test_the_chosen_echo_is_referenced_when_two_lie_at_one_place(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path)
    (series,) = reading.study.series
    other_echo = tuple(
        replace(frame, instance=replace(frame.instance, sop_instance_uid=f"1.2.3.{n}"), volume_key=("echo 1",))
        for n, frame in enumerate(series.frames)
    )
    chosen = tuple(replace(frame, volume_key=("echo 2",)) for frame in series.frames)
    series = replace(series, frames=other_echo + chosen)
    choice = replace(reading.choices[reading.reference], volume_keys=frozenset({("echo 2",)}))
    reading = replace(reading, study=replace(reading.study, series=(series,)), choices={reading.reference: choice})
    assert {frame.volume_key for frame in reference_planes(reading)} == {("echo 2",)}


def test_a_volume_that_is_not_the_series_is_refused(axial: Reading) -> None:
    grid = axial.reference_volume.grid
    shift = np.eye(4)
    shift[0, 3] = 0.3
    moved = Volume(axial.reference_volume.voxels, Grid(grid.shape, shift @ grid.lps_from_index))
    with pytest.raises(GeometryError, match="series 7 has no frame at slice 0"):
        segmentation(replace(axial, reference_volume=moved))


def test_a_volume_with_rows_and_columns_swapped_is_refused(axial: Reading) -> None:
    grid = axial.reference_volume.grid
    swapped = Grid((grid.shape[0], grid.shape[2], grid.shape[1]), grid.lps_from_index[:, [0, 2, 1, 3]])
    volume = Volume(axial.reference_volume.voxels.transpose(0, 2, 1), swapped)
    with pytest.raises(GeometryError):
        reference_planes(replace(axial, reference_volume=volume))


@settings(max_examples=40, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    origin=st.tuples(*[st.floats(-200, 200)] * 3),
    backwards=st.booleans(),
    order=st.permutations(range(SHAPE[0])),
)
def test_slices_find_their_frames_in_any_position_and_order(
    planes_reading: Reading,
    angles: tuple[float, float, float],
    origin: tuple[float, float, float],
    backwards: bool,
    order: list[int],
) -> None:
    """The frames are made from a stack's defining equation, not from Grid."""
    rotation = turn(0, angles[0]) @ turn(1, angles[1]) @ turn(2, angles[2])
    normal, down, right = rotation.T
    normal = -normal if backwards else normal
    positions = [np.array(origin) + k * SPACING_MM[0] * normal for k in range(SHAPE[0])]
    (series,) = planes_reading.study.series
    frames = tuple(
        replace(frame, position_lps=rounded(positions[k]), orientation_lps=rounded((*right, *down)))
        for k, frame in zip(order, series.frames, strict=True)
    )
    lps_from_index = np.eye(4)
    lps_from_index[:3] = np.column_stack(
        [normal * SPACING_MM[0], down * SPACING_MM[1], right * SPACING_MM[2], np.array(origin)]
    )
    reading = replace(
        planes_reading,
        study=replace(planes_reading.study, series=(replace(series, frames=frames),)),
        reference_volume=Volume(np.zeros(SHAPE, np.float32), Grid(SHAPE, lps_from_index)),
    )
    found = reference_planes(reading)
    assert [frame.position_lps for frame in found] == [rounded(position) for position in positions]


def rounded(values: NDArray[np.float64] | tuple[float, ...]) -> tuple[float, ...]:
    """As a header would hold them."""
    return tuple(round(float(value), 6) for value in values)


@pytest.fixture(scope="module")
def planes_reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    return phantom_reading(tmp_path_factory.mktemp("planes"))


def test_public_codes_are_in_pydicoms_dictionaries() -> None:
    """The code value and its scheme; meanings differ in case and brackets only."""
    # The procedure and the container of qualitative evaluations are in none of the context groups that pydicom has.
    unlisted = {codes.MR_OF_BRAIN, codes.QUALITATIVE_EVALUATIONS}
    ours = {code for code in vars(codes).values() if isinstance(code, Code)} - unlisted
    public = {code for code in ours if code.scheme_designator in ("SCT", "DCM", "NCIt")}
    assert len(public) > 15
    for code in public:
        meanings = [known[code.value][0] for known in concepts[code.scheme_designator].values() if code.value in known]
        assert any(code.meaning.lower() in meaning.lower() for meaning in meanings), code


def test_labels_have_their_radii(axial: Reading) -> None:
    """The fixture itself: core inside, ring of enhancement, oedema outside."""
    labels, grid = axial.prediction.labels(), axial.prediction.grid
    for label, (inner, outer) in {
        CORE: (0, CORE_MM),
        ENHANCING: (CORE_MM, ENHANCING_MM),
        OEDEMA: (ENHANCING_MM, OEDEMA_MM),
    }.items():
        away = np.linalg.norm(grid.lps(np.argwhere(labels == label)) - LESION_CENTER, axis=1)
        assert away.min() >= inner - 0.9
        assert away.max() <= outer + 0.9
