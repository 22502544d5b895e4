"""Runtime: an ONNX network as a plain function of arrays."""

from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state

from zweitblick.errors import BundleDamagedError, BundleMissingError

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


class Network(Protocol):
    """A network with one input and one output."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map ``(batch, channel, K, J, I)`` float32 to probabilities of the same spatial size."""
        ...


class OnnxNetwork:
    """An ONNX file on ONNX Runtime's CPU provider.

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
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        if not path.is_file():
            raise BundleMissingError(f"no network file {path.name}; install the model bundles or name their folder")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except RUNTIME_ERRORS as error:
            raise BundleDamagedError(
                f"{path.name} is not a network that ONNX Runtime loads; install it anew"
            ) from error
        self._input = self._session.get_inputs()[0].name

    def __call__(self, x: Tensor) -> Tensor:
        """Run the network on ``(batch, channel, K, J, I)`` float32."""
        output: Tensor = self._session.run(None, {self._input: np.ascontiguousarray(x, np.float32)})[0]
        return output
