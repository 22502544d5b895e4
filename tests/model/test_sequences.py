"""Choice of series on realistic headers; the expected answers are what a radiologist would pick."""

import random
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enhanced_head import ENHANCED, NATIVE, SUBTRACTED
from undecided import undecided
from zweitblick.errors import MissingSequenceError
from zweitblick.model.sequences import Chosen, choose
from zweitblick.study import Frame, Instance, Physics, Sequence, Series
from zweitblick.volume import Volume

START = datetime(2020, 1, 1, 12)  # noqa: DTZ001  DICOM times have no zone
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
NORMALS = {AXIAL: (0.0, 0.0, 1.0), SAGITTAL: (-1.0, 0.0, 0.0)}


def series(number: int, description: str, code: str, timing: tuple[float | None, ...], **other) -> Series:
    """One part: scanning sequence, (TR, TE, TI, flip angle), and what differs from a plain 2-D head."""
    slices, gap = other.pop("slices", 28), other.pop("gap", 5.0)
    orientation, shape = other.pop("orientation", AXIAL), other.pop("shape", (256, 256))
    image_type = other.pop("image_type", ("ORIGINAL", "PRIMARY", "M", "ND"))
    tr, te, ti, flip = timing
    physics = Physics(
        tr, te, ti, flip, scanning_sequence=tuple(code.split("\\")) if code else (), image_type=image_type
    )
    for name in ("contrast_agent", "b_value", "sequence_name"):
        if name in other:
            physics = replace(physics, **{name: other.pop(name)})
    instance = Instance("1.2.840.10008.5.1.4.1.1.4", f"1.{number}", "1.2.840.10008.1.2.1", 1, b"")
    frames = tuple(
        Frame(instance, k + 1, tuple(float(n * k * gap) for n in NORMALS[orientation]), orientation, (0.9, 0.9), shape)
        for k in range(slices)
    )
    uid, minute = other.pop("uid", f"1.2.{number}"), other.pop("minute", number)
    return Series(
        uid, number, "MR", (instance,), frames, description, frame_of_reference_uid="1.9",
        acquired_at=START + timedelta(minutes=minute), physics=physics, **other,
    )  # fmt: skip


def never(part: Series) -> Volume:
    raise AssertionError(f"pixels of {part.name} were read although the headers are clear")


def numbers(chosen: Chosen) -> dict[Sequence, int | None]:
    return {sequence: choice.series_number for sequence, choice in chosen.choices.items()}


T1, T1C, T2, FLAIR = Sequence.T1, Sequence.T1C, Sequence.T2, Sequence.FLAIR

SIEMENS = (
    series(1, "localizer", "GR", (8.6, 4.0, None, 20), slices=3),
    series(2, "t2_tirm_tra_dark-fluid", "SE\\IR", (9000, 94, 2500, 150)),
    series(3, "t2_tse_tra", "SE", (4500, 94, None, 150)),
    series(4, "ep2d_diff_3scan_trace", "EP", (4000, 90, None, 90), b_value=1000.0),
    series(
        5,
        "ep2d_diff_3scan_trace_ADC",
        "EP",
        (4000, 90, None, 90),
        image_type=("DERIVED", "PRIMARY", "DIFFUSION", "ADC"),
    ),
    series(6, "t2_fl2d_tra_hemo", "GR", (800, 26, None, 20)),
    series(7, "SWI_Images", "GR", (28, 20, None, 15), image_type=("ORIGINAL", "PRIMARY", "M", "SWI")),
    series(8, "t1_se_tra", "SE", (550, 12, None, 90)),
    series(9, "ep2d_perf", "EP", (1500, 30, None, 90)),
    series(10, "t1_se_tra_KM", "SE", (550, 12, None, 90), contrast_agent="Gadovist"),
    series(
        11,
        "t1_mprage_sag_KM",
        "GR\\IR",
        (1900, 2.5, 900, 9),
        contrast_agent="Gadovist",
        orientation=SAGITTAL,
        slices=176,
        gap=1.0,
    ),
)
GE = (
    series(1, "3 Plane Loc", "GR", (5, 1.6, None, 30), slices=5),
    series(2, "Ax T2 FLAIR", "SE\\IR", (8802, 120, 2250, 160)),
    series(3, "Ax T2 PROPELLER", "SE", (5200, 98, None, 142)),
    series(4, "Ax SWAN", "GR", (39, 24, None, 15)),
    series(5, "Ax T1 FLAIR", "SE\\IR", (2300, 22, 860, 111)),
    series(6, "Ax T1 FLAIR +C", "SE\\IR", (2300, 22, 860, 111), contrast_agent="GADAVIST"),
    series(7, "Ax 3D TOF MRA", "GR", (25, 3.4, None, 15)),
    series(8, "Ax DWI", "EP", (7000, 75, None, 90), b_value=1000.0),
)  # fmt: skip
PHILIPS = (
    series(101, "Survey", "GR", (11, 4.6, None, 15), slices=9),
    series(201, "FLAIR_longTR", "IR", (11000, 125, 2800, 90)),
    series(301, "T2W_TSE", "SE", (3000, 80, None, 90)),
    series(401, "sT1W_3D_TFE", "GR", (8.2, 3.8, None, 8), slices=170, gap=1.0),
    series(501, "DWI_SSh", "SE\\EP", (3200, 84, None, 90), b_value=1000.0),
    series(601, "sT1W_3D_TFE post GD", "GR", (8.2, 3.8, None, 8), slices=170, gap=1.0),
    series(602, "SUB sT1W_3D_TFE", "GR", (8.2, 3.8, None, 8), slices=170, gap=1.0),
)
HITACHI = (
    series(1, "SCANO", "GR", (50, 5, None, 30), slices=3),
    series(2, "T1 SE AX nativ", "SE", (450, 15, None, 90)),
    series(3, "T2 FSE AX", "SE", (5000, 110, None, 90)),
    series(4, "FLAIR AX", "SE\\IR", (10000, 110, 2000, 90)),
    series(5, "T1 SE AX + Gd", "SE", (450, 15, None, 90)),
)
TOSHIBA = (
    series(1000, "locator", "GR", (40, 5, None, 20), slices=3),
    series(2000, "FE_T2*", "GR", (700, 15, None, 20)),
    series(3000, "FSE T2", "SE", (4000, 105, None, 90)),
    series(4000, "FLAIR", "SE\\IR", (10000, 105, 2700, 90)),
    series(5000, "SE T1 pre", "SE", (520, 15, None, 80)),
    series(6000, "SE T1 post", "SE", (520, 15, None, 80)),
)

STUDIES = {
    "Siemens": (SIEMENS, {T1: 8, T1C: 10, T2: 3, FLAIR: 2}),
    "GE": (GE, {T1: 5, T1C: 6, T2: 3, FLAIR: 2}),
    "Philips": (PHILIPS, {T1: 401, T1C: 601, T2: 301, FLAIR: 201}),
    "Hitachi": (HITACHI, {T1: 2, T1C: 5, T2: 3, FLAIR: 4}),
    "Toshiba": (TOSHIBA, {T1: 5000, T1C: 6000, T2: 3000, FLAIR: 4000}),
}


def pixels(**by_number: Volume) -> Callable[[Series], Volume]:
    return lambda part: by_number[f"s{part.number}"]


@pytest.mark.parametrize("vendor", STUDIES)
def test_four_sequences_of_each_vendor(vendor: str) -> None:
    parts, expected = STUDIES[vendor]
    sub_or_dark = pixels(**{f"s{p.number}": NATIVE for p in parts})
    chosen = choose(parts, sub_or_dark, undecided)
    assert numbers(chosen) == expected
    assert all(chosen.series[s].number == n for s, n in expected.items())
    assert all(choice.reasons for choice in chosen.choices.values())


@pytest.mark.parametrize("vendor", STUDIES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_order_of_series_never_changes_the_choice(vendor: str, seed: int) -> None:
    parts = list(STUDIES[vendor][0])
    volume_of = pixels(**{f"s{p.number}": NATIVE for p in parts})
    first = choose(parts, volume_of, undecided)
    random.Random(seed).shuffle(parts)  # noqa: S311  no secret
    second = choose(parts, volume_of, undecided)
    assert second.series == first.series
    assert second.choices == first.choices
    assert second.rejected == first.rejected


@pytest.mark.parametrize(
    ("number", "wrong"),
    [
        (2, "t1_se_tra"),
        (2, "t2_tse_tra"),
        (2, "DWI"),
        (3, "FLAIR"),
        (3, "t1_se_tra"),
        (8, "t2_tse_tra"),
        (8, "FLAIR"),
        (10, "t2 tse"),
    ],
)
def test_clear_physics_wins_over_a_wrong_description(number: int, wrong: str) -> None:
    parts = [replace(p, description=wrong) if p.number == number else p for p in SIEMENS]
    assert numbers(choose(parts, pixels(**{f"s{p.number}": NATIVE for p in parts}), undecided)) == STUDIES["Siemens"][1]


def test_silent_physics_leaves_it_to_the_description() -> None:
    silent = (None, None, None, None)
    parts = [series(1, "FLAIR tra", "", silent), series(2, "T2 tra", "", silent), series(3, "unnamed", "", silent)]
    chosen = choose(parts, pixels(s3=NATIVE), undecided)
    assert numbers(chosen) == {T2: 2, FLAIR: 1}
    assert "series 3" in chosen.rejected


def test_lost_inversion_time_is_made_up_by_the_name() -> None:
    parts = [series(1, "FLAIR tra", "SE", (9000, 120, None, 90)), series(2, "t2", "SE", (9000, 100, None, 90))]
    assert numbers(choose(parts, never, undecided)) == {T2: 2, FLAIR: 1}


def test_equal_descriptions_without_tag_are_parted_by_intensity_against_a_wrong_time_order() -> None:
    parts = [
        series(1, "t1_se_tra", "SE", (550, 12, None, 90)),
        series(2, "t1_se_tra", "SE", (550, 12, None, 90)),
        SIEMENS[1],
    ]
    parts[2] = replace(parts[2], number=9)
    assert numbers(choose(parts, pixels(s1=NATIVE, s2=ENHANCED), undecided)) == {T1: 1, T1C: 2, FLAIR: 9}
    assert numbers(choose(parts, pixels(s1=ENHANCED, s2=NATIVE), undecided)) == {T1: 2, T1C: 1, FLAIR: 9}


def test_agent_and_words_set_for_the_whole_examination_are_overruled_by_intensity() -> None:
    gadovist = {"contrast_agent": "Gadovist"}
    parts = [series(n, "t1 post KM", "SE", (550, 12, None, 90), **gadovist) for n in (1, 2)]
    assert numbers(choose(parts, pixels(s1=NATIVE, s2=ENHANCED), undecided)) == {T1: 1, T1C: 2}


def test_swapped_descriptions_are_overruled_by_intensity() -> None:
    parts = [
        series(1, "t1 tra KM", "SE", (550, 12, None, 90)),
        series(2, "t1 tra nativ", "SE", (550, 12, None, 90)),
    ]
    assert numbers(choose(parts, pixels(s1=NATIVE, s2=ENHANCED), undecided)) == {T1: 1, T1C: 2}


def test_subtraction_tagged_original_is_found_by_its_dark_brain() -> None:
    gadovist = {"contrast_agent": "Gadovist"}
    parts = [
        series(1, "t1 tra", "SE", (550, 12, None, 90)),
        series(2, "t1 tra KM", "SE", (550, 12, None, 90), **gadovist),
        series(3, "t1 tra KM", "SE", (550, 12, None, 90), **gadovist),
    ]
    chosen = choose(parts, pixels(s1=NATIVE, s2=ENHANCED, s3=SUBTRACTED), undecided)
    assert numbers(chosen) == {T1: 1, T1C: 2}
    assert "subtraction" in chosen.rejected["series 3"]


@pytest.mark.parametrize("words", ["t1 SUB", "Subtraktion", "T1 KM - sub"])
def test_subtraction_named_so_is_never_read(words: str) -> None:
    parts = [SIEMENS[1], series(20, words, "SE", (550, 12, None, 90), contrast_agent="Gadovist")]
    chosen = choose(parts, never, undecided)
    assert numbers(chosen) == {FLAIR: 2}
    assert "subtraction" in chosen.rejected["series 20"]


AFTER = ["T1 post", "t1 tra + Gd", "T1 nach KM", "T1 mit KM", "Ax T1 +C", "T1_KM", "T1 post contrast", "t1-post-gd"]
AFTER += ["T1 apres injection", "t1 con contraste", "T1 mdc", "T1 GD", "T1 C+"]
BEFORE = ["T1 pre", "T1 nativ", "T1 ohne KM", "T1 w/o contrast", "T1 pre-contrast", "T1 sans injection", "T1 C-"]
BEFORE += ["T1 senza mdc", "T1 sin contraste", "t1 vor KM", "T1 unenhanced", "T1 without GAD"]


@pytest.mark.parametrize(("words", "expected"), [*((w, T1C) for w in AFTER), *((w, T1) for w in BEFORE)])
def test_words_for_before_and_after(words: str, expected: Sequence) -> None:
    parts = [SIEMENS[1], series(20, words, "SE", (550, 12, None, 90))]
    assert expected in choose(parts, never, undecided).series


REJECTS = (
    series(50, "t1 vibe dynamic", "GR", (5, 2, None, 12)),
    series(50, "3D TOF", "GR", (22, 4, None, 18)),
    series(50, "pd+t2", "SE", (3000, 15, None, 90)),
    series(50, "t2 stir", "SE\\IR", (4000, 40, 150, 150)),
    series(50, "T1 MIP", "GR", (8, 3, None, 10)),
    series(50, "mp2rage INV1", "GR\\IR", (5000, 2.9, 700, 4), slices=176, gap=1.0),
    series(50, "ciss", "GR", (8, 4, None, 60), slices=120, gap=0.7),
    series(50, "t1", "SE", (500, 10, None, 90), image_type=("ORIGINAL", "PRIMARY", "P", "ND")),
    series(50, "t1", "SE", (500, 10, None, 90), image_type=("DERIVED", "SECONDARY", "SCREEN SAVE")),
    series(50, "t1", "SE", (500, 10, None, 90), body_part="CSPINE"),
    series(50, "t1", "SE", (500, 10, None, 90), slices=5),
    series(50, "t2*", "GR", (650, 20, None, 20)),
    series(50, "scan", "SE\\EP", (3000, 90, None, 90)),
    replace(series(50, "t1", "SE", (500, 10, None, 90)), modality="CT"),
    replace(series(50, "t1", "SE", (500, 10, None, 90)), frames=()),
)


@pytest.mark.parametrize("part", REJECTS, ids=lambda p: f"{p.description} {p.body_part}")
def test_what_is_none_of_the_four_is_rejected_with_a_reason(part: Series) -> None:
    chosen = choose([SIEMENS[1], part], never, undecided)
    assert numbers(chosen) == {FLAIR: 2}
    assert chosen.rejected["series 50"]


def test_time_course_is_no_candidate() -> None:
    course = [series(50, "t1", "GR", (5, 2, None, 12), uid="1.50", minute=n) for n in range(6)]
    chosen = choose([SIEMENS[1], *course], never, undecided)
    assert numbers(chosen) == {FLAIR: 2}
    assert len(chosen.rejected) == 6


def test_uniform_mp2rage_image_is_a_t1() -> None:
    uni = series(
        5,
        "mp2rage UNI",
        "GR\\IR",
        (5000, 2.9, 700, 4),
        image_type=("DERIVED", "PRIMARY", "M", "UNI"),
        slices=176,
        gap=1.0,
    )
    assert numbers(choose([SIEMENS[1], uni], never, undecided)) == {T1: 5, FLAIR: 2}


@pytest.mark.parametrize("minute", [0, 60])
def test_untagged_3d_t1_in_another_plane_is_passed_over(minute: int) -> None:
    plain = [p for p in SIEMENS if p.number != 11]
    other = series(
        11, "mprage", "GR\\IR", (1900, 2.5, 900, 9), orientation=SAGITTAL, slices=176, gap=1.0, minute=minute
    )
    chosen = choose([*plain, other], pixels(**{f"s{p.number}": NATIVE for p in plain} | {"s10": ENHANCED}), undecided)
    assert numbers(chosen) == STUDIES["Siemens"][1]
    assert "plane" in {**chosen.choices[T1].passed_over, **chosen.choices[T1C].passed_over}["series 11"]


def test_dual_echo_gives_its_t2_and_leaves_its_proton_density() -> None:
    dual = [series(3, "pd+t2_tse", "SE", (3000, te, None, 150), uid="1.3") for te in (14, 98)]
    chosen = choose([SIEMENS[1], *dual], never, undecided)
    assert chosen.series[T2].physics.echo_time_ms == 98
    assert list(chosen.rejected) == ["series 3 part 1"]


BETTER = {
    "as acquired": ({"image_type": ("DERIVED", "SECONDARY", "REFORMATTED")}, {}, "derived"),
    "whole head": ({"slices": 14}, {}, "covered"),
    "same plane": ({"orientation": SAGITTAL, "slices": 150, "gap": 1.0}, {}, "plane"),
    "thinner": ({"gap": 7.0, "slices": 20}, {"gap": 3.0, "slices": 46}, "thicker"),
    "repeat": ({"minute": 20}, {"minute": 40}, "repeated"),
}


@pytest.mark.parametrize("case", BETTER)
def test_better_of_two_candidates_wins_for_a_stated_reason(case: str) -> None:
    worse, better, word = BETTER[case]
    parts = [SIEMENS[1], SIEMENS[2], series(30, "t2 a", "SE", (4000, 90, None, 90), **worse)]
    parts[1] = series(31, "t2 b", "SE", (4000, 90, None, 90), **better)
    chosen = choose(parts, never, undecided)
    assert chosen.choices[T2].series_number == 31
    assert word in chosen.choices[T2].passed_over["series 30"]


def test_any_subset_with_flair_or_enhanced_t1_will_do_and_none_without() -> None:
    flair, t2, t1, t1c = SIEMENS[1], SIEMENS[2], SIEMENS[7], SIEMENS[9]
    assert numbers(choose([flair], never, undecided)) == {FLAIR: 2}
    assert numbers(choose([t1c], never, undecided)) == {T1C: 10}
    with pytest.raises(MissingSequenceError, match=r"series 3 \(T2; TR 4500 ms, TE 94 ms.*series 8 \(T1;") as caught:
        choose([t1, t2], never, undecided)
    assert "t2_tse" not in str(caught.value)
    with pytest.raises(MissingSequenceError, match="no series"):
        choose([], never, undecided)


def test_reasons_hold_no_text_from_the_header() -> None:
    secret = [replace(p, description=p.description + " Mueller", protocol="Mueller") for p in SIEMENS]
    chosen = choose(secret, pixels(**{f"s{p.number}": NATIVE for p in secret}), undecided)
    told = [r for c in chosen.choices.values() for r in (*c.reasons, *c.passed_over.values())]
    assert not re.search("mueller", " ".join([*told, *chosen.rejected.values()]), re.IGNORECASE)
