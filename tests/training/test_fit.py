"""The training loop: it learns, and neither a kill nor a second process changes what it learns from."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ball_cases import ball_case
from zweitblick.prediction import Region
from zweitblick_training.augmentation import Augmentation
from zweitblick_training.case import Case
from zweitblick_training.fit import fit
from zweitblick_training.learner import DivergedError, Learner, rate_at
from zweitblick_training.processes import ALONE
from zweitblick_training.recipe import Recipe
from zweitblick_training.run import Run, averaged
from zweitblick_training.samples import batches
from zweitblick_training.validation import Validation
from zweitblick_training.watchers import Step

TINY = Recipe(features=(4, 6, 8, 10), patch=48, batch=1, steps=20, warmup=2, shares=(("brats", 1.0),), tumour_share=1.0)

TRAIN = """
import sys
from pathlib import Path
import torch
from ball_cases import ball_case
from zweitblick_training.fit import fit
from zweitblick_training.run import Run
from zweitblick_training.recipe import Recipe
if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    recipe = Recipe.read(folder / "tiny.yaml")
    fit(recipe, [ball_case("ball")], Run(folder / "run", save_every=5, workers=0))
"""


def losses(run: Run) -> list[float]:
    rows = [json.loads(line) for line in run.losses.read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows] == list(range(len(rows)))
    return [row["loss"] for row in rows]


def rows(run: Run) -> list[dict[str, object]]:
    """Lines of the file of losses but for what differs from one machine to the next: the time."""
    lines = map(json.loads, run.losses.read_text(encoding="utf-8").splitlines())
    return [{key: value for key, value in line.items() if key != "s"} for line in lines]


def start(folder: Path, recipe: Recipe, *launcher: str) -> "subprocess.Popen[bytes]":
    folder.mkdir(exist_ok=True)
    recipe.write(folder / "tiny.yaml")
    (folder / "train.py").write_text(TRAIN, encoding="utf-8")
    tests = str(Path(__file__).resolve().parents[1])
    command = [*(launcher or (sys.executable,)), str(folder / "train.py"), str(folder)]
    return subprocess.Popen(command, env={"PYTHONPATH": tests, "OMP_NUM_THREADS": "1"})


def test_the_same_seed_gives_the_same_twenty_losses_even_through_a_kill(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole, killed = Run(tmp_path / "whole", workers=0), tmp_path / "killed"
    fit(TINY, [ball_case("ball")], whole)
    process = start(killed, TINY)
    deadline = time.monotonic() + 120
    while not (killed / "run" / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    assert len(losses(Run(killed / "run"))) < 20
    assert start(killed, TINY).wait(timeout=120) == 0
    assert len(losses(whole)) == 20
    assert losses(Run(killed / "run")) == losses(whole)


class StoppedError(Exception):
    """Ends a run in the middle."""


class StopsAt:
    """Watches, and ends the run after a step."""

    def __init__(self, number: int) -> None:
        self.number = number

    def stepped(self, step: Step) -> None:
        if step.number == self.number:
            raise StoppedError

    def validated(self, number: int, dice: Mapping[Region, float]) -> None:
        pass


class Knows:
    """Watches what the checkpoint and the file of losses have when a step is told of."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.seen: list[tuple[int, int]] = []

    def stepped(self, step: Step) -> None:
        saved = torch.load(self.run.checkpoint, weights_only=True)["step"] if self.run.checkpoint.exists() else 0
        self.seen.append((step.number, saved))

    def validated(self, number: int, dice: Mapping[Region, float]) -> None:
        del dice
        self.seen.append((number, torch.load(self.run.checkpoint, weights_only=True)["step"]))


class StopsWhenRead(list[Case]):
    """Cases of a validation that ends the run in its middle."""

    def __iter__(self) -> Iterator[Case]:
        yield super().__getitem__(0)
        raise StoppedError


QUICK = replace(TINY, steps=6)


def test_a_checkpoint_has_no_step_that_was_not_told_of(tmp_path: Path) -> None:
    run = Run(tmp_path, save_every=2, workers=0)
    knows = Knows(run)
    fit(QUICK, [ball_case("ball")], run, validation=Validation([ball_case("two", size=64)], every=4), watchers=[knows])
    told = [(0, 0), (1, 0), (2, 2), (3, 2), (3, 2), (4, 4), (5, 4), (5, 4)]
    assert knows.seen == told


def test_a_validation_that_was_cut_short_is_made_by_the_next_start(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    cases, held = [ball_case("ball")], [ball_case("two", size=64)]
    whole, killed = (Run(tmp_path / name, save_every=2, workers=0) for name in ("whole", "killed"))
    fit(QUICK, cases, whole, validation=Validation(held, every=4))
    with pytest.raises(StoppedError):
        fit(QUICK, cases, killed, validation=Validation(StopsWhenRead(held), every=4))
    fit(QUICK, cases, killed, validation=Validation(held, every=4))
    assert rows(killed) == rows(whole)
    assert [row["step"] for row in rows(whole) if "dice" in row] == [3, 5]


def test_a_network_that_draws_goes_on_to_the_same_losses(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    cases, recipe = [ball_case("ball")], replace(QUICK, architecture="segresnet", steps=4)
    whole, killed = (Run(tmp_path / name, save_every=2, workers=0) for name in ("whole", "killed"))
    fit(recipe, cases, whole)
    with pytest.raises(StoppedError):
        fit(recipe, cases, killed, watchers=[StopsAt(2)])
    fit(recipe, cases, killed)
    assert rows(killed) == rows(whole)


def test_a_checkpoint_without_the_state_of_the_draws_is_taken_up(tmp_path: Path) -> None:
    run = Run(tmp_path)
    learner = Learner(QUICK, ALONE)
    learner.save(run, 3)
    state = torch.load(run.checkpoint, weights_only=True)
    del state["draws"]
    torch.save(state, run.checkpoint)
    assert Learner(replace(QUICK, seed=1), ALONE).resume(run) == 3


class Ticking(Case):
    """A case that makes a clock go on by a second whenever its images are looked at."""

    seconds = 0.0

    def __getattribute__(self, name: str) -> object:
        if name == "images":
            Ticking.seconds += 1
        return super().__getattribute__(name)


def test_the_seconds_of_a_step_include_its_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: Ticking.seconds)
    run = Run(tmp_path, workers=0)
    taught, held = (Ticking(**vars(ball_case(name, size=64))) for name in ("one", "two"))
    fit(QUICK, [taught], run, validation=Validation([held], every=2))
    lines = map(json.loads, run.losses.read_text(encoding="utf-8").splitlines())
    seconds = [line["s"] for line in lines if "s" in line]
    assert len(seconds) == QUICK.steps
    assert min(seconds) >= 1
    # Three looks at the validation's case count for no step.
    assert sum(seconds) == Ticking.seconds - 3


def test_two_processes_keep_one_network(tmp_path: Path) -> None:
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    assert start(tmp_path, replace(TINY, batch=2, steps=3), *torchrun).wait(timeout=240) == 0
    # One of them writes, so that no line comes twice; what they learn from together is tested with the samples.
    assert len(losses(Run(tmp_path / "run"))) == 3
    assert not averaged(Run(tmp_path / "run")).training


def test_the_loss_falls_and_is_kept_with_the_validation(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    clean = Augmentation(thick_share=0, mask_share=0, remap_share=0, noise_share=0)
    recipe = replace(TINY, features=(8, 12, 16, 20), batch=2, steps=40, warmup=4, rate=1e-2)
    run = Run(tmp_path / "run", workers=0)
    fit(
        replace(recipe, augmentation=clean),
        [ball_case("one", seed=1), ball_case("two", seed=2)],
        run,
        validation=Validation([ball_case("three", seed=3, size=80)], every=40),
    )
    *rows, validated = [json.loads(line) for line in run.losses.read_text(encoding="utf-8").splitlines()]
    curve = [row["loss"] for row in rows]
    assert sum(curve[-10:]) < 0.8 * sum(curve[:10])
    assert set(validated["dice"]) == {"ET", "TC", "WT"}


def test_a_run_can_start_from_other_weights() -> None:
    weights = Learner(replace(TINY, seed=1), ALONE).network.state_dict()
    learner = Learner(TINY, ALONE, weights)
    assert all(torch.equal(value, weights[name]) for name, value in learner.network.state_dict().items())


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="lower `rate`"):
        fit(replace(TINY, rate=1e30, clip=1e30), [ball_case("ball")], Run(tmp_path, workers=0))


def test_a_gradient_that_is_no_number_leaves_the_weights_alone() -> None:
    recipe = replace(TINY, rate=1e-3)
    (batch,) = batches([ball_case("ball")], replace(recipe, steps=1), done=0, workers=0)
    learner = Learner(recipe, ALONE)
    before = {name: value.clone() for name, value in learner.network.named_parameters()}
    weight = next(learner.network.parameters())
    weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DivergedError, match=r"gradient is .* at step 0"):
        learner.learn(0, batch)
    assert all(torch.equal(value, before[name]) for name, value in learner.network.named_parameters())


def test_the_rate_rises_and_falls_to_nothing() -> None:
    recipe = Recipe(steps=1000, warmup=100, rate=1.0)
    rates = [rate_at(step, recipe) for step in range(1000)]
    assert max(rates) == rates[100] == 1.0
    assert rates[:100] == sorted(rates[:100])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[-1] < 1e-4
