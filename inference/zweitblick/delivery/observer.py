"""Observer: who times deliveries and counts those that fail."""

from contextlib import AbstractContextManager
from typing import Protocol

from zweitblick.pipeline import silent


class Observer(Protocol):
    """Counts what happens; called from several threads at once, must return at once and raise nothing."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Time a stage, as a `zweitblick.pipeline.Observer` does."""
        ...

    def undelivered(self, destination: str, code: str, *, is_last: bool) -> None:
        """Count an attempt that failed, by the destination's name; the last if the delivery is given up with it."""
        ...


class Unobserved:
    """Neither times nor counts."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Do nothing but the block."""
        return silent(name)

    def undelivered(self, destination: str, code: str, *, is_last: bool) -> None:
        """Do nothing."""
