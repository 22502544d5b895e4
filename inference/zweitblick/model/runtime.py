"""Runtime: an ONNX network as a plain function of arrays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state

from zweitblick.errors import BundleDamagedError, BundleMissingError, ProviderError

Tensor = NDArray[np.float32]

RUNTIME_ERRORS = (
    RuntimeError,
    ValueError,
    onnxruntime_pybind11_state.Fail,
    onnxruntime_pybind11_state.InvalidArgument,
    onnxruntime_pybind11_state.InvalidGraph,
    onnxruntime_pybind11_state.InvalidProtobuf,
    onnxruntime_pybind11_state.NotImplemented,
    onnxruntime_pybind11_state.RuntimeException,
)
"""What ONNX Runtime raises; its own exceptions share no base class."""


PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""In order of preference; the first is there only where onnxruntime-gpu is installed in onnxruntime's place."""


class Network(Protocol):
    """A network with one input and one output."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map ``(batch, channel, K, J, I)`` float32 to probabilities of the same spatial size."""
        ...


class OnnxNetwork:
    """An ONNX file on ONNX Runtime: on CUDA where onnxruntime-gpu is installed, else on the processor.

    Parameters
    ----------
    path
        The file.
    threads
        Threads within an operator; 0 lets the runtime take every core.

    Raises
    ------
    BundleMissingError
        If there is no such file.
    BundleDamagedError
        If the runtime cannot load it.
    ProviderError
        If CUDA is installed but does not start; ONNX Runtime would fall back to the processor without a word.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        if not path.is_file():
            raise BundleMissingError(f"no network file {path.name}; install the model bundles or name their folder")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        wanted = [provider for provider in PROVIDERS if provider in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
        except RUNTIME_ERRORS as error:
            raise BundleDamagedError(
                f"{path.name} is not a network that ONNX Runtime loads; install it anew"
            ) from error
        check_providers(wanted, self._session.get_providers())
        self._input = self._session.get_inputs()[0].name

    def __call__(self, x: Tensor) -> Tensor:
        """Run the network on ``(batch, channel, K, J, I)`` float32."""
        output: Tensor = self._session.run(None, {self._input: np.ascontiguousarray(x, np.float32)})[0]
        return output


def check_providers(wanted: Sequence[str], in_force: Sequence[str]) -> None:
    """Make sure that the runtime took the provider it was asked for first.

    Parameters
    ----------
    wanted, in_force
        Execution providers as asked for and as the session reports them, first choice first.

    Raises
    ------
    ProviderError
        If the first is another.
    """
    if list(wanted[:1]) != list(in_force[:1]):
        raise ProviderError(
            f"{wanted[0]} is installed but {in_force[0]} runs; repair the GPU driver, "
            "or install onnxruntime in the place of onnxruntime-gpu"
        )
