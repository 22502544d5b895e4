"""``zweitblick seal``: sign a DICOM file and encrypt it for recipients, to try certificates before they are needed."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from zweitblick.cli.open_report import read_bytes
from zweitblick.cli.output import check_file, write_files
from zweitblick.dicom.header import read_header
from zweitblick.vault.cms.certificates import Recipients
from zweitblick.vault.cms.keys import FileKey
from zweitblick.vault.cms.secure_file import sealed_file

DESCRIPTION = "Sign a DICOM file and encrypt it for recipients: a Secure DICOM File (PS3.15 D.1)."


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "seal", parents=[shared], allow_abbrev=False, help="seal a DICOM file for others", description=DESCRIPTION
    )
    command.add_argument("file", type=Path, metavar="FILE", help="a DICOM file")
    command.add_argument(
        "--to", required=True, action="append", type=Path, metavar="CERT", help="a recipient's certificate; repeatable"
    )
    command.add_argument("--key", required=True, type=Path, metavar="K", help="your private key, PEM")
    command.add_argument(
        "--certificate", type=Path, metavar="C", help="its certificate, PEM (default: in the file of the key)"
    )
    command.add_argument("--out", required=True, type=Path, metavar="FILE.p7m", help="where the sealed file goes")
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
    content = read_bytes(arguments.file)
    read_header(content, [])  # nothing else belongs into a Secure DICOM File
    signer = FileKey.read(arguments.key, arguments.certificate or arguments.key)
    sealed = sealed_file(content, Recipients.read(*arguments.to), signer, at=datetime.now(UTC))
    write_files({arguments.out: sealed}, overwrite=arguments.overwrite)
    Console(markup=False, highlight=False).print(str(arguments.out), soft_wrap=True)
