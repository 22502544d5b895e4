"""``zweitblick open``: a sealed report, decrypted and verified, on the terminal or in a file."""

import argparse
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from zweitblick.cli.fhir_content import fhir_content
from zweitblick.cli.output import check_file, write_files
from zweitblick.dicom.encrypted import reidentified
from zweitblick.dicom.report_content import ReportContent, report_content
from zweitblick.errors import SourceMissingError
from zweitblick.vault.cms.certificates import Trust, fingerprint
from zweitblick.vault.cms.enveloped import decrypted
from zweitblick.vault.cms.keys import FileKey
from zweitblick.vault.cms.secure_file import opened_file
from zweitblick.vault.cms.signed import SignedContent, verified
from zweitblick.vault.jose import BEGINNING, opened_jwe

DESCRIPTION = (
    "Decrypt a sealed report (.p7m, a DICOM instance with encrypted attributes, or FHIR as .jwe), check who signed it, "
    "and show its findings, or write the file that was sealed. Nothing is shown or written before its signature is "
    "verified."
)


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "open", parents=[shared], allow_abbrev=False, help="open a sealed report", description=DESCRIPTION
    )
    command.add_argument("file", type=Path, metavar="FILE", help="what was sealed: .p7m, .dcm or .jwe")
    command.add_argument("--key", required=True, type=Path, metavar="K", help="your private key, PEM")
    command.add_argument(
        "--certificate", type=Path, metavar="C", help="its certificate, PEM (default: in the file of the key)"
    )
    command.add_argument(
        "--trust", required=True, type=Path, metavar="T", help="authorities or signers that you trust, PEM"
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="write what was sealed instead of showing it")
    command.add_argument("--overwrite", action="store_true", help="replace an existing file")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Open the file and show or write what it holds.

    Raises
    ------
    ZweitblickError
        See `zweitblick.errors`.
    """
    if arguments.out is not None:
        check_file(arguments.out, overwrite=arguments.overwrite)
    key = FileKey.read(arguments.key, arguments.certificate or arguments.key)
    found = opened(read_bytes(arguments.file), key, Trust.read(arguments.trust), at=datetime.now(UTC))
    console = Console(markup=False, highlight=False)
    if arguments.out is None:
        is_fhir = found.content.lstrip().startswith(b"{")
        console.print(shown(fhir_content(found.content) if is_fhir else report_content(found.content)))
    else:
        write_files({arguments.out: found.content}, overwrite=arguments.overwrite)
        console.print(str(arguments.out), soft_wrap=True)
    console.print(signature(found), soft_wrap=True)


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises
    ------
    SourceMissingError
        If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceMissingError(f"{path} cannot be read: {error.strerror}; check the path") from error


def opened(data: bytes, key: FileKey, trust: Trust, *, at: datetime) -> SignedContent:
    """Open a Secure DICOM File, a JWE, or an instance with encrypted attributes, told apart by how they begin.

    Raises
    ------
    CmsError
        See `zweitblick.vault.cms.secure_file.opened_file`, `zweitblick.vault.jose.opened_jwe` and
        `zweitblick.dicom.encrypted.reidentified`.
    """
    if data.lstrip().startswith(BEGINNING):
        return opened_jwe(data, key, trust, at=at)
    if data[128:132] != b"DICM":
        return opened_file(data, key, trust, at=at)
    return reidentified(
        data, decrypted=partial(decrypted, recipient=key), verified=partial(verified, trust=trust, at=at)
    )


def shown(report: ReportContent) -> RenderableType:
    """Lay out whose report it is, its findings, measurements and comments."""
    parts: list[RenderableType] = [_identity(report)]
    parts += [Text(_printable(finding), style="bold") for finding in report.findings]
    parts.append(_measurements(report))
    parts += [Text(f"• {_printable(comment)}") for comment in report.comments]
    return Group(*parts)


def signature(found: SignedContent) -> Text:
    """Tell who signed and when."""
    signer = _printable(found.signer.subject.rfc4514_string())
    return Text(f"Signed by {signer} ({fingerprint(found.signer)}) at {found.signed_at:%Y-%m-%d %H:%M:%S} UTC", "dim")


def _identity(report: ReportContent) -> Table:
    """Say whose it is: a sealed file's name is not signed, so that only this tells a report from another."""
    table = Table(box=None, show_header=False)
    for name, value in (
        ("patient", f"{report.patient_name} ({report.patient_id}), born {report.birth_date or 'unknown'}"),
        ("study", f"{report.study_date} {report.study_uid}"),
        ("report", report.sop_instance_uid),
    ):
        table.add_row(name, _printable(value))
    return table


def _measurements(report: ReportContent) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("", "side", "measurement"):
        table.add_column(heading)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for group in report.groups:
        name, side = _printable(group.name), _printable(group.side).lower()
        for one in group.measurements:
            table.add_row(name, side, _printable(one.name), _printable(one.value), _printable(one.unit))
            name = side = ""
    return table


def _printable(value: str) -> str:
    """Leave out what could steer the terminal."""
    return "".join(character for character in value if character.isprintable())
