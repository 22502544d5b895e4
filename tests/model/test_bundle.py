"""A bundle is opened only if it is whole, unaltered and does what it did when it was released, also unsigned."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from zweitblick.errors import BundleDamagedError, BundleMissingError
from zweitblick.model.bundle import checked_files, default_models, load_bundle, load_bundles
from zweitblick.model.manifest import UNSIGNED_TOO
from zweitblick.model.runtime import computes_bf16


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_models() / "brain-mask", tmp_path / "brain-mask"))


def rewrite(bundle: Path, **changes: object) -> None:
    path = bundle / "configs" / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def test_the_released_bundles_open() -> None:
    bundles = load_bundles(default_models())
    assert bundles.tumour.name == "tumour"
    assert bundles.tumour.validated_ml > 0
    named = {"tumour": bundles.tumour, "brain-mask": bundles.brain_mask, "sequence": bundles.sequence}
    for name, opened in named.items():
        metadata = json.loads((default_models() / name / "configs" / "metadata.json").read_text(encoding="utf-8"))
        bfloat16 = metadata.get("bfloat16") if computes_bf16() else None
        network = default_models() / name / (bfloat16 or metadata.get("network", "models/model.onnx"))
        assert opened.runtime.endswith("bf16") == (bfloat16 is not None)
        assert opened.digest == hashlib.sha256(network.read_bytes()).hexdigest()


def test_released_bundles_are_small_and_documented() -> None:
    files = [path for path in default_models().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 24e6
    for name in ("tumour", "brain-mask", "sequence"):
        for part in ("docs/README.md", "LICENSE", "evaluation.json", "splits.json", "golden.npz"):
            assert (default_models() / name / part).is_file(), f"{name}/{part}"


@pytest.mark.parametrize("part", ["configs/metadata.json", "models/model.onnx", "golden.npz"])
def test_a_missing_part_is_named(bundle: Path, part: str) -> None:
    (bundle / part).unlink()
    with pytest.raises(BundleMissingError, match=Path(part).name):
        load_bundle(bundle, UNSIGNED_TOO)


@pytest.mark.skipif(not computes_bf16(), reason="the processor has no bfloat16: the entry is not looked at")
def test_a_network_in_bfloat16_must_be_listed(bundle: Path) -> None:
    rewrite(bundle, bfloat16="models/model.onnx", digests={})
    with pytest.raises(BundleDamagedError, match=r"does not list models/model\.onnx"):
        load_bundle(bundle, UNSIGNED_TOO)


def test_one_flipped_bit_is_found(bundle: Path) -> None:
    path = bundle / "models" / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleDamagedError, match="digest"):
        load_bundle(bundle, UNSIGNED_TOO)


def test_a_broken_network_with_a_fitting_digest_is_found(bundle: Path) -> None:
    path = bundle / "models" / "model.onnx"
    path.write_bytes(b"no network")
    rewrite(bundle, digest=hashlib.sha256(b"no network").hexdigest())
    with pytest.raises(BundleDamagedError, match="not a network"):
        load_bundle(bundle, UNSIGNED_TOO)


def test_another_output_is_found(bundle: Path) -> None:
    with np.load(bundle / "golden.npz") as golden:
        given, expected = golden["input"], golden["output"]
    np.savez_compressed(bundle / "golden.npz", input=given, output=1 - expected)
    with pytest.raises(BundleDamagedError, match="self-test is off"):
        load_bundle(bundle, UNSIGNED_TOO)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04cut"])
def test_a_broken_self_test_is_found(bundle: Path, content: bytes) -> None:
    (bundle / "golden.npz").write_bytes(content)
    with pytest.raises(BundleDamagedError, match="self-test cannot run"):
        load_bundle(bundle, UNSIGNED_TOO)


def test_a_self_test_of_another_network_is_found(bundle: Path) -> None:
    np.savez_compressed(bundle / "golden.npz", input=np.zeros((1, 7, 16, 16, 16), np.float32), output=np.zeros(1))
    with pytest.raises(BundleDamagedError, match="self-test cannot run"):
        load_bundle(bundle, UNSIGNED_TOO)


@pytest.mark.parametrize("limit", ["much", -1, None, float("inf")])
def test_what_was_validated_is_a_volume(bundle: Path, limit: object) -> None:
    rewrite(bundle, validated_ml=limit)
    with pytest.raises(BundleDamagedError, match="validated_ml"):
        load_bundle(bundle, UNSIGNED_TOO)


def test_metadata_that_is_no_json_is_found(bundle: Path) -> None:
    (bundle / "configs" / "metadata.json").write_text("{", encoding="utf-8")
    with pytest.raises(BundleDamagedError, match="not JSON"):
        load_bundle(bundle, UNSIGNED_TOO)


@pytest.mark.parametrize("content", ["[]", "7", '"name version digest"'])
def test_metadata_that_is_no_object_is_found(bundle: Path, content: str) -> None:
    (bundle / "configs" / "metadata.json").write_text(content, encoding="utf-8")
    with pytest.raises(BundleDamagedError, match="no JSON object"):
        load_bundle(bundle, UNSIGNED_TOO)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("part", ["LICENSE", "docs/README.md", "golden.npz"])
def test_every_listed_file_is_compared(bundle: Path, part: str) -> None:
    rewrite(bundle, digests={name: sha256(bundle / name) for name in ("LICENSE", "docs/README.md", "golden.npz")})
    assert load_bundle(bundle, UNSIGNED_TOO).name == "brain-mask"
    checked_files(bundle, UNSIGNED_TOO)
    with (bundle / part).open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleDamagedError, match=f"{part} has digest"):
        load_bundle(bundle, UNSIGNED_TOO)
    with pytest.raises(BundleDamagedError, match=f"{part} has digest"):
        checked_files(bundle, UNSIGNED_TOO)
    (bundle / part).unlink()
    with pytest.raises(BundleMissingError, match=part):
        checked_files(bundle, UNSIGNED_TOO)


@pytest.mark.parametrize("name", ["../tumour/LICENSE", "/etc/hostname", "docs/../../LICENSE"])
def test_no_file_outside_of_the_bundle_is_read(bundle: Path, name: str) -> None:
    rewrite(bundle, digests={name: "0" * 64})
    with pytest.raises(BundleDamagedError, match="outside of it"):
        load_bundle(bundle, UNSIGNED_TOO)


@pytest.mark.parametrize("digests", [["LICENSE"], "LICENSE", None, 3])
def test_a_list_of_digests_is_a_table(bundle: Path, digests: object) -> None:
    rewrite(bundle, digests=digests)
    with pytest.raises(BundleDamagedError, match="no table"):
        load_bundle(bundle, UNSIGNED_TOO)


def test_the_network_that_the_metadata_names_is_opened(bundle: Path) -> None:
    other = bundle / "models" / "model-other.onnx"
    # An unknown field at the end of a protobuf message is skipped: another file, the same network.
    other.write_bytes((bundle / "models" / "model.onnx").read_bytes() + b"\xfa\x7f\x00")
    rewrite(bundle, network="models/model-other.onnx", digest=sha256(other))
    assert load_bundle(bundle, UNSIGNED_TOO).digest == sha256(other)
    rewrite(bundle, network="models/model.onnx")
    with pytest.raises(BundleDamagedError, match=r"models/model\.onnx has digest"):
        load_bundle(bundle, UNSIGNED_TOO)


@pytest.mark.parametrize("network", ["../brain-mask/models/model.onnx", "/models/model.onnx", "models/a/b.onnx", 5])
def test_a_network_outside_of_its_folder_is_refused(bundle: Path, network: object) -> None:
    rewrite(bundle, network=network)
    with pytest.raises(BundleDamagedError, match="network is"):
        load_bundle(bundle, UNSIGNED_TOO)


@pytest.mark.parametrize("precision", ["fp8", None, ["int8"], {}])
def test_an_unknown_precision_is_refused(bundle: Path, precision: object) -> None:
    rewrite(bundle, precision=precision)
    with pytest.raises(BundleDamagedError, match="precision is"):
        load_bundle(bundle, UNSIGNED_TOO)


def test_integers_may_round_otherwise_but_not_be_another_network(bundle: Path) -> None:
    with np.load(bundle / "golden.npz") as golden:
        given, expected = golden["input"], golden["output"]
    rewrite(bundle, precision="int8")
    np.savez_compressed(bundle / "golden.npz", input=given, output=expected + 0.1)
    assert load_bundle(bundle, UNSIGNED_TOO).name == "brain-mask"
    rewrite(bundle, precision="fp32")
    with pytest.raises(BundleDamagedError, match="self-test is off"):
        load_bundle(bundle, UNSIGNED_TOO)
    rewrite(bundle, precision="int8")
    np.savez_compressed(bundle / "golden.npz", input=given, output=1 - expected)
    with pytest.raises(BundleDamagedError, match="self-test is off"):
        load_bundle(bundle, UNSIGNED_TOO)
