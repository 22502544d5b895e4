"""Time the tumour network on each runtime and precision, and say which share of the processor's peak it reaches.

python -m benchmarks.network      one whole brain; medians of five, interleaved; nothing else should run

The reference is MONAI's SegResNet in torch, as its brats bundle runs it. A precision's peak is what OpenVINO reaches
on a chain of wide convolutions of 64 channels, the best of the runs. Operations are those of the convolutions, two for
each multiplication with its addition.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.figures import publish
from benchmarks.reference_stack import segresnet
from onnx import TensorProto, helper, numpy_helper
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from zweitblick.model.bundle import default_models
from zweitblick.model.runtime import OnnxNetwork, OpenVinoNetwork, silent_openvino

RUNS = 5
CROP = (144, 176, 144)
"""A brain with its margin at 1 mm."""

WIDE = 64
DEEP = 4
EDGE = 48
"""Channels, convolutions and voxels along each axis of what measures the peak."""

WIDE_OPERATIONS = 2.0 * DEEP * EDGE**3 * WIDE**2 * 27
WIDE_INPUT = np.ones((1, WIDE, EDGE, EDGE, EDGE), np.float32)

Name = tuple[str, str]
"""Runtime and precision."""

Network = Callable[[np.ndarray], object]


def main() -> None:
    x = np.random.default_rng(0).standard_normal((1, 4, *CROP), np.float32)
    models = default_models() / "tumour" / "models"
    reference = segresnet()
    networks = {
        ("torch eager, SegResNet", "fp32"): torch_network(reference),
        ("ONNX Runtime", "fp32"): OnnxNetwork(models / "model.onnx"),
        ("ONNX Runtime", "int8"): OnnxNetwork(models / "model-int8.onnx"),
        ("OpenVINO", "fp32"): OpenVinoNetwork(models / "model.onnx"),
        # Never served: computed here alone.
        ("OpenVINO", "bf16"): openvino_network(models / "model.onnx", "bf16"),
        ("OpenVINO", "int8"): OpenVinoNetwork(models / "model-int8.onnx"),
    }
    operations = {name: convolution_operations(models / "model.onnx", x.shape) for name in networks}
    operations["torch eager, SegResNet", "fp32"] = torch_operations(reference, x)
    wide = {precision: wide_network(precision) for precision in ("fp32", "bf16", "int8")}
    times, rates = [], []
    for _ in range(RUNS + 1):
        rates.append({name: WIDE_OPERATIONS / seconds(network, WIDE_INPUT) for name, network in wide.items()})
        times.append({name: seconds(network, x) for name, network in networks.items()})
    peaks = {precision: max(row[precision] for row in rates) for precision in wide}
    publish("network", table_of(times[1:], operations, peaks))


def table_of(times: list[dict[Name, float]], operations: dict[Name, float], peaks: dict[str, float]) -> Table:
    table = Table("runtime", "seconds", "spread", "GFLOP/s", "peak", "share", "times faster")
    reference = statistics.median(next(iter(row.values())) for row in times)
    for name in times[0]:
        mine = sorted(row[name] for row in times)
        rate, peak = operations[name] / statistics.median(mine), peaks[name[1]]
        table.add_row(
            ", ".join(name),
            f"{statistics.median(mine):.3f}",
            f"{mine[0]:.3f}-{mine[-1]:.3f}",
            f"{rate / 1e9:.0f}",
            f"{peak / 1e9:.0f}",
            f"{rate / peak:.0%}",
            f"{reference / statistics.median(mine):.1f}",
        )
    return table


def seconds(network: Network, x: np.ndarray) -> float:
    started = time.perf_counter()
    network(x)
    return time.perf_counter() - started


def torch_network(network: torch.nn.Module) -> Network:
    def run(x: np.ndarray) -> torch.Tensor:
        with torch.inference_mode():
            return network(torch.from_numpy(x))

    return run


def openvino_network(model: Path | bytes, hint: str) -> Network:
    """A network on OpenVINO in any precision, without copies."""
    options = {
        "INFERENCE_PRECISION_HINT": hint,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": str(len(os.sched_getaffinity(0))),
        "ENABLE_CPU_PINNING": "NO",
    }
    core = silent_openvino().Core()
    request = core.compile_model(core.read_model(model), "CPU", options).create_infer_request()
    return lambda x: request.infer([x], share_inputs=True, share_outputs=True)


def convolution_operations(file: Path, shape: tuple[int, ...]) -> float:
    """Operations of an ONNX file's convolutions on an input of that shape."""
    model = silent_openvino().Core().read_model(file)
    model.reshape(list(shape))
    return float(sum(operations_of(node) for node in model.get_ops()))


def operations_of(node: Any) -> float:
    """Operations of one node: every weight of a convolution meets every voxel of its smaller side."""
    kind = node.get_type_name()
    if kind not in ("Convolution", "ConvolutionBackpropData"):
        return 0.0
    smaller = node.get_output_shape(0) if kind == "Convolution" else node.get_input_shape(0)
    return 2.0 * float(np.prod(smaller[2:])) * float(np.prod(node.get_input_shape(1)))


def torch_operations(network: torch.nn.Module, x: np.ndarray) -> float:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.from_numpy(x))
    return float(counter.get_total_flops())


def wide_network(precision: str) -> Network:
    """What measures the peak of a precision."""
    model = wide_convolutions(quantised=precision == "int8")
    return openvino_network(model, "bf16" if precision == "bf16" else "f32")


def wide_convolutions(*, quantised: bool) -> bytes:
    """A chain of convolutions of 3x3x3, quantised as the released network is."""
    weights, nodes, name = [], [], "x"
    rng = np.random.default_rng(0)
    for n in range(DEEP):
        values = rng.integers(-127, 128, (WIDE, WIDE, 3, 3, 3)).astype(np.int8 if quantised else np.float32)
        weights += [numpy_helper.from_array(values, f"w{n}")]
        weight = f"w{n}"
        if quantised:
            scales = {f"s{n}": np.float32(0.02), f"z{n}": np.uint8(128), f"ws{n}": np.float32(0.001)}
            weights += [numpy_helper.from_array(np.array(value), key) for key, value in scales.items()]
            nodes += [
                helper.make_node("QuantizeLinear", [name, f"s{n}", f"z{n}"], [f"q{n}"]),
                helper.make_node("DequantizeLinear", [f"q{n}", f"s{n}", f"z{n}"], [f"d{n}"]),
                helper.make_node("DequantizeLinear", [f"w{n}", f"ws{n}"], [f"wd{n}"]),
            ]
            name, weight = f"d{n}", f"wd{n}"
        nodes.append(helper.make_node("Conv", [name, weight], [f"y{n}"], pads=[1] * 6))
        name = f"y{n}"
    ends = [helper.make_tensor_value_info(one, TensorProto.FLOAT, [1, WIDE, EDGE, EDGE, EDGE]) for one in ("x", name)]
    graph = helper.make_graph(nodes, "wide", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
