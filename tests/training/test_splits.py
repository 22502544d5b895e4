"""Folds: nobody is on both sides, every site is in each, and a file that says otherwise is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from zweitblick_training.datasets import LAYOUTS, Listing
from zweitblick_training.splits import Folds, FoldsError, LeakError, draw, overlapping

COMMITTED = Path(__file__).parents[2] / "training" / "folds.json"
SITES = ("north", "south", "east")
GROUPS = (("a1", "b2"), ("c",))
"""Patients a1 and b2, and all whose name begins with c, may be the same."""


@st.composite
def listings(draw_value):
    """Up to 40 cases of up to 25 patients; a patient's cases need not have one site."""
    patients = draw_value(st.lists(st.sampled_from("abcd"), min_size=6, max_size=25))
    names = [f"{letter}{number}" for number, letter in enumerate(patients)]
    return [
        Listing(f"{patient}_{scan}", patient, draw_value(st.sampled_from(SITES)), Path())
        for patient in names
        for scan in range(draw_value(st.integers(1, 3)))
    ]


def apart(cases: list[Listing]) -> int:
    """Count the sets that cannot be parted, by SciPy's connected components."""
    rows, columns = [], []
    for number, one in enumerate(cases):
        marks = [one.patient, *(str(place) for place, group in enumerate(GROUPS) if one.name.startswith(group))]
        for mark in marks:
            rows.append(number)
            columns.append(mark)
    known = {mark: len(cases) + place for place, mark in enumerate(dict.fromkeys(columns))}
    size = len(cases) + len(known)
    edges = coo_array((np.ones(len(rows)), (rows, [known[mark] for mark in columns])), (size, size))
    return int(connected_components(edges, directed=False)[0])


@given(listings(), st.integers(2, 4), st.integers(0, 5))
def test_nobody_is_on_both_sides(cases, count, seed):
    if apart(cases) < count:
        with pytest.raises(FoldsError):
            draw(cases, count, seed=seed, groups=GROUPS)
        return
    folds = draw(cases, count, seed=seed, groups=GROUPS)
    patient_of = {one.name: one.patient for one in cases}
    assert folds.cases == tuple(sorted(patient_of))
    assert sorted(name for number in range(count) for name in folds.test(number)) == sorted(patient_of)
    for number in range(count):
        train, test = folds.train(number), folds.test(number)
        assert sorted(train + test) == sorted(patient_of)
        assert not {patient_of[name] for name in train} & {patient_of[name] for name in test}
        for group in GROUPS:
            assert not (any(n.startswith(group) for n in train) and any(n.startswith(group) for n in test))


@given(listings(), st.randoms(use_true_random=False))
def test_the_order_of_the_cases_does_not_matter(cases, random):
    shuffled = list(cases)
    random.shuffle(shuffled)
    assert draw(cases, 2, seed=3) == draw(shuffled, 2, seed=3)


@given(st.lists(st.sampled_from(SITES), min_size=12, max_size=40), st.integers(2, 4), st.integers(0, 5))
def test_every_fold_has_its_share_of_every_site(sites, count, seed):
    cases = [Listing(f"p{number:02d}", f"p{number:02d}", site, Path()) for number, site in enumerate(sites)]
    folds = draw(cases, count, seed=seed)
    for site in SITES:
        shares = [sum(sites[int(name[1:])] == site for name in folds.test(number)) for number in range(count)]
        assert max(shares) - min(shares) <= 1
    sizes = [len(folds.test(number)) for number in range(count)]
    assert max(sizes) - min(sizes) <= len(SITES)


def test_another_seed_draws_other_folds():
    cases = [Listing(f"p{number:02d}", f"p{number:02d}", "one", Path()) for number in range(20)]
    assert len({draw(cases, 4, seed=seed).test(0) for seed in range(5)}) == 5


@given(cases=listings())
def test_a_file_gives_the_folds_back(tmp_path_factory, cases):
    path = tmp_path_factory.mktemp("folds") / "folds.json"
    others = {one.patient for one in cases if not one.name.startswith("d")}
    folds = draw(cases, 2, groups=(("d",),)) if len(others) > 1 else draw(cases, 2)
    folds.write(path)
    assert Folds.read(path) == folds


def folds_of(*parts: dict[str, list[str]], groups: tuple[tuple[str, ...], ...] = ()) -> Folds:
    return Folds(tuple({patient: tuple(names) for patient, names in part.items()} for part in parts), groups)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"p": ["p_1"]}, {"p": ["p_2"]}, "patient p must be in one fold"),
        ({"p": ["p_1"]}, {"q": ["p_1"]}, "p_1 is listed 2 times"),
        # Names tell what the file hides.
        ({"x": ["Brats18_CBICA_ASK_1"]}, {"y": ["BraTS19_CBICA_ASK_1"]}, "patient CBICA_ASK must be in one fold"),
        ({"x": ["BraTS2021_00005"]}, {"y": ["BraTS-GLI-00005-100"]}, "patient 00005 must be in one fold"),
        # The overlaps that the data's notes name.
        ({"a": ["Brats18_TCIA13_623_1"]}, {"b": ["Brats18_TCIA10_637_1"]}, "must be in one fold"),
        ({"a": ["BraTS2021_01485"]}, {"b": ["Brats18_TCIA10_628_1"]}, "must be in one fold"),
        # The end-to-end check, however it is written.
        ({"a": ["TCGA_FG_6692_20020606"]}, {"b": ["p"]}, "end-to-end check"),
        ({"a": ["sub-TCGAFG6692_ses-1"]}, {"b": ["p"]}, "end-to-end check"),
        ({"a": ["tcga-fg-6692"]}, {"b": ["p"]}, "end-to-end check"),
    ],
)
def test_leaks_are_named(tmp_path, first, second, said):
    with pytest.raises(LeakError, match=said):
        folds_of(first, second)
    path = tmp_path / "folds.json"
    path.write_text(json.dumps({"groups": [], "folds": {"0": first, "1": second}}))
    with pytest.raises(LeakError, match=said):
        Folds.read(path)


def test_neighbours_of_an_overlap_are_free():
    folds = folds_of({"a": ["BraTS2021_01466"]}, {"b": ["BraTS2021_01490"]}, {"c": ["Brats18_TCIA01_201_1"]})
    assert folds.test(1) == ("BraTS2021_01490",)


def test_all_leaks_are_listed_at_once():
    with pytest.raises(LeakError) as raised:
        folds_of({"p": ["p_1"], "q": ["q_1"]}, {"p": ["p_2"], "q": ["q_2"], "r": ["TCGA_FG_6692"]})
    assert len(raised.value.leaks) == len(str(raised.value).splitlines()) == 3


def test_a_researchers_own_groups_are_kept_with_the_file(tmp_path):
    path = tmp_path / "folds.json"
    folds_of({"p": ["x1"], "q": ["x2"]}, {"r": ["y1"]}, groups=(("x",),)).write(path)
    said = json.loads(path.read_text())
    said["folds"]["1"]["q"] = said["folds"]["0"].pop("q")
    path.write_text(json.dumps(said))
    with pytest.raises(LeakError, match="group x must be in one fold: x1 is in 0, x2 is in 1"):
        Folds.read(path)


def test_cases_that_no_fold_knows_are_refused():
    folds = folds_of({"p": ["p_1"]}, {"q": ["q_1"]})
    folds.check(["q_1"])
    with pytest.raises(LeakError) as raised:
        folds.check(["p_1", "stranger", "TCGA-FG-6692", "other"])
    assert sum("is in no fold" in leak for leak in raised.value.leaks) == 3
    assert "end-to-end check" in raised.value.leaks[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"groups": [], "folds": {"0": {"p": "p_1"}, "1": {"q": ["q"]}}}',
        '{"groups": [], "folds": {"0": {"p": ["a"]}, "2": {"q": ["q"]}}}',
        '{"groups": [], "folds": {"0": {"p": ["a"]}}}',
        '{"groups": [], "folds": {"0": {"p": ["a"]}, "1": {"q": []}}}',
        '{"groups": [1], "folds": {"0": {"p": ["a"]}, "1": {"q": ["q"]}}}',
    ],
)
def test_files_that_hold_no_folds_are_refused(tmp_path, text):
    path = tmp_path / "folds.json"
    path.write_text(text)
    with pytest.raises(FoldsError):
        Folds.read(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FoldsError, match=r"folds\.json holds no folds"):
        Folds.read(tmp_path / "folds.json")


@pytest.mark.parametrize("number", [-1, 8])
def test_there_is_no_such_fold(number):
    with pytest.raises(FoldsError, match=f"there is no fold {number}; there are 0 to 7"):
        Folds.read(COMMITTED).test(number)


MAYBE_LOWER_GRADE = ("Brats18_TCIA10_", "Brats18_TCIA13_", "BraTS2021_0147", "BraTS2021_0148")


def test_the_committed_folds_never_learn_from_who_may_be_tested():
    folds = Folds.read(COMMITTED)
    assert [len(folds.test(number)) for number in range(8)] == [14, 10, 11, 11, 9, 14, 13, 12]
    for number in range(8):
        train, test = folds.train(number), folds.test(number)
        for one, other in ((train, test), (test, train)):
            maybe = any(name.startswith(MAYBE_LOWER_GRADE) for name in one)
            assert not (maybe and any(name.startswith("TCGA_") for name in other))
        # Nobody is left out but for that.
        left_out = set(folds.cases) - {*train, *test}
        assert not left_out or all(name.startswith((*MAYBE_LOWER_GRADE, "TCGA_")) for name in left_out)


@pytest.mark.parametrize(
    ("maybe", "lower"),
    [
        ("Brats18_TCIA10_628_1", "TCGA_CS_4941_19960909"),
        ("BraTS19_TCIA13_623_1", "TCGA-HT-7473"),
        ("BraTS2021_01476", "TCGA_HT_7473_19970826"),
        ("BraTS-GLI-01485-000", "TCGA-HT-7473"),
    ],
)
def test_a_fold_does_not_learn_from_another_name_of_whom_it_tests(maybe, lower):
    folds = folds_of({"a": [maybe]}, {"b": [lower]}, {"c": ["TCGA_DU_1", "other"]})
    assert folds.train(0) == ("other",)
    assert folds.train(1) == ("TCGA_DU_1", "other")
    assert folds.train(2) == (lower,)
    assert overlapping({lower: ""}, {maybe: "", "other": ""}) == {lower: maybe}
    assert overlapping({maybe: ""}, {lower: "", "other": ""}) == {maybe: lower}
    assert not overlapping({lower: ""}, {"TCGA_DU_1": "", "other": ""})


@given(st.integers(2, 5), st.integers(0, 9), st.integers(1, 4), st.integers(1, 12), st.integers(1, 3))
def test_no_fold_that_is_drawn_tests_a_patient_under_two_names(count, seed, maybe, lower, scans):
    names = [f"Brats18_TCIA10_{number}_1" for number in range(maybe)]
    names += [f"TCGA_HT_{number:04d}_{scan}" for number in range(lower) for scan in range(scans)]
    names += [f"other{number}" for number in range(60)]
    folds = draw([Listing(name, name[:12], "one", Path()) for name in names], count, seed=seed)
    tested = [{name[:4] for name in folds.test(number)} for number in range(count)]
    assert not any({"Brat", "TCGA"} <= each for each in tested)
    for number, each in enumerate(tested):
        without = {name[:4] for name in {*names} - {*folds.train(number), *folds.test(number)}}
        assert without == {other for one, other in (("Brat", "TCGA"), ("TCGA", "Brat")) if one in each}


def test_a_fold_that_learns_from_nobody_is_refused():
    with pytest.raises(FoldsError, match="fold 0 has nothing to learn from"):
        folds_of({"a": ["Brats18_TCIA10_628_1"]}, {"b": ["TCGA_CS_4941_19960909"]})


@pytest.mark.real
def test_the_committed_folds_hold_every_real_case(shared_data):
    found = LAYOUTS["packed"].listed(shared_data)
    folds = Folds.read(COMMITTED)
    assert folds.cases == tuple(one.name for one in found)
    patients = {patient: names for part in folds.folds for patient, names in part.items()}
    assert patients == {one.patient: (one.name,) for one in found}


@pytest.mark.real
def test_real_cases_are_drawn_with_their_overlaps(shared_data):
    folds = draw(LAYOUTS["packed"].listed(shared_data), 3)
    (together,) = [number for number in range(3) if any(n.startswith(MAYBE_LOWER_GRADE) for n in folds.test(number))]
    assert not any(name.startswith("TCGA_") for name in (*folds.train(together), *folds.test(together)))
