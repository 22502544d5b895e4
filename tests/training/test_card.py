"""The card: what it tells, and that it is written as a whole or not at all."""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from scored_cases import asked, refused, scored
from zweitblick.model.bundle import default_models, load_bundle
from zweitblick.model.manifest import MANIFEST, UNSIGNED_TOO
from zweitblick.prediction import Region
from zweitblick.study import Sequence
from zweitblick_training.cli import EXIT_REFUSED, main
from zweitblick_training.evaluate import Card, EvaluationError, Record, merged, network_key, record_path, summary
from zweitblick_training.evaluate.trials import Trials
from zweitblick_training.export import NETWORK_FILES, Precision, revise, seal, set_precision
from zweitblick_training.facts import FACTS_FILE, UNSTATED
from zweitblick_training.sides import Sides

TRAINING = {
    "architecture": "segresnet",
    "cases": 9,
    "features": [8, 8],
    "parameters": 1.5,
    "steps": 70,
    "batch": 2,
    "patch": 32,
    "hours": 1.5,
    "watts": 10.0,
    "energy": 0.25,
}


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """The released bundle, signature and all."""
    return Path(shutil.copytree(default_models() / "tumour", tmp_path / "models" / "tumour"))


FOLDS: tuple[list[Record], ...] = (
    [
        scored(asked("one")),
        refused(asked("one", subset=frozenset({Sequence.T1, Sequence.T2}))),
        scored(asked("two", site="there"), drawn_mm=14, found_mm=14),
    ],
    [
        scored(asked("three", network="b"), drawn_mm=22, found_mm=21),
        scored(asked("none", network="b"), drawn_mm=0, found_mm=0),
    ],
)
"""Two folds of two cases each, judged by two networks."""

TAUGHT = {"a": ["none", "three"], "b": ["one", "two"]}
"""What each of them has learnt from."""


def keep(records: Iterable[Record], bundle: Path, folder: Path) -> None:
    """Keep scores as if a bundle had just given them."""
    network = network_key(load_bundle(bundle, UNSIGNED_TOO), load_bundle(default_models() / "brain-mask"))
    for one in records:
        own = replace(one, asked=replace(one.asked, network=network))
        path = record_path(folder, own.asked)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(own.to_json()), encoding="utf-8")


def exported_again(bundle: Path) -> None:
    """Give a bundle another network, as a second training would."""
    path = bundle / NETWORK_FILES[Precision.FP32]
    model = onnx.load(path)
    model.doc_string = "another one"
    onnx.save(model, path)
    set_precision(bundle, Precision.FP32, channels=4)


def repeated(record: Record, count: int) -> list[Record]:
    """The scores of one head as those of so many patients."""
    names = [f"{record.asked.name}{number}" for number in range(count)]
    return [replace(record, asked=replace(record.asked, name=name, patient=name)) for name in names]


def bytes_of(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def bundle_at(folder: Path, training: dict[str, object]) -> Path:
    folder.mkdir()
    (folder / "training.json").write_text(json.dumps(training), encoding="utf-8")
    (folder / FACTS_FILE).write_text(replace(UNSTATED, data="heads of our own.").text, encoding="utf-8")
    return folder


def test_the_card_tells_what_was_found(tmp_path: Path) -> None:
    bundle, fold = bundle_at(tmp_path / "tumour", TRAINING), bundle_at(tmp_path / "fold", TRAINING | {"steps": 60})
    row = {"name": "half24", "parameters": 3.2, "dice": {"ET": 0.7}, "latency_s": 1.25, "size_mb": 6.4, "steps": 70}
    rows = [row | {"how": "on a GPU"}, row | {"name": "half32", "how": "on a GPU"}, row | {"name": "old"}]
    (tmp_path / "candidates.json").write_text(json.dumps(rows), encoding="utf-8")
    records = merged(FOLDS)
    drawn = Card.drawn_up(records, bundle, taught=TAUGHT, folds=[fold, fold], trials=tmp_path)
    card = drawn.text
    whole = drawn.figures.glioma[Region.WT].every.dice
    assert whole is not None
    assert f"| **WT**, all | 3 | {whole.mean:.3f} ({whole.low:.3f} to {whole.high:.3f}) | {whole.worst:.3f} |" in card
    assert "in 2 folds by patient" in card
    assert "Fewer folds than the usual five" in card
    assert "60, 60 steps, 3.0 h and 0.50 kWh" in card
    assert "| half24 | 3.2 | 0.700 | – | – | 1.25 | 6.4 | 70 |" in card
    assert "| old | 3.2 | 0.700 | – | – | 1.25 | 6.4 | 70 |\n\nhalf24; half32: on a GPU\n\n## Limits" in card
    assert "| T1+T2 | refused |" in card
    assert "9 training cases, which `splits.json` names: heads of our own." in card
    assert "MONAI's SegResNet" in card
    assert not [name for name in ("TCGA", "Buda", "7 bits", "CC BY", "U-Net with") if name in card]
    assert "| phantom there * | 1 |" in card
    said = json.loads(drawn.evaluation)
    assert said["summary"]["glioma"]["WT"]["every"]["dice"]["mean"] == pytest.approx(whole.mean, abs=1e-5)
    assert {one["name"] for one in said["cases"]} == {"one", "two", "three", "none"}
    assert "not known; of 3 lesions" in card
    assert drawn.limit_ml is None
    again = Card.drawn_up(records, bundle, taught=TAUGHT, folds=[fold, fold], trials=tmp_path)
    assert (again.text, again.evaluation) == (drawn.text, drawn.evaluation)


def test_a_card_without_its_papers_is_refused(tmp_path: Path) -> None:
    bundle = bundle_at(tmp_path / "tumour", {"steps": 1})
    with pytest.raises(EvaluationError, match="lacks architecture, cases"):
        Card.drawn_up(merged(FOLDS), bundle, taught={}, folds=[], trials=tmp_path)
    (tmp_path / "ideas.json").write_text('[{"idea": "longer"}]', encoding="utf-8")
    bundle = bundle_at(tmp_path / "other", TRAINING)
    with pytest.raises(EvaluationError, match="change"):
        Card.drawn_up(merged(FOLDS), bundle, taught={}, folds=[], trials=tmp_path)
    (bundle / FACTS_FILE).rename(tmp_path / FACTS_FILE)
    with pytest.raises(EvaluationError, match=FACTS_FILE):
        Card.drawn_up(merged(FOLDS), bundle, taught={}, folds=[], trials=None)
    (tmp_path / FACTS_FILE).rename(bundle / FACTS_FILE)
    (tmp_path / "ideas.json").unlink()
    with pytest.raises(EvaluationError, match="no case has a glioma"):
        Card.drawn_up(
            [one for one in merged(FOLDS) if one.asked.name == "none"], bundle, taught={}, folds=[], trials=tmp_path
        )


def test_a_refused_card_leaves_every_byte_of_the_bundle_as_it_was(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fold, scores = Path(shutil.copytree(released, tmp_path / "fold")), tmp_path / "scores"
    keep(FOLDS[0], fold, scores)
    facts = (released / FACTS_FILE).rename(tmp_path / FACTS_FILE)
    before = bytes_of(released)
    assert MANIFEST in before
    card = ["card", str(released), "--fold", str(fold), str(scores)]
    assert main(card) == EXIT_REFUSED
    assert "bundle tumour has no release.yaml" in capsys.readouterr().err
    assert bytes_of(released) == before
    facts.rename(released / FACTS_FILE)
    before = bytes_of(released)
    assert main([*card, "--fold", str(fold), str(scores)]) == EXIT_REFUSED
    assert "scored twice" in capsys.readouterr().err
    (fold / "training.json").write_text("{}", encoding="utf-8")
    seal(fold)
    assert main(card) == EXIT_REFUSED
    assert "lacks architecture" in capsys.readouterr().err
    (released / "models" / "model.onnx").rename(tmp_path / "model.onnx")
    shutil.copy(released / "training.json", fold)
    seal(fold)
    assert main(card) == EXIT_REFUSED  # found only once the new bundle is half made
    assert "model.onnx" in capsys.readouterr().err
    (tmp_path / "model.onnx").rename(released / "models" / "model.onnx")
    assert bytes_of(released) == before
    assert [path.name for path in released.parent.iterdir()] == ["tumour"]


def test_a_card_is_written_and_sealed_with_what_was_proven(released: Path, tmp_path: Path) -> None:
    card = ["card", str(released), "--fold", str(released), str(tmp_path / "scores")]
    keep(repeated(FOLDS[1][0], 5), released, tmp_path / "scores")
    assert main(card) == 0
    limit = load_bundle(released, UNSIGNED_TOO).validated_ml
    assert f"**Found reliably from:** {limit:g} ml" in (released / "docs" / "README.md").read_text(encoding="utf-8")
    assert limit == pytest.approx(4 / 3 * 3.1416 * 2.2**3, rel=0.05)
    assert not (released / MANIFEST).exists()
    shutil.rmtree(tmp_path / "scores")
    keep(repeated(FOLDS[1][0], 4), released, tmp_path / "scores")
    released.rename(released.with_name(".tumour.old"))  # as a kill between the two renames leaves it
    assert main(card) == 0
    assert "not known" in (released / "docs" / "README.md").read_text(encoding="utf-8")
    assert "validated_ml" not in json.loads((released / "configs" / "metadata.json").read_text(encoding="utf-8"))
    load_bundle(released, UNSIGNED_TOO)


def test_scores_of_another_network_than_the_bundles_are_refused(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = tmp_path / "scores"
    card = ["card", str(released), "--fold", str(released), str(scores)]
    keep(FOLDS[0], released, scores)
    exported_again(released)
    before = bytes_of(released)
    assert main(card) == EXIT_REFUSED
    assert "run evaluate" in capsys.readouterr().err
    keep(FOLDS[0][:2], released, scores)
    assert main(card) == EXIT_REFUSED
    assert "case two from T1+T1c+T2+FLAIR was scored by another network" in capsys.readouterr().err
    assert bytes_of(released) == before
    better = scored(FOLDS[0][2].asked, drawn_mm=14, found_mm=13)
    keep([better], released, scores)
    assert main(card) == 0
    dice = better.regions[Region.WT].dice
    assert f"{dice:.3f} | " in (released / "docs" / "README.md").read_text(encoding="utf-8")


def test_folds_of_another_temperature_than_the_release_are_refused(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fold, scores = Path(shutil.copytree(released, tmp_path / "fold")), tmp_path / "scores"
    keep(FOLDS[0], fold, scores)
    revise(released, {"temperature": dict.fromkeys(("ET", "TC", "WT"), 1.6)})
    before = bytes_of(released)
    assert main(["card", str(released), "--fold", str(fold), str(scores)]) == EXIT_REFUSED
    assert "1.6" in capsys.readouterr().err
    assert bytes_of(released) == before


def test_a_bundle_that_is_not_there_is_named(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(FOLDS[0], released, tmp_path / "scores")
    assert main(["card", str(tmp_path / "nowhere"), "--fold", str(released), str(tmp_path / "scores")]) == EXIT_REFUSED
    assert "nowhere" in capsys.readouterr().err


def test_scores_of_a_case_before_and_after_its_correction_are_not_mixed() -> None:
    first, second, *_ = FOLDS[0]
    merged([[first, second]])
    with pytest.raises(EvaluationError, match=r"case one: .* before a correction"):
        merged([[replace(first, asked=replace(first.asked, case="corrected")), second]])


def test_a_source_is_left_out_if_no_network_that_judged_it_had_learnt_from_it() -> None:
    records = merged(FOLDS)
    assert summary(records, taught=TAUGHT).left_out == ("phantom there",)
    # A third fold, whose scores are not there, may be from anywhere.
    assert summary(records, taught=TAUGHT | {"a": ["none", "three", "five"]}).left_out == ()
    five = scored(asked("five", site="there", network="c"))
    third = {"a": ["five", "none", "three"], "b": ["five", "one", "two"], "c": ["none", "one", "three", "two"]}
    assert summary([*records, five], taught=third).left_out == ()


def test_what_was_left_out_is_read_from_the_folds_bundles(released: Path, tmp_path: Path) -> None:
    first, second = (Path(shutil.copytree(released, tmp_path / name)) for name in ("first", "second"))
    exported_again(second)
    card = ["card", str(released)]
    for bundle, records, names in zip((first, second), FOLDS, TAUGHT.values(), strict=True):
        Sides(tuple(names), ()).write(bundle / "splits.json")
        seal(bundle)
        keep(records, bundle, tmp_path / "scores" / bundle.name)
        card += ["--fold", str(bundle), str(tmp_path / "scores" / bundle.name)]
    assert main(card) == 0
    assert "| phantom there * | 1 |" in (released / "docs" / "README.md").read_text(encoding="utf-8")
    Sides(("five", "none", "three"), ()).write(first / "splits.json")
    seal(first)
    assert main(card) == 0
    assert "| phantom there | 1 |" in (released / "docs" / "README.md").read_text(encoding="utf-8")


def test_the_released_candidates_say_how_they_were_compared() -> None:
    trials = Trials.read(Path(__file__).parents[2] / "training")
    assert trials.candidates
    assert all("patients" in one.how and "cores" in one.how for one in trials.candidates)
