"""Timings: how long each stage of a reading took; never part of a report."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Timings:
    """An observer of stages, as the pipeline calls them.

    Parameters
    ----------
    clock
        Tells seconds that never go back.

    Attributes
    ----------
    seconds
        Of each stage, in the order in which they ended.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.seconds: list[tuple[str, float]] = []

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Observe one stage."""
        began = self._clock()
        try:
            yield
        finally:
            self.seconds.append((stage, self._clock() - began))
