"""Watchers: who is told how a run goes. A file of losses, a progress bar, TensorBoard, MLflow."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from zweitblick.prediction import Region
from zweitblick_training.recipe import RECIPE, Recipe
from zweitblick_training.run import Run
from zweitblick_training.state_file import write_state


@dataclass(frozen=True)
class Step:
    """One step as it was made.

    Parameters
    ----------
    number
        From 0.
    loss, rate
        Its loss and learning rate.
    seconds
        It took, the wait for its samples included; neither validation nor checkpoint.
    """

    number: int
    loss: float
    rate: float
    seconds: float


class Watcher(Protocol):
    """Told of every step and every validation."""

    def stepped(self, step: Step) -> None:
        """Take note of a step."""
        ...

    def validated(self, number: int, dice: Mapping[Region, float]) -> None:
        """Take note of the validation after a step; a region without a figure is NaN."""
        ...


class Losses:
    """Keep one JSON object per step in the run's folder.

    Parameters
    ----------
    run
        Whose.
    done
        Steps in the checkpoint; lines of later ones are dropped, since those steps are made again.
    """

    def __init__(self, run: Run, done: int) -> None:
        self.path = run.losses
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        kept = [line for line in lines if _number(line) < done]
        write_state(self.path, "".join(f"{line}\n" for line in kept))

    def stepped(self, step: Step) -> None:
        """Add a line."""
        self._add({"step": step.number, "loss": round(step.loss, 4), "s": round(step.seconds, 2)})

    def validated(self, number: int, dice: Mapping[Region, float]) -> None:
        """Add a line."""
        self._add({"step": number, "dice": {region: round(value, 4) for region, value in _known(dice).items()}})

    def _add(self, row: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


class ProgressBar:
    """Show steps, loss, validation Dice and time left on the terminal.

    Parameters
    ----------
    recipe
        Says how many steps there are.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        )
        self.task = self.progress.add_task("fit", total=recipe.steps)
        self.loss, self.dice = math.nan, ""
        self.progress.start()

    def stepped(self, step: Step) -> None:
        """Move on by one; the loss shown is a moving average."""
        self.loss = step.loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * step.loss
        text = f"loss {self.loss:.3f}  {self.dice}"
        self.progress.update(self.task, completed=step.number + 1, description=text)

    def validated(self, number: int, dice: Mapping[Region, float]) -> None:
        """Show the Dice from now on."""
        del number
        self.dice = " ".join(f"{region} {value:.2f}" for region, value in _known(dice).items())

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.progress.stop()


class TensorBoard:
    """Write TensorBoard's events into the run's folder.

    Parameters
    ----------
    run
        Whose.
    """

    def __init__(self, run: Run) -> None:
        self.writer = SummaryWriter(str(run.folder / "tensorboard"))

    def stepped(self, step: Step) -> None:
        """Add loss, rate and seconds."""
        for name, value in (("loss", step.loss), ("rate", step.rate), ("seconds", step.seconds)):
            self.writer.add_scalar(name, value, step.number)

    def validated(self, number: int, dice: Mapping[Region, float]) -> None:
        """Add the Dice of each region."""
        for region, value in _known(dice).items():
            self.writer.add_scalar(f"dice/{region}", value, number)

    def close(self) -> None:
        """Write what is still held back."""
        self.writer.close()


class MlFlow:
    """Log to an MLflow tracking server or folder.

    Parameters
    ----------
    uri
        Of the tracking store.
    run
        Named after its folder; a resumed run goes on in the same MLflow run.
    recipe
        Logged as parameters.
    """

    def __init__(self, uri: str, run: Run, recipe: Recipe) -> None:
        from mlflow import MlflowClient  # noqa: PLC0415 -- heavy, and needed by few

        self.client = MlflowClient(uri)
        noted = run.folder / "mlflow-run"
        if not noted.exists():
            noted.parent.mkdir(parents=True, exist_ok=True)
            write_state(noted, self._created(run.folder.name, recipe))
        self.run_id = noted.read_text(encoding="utf-8")

    def _created(self, name: str, recipe: Recipe) -> str:
        known = self.client.get_experiment_by_name("zweitblick")
        experiment = known.experiment_id if known else self.client.create_experiment("zweitblick")
        run_id: str = self.client.create_run(experiment, run_name=name).info.run_id
        for key, value in RECIPE.dump_python(recipe, mode="json").items():
            self.client.log_param(run_id, key, value)
        return run_id

    def stepped(self, step: Step) -> None:
        """Log loss and rate."""
        self.client.log_metric(self.run_id, "loss", step.loss, step=step.number)
        self.client.log_metric(self.run_id, "rate", step.rate, step=step.number)

    def validated(self, number: int, dice: Mapping[Region, float]) -> None:
        """Log the Dice of each region."""
        for region, value in _known(dice).items():
            self.client.log_metric(self.run_id, f"dice_{region}", value, step=number)


def _known(dice: Mapping[Region, float]) -> dict[Region, float]:
    return {region: value for region, value in dice.items() if not math.isnan(value)}


def _number(line: str) -> float:
    """Step of a line; one that a kill cut short belongs to no finished step."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return math.inf
