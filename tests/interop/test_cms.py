"""Sealed files before OpenSSL, in both directions, and encrypted attributes before OpenSSL, DCMTK and dicom3tools."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pydicom
import pytest
from pydicom.filereader import read_dataset

from readings import phantom_reading
from vault.cms_house import DAY, certificate, private_key, write, write_key
from zweitblick.dicom.encrypted import Filing, encrypted_instance
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.errors import AlteredError, CmsFormatError, NotForUsError, WeakCryptographyError
from zweitblick.vault.cms.certificates import Recipients, Trust
from zweitblick.vault.cms.enveloped import enveloped
from zweitblick.vault.cms.keys import FileKey
from zweitblick.vault.cms.secure_file import opened_file, sealed_file
from zweitblick.vault.cms.signed import signed

Program = Callable[..., CompletedProcess[str]]

NOW = datetime.now(UTC)
"""OpenSSL has the machine's clock."""
START, END = NOW - DAY, NOW + DAY
AUTHORITY = certificate("authority", "key_cert_sign", start=START, end=END)
HOSPITAL = FileKey(private_key("hospital"), certificate("hospital", "key_encipherment", start=START, end=END))
PRACTICE = FileKey(private_key("practice"), certificate("practice", "key_encipherment", start=START, end=END))
SERVICE = FileKey(private_key("service"), certificate("service", "digital_signature", start=START, end=END))
TRUST = Trust((AUTHORITY,))
BOTH = Recipients((HOSPITAL.certificate, PRACTICE.certificate))


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report, segmentation, keys and certificates as files."""
    folder = tmp_path_factory.mktemp("cms")
    source = folder / "source"
    source.mkdir()
    reading = phantom_reading(source)
    seg = segmentation(reading)
    (folder / "seg.dcm").write_bytes(seg)
    (folder / "report.dcm").write_bytes(structured_report(reading, seg))
    write(
        folder,
        authority=AUTHORITY,
        hospital=HOSPITAL.certificate,
        practice=PRACTICE.certificate,
        service=SERVICE.certificate,
        weak=certificate("weak", "digital_signature", bits=2048, start=START, end=END),
    )
    for name in ("hospital", "practice", "service"):
        write_key(folder, name)
    write_key(folder, "weak", bits=2048)
    return folder


def openssl(program: Program, *arguments: str | Path) -> None:
    done = program("openssl", "cms", *arguments)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["report.dcm", "seg.dcm"])
@pytest.mark.parametrize("who", ["hospital", "practice"])
def test_openssl_opens_what_we_sealed(program: Program, room: Path, name: str, who: str) -> None:
    content = (room / name).read_bytes()
    (room / "ours.p7m").write_bytes(sealed_file(content, BOTH, SERVICE, at=NOW))
    key = ("-recip", room / f"{who}.crt", "-inkey", room / f"{who}.key")
    openssl(program, "-decrypt", "-inform", "DER", "-in", room / "ours.p7m", *key, "-out", room / "ours.p7s")
    verify = ("-verify", "-inform", "DER", "-in", room / "ours.p7s", "-CAfile", room / "authority.crt")
    openssl(program, *verify, "-out", room / "opened.dcm")
    assert (room / "opened.dcm").read_bytes() == content


def made_by_openssl(
    program: Program, room: Path, *, by: str = "service", sign: tuple[str, ...] = (), encrypt: tuple[str, ...] = ()
) -> bytes:
    """Sign the report and encrypt it for the hospital."""
    made = room / "theirs.p7m"
    signer = ("-signer", room / f"{by}.crt", "-inkey", room / f"{by}.key")
    files = ("-in", room / "report.dcm", "-out", room / "theirs.p7s")
    openssl(program, "-sign", "-binary", "-nodetach", "-outform", "DER", *signer, *files, *sign)
    files = ("-in", room / "theirs.p7s", "-out", made)
    cipher = () if encrypt and encrypt[0].startswith("-des") else ("-aes-256-cbc",)
    openssl(program, "-encrypt", "-binary", "-outform", "DER", *cipher, *files, *encrypt, room / "hospital.crt")
    return made.read_bytes()


@pytest.mark.parametrize(
    ("sign", "encrypt"),
    [
        ((), ()),
        (("-md", "sha512"), ("-stream",)),
        (("-stream", "-keyid"), ("-keyid",)),
        (("-nosmimecap",), ()),
    ],
    ids=["plain", "streamed", "by key identifier", "without capabilities"],
)
def test_we_open_what_openssl_sealed(
    program: Program, room: Path, sign: tuple[str, ...], encrypt: tuple[str, ...]
) -> None:
    sealed = made_by_openssl(program, room, sign=sign, encrypt=encrypt)
    opened = opened_file(sealed, HOSPITAL, TRUST, at=datetime.now(UTC))
    assert (opened.content, opened.signer) == ((room / "report.dcm").read_bytes(), SERVICE.certificate)
    with pytest.raises(NotForUsError):
        opened_file(sealed, PRACTICE, TRUST, at=datetime.now(UTC))


@pytest.mark.parametrize(
    ("sign", "encrypt", "error"),
    [
        (("-md", "sha1"), (), AlteredError),
        (("-noattr",), (), AlteredError),
        (("-nocerts",), (), AlteredError),
        (("-keyopt", "rsa_padding_mode:pss"), (), AlteredError),
        ((), ("-des3",), WeakCryptographyError),
        ((), ("-aes-256-gcm",), CmsFormatError),
    ],
    ids=["SHA-1", "no attributes", "no certificate", "PSS", "Triple-DES", "GCM"],
)
def test_what_the_profile_or_we_do_not_allow_is_refused(
    program: Program, room: Path, sign: tuple[str, ...], encrypt: tuple[str, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        opened_file(made_by_openssl(program, room, sign=sign, encrypt=encrypt), HOSPITAL, TRUST, at=datetime.now(UTC))


def test_a_weak_key_that_openssl_takes_is_refused(program: Program, room: Path) -> None:
    with pytest.raises(WeakCryptographyError, match="2048 bits"):
        opened_file(made_by_openssl(program, room, by="weak"), HOSPITAL, TRUST, at=datetime.now(UTC))


def test_openssl_sees_an_altered_content_as_we_do(program: Program, room: Path) -> None:
    """The one CMS that both refuse shows that the verifying above is not idle."""
    content = (room / "report.dcm").read_bytes()
    altered = signed(content, SERVICE, at=NOW).replace(content, content[:-2] + b"!!")
    (room / "altered.p7s").write_bytes(altered)
    done = program(
        *("openssl", "cms", "-verify", "-inform", "DER", "-in", room / "altered.p7s"),
        *("-CAfile", room / "authority.crt", "-out", room / "altered.dcm"),
    )
    assert done.returncode != 0
    with pytest.raises(AlteredError):
        opened_file(enveloped(altered, BOTH, at=NOW), HOSPITAL, TRUST, at=NOW)


@pytest.fixture(scope="module")
def encrypted(room: Path) -> Path:
    """The report with encrypted attributes."""
    path = room / "encrypted.dcm"
    path.write_bytes(
        encrypted_instance(
            (room / "report.dcm").read_bytes(),
            Filing("7F3A9", bytes(32)),
            signed=partial(signed, signer=SERVICE, at=NOW),
            enveloped=partial(enveloped, recipients=BOTH, at=NOW),
        )
    )
    return path


def test_dciodvfy_accepts_report_and_encrypted_attributes(program: Program, room: Path, encrypted: Path) -> None:
    for path in (room / "report.dcm", encrypted):
        done = program("dciodvfy", path)
        said = done.stdout + done.stderr
        assert "Comprehensive3DSR" in said
        assert "Error" not in said
    warnings = [line for line in said.splitlines() if "Warning" in line]
    assert [line for line in warnings if "DICOMDIR" not in line] == []  # for which a study's date would be needed


def test_dcmtk_reads_the_cover_and_nothing_else(program: Program, encrypted: Path) -> None:
    dumped = program("dcmdump", "+L", encrypted)
    assert dumped.returncode == 0
    assert re.search(r"^\(0012,0062\) CS \[YES\]", dumped.stdout, re.MULTILINE)
    assert re.search(r"^ +\(0400,0510\) UI =LittleEndianExplicit", dumped.stdout, re.MULTILINE)
    assert re.search(r"^ +\(0400,0520\) OB 30\\82", dumped.stdout, re.MULTILINE)
    said = program("dsrdump", encrypted)
    assert (said.returncode, said.stdout.count("contains TEXT")) == (0, 1)
    for text in (dumped.stdout, said.stdout):
        assert not [value for value in ("Anna", "ZB-0815", "17.157", "left", "Left", "lesion") if value in text]


def test_openssl_decrypts_the_attributes(program: Program, room: Path, encrypted: Path) -> None:
    """By the standard's own structure; pydicom decodes what comes out."""
    (item,) = pydicom.dcmread(encrypted).EncryptedAttributesSequence
    (room / "attributes.p7m").write_bytes(item.EncryptedContent)
    key = ("-recip", room / "hospital.crt", "-inkey", room / "hospital.key")
    openssl(program, "-decrypt", "-inform", "DER", "-in", room / "attributes.p7m", *key, "-out", room / "attributes")
    decoded = read_dataset(io.BytesIO((room / "attributes").read_bytes()), False, True)
    (modified,) = decoded.ModifiedAttributesSequence
    assert modified == pydicom.dcmread(room / "report.dcm")
    (room / "original.p7s").write_bytes(decoded.private_block(0x0401, "zweitblick signed instance")[1].value)
    verify = ("-verify", "-inform", "DER", "-in", room / "original.p7s", "-CAfile", room / "authority.crt")
    openssl(program, *verify, "-out", room / "original.dcm")
    assert (room / "original.dcm").read_bytes() == (room / "report.dcm").read_bytes()


def test_the_commands_of_the_documentation_work(room: Path, tmp_path: Path) -> None:
    """docs/sealed-reports.md, block by block, in a folder with nothing but a report."""
    page = Path(__file__).resolve().parents[2] / "docs" / "sealed-reports.md"
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
    (tmp_path / "report.dcm").write_bytes((room / "report.dcm").read_bytes())
    (tmp_path / "zweitblick").write_text(f'#!/bin/sh\nexec {sys.executable} -m zweitblick "$@"\n')
    (tmp_path / "zweitblick").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-e", "-c", commands], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"Lesion 1, whole tumour +left +Volume +17\.157 +ml", done.stdout)
    for name in ("opened.dcm", "verified.dcm"):
        assert (tmp_path / name).read_bytes() == (room / "report.dcm").read_bytes()
