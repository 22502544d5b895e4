"""The synthetic study, judged by SimpleITK's DICOM reader and by the truth it comes with."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from zweitblick.errors import OutputError, SampleError
from zweitblick.findings import Side
from zweitblick.prediction import CORE, ENHANCING, OEDEMA, Region
from zweitblick.sample import Plane, SampleLesion, SampleSpec, SampleTruth, template, write_sample
from zweitblick.study import Sequence
from zweitblick.volume import Volume

QUICK = {"slice_mm": 12.0, "pixel_mm": 2.0}
"""Coarse enough to be written in a few seconds."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sample")


@pytest.fixture(scope="module")
def truth(folder: Path) -> SampleTruth:
    spec = SampleSpec(slice_mm=6.0, pixel_mm=1.6, flair_motion_mm=(4.0, -2.0, 3.0), flair_motion_deg=(2.0, 1.0, -3.0))
    return write_sample(folder, spec=spec)


def by_itk(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def sampled(image: sitk.Image, points_lps: np.ndarray) -> np.ndarray:
    """Values of an ITK image at LPS points, linear, by SimpleITK alone."""
    inside = [image.EvaluateAtPhysicalPoint([float(x) for x in point], sitk.sitkLinear) for point in points_lps]
    return np.array(inside)


def points_where(volume: Volume, value: int, own_from_truth_lps: np.ndarray, count: int = 400) -> np.ndarray:
    """LPS points well inside a label, in a series' own coordinates."""
    where = np.argwhere(volume.voxels == value)
    chosen = where[np.linspace(0, len(where) - 1, count).astype(int)]
    return volume.grid.lps(chosen) @ own_from_truth_lps[:3, :3].T + own_from_truth_lps[:3, 3]


def level(truth: SampleTruth, sequence: Sequence, label: int) -> float:
    series = truth.series[sequence]
    points = points_where(truth.labels, label, series.own_from_truth_lps)
    return float(np.median(sampled(by_itk(series.folder), points)))


def white_matter(truth: SampleTruth, sequence: Sequence) -> float:
    """Level of deep white matter on the side without the lesion (centrum semiovale, MNI x -26, y -20, z 32)."""
    series = truth.series[sequence]
    lps = np.linalg.inv(truth.head_from_lps) @ np.array([26.0, 20.0, 30.0, 1.0])
    own = series.own_from_truth_lps @ lps
    return float(sampled(by_itk(series.folder), own[None, :3])[0])


def test_itk_reads_every_series_on_the_grid_that_the_truth_names(truth: SampleTruth) -> None:
    for series in truth.series.values():
        image = by_itk(series.folder)
        assert image.GetSize() == series.grid.shape[::-1]
        for index in [(0, 0, 0), (3, 5, 7), tuple(n - 1 for n in series.grid.shape)]:
            at = image.TransformContinuousIndexToPhysicalPoint([float(n) for n in index[::-1]])
            assert np.allclose(at, series.grid.lps(index), atol=1e-3)


def test_four_series_of_one_patient_and_study_but_flair_in_its_own_frame(truth: SampleTruth) -> None:
    headers = {s: pydicom.dcmread(next(t.folder.iterdir())) for s, t in truth.series.items()}
    assert set(headers) == set(Sequence)
    assert len({h.StudyInstanceUID for h in headers.values()}) == 1
    assert {str(h.PatientName) for h in headers.values()} == {"Sample^Synthetic"}
    assert len({h.SeriesInstanceUID for h in headers.values()}) == 4
    still = {headers[s].FrameOfReferenceUID for s in (Sequence.T1, Sequence.T1C, Sequence.T2)}
    assert len(still) == 1
    assert headers[Sequence.FLAIR].FrameOfReferenceUID not in still


def test_lesion_lies_where_the_truth_says_in_every_contrast(truth: SampleTruth) -> None:
    """Level order of the tissues as radiology textbooks give it; a flip in any axis would break it."""
    assert level(truth, Sequence.T1C, ENHANCING) > 1.15 * white_matter(truth, Sequence.T1C)
    assert level(truth, Sequence.T1, ENHANCING) < 0.9 * white_matter(truth, Sequence.T1)
    assert level(truth, Sequence.T1C, CORE) < 0.9 * level(truth, Sequence.T1C, ENHANCING)
    assert level(truth, Sequence.FLAIR, OEDEMA) > 1.3 * white_matter(truth, Sequence.FLAIR)
    assert level(truth, Sequence.T2, OEDEMA) > 1.4 * white_matter(truth, Sequence.T2)


def test_healthy_tissue_is_ordered_as_in_real_heads(truth: SampleTruth) -> None:
    """CSF of the right lateral ventricle against white matter."""
    lps = np.linalg.inv(truth.head_from_lps) @ np.array([-10.0, 0.0, 21.0, 1.0])
    for sequence, low, high in [(Sequence.T1, 0.2, 0.7), (Sequence.T2, 1.8, 4.0), (Sequence.FLAIR, 0.0, 0.5)]:
        series = truth.series[sequence]
        own = series.own_from_truth_lps @ lps
        ratio = sampled(by_itk(series.folder), own[None, :3])[0] / white_matter(truth, sequence)
        assert low < ratio < high, sequence


def test_truth_counts_its_own_labels(truth: SampleTruth) -> None:
    voxels = truth.labels.voxels
    assert truth.labels.spacing_mm == pytest.approx((1.0, 1.0, 1.0))
    assert truth.volume_ml[Region.ET] == pytest.approx((voxels == 3).sum() / 1000)
    assert truth.volume_ml[Region.TC] == pytest.approx(np.isin(voxels, (1, 3)).sum() / 1000)
    assert truth.volume_ml[Region.WT] == pytest.approx((voxels > 0).sum() / 1000)
    assert 5.0 < truth.volume_ml[Region.ET] < truth.volume_ml[Region.TC] < truth.volume_ml[Region.WT] < 80.0
    assert truth.side is Side.RIGHT
    assert 1300 < truth.brain.voxels.sum() / 1000 < 2000


def test_equal_specs_write_equal_bytes_of_a_healthy_head(tmp_path: Path) -> None:
    earlier = tmp_path / "same" / "T2" / "IM0999.dcm"
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"a slice of an earlier, longer sample")
    for name, seed in (("one", 1), ("again", 1), ("other", 2), ("same", 1)):
        truth = write_sample(tmp_path / name, spec=SampleSpec(seed=seed, lesion=None, **QUICK))
        assert truth.side is None
        assert truth.center_lps is None
        assert set(truth.volume_ml.values()) == {0.0}
    names = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.dcm"))
    assert len(names) > 20
    assert not earlier.exists()
    for same in ("again", "same"):
        assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / same / n).read_bytes() for n in names)
    one, other = (pydicom.dcmread(tmp_path / name / names[0]) for name in ("one", "other"))
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.StudyInstanceUID != other.StudyInstanceUID


ORIENTATIONS = {
    Plane.AXIAL: [1, 0, 0, 0, 1, 0],
    Plane.SAGITTAL: [0, 1, 0, 0, 0, -1],
    Plane.CORONAL: [1, 0, 0, 0, 0, -1],
}


@pytest.mark.parametrize("plane", list(ORIENTATIONS))
def test_a_left_lesion_is_on_the_left_in_every_orientation(tmp_path: Path, plane: Plane) -> None:
    lesion = SampleLesion(center_mm=(34.0, -30.0, 30.0), core_mm=10.0, rim_mm=17.0)
    truth = write_sample(tmp_path, spec=SampleSpec(lesion=lesion, plane=plane, from_top=True, **QUICK))
    assert truth.side is Side.LEFT
    assert truth.center_lps is not None
    assert truth.center_lps[0] > 10.0
    assert_brighter_than_its_mirror(truth)
    assert_slices_descend(truth, ORIENTATIONS[plane])


def assert_brighter_than_its_mirror(truth: SampleTruth) -> None:
    image = by_itk(truth.series[Sequence.T1C].folder)
    points = points_where(truth.labels, ENHANCING, np.eye(4))
    mirrored = truth.head_from_lps @ np.concatenate([points, np.ones((len(points), 1))], axis=1).T
    mirrored[0] *= -1.0
    other_side = sampled(image, (np.linalg.inv(truth.head_from_lps) @ mirrored)[:3].T)
    assert np.median(sampled(image, points)) > 1.15 * np.median(other_side)


def assert_slices_descend(truth: SampleTruth, orientation: list[int]) -> None:
    files = sorted(truth.series[Sequence.T2].folder.iterdir())
    first, second = (pydicom.dcmread(f) for f in files[:2])
    assert first.ImageOrientationPatient == pytest.approx(orientation)
    normal = np.cross(orientation[:3], orientation[3:])
    step = np.array(second.ImagePositionPatient, float) - np.array(first.ImagePositionPatient, float)
    assert normal @ step == pytest.approx(-12.0)


def test_missing_maps_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template.load_tissue_maps.cache_clear()
    monkeypatch.setattr(template, "find_spec", lambda _: None)
    with pytest.raises(SampleError, match=r'pip install "zweitblick\[sample\]"'):
        write_sample(tmp_path)
    assert not list(tmp_path.rglob("*.dcm"))


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "FLAIR").write_text("in the way")
    with pytest.raises(OutputError, match="FLAIR"):
        write_sample(tmp_path, spec=SampleSpec(**QUICK))
