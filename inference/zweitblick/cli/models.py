"""Model bundles that options or settings name, and whose are trusted."""

import argparse
from pathlib import Path

from zweitblick.model.bundle import Bundles, default_models, load_bundles
from zweitblick.model.manifest import RELEASED, ModelTrust
from zweitblick.settings import Settings


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    command.add_argument("--models", type=Path, metavar="DIR", help="model bundles (default: the released ones)")
    command.add_argument(
        "--trusted-key",
        type=Path,
        action="append",
        default=[],
        metavar="PUBLIC.pem",
        help="trust bundles that this key has signed, too; may be given several times",
    )
    command.add_argument(
        "--allow-unsigned-models",
        action="store_true",
        help="use bundles that nobody trusted has signed, or that were altered; reports then say so",
    )


def named_bundles(arguments: argparse.Namespace) -> Bundles:
    """Open the bundles that the options name.

    Raises
    ------
    BundleError
        If one cannot be used, or nobody who is trusted has signed it.
    SigningKeyError
        If a key cannot be read.
    """
    trust = ModelTrust(RELEASED.keys, arguments.allow_unsigned_models).also(arguments.trusted_key)
    return load_bundles(arguments.models or default_models(), trust)


def configured_bundles(settings: Settings) -> Bundles:
    """Open the bundles that the settings name.

    Raises
    ------
    BundleError, SigningKeyError
        As from `named_bundles`.
    """
    trust = ModelTrust(RELEASED.keys, settings.allow_unsigned_models).also(settings.trusted_keys)
    return load_bundles(settings.models or default_models(), trust)
