"""Bundle: a released network as data, in MONAI's bundle layout (configs/metadata.json, models/model.onnx)."""

import hashlib
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from zweitblick.errors import BundleDamagedError, BundleMissingError
from zweitblick.model.runtime import RUNTIME_ERRORS, Network, OnnxNetwork

SELF_TEST_TOLERANCE = 1e-2
"""Largest difference of a probability from the golden output: other processors sum in another order, a wrong
network is off by far more."""


@dataclass(frozen=True)
class Bundle:
    """One released network.

    Parameters
    ----------
    name, version
        As its metadata says.
    digest
        SHA-256 of the network file, hex; checked when the bundle was opened.
    network
        The network.
    validated_ml
        From this size on nine in ten lesions were found in validation; 0 for networks that look for none.
    """

    name: str
    version: str
    digest: str
    network: Network
    validated_ml: float


@dataclass(frozen=True)
class Bundles:
    """The networks that one reading needs."""

    tumour: Bundle
    brain_mask: Bundle


def default_models() -> Path:
    """Folder of the released bundles: beside the source tree, or where the wheel put them.

    Raises
    ------
    BundleMissingError
        If neither is there.
    """
    checkout = Path(__file__).resolve().parents[3] / "models"
    installed = Path(sys.prefix) / "share" / "zweitblick" / "models"
    for folder in (checkout, installed):
        if (folder / "tumour").is_dir():
            return folder
    raise BundleMissingError("no model bundles are installed; name their folder with --models")


def load_bundles(models: Path) -> Bundles:
    """Open and verify the bundles in a folder.

    Raises
    ------
    BundleMissingError, BundleDamagedError
        See `load_bundle`.
    """
    return Bundles(tumour=load_bundle(models / "tumour"), brain_mask=load_bundle(models / "brain-mask"))


def load_bundle(folder: Path) -> Bundle:
    """Open one bundle: its digest is compared and its golden input is run.

    Raises
    ------
    BundleMissingError
        If a file that it must hold is absent.
    BundleDamagedError
        If metadata, digest or self-test do not match.
    """
    metadata = _metadata(folder)
    path = folder / "models" / "model.onnx"
    if not path.is_file():
        raise BundleMissingError(f"bundle {folder.name} has no models/model.onnx; install it anew")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != metadata["digest"]:
        raise BundleDamagedError(f"bundle {folder.name}: digest {digest[:12]} is not {str(metadata['digest'])[:12]}")
    network = OnnxNetwork(path)
    _self_test(folder, network)
    return Bundle(
        name=str(metadata["name"]),
        version=str(metadata["version"]),
        digest=digest,
        network=network,
        validated_ml=_validated_ml(folder, metadata),
    )


def _metadata(folder: Path) -> dict[str, Any]:
    path = folder / "configs" / "metadata.json"
    if not path.is_file():
        raise BundleMissingError(f"bundle {folder.name} has no configs/metadata.json; install it anew")
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleDamagedError(f"bundle {folder.name}: metadata.json is not JSON; install it anew") from error
    missing = [key for key in ("name", "version", "digest") if key not in metadata]
    if missing:
        raise BundleDamagedError(f"bundle {folder.name}: metadata.json lacks {', '.join(missing)}")
    return dict(metadata)


def _validated_ml(folder: Path, metadata: dict[str, Any]) -> float:
    limit = metadata.get("validated_ml", 0.0)
    if not isinstance(limit, int | float) or not 0 <= limit < math.inf:
        raise BundleDamagedError(f"bundle {folder.name}: validated_ml is {limit!r}, not a volume in ml")
    return float(limit)


def _self_test(folder: Path, network: Network) -> None:
    path = folder / "golden.npz"
    if not path.is_file():
        raise BundleMissingError(f"bundle {folder.name} has no golden.npz to test itself with; install it anew")
    try:
        # np.load leaves its own file open when it is no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as golden:
            given, expected = golden["input"], golden["output"]
            error = float(np.abs(network(given) - expected).max())
    except (OSError, KeyError, EOFError, BadZipFile, *RUNTIME_ERRORS) as failure:
        raise BundleDamagedError(f"bundle {folder.name}: its self-test cannot run; install it anew") from failure
    if not error <= SELF_TEST_TOLERANCE:
        raise BundleDamagedError(f"bundle {folder.name}: self-test is off by {error:.3g}; install it anew")
