"""The training loop: it learns, and being killed changes nothing."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from ball_cases import ball_case
from zweitblick_training.case import Case
from zweitblick_training.fit import fit, rate_at, region_loss
from zweitblick_training.recipe import Recipe
from zweitblick_training.run import Run

TINY = Recipe(features=(4, 6, 8, 10), patch=64, steps=8, warmup=2, shares=(("brats", 1.0),), tumour_share=1.0)

TRAIN = """
import sys
from pathlib import Path
import torch
from zweitblick_training.case import Case
from zweitblick_training.fit import fit
from zweitblick_training.run import Run
from zweitblick_training.recipe import Recipe
torch.set_num_threads(1)
folder = Path(sys.argv[1])
fit(Recipe.from_json(folder / "tiny.json"), [Case.load(folder / "ball.npz")], Run(folder / "run"), save_every=2)
"""


def losses(run: Run) -> list[float]:
    """Loss of each step; a step done again after a kill counts once, by its last entry."""
    rows = [json.loads(line) for line in run.losses.read_text(encoding="utf-8").splitlines()]
    return list({row["step"]: row["loss"] for row in rows}.values())


def start(folder: Path) -> "subprocess.Popen[bytes]":
    folder.mkdir(exist_ok=True)
    (folder / "tiny.json").write_text(TINY.to_json(), encoding="utf-8")
    ball_case("ball").save(folder / "ball.npz")
    return subprocess.Popen([sys.executable, "-c", TRAIN, str(folder)])


def test_a_killed_run_goes_on_to_the_same_losses(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(whole).wait(timeout=120) == 0
    process = start(killed)
    deadline = time.monotonic() + 120
    while not (killed / "run" / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    assert start(killed).wait(timeout=120) == 0
    assert losses(Run(killed / "run")) == losses(Run(whole / "run"))


def test_the_loss_falls(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = Recipe(features=(8, 12, 16, 20), patch=32, steps=150, warmup=4, rate=5e-3, shares=(("brats", 1.0),))
    run = Run(tmp_path / "run")
    fit(recipe, [ball_case("one", seed=1), ball_case("two", seed=2)], run)
    curve = losses(run)
    assert sum(curve[-10:]) < 0.8 * sum(curve[:10])


def test_an_unlabelled_region_teaches_nothing() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, 8, requires_grad=True)
    target = (torch.rand(2, 3, 8, 8, 8) > 0.5).float()
    labelled = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    region_loss(logits, target, labelled).backward()
    assert logits.grad is not None
    assert (logits.grad[1, :2] == 0).all()
    assert (logits.grad[1, 2] != 0).any()
    assert (logits.grad[0] != 0).any()


def test_the_rate_rises_and_falls_to_nothing() -> None:
    recipe = Recipe(steps=1000, warmup=100, rate=1.0)
    rates = [rate_at(step, recipe) for step in range(1000)]
    assert max(rates) == rates[100] == 1.0
    assert rates[:100] == sorted(rates[:100])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[-1] < 1e-4


def test_a_case_reads_back_as_it_was_saved(tmp_path: Path) -> None:
    case = ball_case("ball")
    case.save(tmp_path / "ball.npz")
    back = Case.load(tmp_path / "ball.npz")
    assert back.name == case.name
    assert (back.images == case.images).all()
    assert (back.labels == case.labels).all()
    assert not list(tmp_path.glob("*.part"))
