"""Manifest: the signed list of a bundle's files; nothing of a bundle is used before its signature has been checked.

``manifest.jws`` is a JSON Web Signature over the SHA-256 of every other file of the folder. Each file is read once, and
the bytes that were compared are the ones that are used.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Self

from zweitblick.errors import BundleDamagedError, BundleError, BundleMissingError, BundleUnsignedError, SignatureError
from zweitblick.signing import jws
from zweitblick.signing.canonical import canonical
from zweitblick.signing.keys import PublicKey, Signer, load_public_key, public_key_in

MANIFEST = "manifest.jws"

KIND = "zweitblick-bundle+jws"
"""What a manifest is signed as."""

RELEASE_KEY = "release-key.pub"
"""In this package: the public key that the released bundles are signed with."""


@dataclass(frozen=True)
class ModelTrust:
    """Whose bundles are used.

    Parameters
    ----------
    keys
        Public keys; one of them must have signed a bundle.
    allow_unsigned
        Use a bundle that none of them has signed, or that was altered since, all the same. Reports then say so.
    """

    keys: tuple[PublicKey, ...]
    allow_unsigned: bool = False

    def also(self, paths: Iterable[Path]) -> Self:
        """Trust the public keys in some PEM files, too.

        Raises
        ------
        SigningKeyError
            If one holds none of Ed25519.
        """
        return replace(self, keys=(*self.keys, *map(load_public_key, paths)))


RELEASED = ModelTrust((public_key_in((files(__package__) / RELEASE_KEY).read_bytes(), RELEASE_KEY),))
"""Bundles that this project has released."""

UNSIGNED_TOO = replace(RELEASED, allow_unsigned=True)
"""Any bundle: for whoever has just made it, and signs it last."""


@dataclass(frozen=True)
class BundleFiles:
    """What the files of a bundle held when they were read, each once.

    Parameters
    ----------
    bundle
        Name of its folder.
    contents
        By path within it, with ``/``; without the manifest.
    digests
        SHA-256 of each, hex.
    signed_by
        Id of the key that has signed all of it (`zweitblick.signing.jws.key_id`); None where it was let pass unsigned.
    """

    bundle: str
    contents: Mapping[str, bytes] = field(repr=False)
    digests: Mapping[str, str] = field(repr=False)
    signed_by: str | None

    def content(self, name: str) -> bytes:
        """Return what a file holds.

        Raises
        ------
        BundleMissingError
            If there is no such file.
        """
        self._check_there(name)
        return self.contents[name]

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a file, hex.

        Raises
        ------
        BundleMissingError
            If there is no such file.
        """
        self._check_there(name)
        return self.digests[name]

    @property
    def manifest_digest(self) -> str:
        """SHA-256 of the manifest of these files, hex: one digest for all of them, signed or not.

        Raises
        ------
        BundleDamagedError
            If a file's name is no Unicode.
        """
        return hashlib.sha256(_manifest(self.bundle, self.digests)).hexdigest()

    def _check_there(self, name: str) -> None:
        if name not in self.contents:
            raise BundleMissingError(f"bundle {self.bundle} has no {name}; install it anew")


def read_files(folder: Path, trust: ModelTrust = RELEASED) -> BundleFiles:
    """Read all files of a bundle that somebody trusted has signed.

    Raises
    ------
    BundleMissingError
        If there is no such folder, or a file that was signed is absent.
    BundleUnsignedError
        If no key that is trusted has signed it.
    BundleDamagedError
        If a file is not the one that was signed, or one was added.
    """
    if not folder.is_dir():
        raise BundleMissingError(f"there is no bundle {folder.name}; install the model bundles or name their folder")
    try:
        return _signed_files(folder, trust)
    except BundleError:
        if not trust.allow_unsigned:
            raise
    contents = _contents(folder)
    return BundleFiles(folder.name, contents, _digests(contents), signed_by=None)


def sign_bundle(folder: Path, signer: Signer) -> str:
    """Sign the files of a bundle as they are, in place of an earlier signature; the same files give the same one.

    Returns
    -------
    str
        Digest of the manifest, as `BundleFiles.manifest_digest`.

    Raises
    ------
    BundleDamagedError
        If a file's name is no Unicode.
    """
    manifest = _manifest(folder.name, _digests(_contents(folder)))
    (folder / MANIFEST).write_bytes(jws.signed(manifest, signer, kind=KIND))
    return hashlib.sha256(manifest).hexdigest()


def check_inside(bundle: str, name: str) -> None:
    """Refuse the name of a file that would lie outside of its bundle.

    Raises
    ------
    BundleDamagedError
        If it would.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise BundleDamagedError(f"bundle {bundle} lists {name!r}, which is outside of it; do not trust it")


def _signed_files(folder: Path, trust: ModelTrust) -> BundleFiles:
    signed = _signed_manifest(folder, trust)
    listed = _listed(folder, signed.payload)
    if added := sorted(_names(folder) - listed.keys()):
        raise BundleDamagedError(f"bundle {folder.name} holds {added[0]!r}, which was not signed; install it anew")
    contents = {name: _content(folder, name, digest) for name, digest in listed.items()}
    return BundleFiles(folder.name, contents, listed, signed.key_id)


def _signed_manifest(folder: Path, trust: ModelTrust) -> jws.SignedDocument:
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleUnsignedError(
            f"bundle {folder.name} is not signed; install it anew, sign it, or allow unsigned models"
        )
    try:
        return jws.verified(path.read_bytes(), trust.keys, kind=KIND)
    except SignatureError as error:
        raise BundleUnsignedError(
            f"bundle {folder.name} is not signed by a key that is trusted, or its {MANIFEST} was altered; install it "
            "anew, or trust the key of whoever has signed it"
        ) from error


def _listed(folder: Path, manifest: bytes) -> dict[str, str]:
    """Take the list of files out of a manifest that was signed."""
    try:
        listed: dict[str, str] = dict(json.loads(manifest)["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise BundleDamagedError(f"bundle {folder.name}: its {MANIFEST} lists no files; sign it anew") from error
    for name in listed:
        check_inside(folder.name, name)
    return listed


def _content(folder: Path, name: str, signed: str) -> bytes:
    path = folder / name
    if not path.is_file():
        raise BundleMissingError(f"bundle {folder.name} has no {name}; install it anew")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != signed:
        raise BundleDamagedError(f"bundle {folder.name}: {name} has digest {digest[:12]}, not {signed[:12]}")
    return content


def _contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in _names(folder) if (folder / name).is_file()}


def _names(folder: Path) -> set[str]:
    """Name the files of a bundle but for its manifest."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return {name for name in found if name != MANIFEST}


def _digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _manifest(bundle: str, digests: Mapping[str, str]) -> bytes:
    try:
        return canonical({"files": digests})
    except ValueError as error:
        raise BundleDamagedError(f"bundle {bundle} holds a file whose name is no Unicode; rename it") from error
