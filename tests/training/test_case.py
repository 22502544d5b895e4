"""Cases on disk: what was written is read, and what is damaged is refused by name."""

import pickle
import shutil
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ball_cases import ball_case
from zweitblick_training.case import ARRAYS, BRAIN, BYTES_PER_VOXEL, Case, CaseError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases") / "ball"
    case = replace(ball_case("ball", size=16), labelled=np.array([False, False, True]), key="abc", preparation="def")
    case.save(folder)
    return case, folder


def assert_equal(one, other):
    for each in fields(Case):
        np.testing.assert_array_equal(getattr(one, each.name), getattr(other, each.name))


def test_a_case_comes_back_as_it_was(saved):
    case, folder = saved
    assert_equal(Case.load(folder), case)


def test_another_process_is_told_the_files_not_sent_the_voxels(saved):
    case, folder = saved
    sent = pickle.dumps(Case.load(folder))
    assert len(sent) < case.images.nbytes / 4
    received = pickle.loads(sent)  # noqa: S301 (our own)
    assert_equal(received, case)
    assert isinstance(received.images, np.memmap)


def test_a_part_of_a_file_is_sent_as_it_is(saved):
    _, folder = saved
    loaded = Case.load(folder)
    half = replace(loaded, brain=loaded.brain[8:])
    assert_equal(pickle.loads(pickle.dumps(half)), half)  # noqa: S301 (our own)


def test_numpy_reads_the_arrays(saved):
    case, folder = saved
    for name, dtype in ARRAYS.items():
        array = np.load(folder / f"{name}.npy")
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, getattr(case, name))


def test_its_size_is_as_foreseen(saved):
    case, folder = saved
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size == pytest.approx(case.brain.size * BYTES_PER_VOXEL, abs=1000)


def test_nothing_is_read_before_it_is_used_and_nobody_can_change_it(saved):
    case = Case.load(saved[1])
    assert isinstance(case.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        case.images[0, 0, 0, 0] = 1


def test_a_case_replaces_an_older_one_and_a_half_written_one(tmp_path):
    folder = tmp_path / "ball"
    ball_case("ball", size=16).save(folder)
    (tmp_path / "ball.part").mkdir()
    (tmp_path / "ball.part" / "images.npy").write_bytes(b"half")
    newer = ball_case("ball", size=24, seed=1)
    newer.save(folder)
    assert_equal(Case.load(folder), newer)
    assert [path.name for path in tmp_path.iterdir()] == ["ball"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from([*(f"{name}.npy" for name in ARRAYS), "case.json"]), share=st.floats(0, 0.99))
def test_a_file_cut_short_is_refused(saved, tmp_path, name, share):
    folder = tmp_path / "cut"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(saved[1], folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * (len(content) - 1))])
    with pytest.raises(CaseError, match="prepare it again"):
        Case.load(folder)


@pytest.mark.parametrize("name", [*(f"{name}.npy" for name in ARRAYS), "case.json"])
def test_a_missing_file_is_refused(saved, tmp_path, name):
    shutil.copytree(saved[1], tmp_path / "cut")
    (tmp_path / "cut" / name).unlink()
    with pytest.raises(CaseError, match="is no prepared case"):
        Case.load(tmp_path / "cut")


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("labels", np.zeros((16, 16, 15), np.uint8), "labels is uint8"),
        ("labels", np.zeros((16, 16, 16), np.int64), "labels is int64"),
        ("images", np.zeros((3, 16, 16, 16), np.float16), "images is float16"),
    ],
)
def test_an_array_of_another_kind_is_refused(saved, tmp_path, name, array, said):
    shutil.copytree(saved[1], tmp_path / "other")
    np.save(tmp_path / "other" / f"{name}.npy", array)
    with pytest.raises(CaseError, match=said):
        Case.load(tmp_path / "other")


@pytest.mark.parametrize("text", ["[]", "3", '{"name": "x"}'])
def test_another_description_is_refused(saved, tmp_path, text):
    shutil.copytree(saved[1], tmp_path / "other")
    (tmp_path / "other" / "case.json").write_text(text)
    with pytest.raises(CaseError, match="is no prepared case"):
        Case.load(tmp_path / "other")


def test_voxels_are_counted_slice_by_slice() -> None:
    case = ball_case("ball")
    for label in range(4):
        assert np.array_equal(case.counts[label], np.count_nonzero(case.labels == label, axis=(1, 2)))
    assert np.array_equal(case.counts[BRAIN], np.count_nonzero(case.brain, axis=(1, 2)))
