"""The unfolded weights, as data: what a further training of a released network starts from."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from zweitblick.errors import BundleDamagedError, BundleMissingError
from zweitblick.model.bundle import checked_files
from zweitblick.model.manifest import UNSIGNED_TOO
from zweitblick_training.export.onnx_file import LARGE

ALIASES = "aliases"
"""Entry of the file's header: a JSON object from each further name of a tensor to the one it is stored by."""

WEIGHTS = "models/weights.safetensors"
"""Where in a bundle they are: safetensors, not pickle, which can run code when it is loaded."""


def write_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dictionary, BatchNorm's statistics included; large tensors as float16, as in the ONNX file.

    A module that is reachable by two names (MONAI's ``DynUNet`` has many) is stored once; the file's header maps its
    other names to that one.

    Parameters
    ----------
    state
        As ``Module.state_dict()`` gives it.
    path
        The file.
    """
    first: dict[tuple[int, int, torch.Size], str] = {}
    aliases: dict[str, str] = {}
    for name, tensor in state.items():
        place = (tensor.untyped_storage().data_ptr(), int(tensor.storage_offset()), tensor.shape)
        aliases[name] = first.setdefault(place, name)
    stored = {name: _stored(state[name]) for name in first.values()}
    other = {name: target for name, target in aliases.items() if name != target}
    path.parent.mkdir(parents=True, exist_ok=True)
    # One entry, because safetensors writes several in a random order.
    path.write_bytes(save(stored, {ALIASES: json.dumps(other)}))


def load_weights(bundle: Path) -> dict[str, Tensor]:
    """Read the weights of a released bundle, for ``Module.load_state_dict``.

    Returns
    -------
    dict
        Every name of the network's state; floating-point tensors as float32.

    Raises
    ------
    BundleMissingError
        If the bundle holds none.
    BundleDamagedError
        If they are not what was released.
    """
    files = checked_files(bundle, UNSIGNED_TOO)
    if WEIGHTS not in files.contents:
        raise BundleMissingError(f"bundle {bundle.name} has no {WEIGHTS} to train on from; name a newer release")
    try:
        content = files.contents[WEIGHTS]
        state = {name: _loaded(tensor) for name, tensor in load(content).items()}
        other = json.loads(_entries(content)[ALIASES])
        return state | {name: state[target] for name, target in other.items()}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BundleDamagedError(f"bundle {bundle.name}: {WEIGHTS} cannot be read; install it anew") from error


def _entries(content: bytes) -> dict[str, str]:
    """Return the entries of a safetensors file's header, whose length is its first eight bytes."""
    length = int.from_bytes(content[:8], "little")
    return dict(json.loads(content[8 : 8 + length])["__metadata__"])


def _stored(tensor: Tensor) -> Tensor:
    half = tensor.is_floating_point() and tensor.numel() > LARGE
    return (tensor.half() if half else tensor.clone()).contiguous()


def _loaded(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
