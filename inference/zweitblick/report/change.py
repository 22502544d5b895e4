"""The part of the page that tells what has changed since an earlier study."""

from zweitblick.change import Change, Fate, Matching, VolumeChange
from zweitblick.prediction import Region
from zweitblick.report.page import RULE, SOFT, Page, Place, Style

CHANGE_MM = 26.0
"""Height of the part; the pictures above give way to it."""

MOST_LINES = 7
"""Of text beside the table. Of lesions, what does not fit is in findings.json; of RANO nothing is left out."""

_HEAD, _SOFT, _TEXT = Style(9, bold=True), Style(8, ink=SOFT), Style(8)
_HEADS = ("", "before ml", "now ml", "change ml", "%")
_COLUMNS_MM = (10.0, 17.0, 15.0, 18.0, 14.0)
_ROW_MM, _LINE_MM, _GAP_MM = 4.2, 3.7, 8.0


def write_change(page: Page, change: Change, corner: Place, *, width: float) -> float:
    """Write the table of volumes, and beside it what became of the lesions and what RANO's imaging part would give.

    Parameters
    ----------
    page
        To write on.
    change
        What to write.
    corner
        Left and upper edge of the part, mm.
    width
        Of the part, mm.

    Returns
    -------
    float
        Lower edge of the part, mm.
    """
    left, top = corner
    page.write(corner, change.since, style=_HEAD)
    y = top + 4.8
    _row(page, (left, y), _HEADS, style=_SOFT)
    page.line((left, y + _ROW_MM - 0.2), (left + sum(_COLUMNS_MM), y + _ROW_MM - 0.2), ink=RULE)
    for number, region in enumerate(reversed(Region), start=1):
        cells = (str(region), *_cells(change.volume[region]))
        _row(page, (left, y + number * _ROW_MM), cells, style=_TEXT)
    text_left = left + sum(_COLUMNS_MM) + _GAP_MM
    for number, line in enumerate(_lines(page, change, left + width - text_left)):
        page.write((text_left, top + number * _LINE_MM), line, style=_TEXT)
    return top + CHANGE_MM


def _cells(volume: VolumeChange) -> tuple[str, ...]:
    percent = "".join(f"{one:+.0f}" for one in volume.percents) or "-"
    return f"{volume.before_ml:.1f}", f"{volume.now_ml:.1f}", f"{volume.difference_ml:+.1f}", percent


def _lines(page: Page, change: Change, width: float) -> list[str]:
    rano = page.wrapped(change.rano.statement, width, style=_TEXT)
    texts = [change.lesions_statement, *_lesion_texts(change)]
    lesions = [line for text in texts for line in page.wrapped(text, width, style=_TEXT)]
    room = MOST_LINES - len(rano)
    if len(lesions) > room:
        lesions = [*lesions[: room - 1], "and more, see findings.json"]
    return [*lesions, *rano]


def _lesion_texts(change: Change) -> list[str]:
    """Name the lesions that are new or gone; those that stayed are in the table above."""
    if not isinstance(change.matching, Matching):
        return []
    told = change.matching.of(Fate.NEW, Fate.VANISHED, Fate.NOT_SHOWN)
    return [" ".join(lesion.statement for lesion in told)] if told else []


def _row(page: Page, corner: Place, cells: tuple[str, ...], *, style: Style) -> None:
    x, y = corner
    for number, (cell, width) in enumerate(zip(cells, _COLUMNS_MM, strict=True)):
        page.write((x, y), cell, style=style.aligned("R" if number else "L"), width=width)
        x += width
