"""Progress and timings of a run; neither ever goes into a report."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from zweitblick.timings import Timings


class Stages:
    """An observer for the pipeline: shows the stage at work and keeps how long each took.

    Parameters
    ----------
    console
        Where progress is drawn; nothing is drawn if it is no terminal.

    Attributes
    ----------
    timings
        How long each stage took.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(), console=console
        )
        self.timings = Timings()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw progress while the context lasts."""
        if not self._console.is_terminal:
            yield
            return
        with self._progress:
            yield

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Observe one stage."""
        task = self._progress.add_task(stage)
        try:
            with self.timings(stage):
                yield
        finally:
            self._progress.stop_task(task)

    def table(self) -> Table:
        """List the seconds of each stage, in the order in which they ended."""
        table = Table("stage", Column("seconds", justify="right"), box=box.SIMPLE_HEAD)
        for stage, seconds in self.timings.seconds:
            table.add_row(stage, f"{seconds:.2f}")
        return table
