"""The cache: every fault before anything is made, each case once, and a killed run goes on where it was."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_sets import SHAPE, head, save, write_bids, write_brats2021
from zweitblick_training.cache import CacheError, cached_names, load_cases, prepare_all
from zweitblick_training.case import Case, CaseError
from zweitblick_training.cases import TeacherMasks
from zweitblick_training.datasets import LAYOUTS, DataSetError

NAMES = [f"BraTS2021_{number:05d}" for number in range(4)]
NO_MASKS = TeacherMasks(Path("none"))
"""Stripped heads need none."""

CHILD = """
import logging, sys
from pathlib import Path
from zweitblick_training.cache import prepare_all
from zweitblick_training.cases import TeacherMasks
from zweitblick_training.datasets import LAYOUTS
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
folder, cache = map(Path, sys.argv[1:])
prepare_all(LAYOUTS["brats2021"], folder, cache=cache, masks=TeacherMasks(Path("none")), limit_gb=1)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_brats2021(folder, NAMES)
    return folder


@pytest.fixture
def own(data, tmp_path) -> Path:
    """A copy that may be spoilt."""
    shutil.copytree(data, tmp_path / "data")
    return tmp_path / "data"


def prepared(folder: Path, cache: Path, **limits: float) -> tuple[str, ...]:
    limits = {"limit_gb": 1, **limits}
    return prepare_all(LAYOUTS["brats2021"], folder, cache=cache, masks=NO_MASKS, **limits)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    """A cache made without interruption."""
    cache = tmp_path_factory.mktemp("whole") / "cache"
    assert prepared(data, cache) == tuple(NAMES)
    return cache


def contents(cache: Path) -> dict[str, bytes]:
    return {str(path.relative_to(cache)): path.read_bytes() for path in sorted(cache.rglob("*")) if path.is_file()}


def times(cache: Path, name: str) -> list[int]:
    return [path.stat().st_mtime_ns for path in sorted((cache / name).iterdir())]


def test_every_case_is_made_once(data, whole):
    assert cached_names(whole) == tuple(NAMES)
    before = [times(whole, name) for name in NAMES]
    assert prepared(data, whole) == ()
    assert [times(whole, name) for name in NAMES] == before


def test_a_killed_run_goes_on_to_the_same_cache(data, whole, tmp_path):
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", CHILD, str(data), str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == f"prepared {NAMES[0]}, 1 of {len(NAMES)}\n"
        os.kill(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    first = times(cache, NAMES[0])
    made = prepared(data, cache)
    assert NAMES[0] not in made
    assert NAMES[-1] in made
    assert times(cache, NAMES[0]) == first
    assert contents(cache) == contents(whole)


def test_what_was_left_half_made_is_no_case(data, whole, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(whole, cache)
    # Killed in the middle of one case, and once between taking the old folder away and naming the new one.
    (cache / NAMES[1]).rename(cache / f"{NAMES[1]}.part")
    (cache / f"{NAMES[1]}.part" / "images.npy").write_bytes(b"half")
    (cache / NAMES[2]).rename(cache / f"{NAMES[2]}.part")
    assert cached_names(cache) == (NAMES[0], NAMES[3])
    assert prepared(data, cache) == (NAMES[1], NAMES[2])
    assert contents(cache) == contents(whole)


def test_a_damaged_case_is_made_again(data, whole, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(whole, cache)
    path = cache / NAMES[2] / "images.npy"
    path.write_bytes(path.read_bytes()[:-1])
    assert prepared(data, cache) == (NAMES[2],)
    assert contents(cache) == contents(whole)


def test_a_case_that_does_not_say_what_prepared_it_is_made_again(data, whole, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(whole, cache)
    path = cache / NAMES[1] / "case.json"
    said = json.loads(path.read_text())
    del said["preparation"]
    path.write_text(json.dumps(said))
    with pytest.raises(CaseError, match=rf"{NAMES[1]} was prepared by another version's code"):
        load_cases(cache, NAMES)
    assert prepared(data, cache) == (NAMES[1],)
    assert contents(cache) == contents(whole)
    assert [case.name for case in load_cases(cache, NAMES)] == NAMES


def test_a_case_that_changed_is_made_again(own, whole, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(whole, cache)
    path = own / NAMES[1] / f"{NAMES[1]}_seg.nii.gz"
    outline = np.asarray(nib.load(path).dataobj).copy()
    outline[outline == 4] = 1
    save(path, outline)
    assert prepared(own, cache) == (NAMES[1],)
    assert not (Case.load(cache / NAMES[1]).labels == 3).any()


def test_processes_make_the_same_cache(data, whole, tmp_path):
    assert prepared(data, tmp_path / "cache", workers=2) == tuple(NAMES)
    assert contents(tmp_path / "cache") == contents(whole)


@pytest.mark.parametrize("workers", [1, 2])
def test_all_faults_of_all_cases_are_listed_before_anything_is_made(own, tmp_path, workers):
    nan, unknown, grid = NAMES[:3]
    save(own / nan / f"{nan}_t2.nii.gz", np.full(SHAPE, np.nan, np.float32))
    save(own / unknown / f"{unknown}_seg.nii.gz", head().outline(1, 2, 5))
    (own / unknown / f"{unknown}_t1.nii.gz").write_bytes(b"no NIfTI")
    save(own / grid / f"{grid}_seg.nii.gz", head().outline(1, 2, 4)[1:])
    with pytest.raises(DataSetError) as raised:
        prepared(own, tmp_path / "cache", workers=workers)
    assert [(fault.case, word) for fault in raised.value.faults for word in WORDS if word in fault.what] == [
        (nan, "NaN"),
        (unknown, "not a readable NIfTI"),
        (unknown, "label 5"),
        (grid, "grid"),
    ]
    assert len(raised.value.faults) == 4
    assert not (tmp_path / "cache").exists()


WORDS = ("NaN", "not a readable NIfTI", "label 5", "grid")


def test_a_fault_that_shows_in_preparation_stops_no_other_case(tmp_path):
    write_bids(tmp_path / "data", "sub-01", head())
    write_bids(tmp_path / "data", "sub-02", head(1))
    flat = head().images["T2"].copy()
    flat[head().brain] = 7
    flat[0, 0, 0] = 1
    save(tmp_path / "data" / "sub-01" / "anat" / "sub-01_T2w.nii.gz", flat)
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("sub-01", "sub-02"):
        np.savez(masks / f"{name}.npz", brain=head().brain.transpose())
    with pytest.raises(DataSetError, match=r"sub-01: .* hold a single value") as raised:
        prepare_all(LAYOUTS["bids"], tmp_path / "data", cache=tmp_path / "cache", masks=TeacherMasks(masks), limit_gb=1)
    assert len(raised.value.faults) == 1
    assert cached_names(tmp_path / "cache") == ("sub-02",)


def test_an_empty_brain_is_a_fault(tmp_path):
    write_bids(tmp_path / "data", "sub-01", head())
    np.savez(tmp_path / "sub-01.npz", brain=np.zeros(SHAPE[::-1], np.bool_))
    with pytest.raises(DataSetError, match="sub-01: no brain voxel was found"):
        prepare_all(
            LAYOUTS["bids"], tmp_path / "data", cache=tmp_path / "cache", masks=TeacherMasks(tmp_path), limit_gb=1
        )


def test_a_cache_larger_than_its_limit_is_not_begun(data, whole, tmp_path):
    size_gb = sum(map(len, contents(whole).values())) / 1e9
    with pytest.raises(CacheError, match=r"4 cases need 0\.00 GB .* raise --cache-gb"):
        prepared(data, tmp_path / "cache", limit_gb=0.9 * size_gb)
    assert cached_names(tmp_path / "cache") == ()
    assert prepared(data, tmp_path / "cache", limit_gb=1.01 * size_gb) == tuple(NAMES)


def test_what_is_in_the_cache_counts(data, whole, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(whole, cache)
    shutil.rmtree(cache / NAMES[0])
    size_gb = sum(map(len, contents(whole).values())) / 1e9
    with pytest.raises(CacheError, match="1 cases need"):
        prepared(data, cache, limit_gb=0.9 * size_gb)


def test_a_full_disk_is_told_before_anything_is_made(data, tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(CacheError, match=r"the disk has 0\.00 GB left; make room"):
        prepared(data, tmp_path / "cache")
    assert cached_names(tmp_path / "cache") == ()


def test_no_case_takes_the_place_of_another_data_sets(data, whole, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(whole, cache)
    (cache / NAMES[0]).rename(cache / "sub-01")
    write_bids(tmp_path / "data", "sub-01", head())
    np.savez(tmp_path / "sub-01.npz", brain=head().brain.transpose())
    with pytest.raises(DataSetError, match="sub-01: the cache holds a case of this name from brats2021"):
        prepare_all(LAYOUTS["bids"], tmp_path / "data", cache=cache, masks=TeacherMasks(tmp_path), limit_gb=1)


def test_progress_is_logged(data, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="zweitblick_training.cache"):
        prepared(data, tmp_path / "cache")
    assert caplog.messages == [f"prepared {name}, {number} of 4" for number, name in enumerate(NAMES, start=1)]
