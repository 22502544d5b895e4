"""Reading to one page for the radiologist: key images, table of lesions, what was missing, what the model is."""

from collections.abc import Iterable, Sequence

from zweitblick.findings import Findings, Lesion
from zweitblick.overlay import LABEL_NAMES, LABEL_RGB
from zweitblick.prediction import CORE, ENHANCING, OEDEMA, Region
from zweitblick.reading import POPULATION, RESEARCH_USE, Reading
from zweitblick.report.change import CHANGE_MM, write_change
from zweitblick.report.page import ALARM, SOFT, WHITE, Page, Place, Style
from zweitblick.report.views import PIXEL_MM, View, key_images

MAX_LESIONS = 6
"""Rows of the table; more are counted in a line below it, so that the report stays one page."""
MAX_SERIES_LINES, MAX_NOTICE_LINES, MAX_MODEL_LINES = 14, 8, 4
"""Lines of remarks, for the same reason."""

_PAGE_MM, _MARGIN_MM, _GAP_MM = (210.0, 297.0), 15.0, 4.0
_WIDTH_MM = _PAGE_MM[0] - 2 * _MARGIN_MM
_RIGHT_MM = _PAGE_MM[0] - _MARGIN_MM
_PICTURE_MM = (_WIDTH_MM - 2 * _GAP_MM) / 3
_TITLE, _SUBTITLE, _WARNING = Style(17, bold=True), Style(9, ink=SOFT), Style(8, bold=True, ink=ALARM, align="C")
_LEAD, _HEAD, _NAME, _VALUE = Style(12.5, bold=True), Style(9, bold=True), Style(7, ink=SOFT), Style(9.5, bold=True)
_TEXT, _SOFT, _SMALL, _STRONG = Style(8), Style(8, ink=SOFT), Style(7.5, ink=SOFT), Style(8, bold=True)
_ON_PICTURE, _TINY, _LETTER = Style(7.5, ink=WHITE), Style(6.5, ink=WHITE), Style(9, bold=True, ink=WHITE, align="C")
_HEADS = (
    "Lesion",
    "Side",
    "WT ml",
    "TC ml",
    "ET ml",
    "Axes mm",
    "Product mm²",
    "3D mm",
    "Midline mm",
    "Axes measured on",
)
_COLUMNS_MM = (12.0, 16.0, 14.0, 14.0, 14.0, 25.0, 22.0, 14.0, 20.0, 31.0)


def pdf(reading: Reading) -> bytes:
    """Lay out the report.

    It names the patient, as every page of a patient's file must. Text is set in the PDF core font, which knows
    Latin-1; other letters lose their accents or become a question mark.

    Parameters
    ----------
    reading
        What is reported; the same reading gives the same bytes.

    Returns
    -------
    bytes
        A PDF of one A4 page.
    """
    page = Page("zweitblick: second read of a brain MRI", made_at=reading.stamp.time)
    y = _heading(page)
    y = _patient(page, reading, y)
    y = _pictures(page, reading, y)
    y = _table(page, reading.findings, y)
    if reading.change is not None:
        y = write_change(page, reading.change, (_MARGIN_MM, y), width=_WIDTH_MM)
    _remarks(page, reading, y)
    _foot(page, reading)
    return page.output()


def _heading(page: Page) -> float:
    page.write((_MARGIN_MM, 11.5), "zweitblick", style=_TITLE)
    page.write((_MARGIN_MM, 19.0), "Second read of a brain MRI, made by software, not verified", style=_SUBTITLE)
    left = 110.0
    page.frame((left, 12.5), (_RIGHT_MM - left, 10.0), ink=ALARM)
    page.write((left, 15.8), RESEARCH_USE, style=_WARNING, width=_RIGHT_MM - left)
    return 27.0


def _patient(page: Page, reading: Reading, y: float) -> float:
    """Whose study it is; a value that the source lacks is a dash."""
    patient, study = reading.study.patient, reading.study
    fields = (
        ("Patient", _person(patient.name), 54.0),
        ("Patient ID", patient.id, 34.0),
        ("Born", patient.birth_date.isoformat() if patient.birth_date else "", 24.0),
        ("Sex", patient.sex, 10.0),
        ("Study", f"{study.started_at:%Y-%m-%d %H:%M}" if study.started_at else "", 32.0),
        ("Accession", study.accession_number, 26.0),
    )
    _rule(page, y)
    x = _MARGIN_MM
    for name, value, width in fields:
        page.write((x, y + 1.4), name, style=_NAME)
        page.write((x, y + 5.0), value or "-", style=_VALUE, width=width - 2)
        x += width
    _rule(page, y + 11.0)
    page.write((_MARGIN_MM, y + 13.5), reading.findings.statement, style=_LEAD)
    return y + 21.5


def _person(name: str) -> str:
    """Person name as people write it: family name, then given names (PS3.5 6.2.1; the alphabetic group only)."""
    family, *given = name.split("=", maxsplit=1)[0].split("^")
    return ", ".join(part for part in (family.strip(), " ".join(given[:2]).strip()) if part)


def _pictures(page: Page, reading: Reading, y: float) -> float:
    """Three planes with the outline, and below them the same without, to judge it by."""
    side = _PICTURE_MM if reading.change is None else _PICTURE_MM - CHANGE_MM / 2
    for number, view in enumerate(key_images(reading)):
        x = _MARGIN_MM + number * (_WIDTH_MM - side) / 2
        _picture(page, view, corner=(x, y), side=side)
        page.picture(view.plain, (x, y + side + 1.0), side=side, description=f"{view.plane} view")
    y += 2 * side + 2.2
    where = "through the centre of lesion 1" if reading.findings.lesions else "through the middle of the brain"
    page.write((_MARGIN_MM, y), f"{reading.reference}, {where}", style=_SOFT)
    x = _RIGHT_MM - 103.0
    for label in (ENHANCING, CORE, OEDEMA):
        page.patch((x, y + 0.5), (4.0, 2.4), ink=LABEL_RGB[label])
        x += 12.0 + page.write((x + 5.2, y), LABEL_NAMES[label], style=_SOFT)
    return y + 7.0


def _picture(page: Page, view: View, *, corner: Place, side: float) -> None:
    """One key image with its name, the patient's directions at its edges and a bar of 5 cm."""
    x, y = corner
    page.picture(view.outlined, corner, side=side, description=f"{view.plane} view with outline")
    page.write((x + 1.5, y + 0.8), view.plane, style=_ON_PICTURE)
    middle = side / 2
    edges = ((middle, 2.6), (side - 2.8, middle), (middle, side - 2.8), (2.8, middle))
    for letter, (right, down) in zip(view.letters, edges, strict=True):
        page.write((x + right - 4, y + down - 1.9), letter, style=_LETTER, width=8)
    bar = side * 50.0 / (view.outlined.shape[1] * PIXEL_MM)
    page.line((x + 2, y + side - 2), (x + 2 + bar, y + side - 2), ink=WHITE, width=0.5)
    page.write((x + 2, y + side - 6.0), "5 cm", style=_TINY)


def _table(page: Page, findings: Findings, y: float) -> float:
    """Lesions, their sums, and what is not in them."""
    _row(page, y, cells=_HEADS, style=_SOFT)
    _rule(page, y + 4.6)
    y += 5.2
    for lesion in findings.lesions[:MAX_LESIONS]:
        _row(page, y, cells=_cells(lesion), style=_TEXT)
        y += 4.6
    _rule(page, y + 0.2)
    sums = [f"{findings.volume_ml[region]:.1f}" for region in reversed(Region)]
    cells = ("Sum", "", *sums, "", f"{findings.sum_of_products_mm2:.0f}", "", "", "")
    _row(page, y + 0.8, cells=cells, style=_STRONG)
    for number, line in enumerate(page.wrapped("; ".join(_table_notes(findings)), _WIDTH_MM, style=_SMALL)[:2]):
        page.write((_MARGIN_MM, y + 6.0 + number * 3.5), line, style=_SMALL)
    return y + 16.0


def _cells(lesion: Lesion) -> tuple[str, ...]:
    axes = lesion.diameters
    return (
        str(lesion.number),
        f"{lesion.side}{'*' if lesion.crosses_midline else ''}",
        *(f"{lesion.volume_ml[region]:.1f}" for region in reversed(Region)),
        f"{axes.major_mm:.1f} × {axes.minor_mm:.1f}",
        f"{axes.product_mm2:.0f}",
        f"{lesion.max_3d_mm:.1f}",
        f"{lesion.midline_mm:.1f}",
        f"{axes.basis}{'' if axes.measurable else ', too small'}",
    )


def _table_notes(findings: Findings) -> list[str]:
    notes = [
        "WT whole tumour, TC core, ET enhancing; axes: longest axial diameter and its perpendicular; "
        "sum of products: measurable enhancing parts"
    ]
    more = len(findings.lesions) - MAX_LESIONS
    if more > 0:
        notes.insert(0, f"and {more} more (in the sums)")
    if any(lesion.crosses_midline for lesion in findings.lesions):
        notes.append("* crosses the midline")
    if findings.dropped:
        notes.append(f"{findings.dropped} smaller left out ({findings.dropped_ml:.2f} ml)")
    return notes


def _row(page: Page, y: float, *, cells: Sequence[str], style: Style) -> None:
    """Numbers stand to the right of their columns, words to the left."""
    x = _MARGIN_MM
    for number, (cell, width) in enumerate(zip(cells, _COLUMNS_MM, strict=True)):
        is_number = 2 <= number <= 8
        left = x if is_number or number == 0 else x + 3
        page.write((left, y), cell, style=style.aligned("R" if is_number else "L"), width=width)
        x += width


def _remarks(page: Page, reading: Reading, y: float) -> None:
    """Left: which series were read. Right: what the reader must know of the study and of the model."""
    half = (_WIDTH_MM - 2 * _GAP_MM) / 2
    _column(page, (_MARGIN_MM, y), title="Series read", texts=_series_lines(reading), most=MAX_SERIES_LINES)
    right = _MARGIN_MM + half + 2 * _GAP_MM
    notices = [notice.text for notice in reading.notices] or ["Nothing in particular."]
    y = _column(page, (right, y), title="Please note", texts=notices, most=MAX_NOTICE_LINES)
    _column(page, (right, y + 2.0), title="What read it", texts=_model_lines(reading), most=MAX_MODEL_LINES)


def _series_lines(reading: Reading) -> list[str]:
    lines = []
    for sequence, choice in reading.choices.items():
        number = "without number" if choice.series_number is None else str(choice.series_number)
        alignment = reading.alignments[sequence]
        moved = "the reference" if alignment.method == "identity" else f"moved {alignment.motion_mm:.1f} mm"
        lines.append(f"{sequence}: series {number}, {moved}; {'; '.join(choice.reasons)}")
    if reading.missing:
        lines.append(f"Missing: {', '.join(reading.missing)}")
    return lines


def _model_lines(reading: Reading) -> list[str]:
    models = [f"{model.name} {model.version}, SHA-256 {model.digest[:12]}" for model in reading.models]
    return [f"Knows: {POPULATION}", *models]


def _column(page: Page, corner: Place, *, title: str, texts: Iterable[str], most: int) -> float:
    """Title and texts below it, cut at ``most`` lines; returns where it ends."""
    x, y = corner
    width = (_WIDTH_MM - 2 * _GAP_MM) / 2
    page.write(corner, title, style=_HEAD)
    lines = [line for text in texts for line in page.wrapped(text, width, style=_TEXT)]
    if len(lines) > most:
        lines = [*lines[: most - 1], f"and {len(lines) - most + 1} more lines, see findings.json"]
    for number, line in enumerate(lines):
        page.write((x, y + 4.8 + number * 3.7), line, style=_TEXT)
    return y + 4.8 + len(lines) * 3.7


def _foot(page: Page, reading: Reading) -> None:
    y = _PAGE_MM[1] - 13.0
    _rule(page, y)
    read_at = reading.stamp.time.strftime("%Y-%m-%d %H:%M %Z").strip()
    page.write((_MARGIN_MM, y + 1.5), f"zweitblick {reading.version}, read {read_at}", style=_SMALL)
    uid = f"Report {reading.uid('report')}"
    page.write((_MARGIN_MM, y + 1.5), uid, style=_SMALL.aligned("R"), width=_WIDTH_MM)


def _rule(page: Page, y: float) -> None:
    page.line((_MARGIN_MM, y), (_RIGHT_MM, y))
