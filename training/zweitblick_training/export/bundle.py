"""Complete a bundle around its networks: metadata, self-test, digests."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zweitblick.model.bundle import GOLDEN, METADATA
from zweitblick.model.manifest import MANIFEST
from zweitblick.model.runtime import OnnxNetwork
from zweitblick_training.export.error import ExportError
from zweitblick_training.export.parity import golden_input
from zweitblick_training.export.precision import NETWORK_FILES, Precision

GOLDEN_EDGE = 32
"""Voxels along the golden input."""


def write_bundle(folder: Path, metadata: Mapping[str, Any], files: Mapping[str, str], *, channels: int) -> str:
    """Complete a bundle around ``models/model.onnx``: metadata with digests, golden input and output, texts.

    Parameters
    ----------
    folder
        Bundle folder that already holds the network.
    metadata
        What ``configs/metadata.json`` says, without digests and precision.
    files
        Further text files by their path in the bundle.
    channels
        Input channels of the network.

    Returns
    -------
    str
        The digest: SHA-256 of the network file, hex.
    """
    for name, text in {**files, METADATA: _json(metadata)}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return set_precision(folder, Precision.FP32, channels=channels)


def set_precision(folder: Path, precision: Precision, *, channels: int) -> str:
    """Make one of a bundle's networks the one that is served, and return its digest.

    Raises
    ------
    ExportError
        If the bundle has no network of that precision.
    """
    network = folder / NETWORK_FILES[precision]
    if not network.is_file():
        raise ExportError(f"bundle {folder.name} has no {NETWORK_FILES[precision]}; export it first")
    image = golden_input(channels, GOLDEN_EDGE)
    np.savez_compressed(folder / GOLDEN, input=image, output=OnnxNetwork(network)(image))
    digest = _digest(network)
    # What int8 wins in time, a processor with bfloat16 wins without its rounding.
    bfloat16 = NETWORK_FILES[Precision.FP32] if precision is Precision.INT8 else None
    changes = {"precision": str(precision), "network": NETWORK_FILES[precision], "digest": digest}
    revise(folder, {**changes, "bfloat16": bfloat16})
    return digest


def revise(folder: Path, changes: Mapping[str, Any]) -> None:
    """Change entries of a bundle's metadata, without those that are None then, and seal it anew."""
    metadata = {key: value for key, value in {**read_metadata(folder), **changes}.items() if value is not None}
    (folder / METADATA).write_text(_json(metadata), encoding="utf-8")
    seal(folder)


def seal(folder: Path) -> None:
    """Write the digest of every file of a bundle, but the metadata itself, into its metadata.

    To be called after the last change, such as a new card; ``zweitblick.model.bundle.load_bundle`` checks each file.
    A signature of what the bundle was before is deleted.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    metadata = read_metadata(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / METADATA)
    digests = {path.relative_to(folder).as_posix(): _digest(path) for path in files}
    (folder / METADATA).write_text(_json({**metadata, "digests": digests}), encoding="utf-8")


def read_metadata(folder: Path) -> dict[str, Any]:
    """Read what a bundle says of itself."""
    return dict(json.loads((folder / METADATA).read_text(encoding="utf-8")))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1) + "\n"
