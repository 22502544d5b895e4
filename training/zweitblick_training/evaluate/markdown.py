"""Figures and tables as Markdown."""

from collections.abc import Iterable, Sequence

from zweitblick_training.scores import Spread

NOTHING = "–"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Compose a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def figure(value: float | None, digits: int = 3) -> str:
    """Write a number; a dash where there is none."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def interval(spread: Spread | None, digits: int = 3) -> str:
    """Write a mean with its 95 % interval."""
    if spread is None:
        return NOTHING
    if spread.low is None or spread.high is None:
        return f"{spread.mean:.{digits}f}"
    return f"{spread.mean:.{digits}f} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"


def mean(spread: Spread | None, digits: int = 3) -> str:
    """Write a mean alone."""
    return figure(None if spread is None else spread.mean, digits)


def worst(spread: Spread | None, digits: int = 3) -> str:
    """Write the worst patient's value."""
    return figure(None if spread is None else spread.worst, digits)
