"""What a bundle says of itself, after MONAI's bundle specification."""

from importlib.metadata import version
from typing import Any

from zweitblick.model.prepare import CHANNELS, STRIDE
from zweitblick.prediction import REGIONS
from zweitblick_training.facts import Facts


def tumour_metadata(facts: Facts) -> dict[str, Any]:
    """Compose ``configs/metadata.json`` of a tumour bundle, without what depends on its files.

    The keys are those that MONAI's schema of 25 July 2024 asks for; ``python -m monai.bundle verify_metadata`` fetches
    and applies it.
    """
    return {
        "schema": "https://project-monai.github.io/schema/meta_schema_20240725.json",
        "name": "tumour",
        "version": facts.version,
        "changelog": dict(facts.changelog),
        **{f"{key}_version": _release(name) for key, name in LIBRARIES.items()},
        "required_packages_version": {"onnxruntime": "1.20.0"},
        "task": "glioma segmentation on MRI of the brain",
        "description": "Outlines enhancing tumour, tumour core and whole tumour on T1, T1c, T2 and FLAIR; sequences may"
        " be missing as long as T1c or FLAIR is there.",
        "intended_use": "research use only, not for diagnosis",
        "authors": facts.authors,
        "copyright": f"{facts.spdx}, see LICENSE",
        "license": facts.spdx,
        "data_source": facts.data_source,
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
