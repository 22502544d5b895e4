"""Export: a checkpoint becomes a released bundle, data without Python."""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from zweitblick.model.prepare import CHANNELS, STRIDE
from zweitblick.model.runtime import OnnxNetwork
from zweitblick.prediction import REGIONS
from zweitblick_training.network import Probabilities
from zweitblick_training.recipe import Recipe
from zweitblick_training.run import Run, averaged

OPSET = 18
"""Read by ONNX Runtime from 1.14 on."""

PARITY = 1e-3
"""Largest difference in probability between torch and the exported network."""

LARGE = 1024
"""Weights with more elements than this are stored as float16 and cast when the network is loaded."""


class ExportError(RuntimeError):
    """The exported network does not do what the trained one does."""


def export_network(network: torch.nn.Module, path: Path, *, channels: int, stride: int) -> None:
    """Write a network that gives probabilities as ONNX with any batch and spatial size.

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
    example = torch.zeros(1, channels, 2 * stride, 3 * stride, 2 * stride)
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # The exporter warns about its own internals; what it wrote is compared with torch below.
        warnings.simplefilter("ignore")
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
    _anonymised(model)
    _halved(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    check_parity(network, path, channels=channels, stride=stride)


def check_parity(network: torch.nn.Module, path: Path, *, channels: int, stride: int) -> float:
    """Return the largest difference between torch and the file on a noise image of another size.

    Raises
    ------
    ExportError
        If it is above `PARITY`.
    """
    image = golden_input(channels, 3 * stride)
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).numpy()
    difference = float(np.abs(OnnxNetwork(path)(image) - expected).max())
    if not difference <= PARITY:
        raise ExportError(f"the exported network differs from torch by {difference:.2g} in probability")
    return difference


def golden_input(channels: int, size: int) -> NDArray[np.float32]:
    """Make a fixed input without any patient in it: smooth noise and a bright ball, ``(1, channels, size³)``."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal((1, channels, size, size, size), np.float32) * np.float32(0.3)
    distance = np.linalg.norm(np.indices((size, size, size)) - (size - 1) / 2, axis=0)
    ball = (distance < size / 4).astype(np.float32)
    return np.asarray(image + ball * np.float32(1.5), np.float32)


def write_bundle(folder: Path, metadata: Mapping[str, Any], files: Mapping[str, str], *, channels: int) -> str:
    """Complete a bundle around ``models/model.onnx``: metadata with digest, golden input and output, texts.

    Parameters
    ----------
    folder
        Bundle folder that already holds the network.
    metadata
        What ``configs/metadata.json`` says, without the digest.
    files
        Further text files by their path in the bundle.
    channels
        Input channels of the network.

    Returns
    -------
    str
        The digest: SHA-256 of the network file, hex.
    """
    network = folder / "models" / "model.onnx"
    digest = hashlib.sha256(network.read_bytes()).hexdigest()
    image = golden_input(channels, 32)
    np.savez_compressed(folder / "golden.npz", input=image, output=OnnxNetwork(network)(image))
    complete = {**metadata, "digest": digest}
    for name, text in {**files, "configs/metadata.json": json.dumps(complete, indent=2) + "\n"}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return digest


def _anonymised(model: onnx.ModelProto) -> None:
    """Remove what the exporter says of the machine it ran on; it would change the digest."""
    model.doc_string = ""
    model.producer_version = ""
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]


def _halved(model: onnx.ModelProto) -> None:
    """Store large weights as float16; the runtime folds the casts away when it loads the file."""
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size <= LARGE:
            continue
        name, stored = weight.name, f"{weight.name}.half"
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def probabilities(network: torch.nn.Module) -> Probabilities:
    """Return a network as it is served; see `Probabilities`."""
    return Probabilities(network).eval()


def release(run: Run, bundle: Path, splits: Mapping[str, Sequence[str]]) -> str:
    """Release a run as the tumour bundle and return its digest; its card is written by the evaluation.

    Parameters
    ----------
    run
        A finished run.
    bundle
        Folder of the bundle, ``models/tumour``.
    splits
        Case names under ``train`` and ``test``.
    """
    recipe = Recipe.from_json(run.folder / "recipe.json")
    network = averaged(run, recipe)
    export_network(probabilities(network), bundle / "models" / "model.onnx", channels=len(CHANNELS), stride=STRIDE)
    hours = sum(json.loads(line)["s"] for line in run.losses.read_text(encoding="utf-8").splitlines()) / 3600
    training = {
        **json.loads(recipe.to_json()),
        "cases": len(splits["train"]),
        "parameters": round(sum(weight.numel() for weight in network.parameters()) / 1e6, 2),
        "hours": round(hours, 2),
        "energy": round(hours * WATTS_PER_CORE / 1000, 3),
    }
    files = {
        "splits.json": json.dumps(splits, indent=1) + "\n",
        "training.json": json.dumps(training, indent=1) + "\n",
        "LICENSE": LICENCE,
    }
    return write_bundle(bundle, METADATA, files, channels=len(CHANNELS))


WATTS_PER_CORE = 10.0
"""Assumed draw of one busy server core, for the card's estimate of energy."""

LICENCE = """Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International
SPDX-License-Identifier: CC-BY-NC-SA-4.0
https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode

The weights in this folder were trained on data under that licence (TCGA-LGG segmentations, Buda 2019) and on BraTS
cases (research use with citation). They are for research. zweitblick's own code is under Apache-2.0.
"""

METADATA = {
    "name": "tumour",
    "version": "0.1.0",
    "monai_version": "1.6.1",
    "pytorch_version": "2.13.0",
    "task": "glioma segmentation on MRI of the brain",
    "intended_use": "research use only, not for diagnosis; adult glioma before treatment",
    "authors": "the zweitblick authors",
    "license": "CC-BY-NC-SA-4.0",
    "network_data_format": {
        "inputs": {
            "sequences": {
                "type": "image",
                "format": "magnitude",
                "modality": "MR",
                "num_channels": len(CHANNELS),
                "spatial_shape": [f"{STRIDE}*n"] * 3,
                "dtype": "float32",
                "channel_def": {str(number): str(sequence) for number, sequence in enumerate(CHANNELS)},
                "axes": "K, J, I: to the head, the back, the patient's left; 1 mm",
                "value": "mean 0 and deviation 1 inside the brain, 0 outside; a missing sequence is 0",
            }
        },
        "outputs": {
            "probabilities": {
                "type": "probabilities",
                "num_channels": len(REGIONS),
                "spatial_shape": [f"{STRIDE}*n"] * 3,
                "dtype": "float32",
                "channel_def": {str(number): str(region) for number, region in enumerate(REGIONS)},
                "value": "0 to 1, nested: ET <= TC <= WT",
            }
        },
    },
}
"""What ``configs/metadata.json`` says of every release, after MONAI's bundle specification."""
