"""The network as an ONNX file: normalisation folded in, any size, large weights stored at half precision."""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from zweitblick_training.export.error import ExportError
from zweitblick_training.export.parity import check_parity

OPSET = 18
"""ONNX Runtime 1.20, the oldest that is supported, implements opset 21 (its compatibility table)."""

IR_VERSION = 8
"""The file format that came with `OPSET` (ONNX's version table); ONNX Runtime 1.20 reads up to 10."""

LARGE = 2**17
"""Weights with more elements than this are stored as float16 and cast when the network is loaded.

Those of the deep levels are four fifths of a network. Halving the others too saved a seventh of the file and changed
probabilities by up to .0015 on real cases, in place of .0002.
"""


def export_network(network: torch.nn.Module, path: Path, *, channels: int, stride: int) -> None:
    """Write a network that gives probabilities as ONNX with any batch and spatial size.

    Large weights are stored at half precision, or at full precision where that alone changes the output too much.

    Parameters
    ----------
    network
        In evaluation mode; input ``(B, channels, K, J, I)``.
    path
        The file.
    channels
        Input channels.
    stride
        Spatial sizes are multiples of this.

    Raises
    ------
    ExportError
        If the file's output differs from torch by more than `PARITY`.
    """
    model = graph_of(network, channels=channels, stride=stride)
    try:
        write_graph(halved(model), path)
        check_parity(network, path, channels=channels, stride=stride)
    except ExportError:
        write_graph(model, path)
        check_parity(network, path, channels=channels, stride=stride)


def graph_of(network: torch.nn.Module, *, channels: int, stride: int) -> onnx.ModelProto:
    """Trace a network in evaluation mode; the exporter folds each BatchNorm into the convolution before it."""
    example = torch.zeros(1, channels, 2 * stride, 3 * stride, 2 * stride)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # The exporter warns about its own internals; what it wrote is compared with torch afterwards.
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=["sequences"],
            output_names=["probabilities"],
            dynamic_axes={name: {0: "b", 2: "k", 3: "j", 4: "i"} for name in ("sequences", "probabilities")},
            opset_version=OPSET,
            dynamo=False,
        )
        model = onnx.load(path)
    model.ir_version = IR_VERSION
    return anonymised(model)


def write_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph; the same graph gives the same bytes."""
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def anonymised(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove what the exporter says of the machine it ran on, which would change the digest, and return the graph."""
    model.doc_string = ""
    model.producer_version = ""
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    return model


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph with large weights as float16; the runtime folds the casts away when it loads the file."""
    smaller, casts = onnx.ModelProto(), []
    smaller.CopyFrom(model)
    for weight in smaller.graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size <= LARGE:
            continue
        name, stored = weight.name, f"{weight.name}.half"
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *smaller.graph.node]
    del smaller.graph.node[:]
    smaller.graph.node.extend(nodes)
    return smaller
