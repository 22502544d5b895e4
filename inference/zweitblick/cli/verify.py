"""``zweitblick verify``: what was written is what is there; for somebody who can open none of it."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from zweitblick.audit.head import SignedHead
from zweitblick.audit.verification import verify_trail
from zweitblick.dicom.read import read_study
from zweitblick.dicom.source import opened
from zweitblick.errors import HeadError, SourceMissingError
from zweitblick.model.bundle import checked_files, identity_of
from zweitblick.model.manifest import RELEASED, ModelTrust
from zweitblick.receipt import Receipt, check_results, check_study, opened_receipt
from zweitblick.signing.keys import PublicKey, load_public_key

DESCRIPTION = (
    "Verify a receipt, a model bundle or an audit trail with public keys alone. A receipt is compared with the results "
    "and images that it tells of, if they are given. Of a trail, entries that were altered, removed, reordered or cut "
    "off are named by their numbers; messages stay sealed."
)

JWS_START = b"eyJ"
"""Of every JSON Web Signature in its compact form: base64url of the brace and the quotation mark of its header."""


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "verify",
        parents=[shared],
        allow_abbrev=False,
        help="verify a receipt, a model bundle or an audit trail",
        description=DESCRIPTION,
    )
    command.add_argument("path", nargs="?", type=Path, metavar="PATH", help="file of a receipt, or folder of a bundle")
    command.add_argument("--audit", type=Path, metavar="FOLDER", help="folder of an audit trail, or of a copy")
    command.add_argument(
        "--head", type=Path, metavar="FILE", help="signed head from elsewhere: a receipt, or a syslog receiver"
    )
    command.add_argument(
        "--key",
        type=Path,
        action="append",
        default=[],
        metavar="PUBLIC.pem",
        help="public key of the service, or of whoever has signed a bundle (default there: this project's)",
    )
    command.add_argument(
        "--results",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="results that the receipt tells of: a file, or a folder of them; may be given several times",
    )
    command.add_argument(
        "--study",
        type=Path,
        action="append",
        default=[],
        metavar="STUDY",
        help="images that the receipt tells of: folder, zip archive or file; may be given several times",
    )
    command.set_defaults(run=run, usage_error=command.error)


def run(arguments: argparse.Namespace) -> None:
    """Verify, and say what that shows and what it does not.

    Raises
    ------
    AuditError, BundleError, SigningError, ReceiptError
        If anything is not as it was written, or cannot be read.
    """
    if (arguments.path is None) == (arguments.audit is None):
        arguments.usage_error("give either the file of a receipt, the folder of a bundle, or --audit")
    keys = [load_public_key(path) for path in arguments.key]
    if arguments.audit is not None:
        _verify_trail(arguments, keys)
    elif arguments.path.is_dir():
        _verify_bundle(arguments.path, keys)
    elif keys:
        _verify_receipt(arguments, keys)
    else:
        arguments.usage_error("a receipt is verified with --key")


def _verify_trail(arguments: argparse.Namespace, keys: Sequence[PublicKey]) -> None:
    trail_keys = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if keys and not trail_keys:
        arguments.usage_error("a trail is signed by an Ed25519 key, and no --key is one; give that key as well")
    head = None if arguments.head is None else _head(arguments.head, keys)
    verified = verify_trail(arguments.audit, head=head, keys=trail_keys)
    _say(f"Entries: 1 to {verified.head.count}, each as it was written", f"Head: {verified.head.head}")
    if verified.unfinished_bytes:
        _say(f"Unfinished: {verified.unfinished_bytes} bytes of entry {verified.head.count + 1}")
    _say("Signatures: each by the key" if trail_keys else "Signatures: NOT CHECKED; give the trail's --key")
    if head is None:
        _say("End: NOT CHECKED, so that cut off entries are not seen; give --head")
    else:
        _say(f"End: entries 1 to {head.count} lead to the given head")


def _head(path: Path, keys: Sequence[PublicKey]) -> SignedHead:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HeadError(f"{path} cannot be read ({error.strerror}); give the file of a signed head") from error
    if not data.startswith(JWS_START):
        return SignedHead.from_json(data)
    if not keys:
        raise HeadError(f"{path} is a receipt, which is worth nothing unless its signature is checked; give --key")
    audit = opened_receipt(data, keys).audit
    if audit is None:
        raise HeadError(f"{path} is a receipt of a reading that is on no audit trail; give another head")
    return audit


def _verify_bundle(folder: Path, keys: Sequence[PublicKey]) -> None:
    files = checked_files(folder, ModelTrust(tuple(keys) or RELEASED.keys))
    _say(
        f"Bundle: {identity_of(files)}",
        f"Files: {len(files.contents)}, each as it was signed",
        f"Manifest: {files.manifest_digest}",
        f"Signature: by key {files.signed_by}",
    )


def _verify_receipt(arguments: argparse.Namespace, keys: Sequence[PublicKey]) -> None:
    data = _content(arguments.path)
    receipt = opened_receipt(data, keys)
    results = _results_said(receipt, arguments.results, data)
    study = _study_said(receipt, arguments.study)
    _say(
        f"Receipt: study {receipt.study_uid}, read {receipt.read_at} by zweitblick {receipt.versions['zweitblick']}",
        "Signature: by the key",
        *(_model_said(receipt)),
        f"Results: {results}",
        f"Images: {study}",
        f"Sealed: {_keys_said(receipt)}",
        f"Audit: {_audit_said(receipt)}",
    )


def _results_said(receipt: Receipt, paths: Sequence[Path], data: bytes) -> str:
    if not paths:
        return f"{len(receipt.results)}, NOT CHECKED; give --results"
    contents = {str(path): _content(path) for path in _files(paths)}
    missing = check_results(receipt, {name: content for name, content in contents.items() if content != data})
    same = len(receipt.results) - len(missing)
    return f"{same} of {len(receipt.results)}, each as it was made" + (
        f"; NOT GIVEN: {', '.join(missing)}" if missing else ""
    )


def _study_said(receipt: Receipt, paths: Sequence[Path]) -> str:
    if not paths:
        return f"{len(receipt.instances)}, NOT CHECKED; give --study"
    with opened(paths) as found:
        same, others = check_study(receipt, read_study(found))
    expected = len(set(receipt.instances))
    missing = expected - same
    return (
        f"{same} of {expected}, each as it was read"
        + (f"; NOT GIVEN: {missing}" if missing else "")
        + (f"; {others} more that were not read" if others else "")
    )


def _model_said(receipt: Receipt) -> Iterable[str]:
    for model in receipt.models:
        signed = f"signed by key {model.signed_by}" if model.signed_by else "NOT SIGNED by a key that was trusted"
        yield f"Model: {model.name} {model.version} on {model.runtime}, {signed}"


def _keys_said(receipt: Receipt) -> str:
    return f"under key {receipt.keys.data_key}, wrapped by {receipt.keys.kek}" if receipt.keys else "not by zweitblick"


def _audit_said(receipt: Receipt) -> str:
    if receipt.audit is None:
        return "on no trail"
    return f"entries 1 to {receipt.audit.count} of trail {receipt.audit.trail}; give --audit and this file as --head"


def _files(paths: Sequence[Path]) -> Iterable[Path]:
    for path in paths:
        yield from sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceMissingError(f"{path} cannot be read ({error.strerror}); check the path") from error


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
