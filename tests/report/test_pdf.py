import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from changes import PROPOSAL, changed
from pdf_text import contents, shown
from readings import HEAD_CENTER, ORIENTATIONS, Phantom, phantom_reading
from zweitblick.change import NOT_KNOWN, NoProposal
from zweitblick.measure.rano import NEW_LESION_RULE, RULES
from zweitblick.overlay import LABEL_RGB
from zweitblick.reading import POPULATION, RESEARCH_USE, Notice, Reading
from zweitblick.report.page import latin
from zweitblick.report.pdf import pdf
from zweitblick.report.views import PIXEL_MM, View, key_images
from zweitblick.study import Patient


def pages(document: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", document))


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    return phantom_reading(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def text(reading: Reading) -> list[str]:
    return shown(pdf(reading))


def test_it_is_one_page_that_says_whose_it_is(reading: Reading, text: list[str]) -> None:
    assert pages(pdf(reading)) == 1
    for expected in ("Grün, Anna", "ZB-0815", "1961-04-02", "2026-11-19 09:05"):
        assert expected in text


def test_research_use_is_said_exactly_once(text: list[str]) -> None:
    assert text.count(RESEARCH_USE) == 1
    assert sum("Research use" in line for line in text) == 1


def test_the_table_has_the_findings(text: list[str]) -> None:
    assert "1 glioma-like lesion above 0.5 ml, 17.2 ml in all." in text
    for cell in ("left", "17.2", "4.2", "3.3", "20.0 × 18.8", "375", "32.0", "24.0", "enhancing"):
        assert cell in text


def test_it_says_what_was_missing_and_what_the_model_is(text: list[str]) -> None:
    assert "Missing: T1, T2, T1c" in text
    assert "T1 was not there." in text
    assert f"Knows: {POPULATION}" in text
    assert "tumour 0.1.0, SHA-256 ab12ab12ab12" in text


def test_a_long_list_stays_one_page(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path, Phantom(lesions=15))
    notices = tuple(Notice("thick-slices", f"Remark {n}, which is a long sentence. " * 3) for n in range(30))
    document = pdf(replace(reading, notices=notices))
    assert pages(document) == 1
    assert any(line.startswith("and 9 more (in the sums)") for line in shown(document))
    assert any(re.fullmatch(r"and \d+ more lines, see findings.json", line) for line in shown(document))
    assert lowest_line_mm(document) < 297


def lowest_line_mm(document: bytes) -> float:
    """Distance of the lowest text from the page's upper edge."""
    heights = [
        float(height) for content in contents(document) for height in re.findall(rb"BT [\d.]+ ([\d.-]+) Td", content)
    ]
    return 297 - min(heights) * 25.4 / 72


def test_no_finding_is_said_as_what_was_measured(tmp_path: Path) -> None:
    lines = shown(pdf(phantom_reading(tmp_path, Phantom(lesions=0))))
    assert "No glioma-like lesion above 0.5 ml." in lines
    assert "FLAIR, through the middle of the brain" in lines


@pytest.mark.parametrize("name", ["Łukasiewicz^Zoë", "山田^太郎=山田^太郎", "", "^^^", "A\x00B^\t", "\U0001f9e0"])
def test_any_name_can_be_printed(reading: Reading, name: str) -> None:
    patient = Patient(name, "1")
    assert pages(pdf(replace(reading, study=replace(reading.study, patient=patient)))) == 1


@given(st.text())
def test_latin_text_is_latin(text: str) -> None:
    result = latin(text)
    assert result.encode("latin-1").decode("latin-1") == result
    assert all(letter.isprintable() for letter in result)


@given(st.text(st.characters(min_codepoint=0xC0, max_codepoint=0xFF)))
def test_western_letters_stay_as_they_are(text: str) -> None:
    assert latin(text) == text


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_pictures_are_in_radiological_orientation(tmp_path: Path, orientation: str) -> None:
    """The lesion is to the left, behind and above the head's centre, whatever way the series was scanned."""
    axial, coronal, sagittal = key_images(phantom_reading(tmp_path, Phantom(orientation)))
    assert [view.letters for view in (axial, coronal, sagittal)] == ["ALPR", "HLFR", "HPFA"]
    for view, (right_mm, down_mm) in ((axial, (24, 9)), (coronal, (24, -6)), (sagittal, (9, -6))):
        rows, columns = np.nonzero(is_coloured(view))
        middle = (view.outlined.shape[0] - 1) / 2
        assert (columns.mean() - middle) * PIXEL_MM == pytest.approx(right_mm, abs=1.0)
        assert (rows.mean() - middle) * PIXEL_MM == pytest.approx(down_mm, abs=1.0)


def is_coloured(view: View) -> NDArray[np.bool_]:
    return np.any([(view.outlined == colour).all(axis=-1) for colour in LABEL_RGB.values()], axis=0)


def test_the_plain_picture_is_the_same_without_the_outline(reading: Reading) -> None:
    for view in key_images(reading):
        outline = is_coloured(view)
        assert outline.any()
        assert np.array_equal(view.plain[~outline], view.outlined[~outline])
        assert (view.plain == view.plain[..., :1]).all()
        bright = np.argwhere(view.plain[..., 0] > 250)
        rows, columns = np.nonzero(outline)
        assert np.abs(bright.mean(axis=0) - [rows.mean(), columns.mean()]).max() * PIXEL_MM < 2.0


def test_the_head_is_in_the_middle(reading: Reading) -> None:
    assert reading.reference_volume.grid.center_lps == pytest.approx(HEAD_CENTER)
    for view in key_images(reading):
        head = np.argwhere(view.plain[..., 0] > 60)
        middle = (view.plain.shape[0] - 1) / 2
        assert np.abs((head.min(axis=0) + head.max(axis=0)) / 2 - middle).max() * PIXEL_MM < 4.0


def test_change_is_a_table_on_the_same_page(reading: Reading) -> None:
    document = pdf(changed(reading))
    lines = shown(document)
    assert pages(document) == 1
    assert "Change since the study 87 days before" in lines
    for cell in ("8.6", "+8.6", "+100", "2.1", "+2.1"):
        assert cell in lines
    text = " ".join(lines)
    assert "Lesions: 1 matched, 1 new, 1 vanished." in text
    assert "Lesion 2 of the earlier study: vanished." in text
    assert lowest_line_mm(document) < 297


@pytest.mark.parametrize("rule", [*RULES.values(), NEW_LESION_RULE])
def test_a_proposal_is_called_one_and_what_is_not_known_is_never_left_out(reading: Reading, rule: str) -> None:
    document = pdf(changed(reading, proposal=replace(PROPOSAL, rule=rule, baseline_mm2=12345.0), matched=False))
    text = " ".join(shown(document))
    assert "RANO, imaging part only, proposal for a reader: progressive disease" in text
    for unknown in NOT_KNOWN:
        assert unknown in text
    assert "and more, see findings.json" not in text


def test_no_category_is_said_with_its_reason(reading: Reading) -> None:
    text = " ".join(shown(pdf(changed(reading, proposal=NoProposal("treatment not known"), matched=False))))
    assert "No RANO category: treatment not known." in text
    assert "Lesions were not matched: the earlier images are not at hand." in text


def test_a_long_list_with_change_stays_one_page(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path, Phantom(lesions=15))
    notices = tuple(Notice("thick-slices", f"Remark {n}, which is a long sentence. " * 3) for n in range(30))
    document = pdf(changed(replace(reading, notices=notices)))
    assert pages(document) == 1
    assert lowest_line_mm(document) < 297
