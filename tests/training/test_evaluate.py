"""Evaluation on ball-shaped heads whose tumour a thresholding network finds: what is scored, kept, joined and told."""

import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from zweitblick.errors import NotAHeadError
from zweitblick.model import specks
from zweitblick.model.bundle import Bundle, Bundles
from zweitblick.pipeline import segment
from zweitblick.prediction import CORE, ENHANCING, OEDEMA, REGIONS, Region
from zweitblick.study import Sequence
from zweitblick.volume import Grid, Volume, axis_aligned_grid
from zweitblick_training.datasets import RawCase
from zweitblick_training.evaluate import (
    ALL,
    SUBSETS,
    CaseReader,
    CaseScore,
    EvaluationError,
    Refused,
    draw_worst,
    evaluate,
    evaluate_case,
    fitted,
    limit_ml,
    merged,
    network_key,
    record_path,
    stored,
    subset_name,
    summary,
    worst_cases,
)
from zweitblick_training.evaluate.case import answering_digest
from zweitblick_training.scores import UnprovenError, dice, overlap, region_mask

GRID = axis_aligned_grid((0.0, 0.0, 0.0), (40, 40, 40), 3.0)


def ball(radius_mm: float, center_mm: tuple[float, float, float] = (0.0, 0.0, 0.0), grid: Grid = GRID) -> np.ndarray:
    index = np.indices(grid.shape).transpose(1, 2, 3, 0)
    return np.linalg.norm(grid.lps(index) - np.array(center_mm), axis=-1) <= radius_mm


def head(name: str, *, tumour_mm: float = 18.0, site: str = "here", grid: Grid = GRID) -> RawCase:
    """A ball of 52 mm; the whole tumour is bright on FLAIR, dark on T1, its core bright on T2, what enhances on T1c."""
    brain = ball(52, grid=grid)
    whole, core, enhancing = (
        ball(tumour_mm * share, (20.0, 8.0, -5.0), grid) & (tumour_mm > 0) for share in (1, 0.7, 0.5)
    )
    noise = np.random.default_rng(1).normal(0, 4, grid.shape)
    shines = {Sequence.T1: ~whole, Sequence.T1C: enhancing, Sequence.T2: core, Sequence.FLAIR: whole}
    volumes = {
        sequence: Volume(np.where(brain, 100 + 200.0 * shines[sequence] + noise, 0).astype(np.float32), grid)
        for sequence in shines
    }
    labels = np.zeros(grid.shape, np.float32)
    for value, mask in ((OEDEMA, whole), (CORE, core), (ENHANCING, enhancing)):
        labels[mask] = value
    return RawCase(
        name=name,
        patient=name,
        source="phantom",
        volumes=volumes,
        labels=Volume(labels, grid),
        labelled=REGIONS,
        stripped=True,
        site=site,
    )


def bright(x: np.ndarray) -> np.ndarray:
    """ET where T1c is bright, TC where T2 is, WT where any is; a dark T1 shows nothing."""
    t1c, t2, flair = (np.clip(x[:, channel] - 1.5, 0, 1) for channel in (1, 2, 3))
    core = np.maximum(t1c, t2)
    return np.stack([t1c, core, np.maximum(core, flair)], axis=1).astype(np.float32)


def tissue(x: np.ndarray) -> np.ndarray:
    return (x > 0.3).astype(np.float32)


def bundles(digest: str = "a") -> Bundles:
    brain = Bundle("any", "1", digest, tissue, 0.0, "NumPy")
    every = Bundles(**{one.name: brain for one in fields(Bundles)})
    return replace(every, tumour=Bundle("tumour", "1", digest, bright, 0.0, "NumPy"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds of two cases each, judged by two networks; only the first of all is read from every subset."""
    place = tmp_path_factory.mktemp("records")
    evaluate([head("one")], bundles("a"), place / "0", subsets=SUBSETS)
    evaluate([head("two", tumour_mm=14, site="there")], bundles("a"), place / "0")
    evaluate([head("three", tumour_mm=22), head("none", tumour_mm=0)], bundles("b"), place / "1")
    return place


def joined(folder: Path) -> list[CaseScore | Refused]:
    return merged([stored(folder / "0"), stored(folder / "1")])


def test_what_is_scored_is_what_segment_outlines() -> None:
    case = head("one")
    for subset in (ALL, frozenset({Sequence.T2, Sequence.FLAIR})):
        served = segment({name: one for name, one in case.volumes.items() if name in subset}, bundles())
        score = evaluate_case(case, bundles(), subset)
        assert isinstance(score, CaseScore)
        found = served.resampled(GRID)
        for region in REGIONS:
            truth = region_mask(case.labels.voxels.astype(np.uint8), region)
            assert score.regions[region].dice == dice(found.mask(region), truth)
            assert score.regions[region].predicted_voxels == found.mask(region).sum()


def test_a_known_tumour_is_found_and_measured() -> None:
    score = evaluate_case(head("one"), bundles())
    assert isinstance(score, CaseScore)
    whole = score.regions[Region.WT]
    assert whole.dice > 0.9
    assert whole.measured is not None
    assert whole.measured.truth_ml == pytest.approx(4 / 3 * np.pi * 1.8**3, rel=0.03)
    assert whole.measured.lesions.found == 1
    assert len(score.lesions) == 1


def test_twelve_subsets_are_read_and_three_refused(folder: Path) -> None:
    records = [one for one in stored(folder / "0") if one.asked.name == "one"]
    refused = {one.asked.subset for one in records if isinstance(one, Refused)}
    assert len(records) == 15
    assert refused == {frozenset({Sequence.T1}), frozenset({Sequence.T2}), frozenset({Sequence.T1, Sequence.T2})}


def test_without_flair_the_oedema_is_lost_and_the_core_is_not(folder: Path) -> None:
    figures = summary(joined(folder)).subsets
    assert figures["T1+T1c+T2"].dice[Region.TC].mean == pytest.approx(figures["T1+T1c+T2+FLAIR"].dice[Region.TC].mean)
    assert figures["T1+T1c+T2"].dice[Region.WT].mean < figures["T1+T1c+T2+FLAIR"].dice[Region.WT].mean - 0.1


def test_a_case_without_t2_is_asked_once_from_all_it_has(tmp_path: Path) -> None:
    case = head("one")
    three = replace(case, volumes={name: one for name, one in case.volumes.items() if name is not Sequence.T2})
    records = evaluate([three], bundles(), tmp_path, subsets=(ALL, ALL - {Sequence.T2}))
    assert [(one.asked.everything, subset_name(one.asked.subset)) for one in records] == [(True, "T1+T1c+FLAIR")]


def test_unknown_spacing_is_scored_in_voxels_only() -> None:
    shape = axis_aligned_grid((0.0, 0.0, 0.0), (40, 134, 134), 1.0)
    grid = Grid(shape.shape, shape.lps_from_index * [3.25, 0.9, 0.9, 1])
    middle = np.eye(4)
    middle[:3, 3] = -grid.center_lps
    case = replace(
        head("one", grid=Grid(grid.shape, middle @ grid.lps_from_index)), spacing_known=False, labelled=(Region.WT,)
    )
    score = evaluate_case(case, bundles())
    assert isinstance(score, CaseScore)
    assert set(score.regions) == {Region.WT}
    assert score.regions[Region.WT].measured is None
    assert score.regions[Region.WT].volume_error is not None
    assert score.lesions == ()


def test_a_killed_evaluation_goes_on(tmp_path: Path) -> None:
    def killed() -> Iterator[RawCase]:
        yield head("one")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(killed(), bundles(), tmp_path)
    path = record_path(tmp_path, stored(tmp_path)[0].asked)
    kept, before = path.read_bytes(), path.stat().st_mtime_ns
    path.with_suffix(".part").write_text("half a rec", encoding="utf-8")
    records = evaluate([head("one"), head("two", tumour_mm=14)], bundles(), tmp_path)
    assert [one.asked.name for one in records] == ["one", "two"]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (kept, before)


def test_a_corrected_outline_is_scored_again(tmp_path: Path) -> None:
    case = head("one")
    (before,) = evaluate([case], bundles(), tmp_path)
    smaller = replace(case, labels=head("one", tumour_mm=12).labels)
    (after,) = evaluate([smaller], bundles(), tmp_path)
    assert isinstance(before, CaseScore)
    assert isinstance(after, CaseScore)
    assert after.regions[Region.WT].truth_voxels < before.regions[Region.WT].truth_voxels
    assert [one.asked for one in stored(tmp_path)] == [after.asked]


def test_other_networks_are_asked_anew(tmp_path: Path) -> None:
    first, second = (CaseReader(head("one"), bundles(digest)).question() for digest in ("a", "b"))
    assert first.network != second.network
    assert record_path(tmp_path, first) != record_path(tmp_path, second)


def test_other_arithmetic_and_other_code_are_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = bundles().tumour, bundles().brain_mask
    keys = {network_key(*plain), network_key(replace(plain[0], runtime="NumPy, int8"), plain[1])}
    for changed in (specks, overlap):
        monkeypatch.setattr(inspect, "getsource", _sources(changed, inspect.getsource))
        answering_digest.cache_clear()
        keys.add(network_key(*plain))
        monkeypatch.undo()
        answering_digest.cache_clear()
    assert len(keys) == 4
    assert network_key(*plain) in keys


def _sources(changed: ModuleType, original: Callable[[object], str]) -> Callable[[object], str]:
    return lambda thing: original(thing) + ("\n0\n" if thing is changed else "")


def test_a_record_survives_its_file(folder: Path) -> None:
    for one in joined(folder):
        path = record_path(folder / ("0" if one.asked.name in ("one", "two") else "1"), one.asked)
        assert json.loads(path.read_text(encoding="utf-8")) == one.to_json()


def test_a_case_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    blind = Bundle("none", "1", "x", lambda x: np.zeros(x.shape, np.float32), 0.0, "NumPy")
    tiny = replace(bundles(), brain_mask=blind)
    with pytest.raises(NotAHeadError) as failure:
        evaluate([head("one")], tiny, tmp_path)
    assert any("one" in note for note in failure.value.__notes__)


def test_a_patient_judged_twice_is_refused(folder: Path) -> None:
    first, second = stored(folder / "0"), stored(folder / "1")
    with pytest.raises(EvaluationError, match="scored twice"):
        merged([first, first])
    again = [replace(one, asked=replace(one.asked, name="other", patient="two")) for one in second]
    with pytest.raises(EvaluationError, match="more than one fold"):
        merged([first, again])


def test_a_summary_counts_cases_sources_and_heads_without_tumour(folder: Path) -> None:
    figures = summary(joined(folder))
    assert figures.networks == 2
    assert figures.glioma[Region.WT].every.cases == 3
    assert {name: of[Region.WT].every.cases for name, of in figures.sources.items()} == {
        "phantom": 3,
        "phantom here": 2,
        "phantom there": 1,
    }
    assert figures.left_out == ()  # as nobody said what the networks learnt from
    assert [one.name for one in figures.no_tumour] == ["none"]
    assert figures.glioma[Region.WT].every.lesions_found == 3
    values = [one.regions[Region.WT].dice for one in joined(folder) if isinstance(one, CaseScore) and is_glioma(one)]
    whole = figures.glioma[Region.WT].every.dice
    assert whole is not None
    assert whole.mean == pytest.approx(np.mean(values))
    assert whole.worst == min(values)


def is_glioma(score: CaseScore) -> bool:
    return score.asked.everything and score.has_tumour


def test_where_nothing_enhances_the_rule_counts_beside_the_mean(folder: Path) -> None:
    records = joined(folder)
    bare = next(one for one in records if isinstance(one, CaseScore) and one.asked.name == "two")
    score = replace(bare.regions[Region.ET], dice=0.0, truth_voxels=0)
    emptied = replace(bare, regions={**bare.regions, Region.ET: score})
    figures = summary([emptied if one is bare else one for one in records]).glioma[Region.ET]
    assert figures.every.cases == 3
    assert figures.present.cases == 2
    assert figures.every.dice is not None
    assert figures.present.dice is not None
    assert figures.every.dice.mean == pytest.approx(figures.present.dice.mean * 2 / 3)


def test_a_temperature_is_fitted_and_few_lesions_prove_nothing(folder: Path) -> None:
    assert 0.2 <= fitted(joined(folder)) <= 5
    with pytest.raises(UnprovenError):
        limit_ml(joined(folder))


def test_the_worst_case_is_drawn(folder: Path, tmp_path: Path) -> None:
    records = [one for one in joined(folder) if one.asked.name == "two"]
    assert worst_cases(records) == ["two"]
    (path,) = draw_worst([head("one"), head("two", tumour_mm=14)], bundles(), records, tmp_path)
    image = np.asarray(Image.open(path))
    assert image.shape == (40, 4 * 40, 3)
    plain, outlined = image[:, :40], image[:, 40:80]
    assert (plain[..., 0] == plain[..., 1]).all()
    assert (outlined[..., 0] != outlined[..., 1]).any()


@pytest.mark.parametrize("drawn_on", [Sequence.T1C, Sequence.FLAIR])
def test_a_perfect_outline_is_perfect_whichever_sequence_comes_first(drawn_on: Sequence) -> None:
    """FLAIR lies 8 mm off T1c by its header; the outline is on the grid of one of them."""
    case = head("one")
    off = np.eye(4)
    off[:3, 3] = 8, 0, 0
    moved = Grid(GRID.shape, off @ GRID.lps_from_index)
    t1c, flair = case.volumes[Sequence.T1C], Volume(case.volumes[Sequence.FLAIR].voxels, moved)
    labels = Volume(case.labels.voxels, moved if drawn_on is Sequence.FLAIR else GRID)
    found = set()
    for volumes in ({Sequence.T1C: t1c, Sequence.FLAIR: flair}, {Sequence.FLAIR: flair, Sequence.T1C: t1c}):
        reader = CaseReader(replace(case, volumes=volumes, labels=labels), bundles())
        scores = [reader.score(), reader.score(frozenset({Sequence.FLAIR}))]
        found.add(tuple(one.regions[Region.WT].dice for one in scores if isinstance(one, CaseScore)))
    ((both, flair_alone),) = found
    assert min(both, flair_alone) > 0.95
