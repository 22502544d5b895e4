"""Export: the files give what torch gives, twice the same bytes, and say nothing of this machine."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from monai.bundle import verify_metadata
from monai.bundle.properties import MetaProperties
from safetensors import safe_open

from ball_cases import ball_case
from tumour_run import tumour_run, uneven_network
from zweitblick.errors import BundleDamagedError, BundleMissingError
from zweitblick.model.bundle import load_bundle
from zweitblick.model.manifest import UNSIGNED_TOO
from zweitblick.model.runtime import computes_bf16
from zweitblick.prediction import REGIONS
from zweitblick_training.case import Case
from zweitblick_training.cli import EXIT_REFUSED, main
from zweitblick_training.export import (
    PARITY,
    ExportError,
    Precision,
    add_int8,
    check_parity,
    check_release,
    choose_precision,
    follow_precision,
    load_weights,
    probabilities,
    release,
    replacing,
    revise,
    seal,
    set_precision,
)
from zweitblick_training.network import built
from zweitblick_training.recipe import Recipe
from zweitblick_training.run import Run, averaged
from zweitblick_training.sides import Sides

SPLITS = {"train": ["ball"], "test": ["other"]}

TEXT = {"type": "string", "minLength": 1}

TENSOR = {
    "type": "object",
    "required": [
        *("type", "format", "modality", "num_channels", "spatial_shape", "dtype", "value_range", "is_patch_data"),
        "channel_def",
    ],
    "properties": {
        **dict.fromkeys(("type", "format", "modality", "dtype"), TEXT),
        "num_channels": {"type": "integer"},
        "spatial_shape": {"type": "array", "items": {"type": ["string", "integer"]}},
        "value_range": {"type": "array", "items": {"type": "number"}},
        "is_patch_data": {"type": "boolean"},
        "channel_def": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}

SCHEMA = {
    "type": "object",
    "required": [
        *("schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version"),
        *("required_packages_version", "task", "description", "authors", "copyright", "network_data_format"),
    ],
    "properties": {
        **dict.fromkeys(("version", "monai_version", "pytorch_version", "numpy_version"), TEXT),
        **{key: {"type": "object", "additionalProperties": TEXT} for key in ("changelog", "required_packages_version")},
        **dict.fromkeys(("task", "description", "authors", "copyright"), TEXT),
        "network_data_format": {
            "type": "object",
            "required": ["inputs", "outputs"],
            "properties": {
                "inputs": {"type": "object", "required": ["image"], "additionalProperties": TENSOR},
                "outputs": {"type": "object", "required": ["pred"], "additionalProperties": TENSOR},
            },
        },
    },
}
"""What MONAI's bundle specification requires of metadata.json, as a JSON schema."""

AGAIN = """
from pathlib import Path
import sys
import torch
from ball_cases import ball_case
from zweitblick_training.export import add_int8, release
from zweitblick_training.run import Run

torch.set_num_threads(1)
run, bundle = Run(Path(sys.argv[1])), Path(sys.argv[2])
release(run, bundle, {"train": ["ball"], "test": ["other"]}, temperature=(2.0, 2.0, 2.0))
add_int8(run, bundle, [ball_case("ball", size=64)])
"""
"""Makes the fixture's bundle once more."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    return tumour_run(tmp_path_factory.mktemp("export") / "run")


@pytest.fixture(scope="module")
def case() -> Case:
    return ball_case("ball", size=64)


@pytest.fixture(scope="module")
def bundle(run: Run, case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released") / "tumour"
    release(run, folder, SPLITS, temperature=(2.0, 2.0, 2.0))
    add_int8(run, folder, [case])
    return folder


@pytest.fixture
def copied(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "tumour"))


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def torch_output(run: Run, x: np.ndarray, temperature: float = 2.0) -> np.ndarray:
    """Sigmoid of the divided logits, nested, written out once more."""
    with torch.inference_mode():
        p = torch.sigmoid(averaged(run)(torch.from_numpy(x)) / temperature).numpy()
    p[:, 1] = np.maximum(p[:, 0], p[:, 1])
    p[:, 2] = np.maximum(p[:, 1], p[:, 2])
    return p


def bytes_of(folder: Path) -> Mapping[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("shape", [(1, 4, 32, 48, 64), (2, 4, 16, 32, 16)])
def test_the_file_gives_what_torch_gives(run: Run, bundle: Path, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    (given,) = session(bundle / "models" / "model.onnx").run(None, {"sequences": x})
    assert np.abs(given - torch_output(run, x)).max() <= PARITY


def test_parity_on_a_real_case_is_checked(run: Run, bundle: Path, case: Case) -> None:
    assert check_release(run, bundle, [case]) <= PARITY


def test_a_file_of_another_network_is_noticed(bundle: Path) -> None:
    with pytest.raises(ExportError, match="torch"):
        check_parity(probabilities(uneven_network(1)), bundle / "models" / "model.onnx", channels=4, stride=16)


def test_a_second_export_has_the_same_bytes(run: Run, bundle: Path, tmp_path: Path) -> None:
    # In another process, with another order of every set.
    places = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join(places)}
    subprocess.run(
        [sys.executable, "-c", AGAIN, str(run.folder), str(tmp_path / "tumour")], env=environment, check=True
    )
    assert bytes_of(tmp_path / "tumour") == bytes_of(bundle)


def test_the_networks_can_be_read_by_the_oldest_supported_runtime_and_say_nothing_of_this_machine(bundle: Path) -> None:
    for path in (bundle / "models").glob("*.onnx"):
        model = onnx.load(path)
        assert model.ir_version <= 10
        assert {entry.version for entry in model.opset_import if not entry.domain} == {18}
        assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
        data = path.read_bytes()
        assert b".py" not in data
        assert str(Path.home()).encode() + b"/" not in data


def test_eight_bits_are_near_and_in_integers(run: Run, bundle: Path, case: Case) -> None:
    model = onnx.load(bundle / "models" / "model-int8.onnx")
    quantised = [tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.INT8]
    assert quantised
    x = case.images.astype(np.float32)[None]
    (given,) = session(bundle / "models" / "model-int8.onnx").run(None, {"sequences": x})
    assert np.abs(given - torch_output(run, x)).mean() < 0.02


def test_eight_bits_are_calibrated_on_training_cases_only(run: Run, bundle: Path) -> None:
    with pytest.raises(ExportError, match="other"):
        add_int8(run, bundle, [ball_case("other", size=64)])


def test_the_choice_is_kept_and_served(copied: Path) -> None:
    chosen = choose_precision(copied, [ball_case("other", size=64)])
    said = json.loads((copied / "configs" / "metadata.json").read_text())
    assert said["precision"] == chosen
    assert set(said["precision_dice"]) == {"cases", *Precision}
    for one in Precision:
        digest = set_precision(copied, one, channels=4)
        chosen_file = copied / "models" / {"fp32": "model.onnx", "int8": "model-int8.onnx"}[one]
        served = copied / "models" / "model.onnx" if computes_bf16() else chosen_file
        assert digest == hashlib.sha256(chosen_file.read_bytes()).hexdigest()
        assert load_bundle(copied, UNSIGNED_TOO).digest == hashlib.sha256(served.read_bytes()).hexdigest()
        assert load_bundle(copied, UNSIGNED_TOO).runtime.endswith(
            "bf16" if one is Precision.INT8 and computes_bf16() else str(one)
        )


def test_weights_go_round(run: Run, bundle: Path) -> None:
    network = built(Recipe.read(bundle / "recipe.yaml"))
    network.load_state_dict(load_weights(bundle))
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 4, 32, 32, 32), np.float32))
    with torch.inference_mode():
        off = (network.eval()(x).sigmoid() - averaged(run)(x).sigmoid()).abs().max()
    assert float(off) <= PARITY


def test_weights_hold_no_code(bundle: Path) -> None:
    path = bundle / "models" / "weights.safetensors"
    with safe_open(path, framework="numpy") as file:
        assert len(list(file.keys())) > 10


def test_altered_weights_are_refused(copied: Path) -> None:
    path = copied / "models" / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BundleDamagedError, match="weights"):
        load_weights(copied)
    path.unlink()
    with pytest.raises(BundleMissingError, match="weights"):
        load_weights(copied)


def test_weights_of_another_format_are_refused(copied: Path) -> None:
    (copied / "models" / "weights.safetensors").write_bytes(b"no weights at all")
    seal(copied)
    with pytest.raises(BundleDamagedError, match="cannot be read"):
        load_weights(copied)


def verified_by_monai(metadata: Path, schema: Path) -> None:
    # MONAI takes a schema that is already there in place of fetching it.
    schema.write_text(json.dumps(SCHEMA))
    digest = hashlib.sha256(schema.read_bytes()).hexdigest()
    verify_metadata(meta_file=str(metadata), filepath=str(schema), hash_val=digest, hash_type="sha256")


def test_metadata_is_what_monai_asks_for(bundle: Path, tmp_path: Path) -> None:
    path = bundle / "configs" / "metadata.json"
    verified_by_monai(path, tmp_path / "schema.json")
    for asked in MetaProperties.values():
        said = json.loads(path.read_text())
        for key in asked["id"].split("::")[1:]:
            assert key in said, asked["description"]
            said = said[key]


def test_metadata_without_a_key_does_not_pass_monais_check(bundle: Path, tmp_path: Path) -> None:
    said = json.loads((bundle / "configs" / "metadata.json").read_text())
    del said["network_data_format"]["outputs"]["pred"]["channel_def"]
    (tmp_path / "metadata.json").write_text(json.dumps(said))
    with pytest.raises(ValueError, match="Failed validating"):
        verified_by_monai(tmp_path / "metadata.json", tmp_path / "schema.json")


@pytest.mark.parametrize("temperature", [(0.0, 1.0, 1.0), (1.0, 1.0), (float("nan"),) * 3])
def test_a_temperature_that_is_none_is_refused(run: Run, tmp_path: Path, temperature: tuple[float, ...]) -> None:
    with pytest.raises(ExportError, match="temperatures"):
        release(run, tmp_path / "tumour", SPLITS, temperature=temperature)
    assert not (tmp_path / "tumour").exists()


def test_a_folder_that_is_no_bundle_is_not_replaced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ExportError, match="other things"), replacing(tmp_path) as part:
        release(run, part, SPLITS)
    assert (tmp_path / "thesis.txt").exists()


def test_every_file_is_sealed(copied: Path) -> None:
    recipe = copied / "recipe.yaml"
    recipe.write_text(recipe.read_text() + "# changed\n")
    with pytest.raises(BundleDamagedError, match=r"recipe\.yaml"):
        load_bundle(copied, UNSIGNED_TOO)
    seal(copied)
    assert load_bundle(copied, UNSIGNED_TOO).name == "tumour"


def test_a_revision_is_sealed_with_what_was_written_since(copied: Path) -> None:
    (copied / "evaluation.json").write_text("{}")
    revise(copied, {"validated_ml": 1.5})
    assert load_bundle(copied, UNSIGNED_TOO).validated_ml == 1.5
    (copied / "evaluation.json").write_text("{ }")
    with pytest.raises(BundleDamagedError, match=r"evaluation\.json"):
        load_bundle(copied, UNSIGNED_TOO)


def test_a_precision_that_is_not_there_cannot_be_served(copied: Path) -> None:
    (copied / "models" / "model-int8.onnx").unlink()
    with pytest.raises(ExportError, match="int8"):
        set_precision(copied, Precision.INT8, channels=4)


def test_a_release_on_all_cases_is_served_as_its_folds_say_together(copied: Path, tmp_path: Path) -> None:
    folds = [Path(shutil.copytree(copied, tmp_path / f"fold{number}")) for number in range(3)]
    for fold, cases, loss in ((folds[0], 10, 0.008), (folds[1], 10, 0.001)):
        scores = {str(region): 0.8 for region in REGIONS}
        lost = scores | {"ET": 0.8 - loss}
        revise(fold, {"precision_dice": {"cases": cases, "fp32": scores, "int8": lost}})
    # The third shows the whole tumour alone.
    revise(folds[2], {"precision_dice": {"cases": 40, "fp32": {"WT": 0.8}, "int8": {"WT": 0.796}}})
    assert follow_precision(copied, folds[:1]) is Precision.FP32
    assert follow_precision(copied, folds[2:]) is Precision.FP32
    assert follow_precision(copied, []) is Precision.FP32
    assert follow_precision(copied, folds) is Precision.INT8
    set_precision(folds[0], Precision.INT8, channels=4)
    assert load_bundle(copied, UNSIGNED_TOO).digest == load_bundle(folds[0], UNSIGNED_TOO).digest
    revise(folds[1], {"precision_dice": {"cases": 10, "fp32": scores, "int8": scores | {"ET": 0.797}}})
    assert follow_precision(copied, folds) is Precision.FP32


def test_an_older_release_is_replaced_as_a_whole(run: Run, copied: Path) -> None:
    (copied / "docs").mkdir()
    (copied / "docs" / "README.md").write_text("the card of the older release")
    with replacing(copied) as part:
        release(run, part, SPLITS)
        assert (copied / "docs" / "README.md").exists()
    assert not (copied / "docs").exists()
    assert not (copied / "models" / "model-int8.onnx").exists()
    assert [path.name for path in copied.parent.iterdir()] == ["tumour"]
    assert load_bundle(copied, UNSIGNED_TOO).name == "tumour"


def test_a_release_that_differs_from_its_run_on_a_real_case_replaces_nothing(
    run: Run, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = ball_case("ball", size=64)
    broken = sound.images.copy()
    broken[:, 32, 32, 32] = np.nan  # torch's answer there, and so its difference from the file's, is no number
    replace(sound, images=broken).save(tmp_path / "prepared" / "ball")
    ball_case("other", size=64).save(tmp_path / "prepared" / "other")
    own = Run(Path(shutil.copytree(run.folder, tmp_path / "run")))
    sides = Sides(("ball",), ("other",), before=("elder",))
    sides.write(own.sides)
    before = bytes_of(copied)
    export = ["--threads", "1", "export", str(own.folder), str(copied), "--cache", str(tmp_path / "prepared")]
    assert main(export) == EXIT_REFUSED
    assert "differs from torch" in capsys.readouterr().err
    assert bytes_of(copied) == before
    assert {path.name for path in tmp_path.iterdir()} == {"tumour", "run", "prepared"}
    sound.save(tmp_path / "prepared" / "ball")
    assert main(export) == 0
    assert bytes_of(copied) != before
    assert Sides.read(copied / "splits.json") == sides


def test_an_unfinished_run_is_not_released(
    run: Run, copied: Path, case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Run(Path(shutil.copytree(run.folder, tmp_path / "run")))
    case.save(tmp_path / "prepared" / "ball")
    Sides(("ball",), ()).write(own.sides)
    torch.save(torch.load(own.checkpoint, weights_only=True) | {"step": 1}, own.checkpoint)
    before = bytes_of(copied)
    export = ["--threads", "1", "export", str(own.folder), str(copied), "--cache", str(tmp_path / "prepared")]
    assert main(export) == EXIT_REFUSED
    assert "run has made 1 of 2 steps" in capsys.readouterr().err
    own.checkpoint.unlink()
    assert main(export) == EXIT_REFUSED
    assert "0 of 2 steps; resume it with fit" in capsys.readouterr().err
    assert bytes_of(copied) == before


def test_a_data_set_of_whole_tumours_only_is_exported_and_served_in_full_precision(
    run: Run, copied: Path, case: Case, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = Run(Path(shutil.copytree(run.folder, tmp_path / "run")))
    for name in ("ball", "other"):
        replace(case, name=name, labelled=np.array([False, False, True])).save(tmp_path / "prepared" / name)
    Sides(("ball",), ("other",)).write(own.sides)
    export = ["--threads", "1", "export", str(own.folder), str(copied), "--cache", str(tmp_path / "prepared")]
    with caplog.at_level("WARNING"):
        assert main(export) == 0
    assert "ET, TC drawn in no held-back case" in caplog.text
    said = json.loads((copied / "configs" / "metadata.json").read_text())
    assert said["precision"] == "fp32"
    assert [set(said["precision_dice"][one]) for one in Precision] == [{"WT"}, {"WT"}]
