"""Write the trained network as a bundle: ONNX, metadata, golden output, splits."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from zweitblick.model.brain_mask import BRIGHTEST, SPACING_MM, STRIDE
from zweitblick.model.manifest import MANIFEST
from zweitblick.model.runtime import OnnxNetwork
from zweitblick.volume import Float32
from zweitblick_training.brain_mask.heads import TEST_STRIPPED, TEST_WHOLE
from zweitblick_training.datasets.packed import LGG_GROUP, packed_names

OPSET = 18
"""Read by ONNX Runtime 1.14 and later."""
PARITY = 1e-3
"""Largest difference between torch and ONNX Runtime that is released."""


class Probability(nn.Module):
    """A network of logits with the sigmoid that serving expects.

    Parameters
    ----------
    network
        Maps inputs to logits.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities in the shape of ``x``."""
        return torch.sigmoid(self.network(x))


def export_brain_mask(network: nn.Module, bundle: Path, data: Path) -> float:
    """Write ``models/model.onnx``, ``configs/metadata.json``, ``golden.npz`` and ``splits.json`` of a bundle.

    Parameters
    ----------
    network
        From `fit_brain_mask`.
    bundle
        Folder of the bundle.
    data
        Folder of the packed data sets, for the names in the splits.

    Returns
    -------
    Largest difference between torch and ONNX Runtime on the golden input and on another size.

    Raises
    ------
    ValueError
        If that difference is above 1e-3.
    """
    path = bundle / "models" / "model.onnx"
    for folder in (path.parent, bundle / "configs", bundle / "docs"):
        folder.mkdir(parents=True, exist_ok=True)
    served = Probability(network).eval()
    _write_onnx(served, path)
    difference = _difference(served, OnnxNetwork(path))
    if difference > PARITY:
        raise ValueError(f"ONNX Runtime differs from torch by {difference:.2g}, more than {PARITY:g}")
    golden = synthetic_head((32, 32, 32))
    np.savez_compressed(bundle / "golden.npz", input=golden, output=OnnxNetwork(path)(golden))
    (bundle / MANIFEST).unlink(missing_ok=True)
    _write_json(bundle / "configs" / "metadata.json", metadata(path))
    _write_json(bundle / "splits.json", splits(data))
    return difference


def synthetic_head(shape: tuple[int, int, int]) -> Float32:
    """Draw a bright shell around a grey ball, ``(1, 1, K, J, I)``: enough to tell one network from another."""
    axes = [np.linspace(-1, 1, size) for size in shape]
    k, j, i = np.meshgrid(*axes, indexing="ij", sparse=True)
    radius = np.sqrt(k**2 + j**2 + i**2)
    ball = np.where(radius < 0.7, 0.9 + 0.1 * np.sin(9 * k) * np.sin(7 * j) * np.sin(5 * i), 0.05)
    head = np.where((radius > 0.8) & (radius < 0.95), 2.0, ball)
    return head.astype(np.float32)[None, None]


def metadata(path: Path) -> dict[str, object]:
    """Describe the network in the words of MONAI's bundle schema, with the file's digest."""
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": 1,
        "spatial_shape": [f"{STRIDE}*n"] * 3,
        "dtype": "float32",
        "is_patch_data": False,
    }
    return {
        "name": "brain-mask",
        "version": "0.1.0",
        "task": "Brain mask of one T1, T1c, T2 or FLAIR volume, whole head or already stripped",
        "intended_use": "Research. Prepares volumes for the tumour network; not for diagnosis.",
        "authors": "The zweitblick authors",
        "copyright": "CC BY-NC-SA 4.0, see LICENSE",
        "data_source": "TCGA-LGG slices (Buda 2019), BraTS 2018-2021, multiple sclerosis (Lesjak 2018); teacher HD-BET",
        "network_data_format": {
            "inputs": {
                "image": image
                | {
                    "value_range": [-1.0, BRIGHTEST],
                    "channel_def": {"0": "any one sequence"},
                    "spacing_mm": SPACING_MM,
                    "axes": "batch, channel, k to the head, j to the back, i to the patient's left",
                }
            },
            "outputs": {
                "pred": image | {"format": "probability", "value_range": [0.0, 1.0], "channel_def": {"0": "brain"}}
            },
        },
        "digest": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def splits(data: Path) -> dict[str, list[str]]:
    """Name the cases that were learnt from, held back, and left out because they may be held-back patients."""
    names = [name for source in ("lgg", "brats", "nontumour") for name in packed_names(data, source)]
    test = [*TEST_WHOLE, *TEST_STRIPPED]
    lgg = set(packed_names(data, "lgg"))
    left_out = [name for name in names if name not in lgg and name.startswith(LGG_GROUP)]
    train = [name for name in names if name not in {*test, *left_out}]
    return {"train": train, "test": [*test, "TCGA-FG-6692", "studyforrest"], "left_out": left_out}


def _write_onnx(network: nn.Module, path: Path) -> None:
    example = torch.zeros(2, 1, 2 * STRIDE, 3 * STRIDE, 4 * STRIDE)
    sizes = dict.fromkeys((0, 2, 3, 4), torch.export.Dim.DYNAMIC)
    torch.onnx.export(
        network,
        (example,),
        path,
        input_names=["image"],
        output_names=["probability"],
        opset_version=OPSET,
        dynamo=True,
        dynamic_shapes=(sizes,),
        external_data=False,
        verbose=False,
    )
    _without_traces(path)


def _without_traces(path: Path) -> None:
    """Drop the exporter's notes of where in the source each node came from."""
    model = onnx.load(path)
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    onnx.save(model, path)


@torch.inference_mode()
def _difference(network: nn.Module, served: OnnxNetwork) -> float:
    worst = 0.0
    for shape in ((32, 32, 32), (48, 64, 80)):
        x = synthetic_head(shape)
        worst = max(worst, float(np.abs(network(torch.from_numpy(x)).numpy() - served(x)).max()))
    return worst


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
