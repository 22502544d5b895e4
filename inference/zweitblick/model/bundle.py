"""Bundle: a released network as data, in MONAI's bundle layout (configs/metadata.json, models/model.onnx)."""

import io
import json
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from zweitblick.device import PROCESSOR, Device
from zweitblick.errors import BundleDamagedError, BundleMissingError
from zweitblick.model.manifest import RELEASED, BundleFiles, ModelTrust, check_inside, read_files
from zweitblick.model.runtime import RUNTIME_ERRORS, Network, NetworkFile, computes_bf16, opened, runs_on_card
from zweitblick.reading import ModelIdentity

SELF_TEST_TOLERANCE = {"fp32": 1e-2, "int8": 0.2}
"""Largest difference of a probability from the golden output, by the precision that made it: other processors sum in
another order, a wrong network is off by far more. In int8 a sum that falls on the other side of a rounding step moves
single voxels (by up to .065 when the golden input was changed by a millionth, by up to .075 against fp32 or bf16)."""

METADATA = "configs/metadata.json"
"""What a bundle says of itself."""

GOLDEN = "golden.npz"
"""An input, and what the network made of it when it was released."""

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
        From this size on nine in ten lesions were found in validation; None where that is not known, or none are looked
        for.
    runtime
        What runs it and in which precision, for people to read.
    manifest_digest
        SHA-256 of the manifest of all files of the bundle, hex; empty where it was not opened from a folder.
    signed_by
        Id of the key that has signed it; None where it was let pass unsigned.
    device
        Where it takes its input from without a copy.
    """

    name: str
    version: str
    digest: str
    network: Network
    validated_ml: float | None
    runtime: str
    manifest_digest: str = ""
    signed_by: str | None = None
    device: Device = PROCESSOR

    @property
    def identity(self) -> ModelIdentity:
        """What reports call it."""
        return ModelIdentity(self.name, self.version, self.digest)


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


def load_bundles(models: Path, trust: ModelTrust = RELEASED) -> Bundles:
    """Open and verify the bundles in a folder.

    Raises
    ------
    BundleMissingError, BundleUnsignedError, BundleDamagedError
        See `load_bundle`; also if a folder holds a bundle of another name, such as one that was signed for other use.
    """
    return Bundles(
        tumour=_named_bundle(models / "tumour", trust),
        brain_mask=_named_bundle(models / "brain-mask", trust),
        sequence=_named_bundle(models / "sequence", trust),
    )


def load_bundle(folder: Path, trust: ModelTrust = RELEASED) -> Bundle:
    """Open one bundle: its signature is checked, digests are compared, and its golden input is run.

    Of several networks that a bundle may hold, the one is opened that its metadata names as ``network``; where the
    processor computes bfloat16, the one named as ``bfloat16``: as fast as int8 there, and next to fp32 in what it says.
    That one, which is not quantised, is opened on a CUDA card too: ONNX Runtime has no int8 convolutions there.

    Parameters
    ----------
    folder
        Of the bundle.
    trust
        Who must have signed it.

    Raises
    ------
    BundleMissingError
        If a file that it must hold is absent.
    BundleUnsignedError
        If nobody who is trusted has signed it.
    BundleDamagedError
        If it is not what was signed, or metadata, a digest or the self-test do not match.
    """
    files = read_files(folder, trust)
    metadata = _metadata(files)
    name, digest = _network_name(files, metadata, "network"), str(metadata["digest"])
    _compare(files, name, digest)
    _compare_listed(files, metadata)
    made_with = _precision(files, metadata)
    precision, hint = made_with, "f32"
    if "bfloat16" in metadata and (runs_on_card() or computes_bf16()):
        name = _network_name(files, metadata, "bfloat16")
        digest = _listed_digest(files, metadata, name)
        precision, hint = ("fp32", "f32") if runs_on_card() else ("bf16", "bf16")
    network = opened(NetworkFile(f"bundle {files.bundle}: {name}", files.content(name)), hint=hint)
    _self_test(files, network, SELF_TEST_TOLERANCE[made_with])
    return Bundle(
        name=str(metadata["name"]),
        version=str(metadata["version"]),
        digest=digest,
        network=network,
        validated_ml=_validated_ml(files, metadata),
        runtime=f"{network.runtime}, {precision}",
        manifest_digest=files.manifest_digest,
        signed_by=files.signed_by,
        device=network.device,
    )


def checked_files(folder: Path, trust: ModelTrust) -> BundleFiles:
    """Read the files of a bundle, and compare those that its metadata lists under ``digests`` with the list.

    Raises
    ------
    BundleMissingError, BundleUnsignedError, BundleDamagedError
        As from `zweitblick.model.manifest.read_files`; also if a file is another than is listed, or the list is not a
        table of paths within the bundle.
    """
    files = read_files(folder, trust)
    _compare_listed(files, _metadata(files))
    return files


def identity_of(files: BundleFiles) -> str:
    """Name and version of a bundle, as its metadata says.

    Raises
    ------
    BundleMissingError, BundleDamagedError
        If it has no sound metadata.
    """
    metadata = _metadata(files)
    return f"{metadata['name']} {metadata['version']}"


def _named_bundle(folder: Path, trust: ModelTrust) -> Bundle:
    bundle = load_bundle(folder, trust)
    if bundle.name != folder.name:
        raise BundleDamagedError(f"bundle {folder.name} is one of {bundle.name!r}; install it anew")
    return bundle


def _compare_listed(files: BundleFiles, metadata: dict[str, Any]) -> None:
    digests = metadata.get("digests", {})
    if not isinstance(digests, dict):
        raise BundleDamagedError(f"bundle {files.bundle}: digests is no table of files; install it anew")
    for name, digest in digests.items():
        check_inside(files.bundle, name)
        _compare(files, name, str(digest))


def _compare(files: BundleFiles, name: str, released: str) -> None:
    digest = files.digest(name)
    if digest != released:
        raise BundleDamagedError(f"bundle {files.bundle}: {name} has digest {digest[:12]}, not {released[:12]}")


def _network_name(files: BundleFiles, metadata: dict[str, Any], key: str) -> str:
    name = metadata.get(key, "models/model.onnx")
    if not isinstance(name, str) or not NETWORK_FILE.fullmatch(name):
        raise BundleDamagedError(f"bundle {files.bundle}: {key} is {name!r}, not a file models/NAME.onnx")
    return name


def _listed_digest(files: BundleFiles, metadata: dict[str, Any], name: str) -> str:
    """Return a file's digest from the list, all of which was compared with the files."""
    if name not in metadata.get("digests", {}):
        raise BundleDamagedError(f"bundle {files.bundle}: digests does not list {name}; install it anew")
    return str(metadata["digests"][name])


def _precision(files: BundleFiles, metadata: dict[str, Any]) -> str:
    precision = metadata.get("precision", "fp32")
    if not isinstance(precision, str) or precision not in SELF_TEST_TOLERANCE:
        raise BundleDamagedError(f"bundle {files.bundle}: precision is {precision!r}, not fp32 or int8")
    return precision


def _metadata(files: BundleFiles) -> dict[str, Any]:
    try:
        metadata = json.loads(files.content(METADATA))
    except ValueError as error:
        raise BundleDamagedError(f"bundle {files.bundle}: metadata.json is not JSON; install it anew") from error
    if not isinstance(metadata, dict):
        raise BundleDamagedError(f"bundle {files.bundle}: metadata.json is no JSON object; install it anew")
    missing = [key for key in ("name", "version", "digest") if key not in metadata]
    if missing:
        raise BundleDamagedError(f"bundle {files.bundle}: metadata.json lacks {', '.join(missing)}")
    return metadata


def _validated_ml(files: BundleFiles, metadata: dict[str, Any]) -> float | None:
    if "validated_ml" not in metadata:
        return None
    limit = metadata["validated_ml"]
    if not isinstance(limit, int | float) or not 0 <= limit < math.inf:
        raise BundleDamagedError(f"bundle {files.bundle}: validated_ml is {limit!r}, not a volume in ml")
    return float(limit)


def _self_test(files: BundleFiles, network: Network, tolerance: float) -> None:
    content = files.content(GOLDEN)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as golden:
            given, expected = golden["input"], golden["output"]
            error = float(np.abs(network(given) - expected).max())
    except (OSError, KeyError, EOFError, BadZipFile, *RUNTIME_ERRORS) as failure:
        raise BundleDamagedError(f"bundle {files.bundle}: its self-test cannot run; install it anew") from failure
    if not error <= tolerance:
        raise BundleDamagedError(f"bundle {files.bundle}: self-test is off by {error:.3g}; install it anew")
