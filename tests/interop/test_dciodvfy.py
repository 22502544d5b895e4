"""What other people's programs say of the objects written: dicom3tools' dciodvfy, dcmtk's dsrdump, poppler."""

import re
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from changes import changed
from readings import ORIENTATIONS, Phantom, phantom_reading
from zweitblick.change import NoProposal
from zweitblick.dicom.capture import secondary_capture
from zweitblick.dicom.pdf import encapsulated_pdf
from zweitblick.dicom.predecessor import predecessor
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.report.pdf import pdf

NO_CATEGORY = NoProposal("treatment not known")

PHANTOMS = [
    *(Phantom(orientation) for orientation in ORIENTATIONS),
    Phantom("oblique", enhanced=True),
    Phantom(lesions=0),
    Phantom(lesions=3),
    Phantom(enhancing=False),
]


def name_of(phantom: Phantom) -> str:
    return f"{phantom.orientation}-{phantom.enhanced}-{phantom.lesions}-{phantom.enhancing}"


@pytest.fixture(scope="module", params=PHANTOMS, ids=name_of)
def phantom(request: pytest.FixtureRequest) -> Phantom:
    result: Phantom = request.param
    return result


@pytest.fixture(scope="module")
def written(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every object of one reading, as files."""
    folder = tmp_path_factory.mktemp("written")
    reading = phantom_reading(tmp_path_factory.mktemp("source"), phantom)
    seg, page = segmentation(reading), pdf(reading)
    report, wrapped = structured_report(reading, seg), encapsulated_pdf(reading, page)
    second = replace(
        reading,
        stamp=replace(reading.stamp, time=reading.stamp.time + timedelta(hours=1)),
        predecessors=(predecessor(report), predecessor(wrapped)),
    )
    objects = {
        "seg.dcm": seg,
        "sr.dcm": report,
        "sr-second.dcm": structured_report(second, segmentation(second)),
        "sr-change.dcm": structured_report(changed(reading), seg),
        "sr-no-change.dcm": structured_report(changed(reading, proposal=NO_CATEGORY, matched=False), seg),
        "pdf.dcm": wrapped,
        "pdf-second.dcm": encapsulated_pdf(second, page),
        "capture.dcm": secondary_capture(reading)[0],
        "report.pdf": page,
    }
    for name, content in objects.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in objects}


def run(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True)
    return (done.stdout + done.stderr).decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("name", "iod"),
    [
        ("seg.dcm", "Segmentation"),
        ("sr.dcm", "Comprehensive3DSR"),
        ("sr-second.dcm", "Comprehensive3DSR"),
        ("sr-change.dcm", "Comprehensive3DSR"),
        ("sr-no-change.dcm", "Comprehensive3DSR"),
        ("pdf.dcm", "EncapsulatedPDF"),
        ("pdf-second.dcm", "EncapsulatedPDF"),
        ("capture.dcm", "SCImage"),
    ],
)
def test_dciodvfy_has_no_error(written: dict[str, Path], name: str, iod: str) -> None:
    said = run("dciodvfy", written[name])
    assert iod in said
    assert "Error" not in said
    # Its tables know no private coding scheme; PS3.16 8.2 allows one whose name begins with 99.
    assert [line for line in said.splitlines() if "Warning" in line and "99ZWEITBLICK" not in line] == []


NUMBER = re.compile(
    r'NUM:\((?P<code>[^,]+),(?P<scheme>[^,]+),"(?P<name>[^"]+)"\)="(?P<value>[^"]+)" \((?P<unit>[^,]+),UCUM'
)


def test_dsrdump_shows_every_measurement_with_unit_and_code(written: dict[str, Path], phantom: Phantom) -> None:
    said = run("dsrdump", "+Pc", "+Pu", written["sr.dcm"])
    numbers = [match.groupdict() for match in NUMBER.finditer(said)]
    assert len(numbers) == said.count(" NUM:")
    assert all(one["code"] and one["scheme"] in ("SCT", "99ZWEITBLICK") for one in numbers)
    units = {(one["name"], one["unit"]) for one in numbers}
    expected = {("Volume", "ml"), ("Sum of products of long axis and short axis", "mm2")}
    if phantom.lesions:
        expected |= {
            ("Diameter", "mm"),
            ("Distance of centre to midsagittal plane", "mm"),
            ("Mean probability of whole tumour", "1"),
            ("Long axis", "mm"),
            ("Short axis", "mm"),
            ("Product of long axis and short axis", "mm2"),
        }
    assert units == expected
    assert said.count('Laterality")=(7771000,SCT,"Left")') == 3 * phantom.lesions
    assert "Right" not in said


def test_dsrdump_shows_that_a_report_has_a_predecessor(written: dict[str, Path]) -> None:
    assert re.findall(r"^Predecessor Docs +: (.+)$", run("dsrdump", written["sr-second.dcm"]), re.MULTILINE) == ["1"]
    assert "Predecessor" not in run("dsrdump", written["sr.dcm"])


def test_poppler_reads_one_page_with_the_same_side(written: dict[str, Path], phantom: Phantom) -> None:
    assert re.search(r"^Pages: +1$", run("pdfinfo", written["report.pdf"]), re.MULTILINE)
    text = run("pdftotext", "-layout", written["report.pdf"], "-")
    assert len(re.findall(r"^ *\d+ +left\b", text, re.MULTILINE)) == phantom.lesions
    assert not re.search(r"\bright\b", text)
    assert text.count("Research use only, not a medical device, not for diagnosis.") == 1
