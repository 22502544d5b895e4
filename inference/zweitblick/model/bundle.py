"""Bundle: a released network as data, in MONAI's bundle layout (configs/metadata.json, models/model.onnx)."""

import hashlib
import json
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile

import numpy as np

from zweitblick.device import PROCESSOR, Device
from zweitblick.errors import BundleDamagedError, BundleMissingError
from zweitblick.model.runtime import RUNTIME_ERRORS, Network, computes_bf16, opened, runs_on_card

SELF_TEST_TOLERANCE = {"fp32": 1e-2, "int8": 0.2}
"""Largest difference of a probability from the golden output, by the precision that made it: other processors sum in
another order, a wrong network is off by far more. In int8 a sum that falls on the other side of a rounding step moves
single voxels (by up to .065 when the golden input was changed by a millionth, by up to .075 against fp32 or bf16)."""

NETWORK_FILE = re.compile(r"models/[A-Za-z0-9_-]+\.onnx")
"""Where a bundle may keep its network."""


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
    runtime
        What runs it and in which precision, for people to read.
    device
        Where it takes its input from without a copy.
    """

    name: str
    version: str
    digest: str
    network: Network
    validated_ml: float
    runtime: str
    device: Device = PROCESSOR


@dataclass(frozen=True)
class Bundles:
    """The networks that one reading needs."""

    tumour: Bundle
    brain_mask: Bundle
    sequence: Bundle


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
    return Bundles(
        tumour=load_bundle(models / "tumour"),
        brain_mask=load_bundle(models / "brain-mask"),
        sequence=load_bundle(models / "sequence"),
    )


def load_bundle(folder: Path) -> Bundle:
    """Open one bundle: digests are compared and its golden input is run.

    Of several networks that a bundle may hold, the one is opened that its metadata names as ``network``; where the
    processor computes bfloat16, the one named as ``bfloat16``: as fast as int8 there, and next to fp32 in what it says.
    That one, which is not quantised, is opened on a CUDA card too: ONNX Runtime has no int8 convolutions there.

    Raises
    ------
    BundleMissingError
        If a file that it must hold is absent.
    BundleDamagedError
        If metadata, a digest or the self-test do not match.
    """
    metadata = _metadata(folder)
    name, digest = _network_name(folder, metadata, "network"), str(metadata["digest"])
    _verify_file(folder, name, digest)
    _verify_files(folder, metadata)
    made_with = _precision(folder, metadata)
    precision, hint = made_with, "f32"
    if "bfloat16" in metadata and (runs_on_card() or computes_bf16()):
        name = _network_name(folder, metadata, "bfloat16")
        digest = _listed_digest(folder, metadata, name)
        precision, hint = ("fp32", "f32") if runs_on_card() else ("bf16", "bf16")
    network = opened(folder / name, hint=hint)
    _self_test(folder, network, SELF_TEST_TOLERANCE[made_with])
    return Bundle(
        name=str(metadata["name"]),
        version=str(metadata["version"]),
        digest=digest,
        network=network,
        validated_ml=_validated_ml(folder, metadata),
        runtime=f"{network.runtime}, {precision}",
        device=network.device,
    )


def verify_files(folder: Path) -> None:
    """Compare every file of a bundle that its metadata lists under ``digests`` with what was released.

    Raises
    ------
    BundleMissingError
        If one is absent.
    BundleDamagedError
        If one is another, or the list is not a table of paths within the bundle.
    """
    _verify_files(folder, _metadata(folder))


def _verify_files(folder: Path, metadata: dict[str, Any]) -> None:
    digests = metadata.get("digests", {})
    if not isinstance(digests, dict):
        raise BundleDamagedError(f"bundle {folder.name}: digests is no table of files; install it anew")
    for name, digest in digests.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise BundleDamagedError(f"bundle {folder.name}: digests lists {name!r}, which is outside of it")
        _verify_file(folder, name, str(digest))


def _verify_file(folder: Path, name: str, released: str) -> None:
    path = folder / name
    if not path.is_file():
        raise BundleMissingError(f"bundle {folder.name} has no {name}; install it anew")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != released:
        raise BundleDamagedError(f"bundle {folder.name}: {name} has digest {digest[:12]}, not {released[:12]}")


def _network_name(folder: Path, metadata: dict[str, Any], key: str) -> str:
    name = metadata.get(key, "models/model.onnx")
    if not isinstance(name, str) or not NETWORK_FILE.fullmatch(name):
        raise BundleDamagedError(f"bundle {folder.name}: {key} is {name!r}, not a file models/NAME.onnx")
    return name


def _listed_digest(folder: Path, metadata: dict[str, Any], name: str) -> str:
    """Return a file's digest from the list, all of which was compared with the files."""
    if name not in metadata.get("digests", {}):
        raise BundleDamagedError(f"bundle {folder.name}: digests does not list {name}; install it anew")
    return str(metadata["digests"][name])


def _precision(folder: Path, metadata: dict[str, Any]) -> str:
    precision = metadata.get("precision", "fp32")
    if not isinstance(precision, str) or precision not in SELF_TEST_TOLERANCE:
        raise BundleDamagedError(f"bundle {folder.name}: precision is {precision!r}, not fp32 or int8")
    return precision


def _metadata(folder: Path) -> dict[str, Any]:
    path = folder / "configs" / "metadata.json"
    if not path.is_file():
        raise BundleMissingError(f"bundle {folder.name} has no configs/metadata.json; install it anew")
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleDamagedError(f"bundle {folder.name}: metadata.json is not JSON; install it anew") from error
    if not isinstance(metadata, dict):
        raise BundleDamagedError(f"bundle {folder.name}: metadata.json is no JSON object; install it anew")
    missing = [key for key in ("name", "version", "digest") if key not in metadata]
    if missing:
        raise BundleDamagedError(f"bundle {folder.name}: metadata.json lacks {', '.join(missing)}")
    return metadata


def _validated_ml(folder: Path, metadata: dict[str, Any]) -> float:
    limit = metadata.get("validated_ml", 0.0)
    if not isinstance(limit, int | float) or not 0 <= limit < math.inf:
        raise BundleDamagedError(f"bundle {folder.name}: validated_ml is {limit!r}, not a volume in ml")
    return float(limit)


def _self_test(folder: Path, network: Network, tolerance: float) -> None:
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
    if not error <= tolerance:
        raise BundleDamagedError(f"bundle {folder.name}: self-test is off by {error:.3g}; install it anew")
