"""T1 before or after contrast agent where the headers say little: what may count as evidence and what may not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from enhanced_head import ENHANCED, NATIVE, THICK, head
from undecided import undecided
from zweitblick.model.sequence_contrast import ORDER_ALONE
from zweitblick.model.sequence_words import contrast_words
from zweitblick.model.sequences import Chosen, choose
from zweitblick.study import Frame, Instance, Physics, Sequence, Series
from zweitblick.volume import Volume, axis_aligned_grid

START = datetime(2020, 1, 1, 12)  # noqa: DTZ001  DICOM times have no zone
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 5.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), (-5.0, 0.0, 0.0)
SPIN_ECHO = Physics(550, 12, None, 90, scanning_sequence=("SE",), image_type=("ORIGINAL", "PRIMARY", "M"))
GRADIENT_ECHO = replace(SPIN_ECHO, repetition_time_ms=250, echo_time_ms=3, scanning_sequence=("GR",))
AGAIN = head(THICK, enhanced=False, seed=7)
T1, T1C, T2, FLAIR = Sequence.T1, Sequence.T1C, Sequence.T2, Sequence.FLAIR


def series(number: int | None, description: str = "t1", *, lies=AXIAL, **other) -> Series:
    """A T1-weighted spin echo of 28 slices in frame of reference 1.9, acquired in the minute of its number."""
    orientation, step = lies
    instance = Instance("1.2.840.10008.5.1.4.1.1.4", f"1.{number}", "1.2.840.10008.1.2.1", 1, b"")
    frames = tuple(
        Frame(instance, k + 1, tuple(k * s for s in step), orientation, (0.9, 0.9), (256, 256)) for k in range(28)
    )
    plain = Series(
        f"1.2.{number}", number, "MR", (instance,), frames, description, frame_of_reference_uid="1.9",
        acquired_at=START + timedelta(minutes=number or 0), physics=SPIN_ECHO,
    )  # fmt: skip
    return replace(plain, **other)


FLAIR_SERIES = series(
    90,
    "flair",
    physics=replace(
        SPIN_ECHO, repetition_time_ms=9000, echo_time_ms=120, inversion_time_ms=2500, scanning_sequence=("SE", "IR")
    ),
)


def pixels(**by_number: Volume) -> Callable[[Series], Volume]:
    return lambda part: by_number[f"s{part.number}"]


def numbers(chosen: Chosen) -> dict[Sequence, int | None]:
    return {sequence: choice.series_number for sequence, choice in chosen.choices.items()}


def told(chosen: Chosen) -> list[str]:
    return [reason for choice in chosen.choices.values() for reason in choice.reasons]


@pytest.mark.parametrize("first", [AXIAL, SAGITTAL])
@pytest.mark.parametrize("again", [NATIVE, AGAIN])
def test_two_planes_without_agent_hold_no_enhanced_t1(first, again: Volume) -> None:
    second = SAGITTAL if first is AXIAL else AXIAL
    parts = [series(1, lies=first), series(2, lies=second), FLAIR_SERIES]
    chosen = choose(parts, pixels(s1=NATIVE, s2=again), undecided)
    assert set(chosen.choices) == {T1, FLAIR}
    axial, sagittal = (1, 2) if first is AXIAL else (2, 1)
    assert chosen.choices[T1].series_number == axial
    assert "plane" in chosen.choices[T1].passed_over[f"series {sagittal}"]
    assert ORDER_ALONE not in told(chosen)


@pytest.mark.parametrize("again", [NATIVE, AGAIN])
def test_a_repeat_that_shines_no_more_is_native_whatever_the_order(again: Volume) -> None:
    chosen = choose([series(1), series(2), FLAIR_SERIES], pixels(s1=NATIVE, s2=again), undecided)
    assert set(chosen.choices) == {T1, FLAIR}
    assert len(chosen.choices[T1].passed_over) == 1


def test_a_repeat_that_shines_more_is_enhanced_in_whatever_plane() -> None:
    parts = [series(1), series(2, lies=SAGITTAL), FLAIR_SERIES]
    chosen = choose(parts, pixels(s1=NATIVE, s2=ENHANCED), undecided)
    assert numbers(chosen) == {T1: 1, T1C: 2, FLAIR: 90}
    assert ORDER_ALONE not in told(chosen)


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_a_repeat_in_another_frame_is_enhanced_by_order_alone_and_says_so(first: int, second: int) -> None:
    parts = [
        series(1, acquired_at=START + timedelta(minutes=first)),
        series(2, acquired_at=START + timedelta(minutes=second), frame_of_reference_uid="1.10"),
    ]
    chosen = choose(parts, pixels(**{f"s{second}": NATIVE}), undecided)
    assert numbers(chosen) == {T1: first, T1C: second}
    assert ORDER_ALONE in chosen.choices[T1C].reasons
    assert ORDER_ALONE not in chosen.choices[T1].reasons


def test_a_repeat_whose_head_lies_elsewhere_is_enhanced_by_order_alone() -> None:
    far = Volume(NATIVE.voxels, axis_aligned_grid((900.0, 0.0, 0.0), THICK.shape, 2.0))
    chosen = choose([series(1), series(2)], pixels(s1=NATIVE, s2=far), undecided)
    assert numbers(chosen) == {T1: 1, T1C: 2}
    assert ORDER_ALONE in chosen.choices[T1C].reasons


@pytest.mark.parametrize(
    "other",
    [
        {"lies": SAGITTAL, "frame_of_reference_uid": "1.10"},
        {"lies": SAGITTAL, "frame_of_reference_uid": ""},
        {"physics": GRADIENT_ECHO},
        {"physics": replace(SPIN_ECHO, repetition_time_ms=350)},
        {"physics": GRADIENT_ECHO, "frame_of_reference_uid": "1.10"},
    ],
)
def test_order_says_nothing_between_unlike_protocols(other) -> None:
    chosen = choose([series(1), series(2, **other), FLAIR_SERIES], pixels(), undecided)
    assert set(chosen.choices) == {T1, FLAIR}
    assert ORDER_ALONE not in told(chosen)


def test_order_alone_is_not_told_where_a_word_speaks() -> None:
    parts = [series(1), series(2, "t1 km", frame_of_reference_uid="1.10")]
    chosen = choose(parts, pixels(), undecided)
    assert numbers(chosen) == {T1: 1, T1C: 2}
    assert ORDER_ALONE not in told(chosen)


SILENT = ["T1 tra posterior fossa", "T1 post. fossa", "T1 fossa post", "T1 fosse posterieure", "Schädel + Orbita"]
SILENT += ["T1 post op", "T1 postop", "T1 post-op", "T1 postoperativ", "T1 post OP Kontrolle", "T1 head+neck"]
SILENT += ["T1 post surgery", "T1 post RT", "T1 postcentral", "Kopf + HWS T1"]
AFTER = ["T1 +", "T1+", "T1 + c", "T1 +c", "T1 +KM sag", "T1 + Gd", "T1 + contrast", "T1 + K", "T1 C+ sag", "T1 + inj"]
AFTER += ["T1 post", "T1 post-contrast", "T1 postcontrast", "T1 postKM", "T1_POST_GD", "T1 post op KM", "T1 post op +c"]
AFTER += ["T1 posterior fossa post Gd", "T1 + injection", "T1 + Kontrastmittel"]


@pytest.mark.parametrize(("words", "sign"), [*((w, 0) for w in SILENT), *((w, 1) for w in AFTER)])
@pytest.mark.parametrize("place", ["description", "protocol"])
def test_a_plus_or_post_means_contrast_only_with_the_agent_or_alone(words: str, sign: int, place: str) -> None:
    texts = {"description": "tra", "protocol": "c", place: words}
    assert contrast_words(replace(series(1), **texts)) == sign


@pytest.mark.parametrize(
    ("description", "protocol", "sign"), [("T1 ohne", "KM", 1), ("T1 tra +", "Schaedel", 1), ("T1 C-", "Kopf", -1)]
)
def test_description_and_protocol_are_read_apart(description: str, protocol: str, sign: int) -> None:
    assert contrast_words(series(1, description, protocol=protocol)) == sign


@pytest.mark.parametrize(("number", "name"), [(5, "series 5"), (None, "a series without number")])
def test_series_of_one_name_are_all_named(number: int | None, name: str) -> None:
    twice = [series(number, words, uid=f"1.5.{n}") for n, words in enumerate(["localizer", "t1 SUB", "t1 MIP"])]
    rejected = choose([*twice, FLAIR_SERIES], pixels(), undecided).rejected
    assert list(rejected) == [name, f"{name} (2)", f"{name} (3)"]
    assert "localizer" in rejected[name]
    assert "subtraction" in rejected[f"{name} (2)"]


def test_parts_of_two_series_of_one_number_are_all_named() -> None:
    parts = [series(5, "t1 MIP", uid=uid) for uid in ("1.5.1", "1.5.2")]
    rejected = choose([*parts, parts[1], FLAIR_SERIES], pixels(), undecided).rejected
    assert list(rejected) == ["series 5", "series 5 (2) part 1", "series 5 (2) part 2"]


def test_passed_over_series_of_one_name_are_all_named() -> None:
    twice = [series(5, uid=f"1.5.{n}") for n in range(3)]
    chosen = choose([*twice, FLAIR_SERIES], pixels(s5=NATIVE), undecided)
    assert len(chosen.choices[T1].passed_over) == 2
