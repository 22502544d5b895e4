"""``zweitblick read``: a study in, findings and reports out."""

import argparse
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from zweitblick import pipeline
from zweitblick.cli.earlier import add_options, opened_prior
from zweitblick.cli.models import add_model_options, named_bundles
from zweitblick.cli.output import CAPTURE, MARK, RECEIPT, SEGMENTATION, check_folder, write_folder
from zweitblick.cli.stages import Stages
from zweitblick.cli.summary import summary
from zweitblick.dicom.capture import secondary_capture
from zweitblick.dicom.read import read_study
from zweitblick.dicom.source import opened
from zweitblick.documents import Documents, documents
from zweitblick.model.bundle import Bundles
from zweitblick.reading import Reading, Stamp
from zweitblick.receipt import receipt_of, signed_receipt
from zweitblick.signing.keys import FileSigner

DESCRIPTION = "Read one study of one patient and write findings, DICOM SEG and SR, and a PDF into a new folder."


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "read", parents=[shared], allow_abbrev=False, help="read a DICOM study", description=DESCRIPTION
    )
    command.add_argument("study", nargs="+", type=Path, metavar="STUDY", help="folder, zip archive or files")
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="where results go: new or empty")
    command.add_argument("--overwrite", action="store_true", help="replace an earlier reading in DIR")
    add_model_options(command)
    command.add_argument(
        "--secondary-capture", action="store_true", help="also a series with the outline burnt in, for a plain PACS"
    )
    command.add_argument("--json", action="store_true", help="print findings.json and nothing else")
    command.add_argument(
        "--timings", action="store_true", help="print how long each stage took, and what the networks ran on"
    )
    command.add_argument(
        "--signing-key",
        type=Path,
        metavar="PRIVATE.pem",
        help="also a receipt, signed with this Ed25519 key; the study is held in memory then",
    )
    add_options(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Read the study and write all results, or raise and write none.

    Raises
    ------
    ZweitblickError
        See `zweitblick.errors`.
    """
    check_folder(arguments.out, overwrite=arguments.overwrite)
    stages = Stages(Console(stderr=True))
    with stages.shown():
        results = _results(arguments, stages)
    write_folder(arguments.out, results.files, overwrite=arguments.overwrite)
    if arguments.json:
        sys.stdout.write(results.files[MARK].decode())
    else:
        console = Console(markup=False, highlight=False)
        console.print(summary(results.reading))
        for name in _named(results.files):
            console.print(str(arguments.out / name), soft_wrap=True)
    if arguments.timings:
        console = Console(stderr=True, markup=False, highlight=False)
        console.print(stages.table())
        console.print(results.networks, soft_wrap=True)


def _named(files: Iterable[str]) -> list[str]:
    """File names as the terminal shows them: a folder is one line."""
    return list(dict.fromkeys(name.partition("/")[0] for name in files))


@dataclass(frozen=True)
class _Results:
    reading: Reading
    files: dict[str, bytes]
    networks: str


def _results(arguments: argparse.Namespace, stages: Stages) -> _Results:
    """All files are made in memory while an unpacked archive still exists."""
    stamp = Stamp(datetime.now(UTC).astimezone())
    signer = None if arguments.signing_key is None else FileSigner(arguments.signing_key)
    with opened(arguments.study) as paths, opened_prior(arguments) as prior, ThreadPoolExecutor(1) as meanwhile:
        loading = meanwhile.submit(named_bundles, arguments)
        with stages("headers"):
            study = read_study(paths if signer is None else [_held(path) for path in paths])
        with stages("bundles"):
            bundles = loading.result()
        reading = pipeline.read(study, bundles, prior=prior, stamp=stamp, observer=stages)
        files = files_of(documents(reading, observer=stages))
        if arguments.secondary_capture:
            with stages("secondary capture"):
                images = enumerate(secondary_capture(reading), start=1)
                files |= {f"{CAPTURE}/{n:03d}.dcm": image for n, image in images}
        if signer is not None:
            receipt = receipt_of(reading, bundles, files, timings=stages.timings)
            files[RECEIPT] = signed_receipt(receipt, signer)
    return _Results(reading, files, _networks(bundles))


def _held(path: Path) -> Path | bytes:
    """Read a file, so that what a receipt tells of is what is read; one that cannot be read is left to `read_study`."""
    try:
        return path.read_bytes()
    except OSError:
        return path


def _networks(bundles: Bundles) -> str:
    """Name what each network ran on; no report tells, as results of the runtimes differ by rounding alone."""
    used = (bundles.sequence, bundles.brain_mask, bundles.tumour)
    return "\n".join(f"{bundle.name} {bundle.version}: {bundle.runtime}" for bundle in used)


def files_of(made: Documents) -> dict[str, bytes]:
    """Give each document the name of its file."""
    return {
        MARK: made.json,
        "fhir.json": made.fhir,
        SEGMENTATION: made.seg,
        "report.dcm": made.sr,
        "report.pdf": made.pdf,
        "report-pdf.dcm": made.encapsulated_pdf,
    }
