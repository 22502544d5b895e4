"""What a run learns from and what it is tested on stay apart, also through the weights that it starts from."""

import shutil
from pathlib import Path

import pytest

from zweitblick_training.datasets import Listing
from zweitblick_training.sides import Sides
from zweitblick_training.splits import Folds, LeakError

ROOT = Path(__file__).parents[2]
FOLDS = Folds(({"p1": ("a", "b")}, {"p2": ("c",)}, {"p3": ("d",)}))


def test_a_fold_learns_from_what_it_does_not_test() -> None:
    assert Sides.of_fold(FOLDS, 0) == Sides(("c", "d"), ("a", "b"))
    assert Sides.of_all(FOLDS) == Sides(("a", "b", "c", "d"), ())


def test_a_case_on_both_sides_is_a_leak() -> None:
    with pytest.raises(LeakError, match="b is both"):
        Sides(("a", "b"), ("b", "c"))


def test_a_case_that_was_learnt_from_before_is_not_tested() -> None:
    with pytest.raises(LeakError, match="b is both"):
        Sides(("a",), ("b",), ("b",))


def test_the_file_says_what_was_written(tmp_path: Path) -> None:
    sides = Sides.of_fold(FOLDS, 1)
    sides.write(tmp_path / "splits.json")
    assert Sides.read(tmp_path / "splits.json") == sides
    apart = Sides(("one",), ("two",), left_out=("three",))
    apart.write(tmp_path / "splits.json")
    assert Sides.read(tmp_path / "splits.json") == apart
    assert apart.unseen([Listing(name, name, "", Path()) for name in ("one", "two", "three", "four")]) == [
        Listing(name, name, "", Path()) for name in ("two", "four")
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"train": ["a"]}', '{"train": 1, "test": []}', '{"train": [], "test": [], "before": 1}']
)
def test_a_file_that_says_nothing_of_sides_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(LeakError, match=r"splits\.json"):
        Sides.read(tmp_path / "splits.json")


def test_weights_that_know_a_test_case_are_refused(tmp_path: Path) -> None:
    Sides.of_fold(FOLDS, 0).write(tmp_path / "splits.json")
    Sides.of_fold(FOLDS, 0).check_start(tmp_path, FOLDS)
    with pytest.raises(LeakError) as caught:
        Sides.of_fold(FOLDS, 1).check_start(tmp_path, FOLDS)
    assert len(caught.value.leaks) == 1
    assert "learnt from c" in str(caught.value)


def test_what_the_weights_knew_before_is_known_two_generations_later(tmp_path: Path) -> None:
    hospital, clinic = Folds(({"h1": ("h1",)}, {"h2": ("h2",)})), Folds(({"k1": ("k1",)}, {"k2": ("k2",)}))
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for folder in (first, second, third):
        folder.mkdir()
    Sides.of_all(FOLDS).write(first / "splits.json")
    Sides.of_fold(hospital, 0).starting_from(first, hospital).write(second / "splits.json")
    Sides.of_fold(clinic, 1).starting_from(second, clinic).write(third / "splits.json")
    read = Sides.read(third / "splits.json")
    assert (read.train, read.test, read.before) == (("k1",), ("k2",), ("a", "b", "c", "d", "h2"))
    assert [one.name for one in read.unseen(listed("a", "d", "h1", "h2", "k1", "k2"))] == ["h1", "k2"]
    with pytest.raises(LeakError, match="third has learnt from a, which is to be tested"):
        Sides.of_fold(FOLDS, 0).check_start(third, FOLDS)
    with pytest.raises(LeakError, match="h2"):
        Sides.of_fold(hospital, 1).starting_from(third, hospital)


def test_a_file_of_a_run_from_random_weights_has_no_more_than_its_sides(tmp_path: Path) -> None:
    released = ROOT / "models" / "tumour" / "splits.json"
    assert Sides.read(released).before == ()
    Sides.read(released).write(tmp_path / "splits.json")
    assert (tmp_path / "splits.json").read_bytes() == released.read_bytes()


def test_a_bundle_that_does_not_say_what_it_learnt_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LeakError, match="missing"):
        Sides.of_fold(FOLDS, 1).check_start(tmp_path, FOLDS)


PACKED = ("BraTS2021_00005", "Brats18_TCIA10_628_1", "TCGA_CS_4941_19960909", "MS_patient07")


def listed(*names: str, patient: str = "") -> list[Listing]:
    return [Listing(name, patient or name, "", Path()) for name in names]


@pytest.mark.parametrize(
    ("tested", "giver"),
    [
        ("BraTS-GLI-00005-000", "BraTS2021_00005"),
        ("BraTS-GLI-00005-101", "BraTS2021_00005"),
        ("BraTS19_TCIA10_628_1", "Brats18_TCIA10_628_1"),
        # Not the same number, but each may be a patient of TCGA-LGG.
        ("BraTS-GLI-01476-000", "Brats18_TCIA10_628_1"),
    ],
)
def test_a_patient_who_was_learnt_from_is_known_by_another_name(tmp_path: Path, tested: str, giver: str) -> None:
    folds = Folds(({tested: (tested,)}, {"new": ("BraTS-GLI-03000-000",)}))
    Sides(PACKED, ()).write(tmp_path / "splits.json")
    with pytest.raises(LeakError, match=f"learnt from {giver}.*{tested}"):
        Sides.of_fold(folds, 0).check_start(tmp_path, folds)
    Sides.of_fold(folds, 1).check_start(tmp_path, folds)
    listings = listed(tested, "BraTS-GLI-03000-000", "MS_patient08")
    assert Sides(PACKED, ()).unseen(listings) == listings[1:]


def test_a_patient_whom_only_the_data_set_declares_is_known(tmp_path: Path) -> None:
    visits = ("sub-7_ses-1", "sub-7_ses-2")
    Sides(visits[:1], ()).write(tmp_path / "splits.json")
    folds = Folds(({"sub-7": visits}, {"sub-8": ("sub-8_ses-1",)}))
    with pytest.raises(LeakError, match="sub-7_ses-2"):
        Sides.of_fold(folds, 0).check_start(tmp_path, folds)
    listings = [*listed(*visits, patient="sub-7"), *listed("sub-8_ses-1")]
    assert [one.name for one in Sides(visits[:1], ()).unseen(listings)] == ["sub-8_ses-1"]


def test_groups_that_were_told_with_the_folds_count(tmp_path: Path) -> None:
    Sides(("north_3",), ()).write(tmp_path / "splits.json")
    folds = Folds(({"p1": ("south_9",)}, {"p2": ("east_1",)}), groups=(("north_3", "south_9"),))
    with pytest.raises(LeakError, match="north_3"):
        Sides.of_fold(folds, 0).check_start(tmp_path, folds)


@pytest.mark.parametrize("file", ["folds.json", "holdout.json"])
def test_every_committed_fold_is_unseen_by_its_own_network_and_known_to_the_others(tmp_path: Path, file: str) -> None:
    folds = Folds.read(ROOT / "training" / file)
    listings = [Listing(name, patient, "", Path()) for name, patient in folds.patients.items()]
    for number in range(len(folds.folds)):
        sides = Sides.of_fold(folds, number)
        sides.write(tmp_path / "splits.json")
        sides.check_start(tmp_path, folds)
        assert sorted(one.name for one in sides.unseen(listings)) == list(folds.test(number))
        other = Sides.of_fold(folds, (number + 1) % len(folds.folds))
        with pytest.raises(LeakError) as caught:
            other.check_start(tmp_path, folds)
        assert len(caught.value.leaks) == len(other.test)


def test_nobody_of_the_committed_folds_is_unseen_by_the_released_network(tmp_path: Path) -> None:
    shutil.copy(ROOT / "models" / "tumour" / "splits.json", tmp_path)
    folds = Folds.read(ROOT / "training" / "folds.json")
    assert not Sides.read(tmp_path / "splits.json").unseen(
        [Listing(name, patient, "", Path()) for name, patient in folds.patients.items()]
    )
