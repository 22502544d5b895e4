"""Lesions of known place, size and fate, in a head that moved by a known amount between two readings."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phantoms import ball, orientations, prediction_of
from rano_cases import lesion
from register.head import rigid
from zweitblick.change import Fate, LesionChange
from zweitblick.findings import DiameterBasis, Findings
from zweitblick.measure import measure
from zweitblick.measure.matching import (
    MATCH_MM,
    Outlined,
    lesion_changes,
    lesion_points,
    outlined_before,
    outlined_now,
)
from zweitblick.prediction import Prediction, Region
from zweitblick.volume import Float64, Grid, Volume, axis_aligned_grid, transformed

MOVED = rigid((6.0, -4.0, 9.0), (5.0, -8.0, 11.0))
"""From the earlier reading's coordinates to this one's."""

HEAD = axis_aligned_grid((0.0, 0.0, 10.0), (130, 150, 120), 1.0)

Ball = tuple[tuple[float, float, float], float]
FRONT: Ball = ((30.0, -45.0, 10.0), 9.0)
BACK: Ball = ((-32.0, 40.0, 20.0), 7.0)
TOP: Ball = ((10.0, 5.0, 50.0), 8.0)
BESIDE: Ball = ((30.0, -22.0, 10.0), 8.0)
"""6 mm of brain lie between it and `FRONT`."""
SPECK: Ball = ((-40.0, -20.0, -10.0), 4.0)
"""0.27 ml: below the reporting limit."""


def drawn(balls: list[Ball], move: Float64 | None = None) -> Prediction:
    """Balls of enhancing tumour, given in the earlier coordinates, on a 1 mm grid of the reading's own."""
    move = np.eye(4) if move is None else move
    whole = np.zeros(HEAD.shape, np.bool_)
    for center, radius in balls:
        low = np.floor(HEAD.index(transformed(move, center)) - radius).astype(int)
        size = int(2 * radius + 3)
        box = tuple(slice(start, start + size) for start in low)
        whole[box] |= ball(HEAD.cropped(low, (size, size, size)), transformed(move, center), radius)
    return prediction_of(whole, whole, whole, HEAD, brain=whole)


def measured(prediction: Prediction) -> Findings:
    distances = dict.fromkeys(DiameterBasis, 5.0)
    return measure(prediction, slice_distance_mm=distances, reporting_limit_ml=0.5, validated_ml=0.5)


def earlier(balls: list[Ball], grid: Grid | None = None, *, field: Grid = HEAD) -> Outlined:
    """The earlier reading as it is kept: findings of the fine outline, labels on the slices of a series."""
    prediction = drawn(balls)
    grid = grid or orientations()["axial"]
    labels = Volume(prediction.labels_on(grid).astype(np.float32), grid)
    return outlined_before(
        labels,
        measured(prediction),
        earlier_from_common_lps=np.linalg.inv(MOVED),
        field=field,
        field_from_earlier=np.eye(4),
    )


def present(balls: list[Ball], *, field: Grid = HEAD) -> Outlined:
    prediction = drawn(balls, MOVED)
    return outlined_now(prediction, measured(prediction), field)


def told(changes: tuple[LesionChange, ...]) -> list[tuple[Fate, list[int], list[int]]]:
    return [(one.fate, [b.number for b in one.before], [n.number for n in one.now]) for one in changes]


@pytest.mark.parametrize("orientation", ["axial", "reversed", "sagittal", "coronal", "oblique"])
def test_lesions_that_stay_come_and_go_however_the_earlier_series_lay(orientation: str) -> None:
    before = earlier([FRONT, BACK], orientations()[orientation])
    grown = (FRONT[0], 12.0)
    changes = lesion_changes(before, present([grown, TOP]))
    assert told(changes) == [
        (Fate.MATCHED, [1], [1]),
        (Fate.NEW, [], [2]),
        (Fate.VANISHED, [2], []),
    ]
    volume = changes[0].volume[Region.WT]
    truth = [4 / 3 * np.pi * radius**3 / 1000 for radius in (9.0, 12.0)]
    assert volume.before_ml == pytest.approx(truth[0], rel=0.02)
    assert volume.difference_ml == pytest.approx(truth[1] - truth[0], rel=0.02)
    assert volume.percents[0] == pytest.approx(100 * (12**3 / 9**3 - 1), abs=5)


def test_the_same_study_twice_changes_nothing() -> None:
    changes = lesion_changes(earlier([FRONT, BACK, TOP, SPECK]), present([FRONT, BACK, TOP, SPECK]))
    assert told(changes) == [(Fate.MATCHED, [n], [n]) for n in (1, 2, 3)]
    assert max(abs(one.volume[Region.WT].difference_ml) for one in changes) < 0.06


def test_nothing_before_and_nothing_now_are_told() -> None:
    assert told(lesion_changes(earlier([]), present([FRONT]))) == [(Fate.NEW, [], [1])]
    assert told(lesion_changes(earlier([FRONT]), present([]))) == [(Fate.VANISHED, [1], [])]
    assert lesion_changes(earlier([]), present([])) == ()


def test_two_that_grow_together_and_one_that_falls_apart_are_reported_as_one() -> None:
    bridge: Ball = ((30.0, -33.0, 10.0), 6.0)
    grown = lesion_changes(earlier([FRONT, BESIDE]), present([FRONT, BESIDE, bridge]))
    assert told(grown) == [(Fate.MATCHED, [1, 2], [1])]
    apart = lesion_changes(earlier([FRONT, BESIDE, bridge]), present([FRONT, BESIDE]))
    assert told(apart) == [(Fate.MATCHED, [1], [1, 2])]
    sums = apart[0].volume[Region.WT]
    assert sums.now_ml == pytest.approx(4 / 3 * np.pi * (9**3 + 8**3) / 1000, rel=0.02)


def test_what_slices_have_joined_is_told_apart_by_the_findings() -> None:
    """In slices of 14 mm the two balls are one part; the findings list two."""
    left, back, up = np.eye(3)
    coarse = np.eye(4)
    coarse[:3, :3] = np.stack([back * 14.0, up * 2.0, left * 2.0], axis=1)
    coarse[:3, 3] = (-80, -94, -80)
    grid = Grid((14, 80, 80), coarse)
    prediction = drawn([FRONT, BESIDE])
    joined = np.zeros(grid.shape, np.float32)
    marked = np.rint(grid.index(prediction.grid.lps(np.argwhere(prediction.mask(Region.WT))))).astype(int)
    joined[tuple(marked.T)] = 3
    findings = measured(prediction)
    (front, beside), small = lesion_points(Volume(joined, grid), findings.lesions)
    assert not len(small)
    for points, one in ((front, findings.lesions[0]), (beside, findings.lesions[1])):
        assert np.linalg.norm(points.mean(axis=0) - one.center_lps) < 6
    assert not {tuple(point) for point in front} & {tuple(point) for point in beside}


def test_what_grows_over_the_reporting_limit_was_there_before_and_what_shrinks_below_it_is_not_gone() -> None:
    grown: Ball = (SPECK[0], 7.0)
    assert told(lesion_changes(earlier([FRONT, SPECK]), present([FRONT, grown])))[1:] == [(Fate.ABOVE_LIMIT, [], [2])]
    assert told(lesion_changes(earlier([FRONT, grown]), present([FRONT, SPECK])))[1:] == [(Fate.BELOW_LIMIT, [2], [])]


def test_what_the_other_study_does_not_show_is_neither_new_nor_gone() -> None:
    lower = HEAD.cropped((0, 0, 0), (80, 150, 120))  # up to z = 25 mm
    assert told(lesion_changes(earlier([FRONT], field=lower), present([FRONT, TOP]))) == [
        (Fate.MATCHED, [1], [1]),
        (Fate.NOT_SHOWN, [], [2]),
    ]
    shown_now = Grid(lower.shape, MOVED @ lower.lps_from_index)
    assert told(lesion_changes(earlier([FRONT, TOP]), present([FRONT], field=shown_now))) == [
        (Fate.MATCHED, [1], [1]),
        (Fate.NOT_SHOWN, [2], []),
    ]


@pytest.mark.parametrize(("gap_mm", "fate"), [(MATCH_MM - 1.5, Fate.MATCHED), (MATCH_MM + 2.5, Fate.NEW)])
def test_the_tolerance_is_from_outline_to_outline(gap_mm: float, fate: Fate) -> None:
    moved: Ball = ((FRONT[0][0], FRONT[0][1] + 18.0 + gap_mm, FRONT[0][2]), 9.0)
    assert lesion_changes(earlier([FRONT], HEAD), present([moved]))[0].fate is fate


def test_a_lesion_of_which_the_slices_hold_nothing_is_its_centre() -> None:
    before = earlier([FRONT])
    nothing = Volume(np.zeros((2, 2, 2), np.float32), HEAD.cropped((0, 0, 0), (2, 2, 2)))
    (points,), small = lesion_points(nothing, before.lesions)
    assert np.array_equal(points, [before.lesions[0].center_lps])
    assert not len(small)


points = st.tuples(*[st.integers(-4, 4).map(lambda step: 9.0 * step)] * 3)
clouds = st.lists(st.lists(points, min_size=1, max_size=3), max_size=4)


@st.composite
def outlined(draw: Any) -> Outlined:
    """Lesions of a few points each, 9 mm or nothing apart, in a field of view that may end amid them."""
    parts = [np.array(cloud) for cloud in draw(clouds)]
    lesions = tuple(lesion(number) for number, _ in enumerate(parts, start=1))
    small = np.array(draw(st.lists(points, max_size=2))).reshape(-1, 3)
    field = axis_aligned_grid((0, 0, draw(st.sampled_from([0.0, 30.0, 300.0]))), (60, 100, 100), 1.0)
    return Outlined(lesions, tuple(parts), small, field, np.eye(4))


@given(outlined(), outlined())
def test_every_listed_lesion_has_one_fate_and_time_reversed_fates_are_mirrored(before: Outlined, now: Outlined) -> None:
    forward, backward = told(lesion_changes(before, now)), told(lesion_changes(now, before))
    assert sorted(number for _, then, _ in forward for number in then) == [one.number for one in before.lesions]
    assert sorted(number for _, _, since in forward for number in since) == [one.number for one in now.lesions]
    mirror = {
        Fate.NEW: Fate.VANISHED,
        Fate.VANISHED: Fate.NEW,
        Fate.ABOVE_LIMIT: Fate.BELOW_LIMIT,
        Fate.BELOW_LIMIT: Fate.ABOVE_LIMIT,
    }
    assert sorted((mirror.get(fate, fate), now, then) for fate, then, now in backward) == sorted(forward)


@given(outlined(), outlined())
def test_fates_are_what_distances_say(before: Outlined, now: Outlined) -> None:
    """Points are 9 mm or nothing apart, so the same lesion is one that shares a point."""
    for fate, then, since in told(lesion_changes(before, now)):
        own = {tuple(point) for number in then for point in before.points_lps[number - 1]}
        other = {tuple(point) for number in since for point in now.points_lps[number - 1]}
        assert (fate is Fate.MATCHED) == bool(own & other)
        if fate in (Fate.NEW, Fate.VANISHED):
            elsewhere = before if fate is Fate.NEW else now
            all_there = {tuple(point) for part in (*elsewhere.points_lps, elsewhere.small_lps) for point in part}
            assert not (own | other) & all_there
