"""``zweitblick seal``: sign a DICOM file or a FHIR bundle and encrypt it for others."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from zweitblick.cli.fhir_content import fhir_content
from zweitblick.cli.open_report import read_bytes
from zweitblick.cli.output import check_file, write_files
from zweitblick.dicom.header import read_header
from zweitblick.report.fhir_parts import CONTENT_TYPE
from zweitblick.vault.cms.certificates import Recipients
from zweitblick.vault.cms.keys import FileKey
from zweitblick.vault.cms.secure_file import sealed_file
from zweitblick.vault.jose import sealed_jwe

DESCRIPTION = (
    "Sign a file and encrypt it: a DICOM file for one or more recipients as a Secure DICOM File (PS3.15 D.1), a FHIR "
    "bundle for one recipient as a compact JWE (RFC 7516)."
)


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "seal", parents=[shared], allow_abbrev=False, help="seal a DICOM file or a FHIR bundle", description=DESCRIPTION
    )
    command.add_argument("file", type=Path, metavar="FILE", help="a DICOM file, or fhir.json")
    command.add_argument(
        "--to", required=True, action="append", type=Path, metavar="CERT", help="a recipient's certificate; repeatable"
    )
    command.add_argument("--key", required=True, type=Path, metavar="K", help="your private key, PEM")
    command.add_argument(
        "--certificate", type=Path, metavar="C", help="its certificate, PEM (default: in the file of the key)"
    )
    command.add_argument("--out", required=True, type=Path, metavar="FILE", help="where it goes: .p7m, of FHIR .jwe")
    command.add_argument("--overwrite", action="store_true", help="replace an existing file")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Seal the file, or raise and write nothing.

    Raises
    ------
    ZweitblickError
        See `zweitblick.errors`.
    """
    check_file(arguments.out, overwrite=arguments.overwrite)
    signer = FileKey.read(arguments.key, arguments.certificate or arguments.key)
    sealed = _sealed(read_bytes(arguments.file), Recipients.read(*arguments.to), signer, at=datetime.now(UTC))
    write_files({arguments.out: sealed}, overwrite=arguments.overwrite)
    Console(markup=False, highlight=False).print(str(arguments.out), soft_wrap=True)


def _sealed(content: bytes, recipients: Recipients, signer: FileKey, *, at: datetime) -> bytes:
    """Seal what is one of the two as it must be, and nothing else."""
    if not content.lstrip().startswith(b"{"):
        read_header(content, [])  # nothing else belongs into a Secure DICOM File
        return sealed_file(content, recipients, signer, at=at)
    fhir_content(content)
    return sealed_jwe(content, recipients.only, signer, at=at, content_type=CONTENT_TYPE)
