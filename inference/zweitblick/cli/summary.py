"""What the terminal shows of a reading."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from zweitblick.change import Change, Matching
from zweitblick.findings import DiameterBasis, Diameters, Findings, Lesion
from zweitblick.prediction import Region
from zweitblick.reading import POPULATION, RESEARCH_USE, Reading
from zweitblick.study import Sequence


def summary(reading: Reading) -> RenderableType:
    """Lay out findings, sequences and notices of a reading; no name, date or free text of the header."""
    parts: list[RenderableType] = [Text(reading.findings.statement, style="bold")]
    if reading.findings.lesions:
        parts.append(lesion_table(reading.findings))
    if reading.change is not None:
        parts += change_parts(reading.change)
    parts.append(sequence_table(reading))
    parts += [Text(f"• {notice.text}") for notice in reading.notices]
    models = ", ".join(f"{model.name} {model.version}" for model in reading.models)
    parts.append(Text(f"Models: {models}. Population: {POPULATION}.\n{RESEARCH_USE}", style="dim"))
    return Group(*parts)


def lesion_table(findings: Findings) -> Table:
    """Give one row for each lesion and one for the sums; millilitres and millimetres."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("", "side"):
        table.add_column(heading, no_wrap=True)
    for heading in ("WT ml", "TC ml", "ET ml", "axial mm", "on", "3D mm", "midline mm"):
        table.add_column(heading, justify="right", no_wrap=True)
    for lesion in findings.lesions:
        table.add_row(*_lesion_row(lesion))
    if len(findings.lesions) > 1:
        table.add_section()
        table.add_row("sum", "", *(_ml(findings.volume_ml[region]) for region in (Region.WT, Region.TC, Region.ET)))
    return table


def change_parts(change: Change) -> list[RenderableType]:
    """Lay out volumes before and now, what became of each lesion, and RANO's imaging part."""
    table = Table("", box=box.SIMPLE_HEAD)
    for heading in ("before ml", "now ml", "change ml", "%"):
        table.add_column(heading, justify="right", no_wrap=True)
    for region in (Region.WT, Region.TC, Region.ET):
        volume = change.volume[region]
        percent = "".join(f"{one:+.0f}" for one in volume.percents) or "–"
        table.add_row(str(region), _ml(volume.before_ml), _ml(volume.now_ml), f"{volume.difference_ml:+.1f}", percent)
    lesions = change.matching.lesions if isinstance(change.matching, Matching) else ()
    texts = [change.lesions_statement, *(lesion.statement for lesion in lesions), change.rano.statement]
    return [Text(change.since, style="bold"), table, *(Text(text) for text in texts)]


def sequence_table(reading: Reading) -> Table:
    """Tell the series chosen for each sequence, why, and how it was aligned."""
    table = Table("sequence", "series", "chosen because", "aligned", box=box.SIMPLE_HEAD)
    for sequence in Sequence:
        table.add_row(*_sequence_row(reading, sequence))
    return table


def _lesion_row(lesion: Lesion) -> tuple[str, ...]:
    midline = "crossed" if lesion.crosses_midline else f"{lesion.midline_mm:.0f}"
    return (
        str(lesion.number),
        str(lesion.side),
        *(_ml(lesion.volume_ml[region]) for region in (Region.WT, Region.TC, Region.ET)),
        _axial(lesion.diameters),
        "ET" if lesion.diameters.basis is DiameterBasis.ENHANCING else str(lesion.diameters.basis),
        f"{lesion.max_3d_mm:.0f}",
        midline,
    )


def _ml(volume: float) -> str:
    return f"{volume:.1f}"


def _axial(diameters: Diameters) -> str:
    """Both diameters; in parentheses where too small to be measurable by RANO."""
    text = f"{diameters.major_mm:.0f} × {diameters.minor_mm:.0f}"
    return text if diameters.measurable else f"({text})"


def _sequence_row(reading: Reading, sequence: Sequence) -> tuple[str, str, str, str]:
    if sequence not in reading.choices:
        return str(sequence), "–", "not in the study, or not usable", ""
    choice = reading.choices[sequence]
    alignment = reading.alignments[sequence]
    moved = f" ({alignment.motion_mm:.1f} mm)" if alignment.method == "rigid" else ""
    number = "–" if choice.series_number is None else str(choice.series_number)
    return str(sequence), number, "; ".join(choice.reasons), f"{alignment.method}{moved}"
