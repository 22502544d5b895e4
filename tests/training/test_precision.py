"""In which precision a network is stored and served."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from ball_cases import ball_case
from tumour_run import uneven_network
from zweitblick.model.bundle import default_models
from zweitblick.prediction import Region
from zweitblick_training.export import (
    ExportError,
    Precision,
    check_parity,
    default_precision,
    export_network,
    mean_dice,
    onnx_file,
    probabilities,
)
from zweitblick_training.export.onnx_file import LARGE


def test_weights_that_half_precision_would_change_too_much_are_stored_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "LARGE", 1024)
    network = uneven_network()
    export_network(probabilities(network), tmp_path / "model.onnx", channels=4, stride=16)
    stored = {weight.data_type for weight in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 in stored
    network.body.output_block.conv.conv.weight.data *= 10
    export_network(probabilities(network), tmp_path / "model.onnx", channels=4, stride=16)
    stored = {weight.data_type for weight in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 not in stored
    assert check_parity(probabilities(network), tmp_path / "model.onnx", channels=4, stride=16) < 1e-4


def test_the_rule_for_eight_bits() -> None:
    fp32 = {Region.ET: 0.8, Region.TC: 0.85, Region.WT: 0.9}
    assert default_precision(fp32, {**fp32, Region.ET: 0.795}) is Precision.INT8
    assert default_precision(fp32, {**fp32, Region.ET: 0.794}) is Precision.FP32
    assert default_precision(fp32, dict.fromkeys(Region, 0.99)) is Precision.INT8
    assert default_precision({Region.WT: 0.9}, {Region.WT: 0.9}) is Precision.FP32
    with pytest.raises(ExportError, match="each region"):
        default_precision(fp32, {Region.WT: 0.9})


def test_the_mean_counts_cases_in_which_a_region_was_drawn() -> None:
    case = ball_case("ball", size=64)

    def perfect(x: np.ndarray) -> np.ndarray:
        labels = case.labels[None]
        return np.stack([labels == 3, np.isin(labels, (1, 3)), labels > 0], axis=1).astype(np.float32)

    whole_only = replace(case, labelled=np.array([False, False, True]))
    assert mean_dice(perfect, [case, whole_only]) == dict.fromkeys(Region, 1.0)
    assert mean_dice(perfect, [whole_only]) == {Region.WT: 1.0}


def test_weights_of_the_deep_levels_alone_are_stored_at_half_precision() -> None:
    weights = onnx.load(default_models() / "tumour" / "models" / "model.onnx").graph.initializer
    halves = [tensor for tensor in weights if tensor.data_type == onnx.TensorProto.FLOAT16]
    assert halves
    assert {np.prod(tensor.dims) > LARGE for tensor in halves} == {True}
    assert not [one for one in weights if one.data_type == onnx.TensorProto.FLOAT and np.prod(one.dims) > LARGE]
