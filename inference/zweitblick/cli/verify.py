"""``zweitblick verify``: what was written is what is there; for somebody who can open none of it."""

import argparse
import sys
from pathlib import Path
from typing import Any

from zweitblick.audit.head import SignedHead
from zweitblick.audit.signing import load_public_key
from zweitblick.audit.verification import verify_trail
from zweitblick.errors import HeadError

DESCRIPTION = (
    "Verify an audit trail. Entries that were altered, removed, reordered or cut off are named by their numbers. "
    "Messages stay sealed."
)


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "verify", parents=[shared], allow_abbrev=False, help="verify an audit trail", description=DESCRIPTION
    )
    command.add_argument(
        "--audit", type=Path, required=True, metavar="FOLDER", help="folder of the trail, or of a copy"
    )
    command.add_argument(
        "--head", type=Path, metavar="FILE", help="signed head from elsewhere: a receipt, or a syslog receiver"
    )
    command.add_argument(
        "--key", type=Path, action="append", default=[], metavar="PUBLIC.pem", help="public key of the service"
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Verify, and say what that shows and what it does not.

    Raises
    ------
    AuditError
        If anything is not as it was written, or cannot be read.
    """
    keys = [load_public_key(path) for path in arguments.key]
    head = None if arguments.head is None else _head(arguments.head)
    verified = verify_trail(arguments.audit, head=head, keys=keys)
    sys.stdout.write(f"Entries: 1 to {verified.head.count}, each as it was written\n")
    sys.stdout.write(f"Head: {verified.head.head}\n")
    if verified.unfinished_bytes:
        sys.stdout.write(f"Unfinished: {verified.unfinished_bytes} bytes of entry {verified.head.count + 1}\n")
    if keys:
        sys.stdout.write("Signatures: each by the key\n")
    else:
        sys.stdout.write("Signatures: NOT CHECKED; give --key\n")
    if head is None:
        sys.stdout.write("End: NOT CHECKED, so that cut off entries are not seen; give --head\n")
    else:
        sys.stdout.write(f"End: entries 1 to {head.count} lead to the given head\n")


def _head(path: Path) -> SignedHead:
    try:
        return SignedHead.from_json(path.read_bytes())
    except OSError as error:
        raise HeadError(f"{path} cannot be read ({error.strerror}); give the file of a signed head") from error
