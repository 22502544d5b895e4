"""Receipt: what was read, by which networks, with what result; signed, and verified offline with one public key.

A receipt names no patient, but it holds UIDs, which PS3.15 Table E.1-1 lists as well: the service keeps it sealed as it
keeps every result, and whoever has a receipt in a file treats it as patient data.
"""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from zweitblick.audit.head import SignedHead
from zweitblick.dicom.file import data_set_of
from zweitblick.errors import DamagedInstanceError, ReceiptFormatError, ReceiptMismatchError
from zweitblick.model.bundle import Bundle, Bundles
from zweitblick.pipeline import REPORTING_LIMIT_ML
from zweitblick.reading import Reading
from zweitblick.signing import jws
from zweitblick.signing.canonical import canonical
from zweitblick.signing.keys import PublicKey, Signer
from zweitblick.study import Instance, Study
from zweitblick.timings import Timings
from zweitblick.vault.data_key import KeyIds

KIND = "zweitblick-receipt+jws"
"""What a receipt is signed as."""

SCHEMA_VERSION = "1"
"""Raised when a reader of the old form would go wrong."""

COMPUTING = (
    *("highdicom", "numba", "numpy", "onnxruntime", "onnxruntime-gpu", "openvino"),
    *("pydicom", "pyjpegls", "pylibjpeg-openjpeg", "python-gdcm", "scipy", "simpleitk"),
)
"""Packages, by their names on PyPI, whose version may change a result; those that are installed are told."""


@dataclass(frozen=True)
class ReadInstance:
    """An instance that was before the reading.

    Parameters
    ----------
    sop_instance_uid
        Its UID.
    sha256
        Of its data set as it came, hex; see `instance_digest`.
    """

    sop_instance_uid: str = field(repr=False)
    sha256: str


@dataclass(frozen=True)
class UsedModel:
    """A network that was used.

    Parameters
    ----------
    name, version
        Of its bundle.
    sha256
        Of the network's file, hex.
    manifest_sha256
        Of the manifest of all files of the bundle, hex.
    signed_by
        Id of the key that has signed the bundle; None where it was let pass unsigned.
    runtime
        What ran it and in which precision.
    """

    name: str
    version: str
    sha256: str
    manifest_sha256: str
    signed_by: str | None
    runtime: str

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """Tell of a bundle."""
        return cls(bundle.name, bundle.version, bundle.digest, bundle.manifest_digest, bundle.signed_by, bundle.runtime)


@dataclass(frozen=True)
class Receipt:
    """What is known of one reading.

    Parameters
    ----------
    study_uid
        Study Instance UID.
    read_at
        When it was read, ISO 8601.
    instances
        All that were before the reading, whether or not their series was chosen.
    results
        SHA-256 of each result, hex, by its name.
    models
        The networks.
    settings
        What else the results depend on.
    versions
        Of zweitblick, Python and the packages that compute.
    timings_ms
        Of the stages, in the order in which they ended.
    keys
        Which data key seals study and results, and which key wraps that; None where nothing is sealed.
    audit
        The audit trail's signed head when the results were on record there; None where there is no trail.
    """

    study_uid: str = field(repr=False)
    read_at: str
    instances: tuple[ReadInstance, ...]
    results: Mapping[str, str]
    models: tuple[UsedModel, ...]
    settings: Mapping[str, str | int | list[str] | None] = field(repr=False)
    versions: Mapping[str, str]
    timings_ms: tuple[tuple[str, int], ...]
    keys: KeyIds | None = None
    audit: SignedHead | None = None

    def json(self) -> bytes:
        """Write it as canonical JSON (RFC 8785)."""
        return canonical({"schema_version": SCHEMA_VERSION, **asdict(self)})

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read what `json` wrote.

        Raises
        ------
        ReceiptFormatError
            If it is no receipt, or one of another release's form.
        """
        try:
            return cls._of(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReceiptFormatError("this is no receipt, though it is signed as one; ask who has signed it") from error

    @classmethod
    def _of(cls, document: dict[str, Any]) -> Self:
        written = document.pop("schema_version")
        if written != SCHEMA_VERSION:
            raise ReceiptFormatError(
                f"the receipt has form {written!r}, this release reads {SCHEMA_VERSION!r}; verify it with a newer one"
            )
        keys, audit = document.pop("keys"), document.pop("audit")
        return cls(
            instances=tuple(ReadInstance(**one) for one in document.pop("instances")),
            models=tuple(UsedModel(**one) for one in document.pop("models")),
            timings_ms=tuple((stage, ms) for stage, ms in document.pop("timings_ms")),
            keys=keys and KeyIds(**keys),
            audit=audit and SignedHead(**audit),
            **document,
        )


def receipt_of(
    reading: Reading,
    bundles: Bundles,
    results: Mapping[str, bytes],
    *,
    timings: Timings,
    keys: KeyIds | None = None,
    audit: SignedHead | None = None,
) -> Receipt:
    """Make the receipt of a reading; the files of its study are read once more where they are not in memory.

    Parameters
    ----------
    reading
        What was read.
    bundles
        The networks that read it.
    results
        What was made of it, by name.
    timings, keys, audit
        See `Receipt`.
    """
    return Receipt(
        study_uid=reading.study.uid,
        read_at=reading.stamp.time.isoformat(),
        instances=instances_of(reading.study),
        results={name: hashlib.sha256(content).hexdigest() for name, content in results.items()},
        models=tuple(UsedModel.of(one) for one in (bundles.tumour, bundles.brain_mask, bundles.sequence)),
        settings={
            "seed": reading.stamp.seed,
            "reporting_limit_ml": str(REPORTING_LIMIT_ML),
            "earlier_study_uid": None if reading.change is None else reading.change.study_uid,
            "superseded_uids": [one.sop_instance_uid for one in reading.predecessors],
        },
        versions=_versions(reading),
        timings_ms=tuple((stage, round(seconds * 1000)) for stage, seconds in timings.seconds),
        keys=keys,
        audit=audit,
    )


def instances_of(study: Study) -> tuple[ReadInstance, ...]:
    """Digest the instances of a study, in the order of their UIDs."""
    found = (
        ReadInstance(instance.sop_instance_uid, _digest(instance))
        for series in study.series
        for instance in series.instances
    )
    return tuple(sorted(found, key=lambda one: (one.sop_instance_uid, one.sha256)))


def instance_digest(content: bytes) -> str:
    """SHA-256 of an instance's data set as it came, hex.

    What stands before the data set in a file is made anew by everyone who keeps it (PS3.10 section 7.1), so that it is
    left out: the digest is that of what a C-STORE has brought. A file that does not say where its data set begins
    counts as a whole.

    Parameters
    ----------
    content
        The file.
    """
    try:
        start = data_set_of(content)[1]
    except DamagedInstanceError:
        start = 0
    return hashlib.sha256(memoryview(content)[start:]).hexdigest()


def signed_receipt(receipt: Receipt, signer: Signer) -> bytes:
    """Sign a receipt, as a JSON Web Signature in its compact form.

    Raises
    ------
    SigningKeyError, KeyHolderError
        If the key does not fit its public key, or is in an HSM that cannot be used.
    """
    return jws.signed(receipt.json(), signer, kind=KIND)


def opened_receipt(data: bytes, keys: Sequence[PublicKey]) -> Receipt:
    """Return a receipt that one of some keys has signed.

    Raises
    ------
    SignatureError
        If none has.
    ReceiptFormatError
        If what was signed is no receipt that this release reads.
    """
    return Receipt.from_json(jws.verified(data, keys, kind=KIND).payload)


def check_results(receipt: Receipt, results: Mapping[str, bytes]) -> tuple[str, ...]:
    """Compare results with a receipt, whatever they are called now.

    Returns
    -------
    tuple
        Names of the receipt's results that are not among them.

    Raises
    ------
    ReceiptMismatchError
        If one is none of the receipt's.
    """
    given = {hashlib.sha256(content).hexdigest(): name for name, content in results.items()}
    if others := sorted(name for digest, name in given.items() if digest not in receipt.results.values()):
        raise ReceiptMismatchError(
            f"{', '.join(others)}: not as the receipt tells, or another reading's; give the results of this reading"
        )
    return tuple(sorted(name for name, digest in receipt.results.items() if digest not in given))


def check_study(receipt: Receipt, study: Study) -> tuple[int, int]:
    """Compare the instances of a study with those that were read.

    Returns
    -------
    tuple
        How many of those that were read are there, each as it was, a copy not counted again; and how many are there
        that were not read.

    Raises
    ------
    ReceiptMismatchError
        If it is another study, or an instance is not as it was.
    """
    if study.uid != receipt.study_uid:
        raise ReceiptMismatchError("the receipt is another study's; give the receipt of this study")
    read, uids = set(receipt.instances), {one.sop_instance_uid for one in receipt.instances}
    same: set[ReadInstance] = set()
    others = 0
    for series in study.series:
        for instance in series.instances:
            if instance.sop_instance_uid not in uids:
                others += 1
                continue
            one = ReadInstance(instance.sop_instance_uid, _digest(instance))
            if one not in read:
                raise ReceiptMismatchError(
                    f"instance {instance.number} of {series.name} is not as it was read; get it from its source again"
                )
            same.add(one)
    return len(same), others


def _digest(instance: Instance) -> str:
    source = instance.source
    return instance_digest(source.read_bytes() if isinstance(source, Path) else source)


def _versions(reading: Reading) -> dict[str, str]:
    found = {"zweitblick": reading.version, "python": platform.python_version()}
    for package in COMPUTING:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
