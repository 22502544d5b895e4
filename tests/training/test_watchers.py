"""Who watches a run writes what others can read."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from zweitblick.prediction import Region
from zweitblick_training.recipe import Recipe
from zweitblick_training.run import Run
from zweitblick_training.watchers import Losses, MlFlow, ProgressBar, Step, TensorBoard

DICE = {Region.ET: float("nan"), Region.TC: 0.25, Region.WT: 0.75}


def steps(count: int) -> list[Step]:
    return [Step(number, 1.0 / (number + 1), 1e-3, 0.5) for number in range(count)]


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    board = TensorBoard(Run(tmp_path))
    for step in steps(3):
        board.stepped(step)
    board.validated(2, DICE)
    board.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [round(event.value, 4) for event in events.Scalars("loss")] == [1.0, 0.5, 0.3333]
    assert events.Scalars("dice/WT")[0].value == 0.75
    assert "dice/ET" not in events.Tags()["scalars"]


def test_mlflow_reads_what_was_logged_in_two_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # MLflow's small package has no other store than a folder, which it wants to be asked for twice.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "store").as_uri()
    run = Run(tmp_path / "fold3")
    MlFlow(uri, run, Recipe()).stepped(steps(1)[0])
    resumed = MlFlow(uri, run, Recipe())
    resumed.stepped(steps(2)[1])
    resumed.validated(1, DICE)
    client = MlflowClient(uri)
    logged = client.get_run(resumed.run_id)
    assert logged.info.run_name == "fold3"
    assert logged.data.params["seed"] == str(Recipe.seed)
    assert [metric.value for metric in client.get_metric_history(resumed.run_id, "loss")] == [1.0, 0.5]
    assert logged.data.metrics["dice_WT"] == 0.75


def test_losses_after_the_checkpoint_are_dropped_on_resuming(tmp_path: Path) -> None:
    losses = Losses(Run(tmp_path), 0)
    for step in steps(5):
        losses.stepped(step)
    with Run(tmp_path).losses.open("a") as file:
        file.write('{"step": 5, "lo')
    Losses(Run(tmp_path), 3)
    rows = [json.loads(line) for line in Run(tmp_path).losses.read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 2]


def test_the_progress_bar_shows_loss_and_dice(capsys: pytest.CaptureFixture[str]) -> None:
    bar = ProgressBar(Recipe(steps=200))
    for step in steps(200):
        bar.stepped(step)
    bar.validated(199, DICE)
    bar.stepped(Step(199, 0.5, 0.0, 0.1))
    bar.close()
    shown = capsys.readouterr().out
    assert "200/200" in shown
    assert "WT 0.75" in shown
    assert "ET" not in shown
