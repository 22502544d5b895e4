"""The rule table of RANO's imaging part, against the guideline's wording in whole numbers."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rano_cases import baseline, findings, lesion, matching, timepoint
from zweitblick.change import NOT_KNOWN, Category, Fate, LesionChange, NoProposal, Proposal, Unmatched
from zweitblick.measure.rano import proposed
from zweitblick.prediction import Region
from zweitblick.reading import ModelIdentity

SIDES = st.integers(10, 90)


def category(*course: object, present: object, match: object = None) -> Category | str:
    """The category, or the reason why there is none."""
    found = proposed(present, course, match or matching())
    return found.category if isinstance(found, Proposal) else found.reason


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ((25.0, 20.0), Category.PROGRESSION),  # 500 of 400: exactly 25 % more
        ((24.9, 20.0), Category.STABLE),
        ((20.0, 10.0), Category.PARTIAL),  # 200 of 400: exactly 50 % less
        ((20.1, 10.0), Category.STABLE),
        ((20.0, 20.0), Category.STABLE),
    ],
)
def test_thresholds_are_met_when_reached(now: tuple[float, float], expected: Category) -> None:
    assert category(baseline((20.0, 20.0)), present=timepoint(80, [now])) is expected


@given(SIDES, SIDES, SIDES)
@example(40, 20, 25)
@example(20, 40, 30)
def test_progression_is_against_the_nadir_and_response_against_the_baseline(first: int, low: int, now: int) -> None:
    """With squares of whole numbers, in exact arithmetic."""
    nadir = Fraction(min(first, low) ** 2)
    if now**2 >= nadir * Fraction(5, 4):
        expected = Category.PROGRESSION
    elif now**2 <= Fraction(first**2, 2):
        expected = Category.PARTIAL
    else:
        expected = Category.STABLE
    course = baseline((first, first)), timepoint(40, [(low, low)])
    assert category(*course, present=timepoint(80, [(now, now)])) is expected


@given(st.permutations(range(4)))
def test_the_order_in_which_readings_are_given_does_not_matter(order: list[int]) -> None:
    course = [baseline((40.0, 40.0)), *(timepoint(day, [(side, side)]) for day, side in ((30, 30.0), (60, 20.0)))]
    course.append(timepoint(-30, [(10.0, 10.0)]))  # before the baseline: no nadir
    found = proposed(timepoint(90, [(22.0, 22.0)]), [course[place] for place in order], matching())
    assert isinstance(found, Proposal)
    assert (found.category, found.baseline_mm2, found.nadir_mm2, found.now_mm2) == (Category.PARTIAL, 1600, 400, 484)


def test_the_five_largest_measurable_lesions_are_followed() -> None:
    many = [(float(side), 10.0) for side in (60, 50, 40, 30, 20, 15, 12)]
    found = proposed(timepoint(80, many), [baseline(*many)], matching())
    assert isinstance(found, Proposal)
    assert (found.targets, found.now_mm2) == (5, 2000)


def test_complete_is_when_nothing_enhances_and_nothing_is_too_small_to_be_listed() -> None:
    course = baseline((20.0, 20.0))
    assert category(course, present=timepoint(80)) is Category.COMPLETE
    small = timepoint(80, found=findings(lesion(1), dropped=1))
    assert category(course, present=small) is Category.PARTIAL


def test_core_in_which_nothing_surely_enhances_is_left_to_the_reader() -> None:
    left = replace(lesion(1), volume_ml={Region.ET: 0.0, Region.TC: 1.0, Region.WT: 20.0})
    said = category(baseline((20.0, 20.0)), present=timepoint(80, found=findings(left)))
    assert "no part of the core is surely enhancing" in said


def test_a_lesion_that_enhances_again_after_a_complete_response_is_a_progression() -> None:
    assert category(baseline((20.0, 20.0)), timepoint(40), present=timepoint(80, [(11.0, 10.0)])) is (
        Category.PROGRESSION
    )


def test_a_new_measurable_enhancing_lesion_is_a_progression_whatever_the_sums() -> None:
    present = timepoint(80, [(12.0, 10.0)])
    found = proposed(present, [baseline((40.0, 40.0))], matching(lesion(2, (12.0, 10.0))))
    assert isinstance(found, Proposal)
    assert found.category is Category.PROGRESSION
    assert "new measurable enhancing lesion" in found.rule


@pytest.mark.parametrize("new", [lesion(2), lesion(2, (9.9, 9.9)), lesion(2, (30.0, 9.9))])
def test_a_new_lesion_that_does_not_enhance_or_is_not_measurable_is_left_to_the_reader(new: object) -> None:
    said = category(baseline((20.0, 20.0)), present=timepoint(80, [(20.0, 20.0)]), match=matching(new))
    assert "too small to be measured or does not enhance" in said


def test_a_lesion_where_the_earlier_study_shows_nothing_is_neither_new_nor_old() -> None:
    unseen = matching(others=(LesionChange(Fate.NOT_SHOWN, (), (lesion(2, (20.0, 20.0)),)),))
    assert "may be new or not" in category(baseline((20.0, 20.0)), present=timepoint(80, [(20.0, 20.0)]), match=unseen)


@pytest.mark.parametrize(("now", "expected"), [((30.0, 20.0), Category.PROGRESSION), ((20.0, 20.0), None)])
def test_without_matching_the_sums_alone_can_tell_progression_only(
    now: tuple[float, float], expected: Category | None
) -> None:
    said = category(baseline((20.0, 20.0)), present=timepoint(80, [now]), match=Unmatched("the heads differ"))
    if expected is None:
        assert said.endswith("not matched: the heads differ")
    else:
        assert said is expected


def test_a_target_that_crosses_10_mm_makes_no_progression_by_itself() -> None:
    """Not measurable at the nadir, and 1 % larger now: the sum of measurable lesions alone would rise from nothing."""
    course = baseline((20.0, 20.0)), timepoint(40, [(9.95, 9.95)])
    said = category(*course, present=timepoint(80, [(10.0, 10.0)]))
    assert "on either side of a threshold" in said


@pytest.mark.parametrize(
    ("now", "et_ml", "expected"),
    [
        ((40.0, 20.0), 4.0, None),  # products doubled, volume unchanged: the head lay otherwise
        ((40.0, 20.0), 4.7, None),
        ((40.0, 20.0), 4.8, Category.PROGRESSION),
        ((10.0, 10.0), 4.0, None),
        ((10.0, 10.0), 3.3, None),
        ((10.0, 10.0), 3.2, Category.PARTIAL),
        ((20.0, 20.0), 5.5, Category.STABLE),
        ((20.0, 20.0), 5.6, None),  # 40 % more volume: a progression by Wen 2023, not by the sum
        ((20.0, 20.0), 1.4, None),  # 65 % less
        ((20.0, 20.0), 1.5, Category.STABLE),
    ],
)
def test_sums_that_the_volume_contradicts_are_left_to_the_reader(
    now: tuple[float, float], et_ml: float, expected: Category | None
) -> None:
    """At the baseline 400 mm² and 4 ml."""
    said = category(baseline((20.0, 20.0)), present=timepoint(80, found=findings(lesion(1, now, et_ml=et_ml))))
    if expected is None:
        assert "contradict each other" in said
    else:
        assert said is expected


@pytest.mark.parametrize(
    ("course", "reason"),
    [
        ([], "treatment not known"),
        ([timepoint(0, [(20.0, 20.0)])], "treatment not known"),
        ([baseline((20.0, 20.0)), baseline((20.0, 20.0), day=1)], "2 readings are said to be the baseline"),
        ([baseline((20.0, 20.0), dated=False)], "date of a study is not known"),
        ([baseline((20.0, 20.0)), timepoint(90, [(20.0, 20.0)])], "later than this one"),
        ([baseline((20.0, 20.0), with_contrast=False)], "T1 with contrast is missing"),
        ([baseline((20.0, 20.0)), timepoint(40, [(20.0, 20.0)], with_contrast=False)], "T1 with contrast is missing"),
        ([baseline((20.0, 20.0), model=ModelIdentity("tumour", "0.2", "cd" * 32))], "different models"),
        ([baseline((30.0, 9.9))], "no enhancing lesion is measurable"),
        ([baseline()], "no enhancing lesion is measurable"),
    ],
)
def test_without_what_must_be_known_there_is_no_category(course: list[object], reason: str) -> None:
    found = proposed(timepoint(80, [(20.0, 20.0)]), course, matching())
    assert isinstance(found, NoProposal)
    assert reason in found.reason
    assert found.statement == f"No RANO category: {found.reason}."


def test_this_reading_without_contrast_has_no_category() -> None:
    said = category(baseline((20.0, 20.0)), present=timepoint(80, [(20.0, 20.0)], with_contrast=False))
    assert "T1 with contrast is missing" in said


def test_the_statement_says_what_is_not_known_and_cites_the_rule() -> None:
    found = proposed(timepoint(80, [(20.0, 20.0)]), [baseline((20.0, 20.0))], matching())
    assert found.statement.startswith("RANO, imaging part only, proposal for a reader: stable disease")
    for unknown in NOT_KNOWN:
        assert unknown in found.statement
    assert {"corticosteroids", "clinical state", "confirmation by a later scan"} <= set(NOT_KNOWN)
    assert "Wen 2010" in found.statement
