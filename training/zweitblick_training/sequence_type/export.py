"""Write the trained network as a bundle: ONNX, metadata, golden output, splits, evaluation and card."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zweitblick.model.brain_mask import BRIGHTEST
from zweitblick.model.sequence_network import SHAPE, Kind
from zweitblick_training.export import export_network, seal, write_bundle
from zweitblick_training.sequence_type.card import card
from zweitblick_training.sequence_type.evaluate import Look, as_record
from zweitblick_training.sequence_type.fit import INPUTS
from zweitblick_training.sequence_type.heads import sides
from zweitblick_training.sequence_type.recipe import SequenceTypeRecipe

VERSION = "0.1.0"

STRIDE = 16
"""Any size will do that holds a filter; sizes tried at export are multiples of this."""

LICENCE = """\
The weights in this folder (models/model.onnx, golden.npz and the descriptions beside them) are licensed under

    Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International
    SPDX-License-Identifier: CC-BY-NC-SA-4.0
    https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode

because the whole heads they were trained on are shared under it (TCGA-LGG slices prepared by M. Buda, 2019,
from The Cancer Imaging Archive). They are for research, not for diagnosis. The code of this project is
licensed separately; see the LICENSE at the root.
"""


class KindProbabilities(nn.Module):
    """The network as it is served.

    Parameters
    ----------
    network
        From `fit_sequence_type`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, 2, K, J, I)`` to probabilities ``(batch, 5, 1, 1, 1)``."""
        return torch.softmax(self.network(x), 1)[:, :, None, None, None]


def export_sequence_type(network: nn.Module, bundle: Path, data: Path) -> str:
    """Write the bundle and return its digest; card and figures follow, see `add_figures`.

    Parameters
    ----------
    network
        From `fit_sequence_type`.
    bundle
        Folder of the bundle, ``models/sequence``.
    data
        Folder of the packed data sets, for the names in the splits.

    Raises
    ------
    ExportError
        If the exported network differs from the trained one.
    """
    export_network(KindProbabilities(network).eval(), bundle / "models" / "model.onnx", channels=INPUTS, stride=STRIDE)
    files = {"LICENSE": LICENCE, "splits.json": json.dumps(_splits(data), indent=1) + "\n"}
    return write_bundle(bundle, metadata(), files, channels=INPUTS)


def add_figures(bundle: Path, looks: list[Look], recipe: SequenceTypeRecipe) -> None:
    """Add ``evaluation.json`` and the card to an exported bundle and seal it anew."""
    splits: dict[str, list[str]] = json.loads((bundle / "splits.json").read_text(encoding="utf-8"))
    (bundle / "evaluation.json").write_text(json.dumps(as_record(looks), indent=1) + "\n", encoding="utf-8")
    (bundle / "docs").mkdir(exist_ok=True)
    (bundle / "docs" / "README.md").write_text(card(looks, recipe, splits), encoding="utf-8")
    seal(bundle)


def metadata() -> dict[str, Any]:
    """Describe the network in the words of MONAI's bundle schema."""
    image = {"type": "image", "format": "magnitude", "modality": "MR", "dtype": "float32", "is_patch_data": False}
    return {
        "name": "sequence",
        "version": VERSION,
        "task": "Kind of one MR volume of a head: T1, T1 with contrast agent, T2, FLAIR or another",
        "intended_use": "Research. One vote where headers leave open what a series shows; not for diagnosis.",
        "authors": "The zweitblick authors",
        "copyright": "CC BY-NC-SA 4.0, see LICENSE",
        "license": "CC-BY-NC-SA-4.0",
        "data_source": "TCGA-LGG slices (Buda 2019), BraTS 2018-2021, multiple sclerosis (Lesjak 2018)",
        "network_data_format": {
            "inputs": {
                "image": image
                | {
                    "num_channels": INPUTS,
                    "spatial_shape": list(SHAPE),
                    "value_range": [-1.0, BRIGHTEST],
                    "channel_def": {"0": "intensity, 0 air, 1 mean tissue", "1": "rank among tissue, -1 to 1"},
                    "axes": "batch, channel, k to the head, j to the back, i to the patient's left",
                }
            },
            "outputs": {
                "pred": {
                    "type": "probabilities",
                    "format": "classes",
                    "num_channels": len(Kind),
                    "spatial_shape": [1, 1, 1],
                    "dtype": "float32",
                    "value_range": [0.0, 1.0],
                    "channel_def": {str(number): str(kind) for number, kind in enumerate(Kind)},
                }
            },
        },
    }


def _splits(data: Path) -> dict[str, list[str]]:
    """Name the cases learnt from, held back, and left out because they may be held-back patients."""
    parts = sides(data)
    return {"train": list(parts.train), "test": list(parts.test), "left_out": list(parts.left_out)}
