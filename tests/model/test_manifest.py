"""Only what somebody trusted has signed is used of a bundle, and exactly the bytes that were signed."""

import hashlib
import json
import os
import shutil
import sys
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from signers import OURS, THEIRS, every_flip
from zweitblick.errors import BundleDamagedError, BundleMissingError, BundleUnsignedError
from zweitblick.model.bundle import Bundles, default_models, load_bundle, load_bundles
from zweitblick.model.manifest import (
    KIND,
    MANIFEST,
    RELEASED,
    UNSIGNED_TOO,
    ModelTrust,
    read_files,
    sign_bundle,
)
from zweitblick.model.scope import signature_notices
from zweitblick.signing.jws import key_id, signed

FILES = {"configs/metadata.json": b'{"name": "small"}', "models/model.onnx": b"network", "LICENSE": b"free"}
TRUST = ModelTrust((OURS.public_key,))
RELEASES = ("tumour", "brain-mask", "sequence")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A small bundle that we have signed."""
    return written(tmp_path / "small")


def written(folder: Path, **changes: bytes) -> Path:
    for name, content in {**FILES, **changes}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    sign_bundle(folder, OURS)
    return folder


def listed(folder: Path) -> dict[str, str]:
    """Read a manifest without our code."""
    payload = (folder / MANIFEST).read_bytes().split(b".")[1]
    found: dict[str, str] = json.loads(urlsafe_b64decode(payload + b"=="))["files"]
    return found


def test_the_manifest_lists_every_file_with_its_digest(bundle: Path) -> None:
    assert listed(bundle) == {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    files = read_files(bundle, TRUST)
    assert files.contents == FILES
    assert files.signed_by == key_id(OURS.public_key)
    before = (bundle / MANIFEST).read_bytes()
    payload = before.split(b".")[1]
    assert sign_bundle(bundle, OURS) == files.manifest_digest
    assert files.manifest_digest == hashlib.sha256(urlsafe_b64decode(payload + b"==")).hexdigest()
    assert (bundle / MANIFEST).read_bytes() == before


@pytest.mark.parametrize("name", FILES)
def test_no_bit_of_a_file_can_be_flipped(bundle: Path, name: str) -> None:
    for content in every_flip(FILES[name]):
        (bundle / name).write_bytes(content)
        with pytest.raises(BundleDamagedError, match=name):
            read_files(bundle, TRUST)


def test_bits_flipped_in_every_region_of_the_manifest_are_found(bundle: Path) -> None:
    # tests/signing/test_jws.py flips every bit
    for content in every_flip((bundle / MANIFEST).read_bytes(), step=41):
        (bundle / MANIFEST).write_bytes(content)
        with pytest.raises(BundleUnsignedError):
            read_files(bundle, TRUST)


@pytest.mark.parametrize("name", FILES)
def test_a_removed_file_is_missed(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleMissingError, match=name):
        read_files(bundle, TRUST)


@pytest.mark.parametrize("name", ["models/other.onnx", ".hidden", "new/file"])
def test_an_added_file_is_found(bundle: Path, name: str) -> None:
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_bytes(b"")
    with pytest.raises(BundleDamagedError, match="was not signed"):
        read_files(bundle, TRUST)


def test_an_added_link_is_found_and_not_followed(bundle: Path) -> None:
    (bundle / "link").symlink_to(bundle / "nowhere")
    with pytest.raises(BundleDamagedError, match="'link', which was not signed"):
        read_files(bundle, TRUST)


def test_a_renamed_file_is_found(bundle: Path) -> None:
    (bundle / "LICENSE").rename(bundle / "licence")
    with pytest.raises(BundleDamagedError, match="licence"):
        read_files(bundle, TRUST)


def test_the_signature_of_another_bundle_is_not_this_ones(bundle: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "other", LICENSE=b"not free")
    shutil.copy(other / MANIFEST, bundle / MANIFEST)
    with pytest.raises(BundleDamagedError, match="LICENSE"):
        read_files(bundle, TRUST)


def test_nobody_else_can_sign(bundle: Path) -> None:
    sign_bundle(bundle, THEIRS)
    with pytest.raises(BundleUnsignedError):
        read_files(bundle, TRUST)
    with pytest.raises(BundleUnsignedError):
        read_files(bundle)
    assert read_files(bundle, ModelTrust((OURS.public_key, THEIRS.public_key))).signed_by == key_id(THEIRS.public_key)


def test_a_bundle_without_signature_is_refused(bundle: Path) -> None:
    (bundle / MANIFEST).unlink()
    with pytest.raises(BundleUnsignedError, match="is not signed"):
        read_files(bundle, TRUST)
    with pytest.raises(BundleMissingError, match="no bundle absent"):
        read_files(bundle.with_name("absent"), TRUST)


@pytest.mark.parametrize("name", ["../other/LICENSE", "/etc/hostname", "docs/../../LICENSE"])
def test_not_even_a_signed_name_leads_out(bundle: Path, name: str) -> None:
    manifest = json.dumps({"files": {**listed(bundle), name: "0" * 64}}).encode()
    (bundle / MANIFEST).write_bytes(signed(manifest, OURS, kind=KIND))
    with pytest.raises(BundleDamagedError, match="outside of it"):
        read_files(bundle, TRUST)


@pytest.mark.parametrize("manifest", [b"{}", b"[]", b"no json", b'{"files": 3}', b'{"files": ["LICENSE"]}'])
def test_something_else_that_was_signed_is_no_manifest(bundle: Path, manifest: bytes) -> None:
    (bundle / MANIFEST).write_bytes(signed(manifest, OURS, kind=KIND))
    with pytest.raises(BundleDamagedError, match="lists no files"):
        read_files(bundle, TRUST)
    (bundle / MANIFEST).write_bytes(signed(b'{"files": {}}', OURS, kind="zweitblick-receipt+jws"))
    with pytest.raises(BundleUnsignedError):
        read_files(bundle, TRUST)


def test_a_name_that_is_no_unicode_is_not_signed(bundle: Path) -> None:
    (bundle / os.fsdecode(b"caf\xe9")).write_bytes(b"")
    with pytest.raises(BundleDamagedError, match="no Unicode"):
        sign_bundle(bundle, OURS)


def test_what_was_read_stays_what_was_signed(bundle: Path) -> None:
    files = read_files(bundle, TRUST)
    (bundle / "models" / "model.onnx").write_bytes(b"another")
    assert files.content("models/model.onnx") == b"network"


def test_what_is_allowed_is_used_and_called_unsigned(bundle: Path) -> None:
    (bundle / "LICENSE").write_bytes(b"altered")
    trust = replace(TRUST, allow_unsigned=True)
    files = read_files(bundle, trust)
    assert files.signed_by is None
    assert files.content("LICENSE") == b"altered"
    assert files.manifest_digest != read_files(written(bundle), trust).manifest_digest


def test_the_project_has_signed_what_it_releases(bundles: Bundles) -> None:
    (key,) = RELEASED.keys
    for name, opened in zip(RELEASES, (bundles.tumour, bundles.brain_mask, bundles.sequence), strict=True):
        assert opened.signed_by == key_id(key)
        folder = default_models() / name
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert set(listed(folder)) == there - {MANIFEST}
    assert not signature_notices(bundles)


OPENED: list[str] | None = None


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if OPENED is not None and event == "open":
        OPENED.append(str(arguments[0]))


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Names of all files that Python opens meanwhile."""
    global OPENED  # noqa: PLW0603 -- a hook cannot be taken away again
    OPENED = heard = []
    try:
        yield heard
    finally:
        OPENED = None


sys.addaudithook(_hear)


def test_the_signature_comes_first_and_each_file_is_opened_once(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(default_models() / "sequence", tmp_path / "sequence"))
    with opened_files() as heard:
        load_bundle(folder)
    ours = [Path(name).relative_to(folder).as_posix() for name in heard if name.startswith(str(folder))]
    files = [name for name in ours if (folder / name).is_file()]
    assert files[0] == MANIFEST
    assert sorted(files) == sorted([MANIFEST, *listed(folder)])
    (folder / MANIFEST).unlink()
    with opened_files() as heard, pytest.raises(BundleUnsignedError):
        load_bundle(folder)
    assert not [name for name in heard if name.startswith(str(folder)) and Path(name).is_file()]


def test_a_bundle_that_was_signed_for_other_use_is_refused(tmp_path: Path) -> None:
    models = Path(shutil.copytree(default_models(), tmp_path / "models"))
    shutil.rmtree(models / "brain-mask")
    shutil.copytree(models / "sequence", models / "brain-mask")
    with pytest.raises(BundleDamagedError, match="bundle brain-mask is one of 'sequence'"):
        load_bundles(models)


def test_reports_say_that_a_network_is_not_signed(bundles: Bundles) -> None:
    unsigned = replace(bundles, tumour=replace(bundles.tumour, signed_by=None))
    (notice,) = signature_notices(unsigned)
    assert notice.code == "unsigned-model"
    assert f"tumour {bundles.tumour.version} is not signed" in notice.text


def test_an_unsigned_release_opens_where_that_is_allowed(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(default_models() / "sequence", tmp_path / "sequence"))
    (folder / MANIFEST).unlink()
    assert load_bundle(folder, UNSIGNED_TOO).signed_by is None
