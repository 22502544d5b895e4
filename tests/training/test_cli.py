"""The researcher's command: what it refuses is one line for each fault, and nothing is written."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest

import tumour_run
from ball_cases import ball_case
from data_sets import write_brats2021
from zweitblick.model.bundle import default_models
from zweitblick_training.cli import EXIT_REFUSED, main
from zweitblick_training.export import release
from zweitblick_training.recipe import Recipe
from zweitblick_training.run import Run
from zweitblick_training.sides import Sides
from zweitblick_training.splits import Folds

TINY = Recipe(features=(4, 6, 8, 10), patch=48, batch=1, steps=2, warmup=1, shares=(("brats", 1.0),))


@pytest.fixture
def room(tmp_path: Path) -> Path:
    for name in ("one", "two", "three"):
        ball_case(name, size=48).save(tmp_path / "prepared" / name)
    Folds(({"p1": ("one",)}, {"p2": ("two",)}, {"p3": ("three",)})).write(tmp_path / "folds.json")
    TINY.write(tmp_path / "tiny.yaml")
    return tmp_path


def fit(room: Path, *more: str, run: str = "run", fold: str = "0") -> int:
    where = ["--cache", str(room / "prepared"), "--folds", str(room / "folds.json"), "--fold", fold]
    return main(["--threads", "1", "fit", str(room / run), *where, "--recipe", str(room / "tiny.yaml"), *more])


def test_a_fold_is_trained_without_its_test_cases(room: Path) -> None:
    assert fit(room, "--workers", "0", "--watch", "2") == 0
    run = Run(room / "run")
    assert Sides.read(run.sides) == Sides(("three", "two"), ("one",))
    assert Recipe.read(run.recipe) == TINY
    rows = [json.loads(line) for line in run.losses.read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [0, 1]
    assert [row for row in rows if "dice" in row]
    assert list((room / "run" / "tensorboard").iterdir())


def test_a_case_in_no_fold_stops_the_run(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ball_case("four", size=48).save(room / "prepared" / "four")
    assert fit(room) == EXIT_REFUSED
    assert "four is in no fold" in capsys.readouterr().err
    assert not (room / "run").exists()


def test_missing_damaged_and_stale_cases_are_told_at_once(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folds = Folds(({"p1": ("one",)}, {"p2": ("two",)}, {"p3": ("three",)}, {"p4": ("four", "five")}))
    folds.write(room / "folds.json")
    replace(ball_case("one", size=48), preparation="older").save(room / "prepared" / "one")
    path = room / "prepared" / "two" / "case.json"
    said = json.loads(path.read_text())
    del said["preparation"]  # as it was before this was kept
    path.write_text(json.dumps(said))
    (room / "prepared" / "three" / "labels.npy").write_bytes(b"half")
    assert fit(room, fold="all") == EXIT_REFUSED
    lines = capsys.readouterr().err.splitlines()
    nothing, stale = "no prepared case", "another version's code"
    words = {"five": nothing, "four": nothing, "one": stale, "three": nothing, "two": stale}
    assert len(lines) == len(words)
    for line, (name, word) in zip(lines, words.items(), strict=True):
        assert f"prepared/{name} " in line
        assert word in line
        assert "prepare it again" in line
    assert not (room / "run").exists()


def test_a_run_goes_on_with_its_own_recipe_and_cases_only(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    TINY.write(room / "tiny.yaml")
    assert fit(room, "--workers", "0") == 0
    Recipe(features=(4, 6, 8, 10), patch=48, steps=3, shares=(("brats", 1.0),)).write(room / "tiny.yaml")
    assert fit(room) == EXIT_REFUSED
    assert "another recipe" in capsys.readouterr().err
    TINY.write(room / "tiny.yaml")
    assert fit(room, fold="1") == EXIT_REFUSED
    assert "other cases" in capsys.readouterr().err


def test_a_run_does_not_go_on_with_a_recipe_that_was_cut_short(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    TINY.write(room / "tiny.yaml")
    Run(room / "run").folder.mkdir()
    Run(room / "run").recipe.write_bytes(b"")
    assert fit(room, "--workers", "0") == EXIT_REFUSED
    assert "recipe.yaml lacks architecture" in capsys.readouterr().err
    assert [path.name for path in (room / "run").iterdir()] == ["recipe.yaml"]


def test_a_data_set_without_a_share_stops_the_run(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ball_case("two", size=48, source="brats2021").save(room / "prepared" / "two")
    assert fit(room, "--workers", "0") == EXIT_REFUSED
    assert "brats2021 (1 cases)" in capsys.readouterr().err
    assert not (room / "run").exists()
    (room / "tiny.yaml").write_text(f"features: {list(TINY.features)}\npatch: 48\nbatch: 1\nsteps: 2\n")
    assert fit(room, "--workers", "0") == 0
    assert Recipe.read(room / "run" / "recipe.yaml").shares == ()


def test_a_full_disk_at_a_later_start_leaves_the_runs_files_whole(room: Path) -> None:
    assert fit(room, "--workers", "0") == 0
    run = Run(room / "run")
    # As by hand, so that a start would write them again, and a line that a kill cut short.
    changed = {
        run.sides: run.sides.read_text().replace("\n", ""),
        run.recipe: run.recipe.read_text() + "# ours\n",
        run.losses: run.losses.read_text() + '{"ste',
    }

    def full(path: Path, *content: object, **how: object) -> int:
        with path.open("wb"):
            raise OSError(errno.ENOSPC, "No space left on device")

    for path, text in changed.items():
        before = path.read_text()
        path.write_text(text)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "write_bytes", full)
            patch.setattr(Path, "write_text", full)
            with pytest.raises(OSError, match="No space"):
                fit(room, "--workers", "0")
        assert path.read_text() == text
        assert fit(room, "--workers", "0") == 0
        assert path.read_text() == before


def test_what_a_start_would_write_again_is_left_alone(room: Path) -> None:
    assert fit(room, "--workers", "0") == 0
    run = Run(room / "run")
    files = (run.recipe, run.sides, run.losses)
    before = [path.stat().st_mtime_ns for path in files]
    assert fit(room, "--workers", "0") == 0
    assert [path.stat().st_mtime_ns for path in files] == before


def test_a_batch_that_processes_cannot_share_spoils_no_folder(
    room: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told as torchrun tells each of its processes."""
    for name, value in {"RANK": "0", "WORLD_SIZE": "8", "TORCHELASTIC_RUN_ID": "one"}.items():
        monkeypatch.setenv(name, value)
    replace(TINY, batch=2).write(room / "tiny.yaml")
    assert fit(room, "--workers", "0") == EXIT_REFUSED
    assert "batch: 2 patches cannot be shared equally by 8 processes; take a multiple of 8" in capsys.readouterr().err
    assert not (room / "run").exists()


def test_weights_that_have_seen_the_test_cases_are_refused(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = room / "bundle"
    bundle.mkdir()
    Sides(("one", "two"), ()).write(bundle / "splits.json")
    assert fit(room, "--from", str(bundle)) == EXIT_REFUSED
    assert "learnt from one" in capsys.readouterr().err
    assert not (room / "run").exists()


def test_a_run_keeps_what_its_first_weights_have_learnt_from(room: Path) -> None:
    tumour_run.TINY.write(room / "tiny.yaml")
    release(tumour_run.tumour_run(room / "elder"), room / "bundle", {"train": ["a"], "test": [], "before": ["b"]})
    for start in (["--from", str(room / "bundle")], []):
        assert fit(room, "--workers", "0", *start) == 0
        assert Sides.read(Run(room / "run").sides) == Sides(("three", "two"), ("one",), before=("a", "b"))


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["fit", "run", "--fold", "first"], "neither a number nor 'all'"),
        (["prepare", "--data", "x", "--layout", "brats1999"], "brats2021"),
        (["fit"], "required"),
    ],
)
def test_wrong_usage_says_what_is_right(command: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(command)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def test_a_folder_of_another_layout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    assert main(["prepare", "--data", str(tmp_path), "--layout", "brats2021", "--cache", str(tmp_path / "c")]) == 3
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "c").exists()


def test_a_case_that_serving_cannot_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_brats2021(tmp_path / "data", ["BraTS2021_99999"])  # far too small for a head
    data = ["--data", str(tmp_path / "data"), "--layout", "brats2021", "--out", str(tmp_path / "scores")]
    assert main(["evaluate", str(default_models() / "tumour"), *data]) == EXIT_REFUSED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith("(while scoring case BraTS2021_99999 from T1+T1c+T2+FLAIR)")


def test_folds_are_drawn_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folds.json").write_text("{}")
    command = ["folds", "--data", str(tmp_path), "--layout", "bids", str(tmp_path / "folds.json")]
    assert main(command) == EXIT_REFUSED
    assert "exists already" in capsys.readouterr().err


def test_help_names_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(
        step in shown for step in ("prepare", "folds", "fit", "export", "evaluate", "card", "nnunet", "phantoms")
    )
