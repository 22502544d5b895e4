"""``zweitblick seal`` and ``open`` from outside: what they show and write, and that a refusal shows nothing."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pydicom
import pytest

from readings import phantom_reading
from vault.cms_house import DAY, certificate, private_key, subject, write, write_key
from zweitblick.cli import main
from zweitblick.dicom.encrypted import Filing, encrypted_instance
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.report.fhir import fhir_bundle
from zweitblick.vault.cms.certificates import Recipients
from zweitblick.vault.cms.enveloped import enveloped
from zweitblick.vault.cms.keys import FileKey
from zweitblick.vault.cms.signed import signed

START, END = datetime.now(UTC) - DAY, datetime.now(UTC) + DAY
"""The command line has the machine's clock."""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report, a segmentation, keys and certificates, and everything sealed once."""
    folder = tmp_path_factory.mktemp("sealed")
    source = folder / "source"
    source.mkdir()
    reading = phantom_reading(source)
    seg = segmentation(reading)
    (folder / "seg.dcm").write_bytes(seg)
    (folder / "report.dcm").write_bytes(structured_report(reading, seg))
    papers = {
        "authority": certificate("authority", "key_cert_sign", start=START, end=END),
        "other-authority": certificate("forger", "key_cert_sign", issuer="forger", start=START, end=END),
        "hospital": certificate("hospital", "key_encipherment", start=START, end=END),
        "stranger": certificate("stranger", "key_encipherment", start=START, end=END),
        "service": certificate("service", "digital_signature", start=START, end=END),
        "expired": certificate("hospital", "key_encipherment", start=START, end=datetime.now(UTC) - DAY / 2),
    }
    write(folder, **papers)
    for name in ("hospital", "stranger", "service"):
        write_key(folder, name)
    for name in ("report", "seg"):
        assert seal(folder, f"{name}.dcm", f"{name}.p7m") == 0
    (folder / "encrypted.dcm").write_bytes(
        encrypted_instance(
            (folder / "report.dcm").read_bytes(),
            Filing("7F3A9", bytes(32)),
            signed=partial(signed, signer=FileKey(private_key("service"), papers["service"]), at=datetime.now(UTC)),
            enveloped=partial(enveloped, recipients=Recipients((papers["hospital"],)), at=datetime.now(UTC)),
        )
    )
    return folder


def seal(room: Path, file: str, out: str, *, to: str = "hospital.crt") -> int:
    signer = ("--key", room / "service.key", "--certificate", room / "service.crt")
    return run("seal", room / file, "--to", room / to, *signer, "--out", room / out)


def open_(room: Path, file: str, *more: str | Path, who: str = "hospital", trust: str = "authority.crt") -> int:
    key = ("--key", room / f"{who}.key", "--certificate", room / f"{who}.crt")
    return run("open", room / file, *key, "--trust", room / trust, *more)


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize("file", ["report.p7m", "encrypted.dcm"])
def test_the_report_is_shown(room: Path, capsys: pytest.CaptureFixture[str], file: str) -> None:
    assert open_(room, file) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    report = pydicom.dcmread(room / "report.dcm")
    lines = [" ".join(line.split()) for line in printed.out.splitlines()]
    assert "patient Grün^Anna (ZB-0815), born 19610402" in lines
    assert f"report {report.SOPInstanceUID}" in lines
    assert "Lesion 1, whole tumour left Volume 17.157 ml" in lines
    assert "Diameter 32.0 mm" in lines
    assert "Long axis 20.0 mm" in lines
    assert "T1 was not there." in printed.out
    assert f"Signed by {subject('service').rfc4514_string()}" in printed.out


@pytest.mark.parametrize(
    ("file", "original"), [("report.p7m", "report.dcm"), ("encrypted.dcm", "report.dcm"), ("seg.p7m", "seg.dcm")]
)
def test_what_was_sealed_is_written_as_it_was(room: Path, tmp_path: Path, file: str, original: str) -> None:
    assert open_(room, file, "--out", tmp_path / "out.dcm") == 0
    assert (tmp_path / "out.dcm").read_bytes() == (room / original).read_bytes()


def test_an_old_report_under_a_new_name_is_seen_to_be_the_old_one(
    room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Replay: a name is not signed; the report says itself which it is, and the signature when it was made."""
    (room / "todays-report.p7m").write_bytes((room / "report.p7m").read_bytes())
    assert open_(room, "todays-report.p7m") == 0
    assert str(pydicom.dcmread(room / "report.dcm").SOPInstanceUID) in capsys.readouterr().out


def test_key_and_certificate_may_be_in_one_file(room: Path, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes((room / "hospital.key").read_bytes() + (room / "hospital.crt").read_bytes())
    assert run("open", room / "report.p7m", "--key", both, "--trust", room / "authority.crt") == 0


REFUSALS = {
    "cms.not-for-us": {"file": "report.p7m", "who": "stranger"},
    "cms.wrong-signer": {"file": "report.p7m", "trust": "other-authority.crt"},
    "cms.format": {"file": "report.dcm"},
    "cms.altered": {"file": "altered.p7m"},
    "cms.key": {"file": "report.p7m", "trust": "hospital.key"},
    "source.missing": {"file": "absent.p7m"},
    "instance.damaged": {"file": "seg.p7m"},
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_is_one_line_and_shows_nothing(room: Path, capsys: pytest.CaptureFixture[str], code: str) -> None:
    altered = bytearray((room / "report.p7m").read_bytes())
    altered[len(altered) // 2] ^= 1
    (room / "altered.p7m").write_bytes(altered)
    assert open_(room, **REFUSALS[code]) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {code}: ")
    assert printed.err.count("\n") == 1
    assert "ZB-0815" not in printed.err


def test_a_refused_file_is_not_written(room: Path, tmp_path: Path) -> None:
    assert open_(room, "report.p7m", "--out", tmp_path / "out.dcm", trust="other-authority.crt") == 3
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_kept_unless_it_may_be_replaced(room: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.dcm"
    out.write_text("mine")
    assert open_(room, "report.p7m", "--out", out) == 3
    assert out.read_text() == "mine"
    assert open_(room, "report.p7m", "--out", out, "--overwrite") == 0
    assert out.read_bytes() == (room / "report.dcm").read_bytes()


@pytest.mark.parametrize(
    ("file", "to", "code"),
    [("report.dcm", "expired.crt", "cms.expired"), ("hospital.key", "hospital.crt", "instance.")],
)
def test_what_must_not_be_sealed_is_not(
    room: Path, capsys: pytest.CaptureFixture[str], file: str, to: str, code: str
) -> None:
    assert seal(room, file, "refused.p7m", to=to) == 3
    assert capsys.readouterr().err.startswith(f"error: {code}")
    assert not (room / "refused.p7m").exists()


def test_without_knowing_whom_to_trust_nothing_is_opened(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("open", room / "report.p7m", "--key", room / "hospital.key")
    assert "--trust" in capsys.readouterr().err


@pytest.fixture(scope="module")
def jwe(room: Path) -> Path:
    source = room / "again"
    source.mkdir()
    (room / "fhir.json").write_bytes(fhir_bundle(phantom_reading(source)))
    assert seal(room, "fhir.json", "fhir.jwe") == 0
    return room / "fhir.jwe"


def test_a_fhir_bundle_is_sealed_and_shown(room: Path, jwe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Anna" not in jwe.read_text("ascii")
    assert open_(room, "fhir.jwe") == 0
    said = capsys.readouterr().out
    for told in ("Anna Grün (ZB-0815), born 19610402", "1 glioma-like lesion above 0.5 ml", "Lesion 1", "Signed by"):
        assert told in said
    assert open_(room, "fhir.jwe", "--out", room / "opened.json") == 0
    assert (room / "opened.json").read_bytes() == (room / "fhir.json").read_bytes()


@pytest.mark.parametrize(
    ("people", "code"),
    [({"who": "stranger"}, "cms.not-for-us"), ({"trust": "other-authority.crt"}, "cms.wrong-signer")],
    ids=["to", "of"],
)
def test_a_fhir_bundle_is_not_shown_to_or_of_strangers(
    room: Path, jwe: Path, capsys: pytest.CaptureFixture[str], people: dict[str, str], code: str
) -> None:
    assert open_(room, jwe.name, **people) == 3
    said = capsys.readouterr()
    assert said.err.startswith(f"error: {code}: ")
    assert "Anna" not in said.out + said.err


def test_other_json_and_two_recipients_are_not_sealed(
    room: Path, jwe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (room / "other.json").write_text('{"name": "Anna"}')
    assert seal(room, "other.json", "other.jwe") == 3
    assert "instance.damaged" in capsys.readouterr().err
    both = ("--to", room / "hospital.crt", "--to", room / "stranger.crt", "--out", room / "both.jwe")
    papers = ("--key", room / "service.key", "--certificate", room / "service.crt")
    assert run("seal", room / "fhir.json", *both, *papers) == 3
    said = capsys.readouterr().err
    assert "cms.key" in said
    assert "Anna" not in said
    assert not (room / "other.jwe").exists()
    assert not (room / "both.jwe").exists()
