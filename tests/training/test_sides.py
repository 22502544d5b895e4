"""What a run learns from and what it is tested on stay apart, also through the weights that it starts from."""

from pathlib import Path

import pytest

from zweitblick_training.sides import Sides
from zweitblick_training.splits import Folds, LeakError

FOLDS = Folds(({"p1": ("a", "b")}, {"p2": ("c",)}, {"p3": ("d",)}))


def test_a_fold_learns_from_what_it_does_not_test() -> None:
    assert Sides.of_fold(FOLDS, 0) == Sides(("c", "d"), ("a", "b"))
    assert Sides.of_all(FOLDS) == Sides(("a", "b", "c", "d"), ())


def test_a_case_on_both_sides_is_a_leak() -> None:
    with pytest.raises(LeakError, match="b is both"):
        Sides(("a", "b"), ("b", "c"))


def test_the_file_says_what_was_written(tmp_path: Path) -> None:
    sides = Sides.of_fold(FOLDS, 1)
    sides.write(tmp_path / "splits.json")
    assert Sides.read(tmp_path / "splits.json") == sides


@pytest.mark.parametrize("text", ["", "[]", '{"train": ["a"]}', '{"train": 1, "test": []}'])
def test_a_file_that_says_nothing_of_sides_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(LeakError, match=r"splits\.json"):
        Sides.read(tmp_path / "splits.json")


def test_weights_that_know_a_test_case_are_refused(tmp_path: Path) -> None:
    Sides.of_fold(FOLDS, 0).write(tmp_path / "splits.json")
    Sides.of_fold(FOLDS, 0).check_start(tmp_path)
    with pytest.raises(LeakError) as caught:
        Sides.of_fold(FOLDS, 1).check_start(tmp_path)
    assert len(caught.value.leaks) == 1
    assert "learnt from c" in str(caught.value)


def test_a_bundle_that_does_not_say_what_it_learnt_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LeakError, match="missing"):
        Sides.of_fold(FOLDS, 1).check_start(tmp_path)
