"""Held: parts of a case on the device that cuts its patches.

A processor reads them from the case's files, which all processes share. A GPU keeps the whole case as long as it has
room: fetching each part anew took longer than all that is done to it there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zweitblick_training.case import BRAIN, Case

ROOM = 0.5
"""Share of a GPU's memory that is left to networks, and to whoever else uses it."""

Window = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class _Held:
    """A case on a GPU: its images as they are, its labels with `BRAIN` added."""

    images: Tensor
    codes: Tensor


_HELD: WeakKeyDictionary[Case, _Held] = WeakKeyDictionary()


def images_in(case: Case, sequences: Sequence[int], window: Window) -> Tensor:
    """``(n, k, j, i)`` float32 on torch's default device: a part of the case in the sequences asked for."""
    held = _held(case)
    if held is None:
        return torch.as_tensor(np.stack([case.images[sequence][window] for sequence in sequences])).float()
    return torch.stack([held.images[sequence][window] for sequence in sequences]).float()


def codes_in(case: Case, window: Window) -> Tensor:
    """``(k, j, i)`` uint8 on torch's default device: labels of a part of the case, plus `BRAIN` inside the brain."""
    held = _held(case)
    return torch.as_tensor(_codes(case, window)) if held is None else held.codes[window]


def _held(case: Case) -> _Held | None:
    """Return a case as torch's default device holds it, or none where it is read from its files."""
    if case not in _HELD and _has_room(torch.get_default_device()):
        _HELD[case] = _Held(torch.tensor(case.images), torch.tensor(_codes(case, ...)))
    return _HELD.get(case)


def _has_room(device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    free, whole = torch.cuda.mem_get_info(device)
    return free > ROOM * whole


def _codes(case: Case, window: Window | EllipsisType) -> NDArray[np.uint8]:
    return np.asarray(case.labels[window] + case.brain[window] * np.uint8(BRAIN))
