"""Whoever answers for a bundle signs it last of all; any later change takes the signature away."""

import shutil
from pathlib import Path

import pytest

from zweitblick.errors import BundleUnsignedError
from zweitblick.model.bundle import default_models
from zweitblick.model.manifest import MANIFEST, ModelTrust, read_files
from zweitblick.signing.jws import key_id
from zweitblick.signing.keys import load_public_key, make_signing_key
from zweitblick_training.cli import main
from zweitblick_training.export import revise


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_signing_key(tmp_path / "key.pem")
    return tmp_path / "key.pem"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_models() / "sequence", tmp_path / "sequence"))


def sign(bundle: Path, key: Path) -> int:
    return main(["sign", str(bundle), "--key", str(key)])


def test_a_hospital_signs_its_own(bundle: Path, key: Path) -> None:
    assert sign(bundle, key) == 0
    public = load_public_key(key.with_name("key.pem.pub"))
    assert read_files(bundle, ModelTrust((public,))).signed_by == key_id(public)
    with pytest.raises(BundleUnsignedError):
        read_files(bundle)
    before = (bundle / MANIFEST).read_bytes()
    assert sign(bundle, key) == 0
    assert (bundle / MANIFEST).read_bytes() == before


def test_a_change_takes_the_signature_away(bundle: Path) -> None:
    revise(bundle, {"validated_ml": 1.5})
    assert not (bundle / MANIFEST).exists()


def test_what_is_damaged_is_not_signed(bundle: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "splits.json").write_text("{}")
    before = (bundle / MANIFEST).read_bytes()
    assert sign(bundle, key) == 3
    assert "splits.json" in capsys.readouterr().err
    assert (bundle / MANIFEST).read_bytes() == before
    assert sign(bundle, key.with_name("absent.pem")) == 3
    assert "signing key" in capsys.readouterr().err
