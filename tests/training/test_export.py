"""Export: the file gives what torch gives, twice the same bytes, and says nothing of this machine."""

import hashlib
from pathlib import Path

import onnx
import pytest
import torch

from ball_cases import ball_case
from zweitblick.errors import BundleDamagedError, BundleMissingError
from zweitblick.model.bundle import load_bundle
from zweitblick_training.case import Case
from zweitblick_training.export import check_parity, export_network, probabilities, release
from zweitblick_training.fit import fit
from zweitblick_training.network import HalfResolutionUNet
from zweitblick_training.recipe import Recipe
from zweitblick_training.run import Run, averaged

TINY = Recipe(features=(4, 6, 8, 10), patch=32, steps=2, warmup=1, shares=(("brats", 1.0),))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    finished = Run(tmp_path_factory.mktemp("export") / "run")
    case: Case = ball_case("ball")
    fit(TINY, [case], finished)
    return finished


def test_onnx_equals_torch_on_another_size(run: Run, tmp_path: Path) -> None:
    network = probabilities(averaged(run, TINY))
    export_network(network, tmp_path / "model.onnx", channels=4, stride=16)
    assert check_parity(network, tmp_path / "model.onnx", channels=4, stride=16) <= 1e-3


def test_parity_is_really_checked(run: Run, tmp_path: Path) -> None:
    export_network(probabilities(averaged(run, TINY)), tmp_path / "model.onnx", channels=4, stride=16)
    torch.manual_seed(1)
    with pytest.raises(RuntimeError, match="differs from torch"):
        check_parity(probabilities(HalfResolutionUNet(TINY.features)), tmp_path / "model.onnx", channels=4, stride=16)


def test_a_second_release_has_the_same_digest(run: Run, tmp_path: Path) -> None:
    splits = {"train": ["ball"], "test": []}
    digests = {release(run, tmp_path / name, splits) for name in ("one", "two")}
    assert len(digests) == 1
    assert digests == {hashlib.sha256((tmp_path / "one" / "models" / "model.onnx").read_bytes()).hexdigest()}


def test_a_release_opens_as_a_bundle_and_an_altered_one_does_not(run: Run, tmp_path: Path) -> None:
    release(run, tmp_path, {"train": ["ball"], "test": []})
    assert load_bundle(tmp_path).name == "tumour"
    network = tmp_path / "models" / "model.onnx"
    network.write_bytes(network.read_bytes()[:-1] + b"\x00")
    with pytest.raises(BundleDamagedError, match="digest"):
        load_bundle(tmp_path)
    network.unlink()
    with pytest.raises(BundleMissingError, match=r"model\.onnx"):
        load_bundle(tmp_path)


def test_the_file_says_nothing_of_this_machine(run: Run, tmp_path: Path) -> None:
    release(run, tmp_path, {"train": ["ball"], "test": []})
    data = (tmp_path / "models" / "model.onnx").read_bytes()
    assert b".py" not in data
    assert str(Path.home()).encode() + b"/" not in data
    model = onnx.load(tmp_path / "models" / "model.onnx")
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    assert {entry.version for entry in model.opset_import if not entry.domain} == {18}
