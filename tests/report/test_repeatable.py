"""The same reading gives the same bytes, in another process and at another time, in every format."""

import hashlib
import io
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pydicom

from changes import changed
from readings import Phantom, phantom_reading
from zweitblick.dicom.capture import secondary_capture
from zweitblick.dicom.pdf import encapsulated_pdf
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.report.findings_json import findings_json
from zweitblick.report.pdf import pdf


def digests(folder: Path) -> list[str]:
    """SHA-256 of everything that a reading of an enhanced oblique series is written as."""
    reading = phantom_reading(folder, Phantom("oblique", enhanced=True))
    seg, page = segmentation(reading), pdf(reading)
    written = [
        seg,
        structured_report(reading, seg),
        encapsulated_pdf(reading, page),
        *secondary_capture(reading),
        page,
        findings_json(reading),
        *(write(changed(reading)) for write in (findings_json, pdf, lambda one: structured_report(one, seg))),
    ]
    return [hashlib.sha256(one).hexdigest() for one in written]


def test_two_processes_at_two_times_write_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = digests(tmp_path / "here")
    began = time.time()
    there = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path / "there")],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{Path(__file__).parents[1]}:{Path(__file__).parent}", "PYTHONHASHSEED": "7"},
    ).stdout.split()
    assert time.time() - began > 1.0, "the clock must have gone on by a second for this test to mean anything"
    assert there == here


SCRIPT = """
import sys
from pathlib import Path
import test_repeatable
print(*test_repeatable.digests(Path(sys.argv[1])))
"""


def test_another_seed_gives_other_identifiers(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path)
    other = replace(reading, stamp=replace(reading.stamp, seed=4))
    uids = [pydicom.dcmread(io.BytesIO(segmentation(one))).SOPInstanceUID for one in (reading, other)]
    assert uids[0] != uids[1]
