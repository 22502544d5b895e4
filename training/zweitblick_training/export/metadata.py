"""What a bundle says of itself, after MONAI's bundle specification, and the licence it is under."""

from importlib.metadata import version
from typing import Any

from zweitblick.model.prepare import CHANNELS, STRIDE
from zweitblick.prediction import REGIONS

VERSION = "0.3.0"
"""Of the tumour bundle; raised with each release."""

CHANGES = {
    VERSION: "trained anew on every case, judged by five folds",
    "0.2.0": "trained on from 0.1.0; int8 and weights beside it",
    "0.1.0": "first release",
}

LICENCE = """Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International
SPDX-License-Identifier: CC-BY-NC-SA-4.0
https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode

The weights in this folder were trained on data under that licence (TCGA-LGG segmentations, Buda 2019) and on BraTS
cases (research use with citation). They are for research. zweitblick's own code is under Apache-2.0.
"""


def tumour_metadata() -> dict[str, Any]:
    """Compose ``configs/metadata.json`` of a tumour bundle, without what depends on its files.

    The keys are those that MONAI's schema of 25 July 2024 asks for; ``python -m monai.bundle verify_metadata`` fetches
    and applies it.
    """
    return {
        "schema": "https://project-monai.github.io/schema/meta_schema_20240725.json",
        "name": "tumour",
        "version": VERSION,
        "changelog": CHANGES,
        **{f"{key}_version": _release(name) for key, name in LIBRARIES.items()},
        "required_packages_version": {"onnxruntime": "1.20.0"},
        "task": "glioma segmentation on MRI of the brain",
        "description": "Outlines enhancing tumour, tumour core and whole tumour on T1, T1c, T2 and FLAIR; sequences may"
        " be missing as long as T1c or FLAIR is there.",
        "intended_use": "research use only, not for diagnosis; adult glioma before treatment",
        "authors": "the zweitblick authors",
        "copyright": "CC BY-NC-SA 4.0, see LICENSE",
        "license": "CC-BY-NC-SA-4.0",
        "data_source": "BraTS 2018-2021 training cases; TCGA-LGG with masks by Buda 2019; Lesjak 2018; see the card",
        "network_data_format": {"inputs": {"image": _image()}, "outputs": {"pred": _probabilities()}},
    }


LIBRARIES = {"monai": "monai", "pytorch": "torch", "numpy": "numpy"}
"""Key of the specification (followed by ``_version``) and distribution."""


def _release(distribution: str) -> str:
    """Version without the local part, which names a build (``+cpu``)."""
    return version(distribution).partition("+")[0]


def _image() -> dict[str, Any]:
    return {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": len(CHANNELS),
        "spatial_shape": [f"{STRIDE}*n"] * 3,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {str(number): str(sequence) for number, sequence in enumerate(CHANNELS)},
        "axes": "K, J, I: to the head, the back, the patient's left; 1 mm",
        "value": "mean 0 and deviation 1 inside the brain, 0 outside; a missing sequence is 0",
    }


def _probabilities() -> dict[str, Any]:
    return {
        "type": "probabilities",
        "format": "classes",
        "modality": "n/a",
        "num_channels": len(REGIONS),
        "spatial_shape": [f"{STRIDE}*n"] * 3,
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {str(number): str(region) for number, region in enumerate(REGIONS)},
        "value": "0 to 1, nested: ET <= TC <= WT",
    }
