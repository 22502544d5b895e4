"""``zweitblick-train sign``: whoever answers for a bundle puts their signature on it, last of all."""

import argparse
import logging
from pathlib import Path
from typing import Any

from zweitblick.model.bundle import checked_files
from zweitblick.model.manifest import UNSIGNED_TOO, sign_bundle
from zweitblick.signing.keys import FileSigner

LOG = logging.getLogger(__name__)


def add_to(commands: Any) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "sign",
        help="sign a bundle",
        description="Sign all files of a bundle as they are, so that zweitblick uses it where the key is trusted. Any "
        "later change, such as a new card, takes the signature away. The same bundle and key give the same bytes.",
    )
    command.add_argument("bundle", type=Path, help="folder of the bundle")
    command.add_argument(
        "--key", type=Path, required=True, metavar="PRIVATE.pem", help="Ed25519, readable by its owner alone"
    )
    command.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> None:
    """Sign the bundle.

    Raises
    ------
    BundleError
        If its files are not those that its metadata lists.
    SigningKeyError
        If the key cannot be used.
    """
    signer = FileSigner(arguments.key)
    checked_files(arguments.bundle, UNSIGNED_TOO)
    digest = sign_bundle(arguments.bundle, signer)
    LOG.info("%s: signed, digest of the manifest %s", arguments.bundle, digest[:12])
