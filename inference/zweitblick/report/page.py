"""A PDF page and the few marks that the report is made of: text, lines, boxes, pictures. All lengths in mm."""

import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self, cast

import numpy as np
from fpdf import FPDF
from fpdf.enums import MethodReturnValue
from numpy.typing import NDArray
from PIL import Image

Colour = tuple[int, int, int]
Place = tuple[float, float]
"""Left and upper edge on the page, mm."""

INK: Colour = (22, 26, 34)
SOFT: Colour = (96, 104, 117)
RULE: Colour = (208, 213, 221)
ALARM: Colour = (158, 22, 22)
WHITE: Colour = (255, 255, 255)

_POINT_MM = 25.4 / 72
_ELLIPSIS = "..."


@dataclass(frozen=True)
class Style:
    """How a line of text looks.

    Parameters
    ----------
    size
        In points.
    bold
        Weight.
    ink
        sRGB.
    align
        ``L``, ``C`` or ``R`` within the width given.
    """

    size: float
    bold: bool = False
    ink: Colour = INK
    align: str = "L"

    def aligned(self, align: str) -> Self:
        """Return the same style with another alignment."""
        return replace(self, align=align)


class Page:
    """One A4 page.

    Parameters
    ----------
    title
        Of the document.
    made_at
        Stands in the file as its creation date, so that the same content gives the same bytes.
    """

    def __init__(self, title: str, *, made_at: datetime) -> None:
        self._pdf = FPDF(format="A4", unit="mm")
        self._pdf.set_creation_date(made_at)
        self._pdf.set_title(title)
        self._pdf.set_auto_page_break(auto=False)
        self._pdf.add_page()
        self._pdf.c_margin = 0.0

    def write(self, place: Place, text: str, *, style: Style, width: float = 0.0) -> float:
        """Write one line of any Unicode (see `latin`); where a width is given, cut to fit and aligned within it.

        Parameters
        ----------
        place
            Left and upper edge of the line, mm.
        text
            What to write.
        style
            Its look.
        width
            mm; 0 for as wide as it is.

        Returns
        -------
        float
            Width of what was written, mm.
        """
        self._use(style)
        shown = self._fitted(latin(text), width) if width else latin(text)
        taken = self._pdf.get_string_width(shown)
        self._pdf.set_xy(*place)
        self._pdf.cell(width or taken + 0.1, style.size * _POINT_MM * 1.2, shown, align=style.align)
        return taken

    def wrapped(self, text: str, width: float, *, style: Style) -> list[str]:
        """Lines of a text set in ``width`` mm; nothing is written."""
        self._use(style)
        lines = self._pdf.multi_cell(width, text=latin(text), align="L", dry_run=True, output=MethodReturnValue.LINES)
        return cast("list[str]", lines)

    def line(self, start: Place, end: Place, *, ink: Colour = RULE, width: float = 0.25) -> None:
        """Draw a line, ``width`` in mm."""
        self._pdf.set_draw_color(*ink)
        self._pdf.set_line_width(width)
        self._pdf.line(*start, *end)

    def frame(self, corner: Place, size: Place, *, ink: Colour) -> None:
        """Draw an empty box of ``size`` (width, height) mm."""
        self._pdf.set_draw_color(*ink)
        self._pdf.set_line_width(0.4)
        self._pdf.rect(*corner, *size)

    def patch(self, corner: Place, size: Place, *, ink: Colour) -> None:
        """Draw a filled box of ``size`` (width, height) mm."""
        self._pdf.set_fill_color(*ink)
        self._pdf.rect(*corner, *size, style="F")

    def picture(self, pixels: NDArray[np.uint8], corner: Place, *, side: float, description: str) -> None:
        """Place a square RGB picture ``(H, H, 3)``, ``side`` in mm."""
        self._pdf.image(Image.fromarray(pixels), *corner, side, side, alt_text=description)

    def output(self) -> bytes:
        """Return the document."""
        return bytes(self._pdf.output())

    def _use(self, style: Style) -> None:
        self._pdf.set_font("helvetica", style="B" if style.bold else "", size=style.size)
        self._pdf.set_text_color(*style.ink)

    def _fitted(self, text: str, width: float) -> str:
        """Cut a Latin-1 line so that it is no wider than ``width`` mm in the current font."""
        if self._pdf.get_string_width(text) <= width:
            return text
        while text and self._pdf.get_string_width(text + _ELLIPSIS) > width:
            text = text[:-1]
        return text.rstrip() + _ELLIPSIS


def latin(text: str) -> str:
    """Text in Latin-1, which is all that a PDF core font holds.

    Letters outside lose their accents where that helps (``Łódź`` becomes ``?ódz``), otherwise become a question mark;
    control characters become spaces.
    """
    composed = unicodedata.normalize("NFC", text)
    return "".join(_latin_letter(letter) for letter in composed)


def _latin_letter(letter: str) -> str:
    if not letter.isprintable():
        return " "
    for candidate in (letter, unicodedata.normalize("NFKD", letter)[0]):
        if ord(candidate) < 256:
            return candidate
    return "?"
