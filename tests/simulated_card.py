"""A CUDA card under Numba's simulator: the very kernels, run by the processor, in a process of their own."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import numpy as np


class SimulatedCard:
    """What `zweitblick.cuda.Card` computes, asked from outside of the process that simulates."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def interpolated(
        self, voxels: np.ndarray, own_from_target_index: np.ndarray, shape: tuple[int, int, int], *, fill: float
    ) -> np.ndarray:
        return self._pool.submit(_asked, "interpolated", voxels, own_from_target_index, shape, fill=fill).result()

    def interpolated_within(
        self, voxels: np.ndarray, own_from_target_index: np.ndarray, mask: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._pool.submit(_asked, "interpolated_within", voxels, own_from_target_index, mask).result()


@contextmanager
def simulated_card() -> Iterator[SimulatedCard]:
    """Start the process; Numba asks for the variable when it is imported."""
    before = os.environ.get("NUMBA_ENABLE_CUDASIM")
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            pool.submit(int).result()
            yield SimulatedCard(pool)
    finally:
        if before is None:
            del os.environ["NUMBA_ENABLE_CUDASIM"]
        else:
            os.environ["NUMBA_ENABLE_CUDASIM"] = before


def _asked(name: str, *arguments: Any, **options: Any) -> Any:
    from zweitblick.cuda import Card  # noqa: PLC0415 -- in the process that simulates alone

    return getattr(Card(np), name)(*arguments, **options)
