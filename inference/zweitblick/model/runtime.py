"""Runtime: an ONNX network as a plain function of arrays, on the fastest provider that is installed."""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
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


OPENVINO = "OpenVINOExecutionProvider"
"""OpenVINO through its own wheel; named as ONNX Runtime names it."""


class Network(Protocol):
    """A network with one input and one output."""

    @property
    def provider(self) -> str:
        """The execution provider in force, as ONNX Runtime names it."""
        ...

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
            raise _no_file(path)
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

    @property
    def provider(self) -> str:
        """The execution provider in force."""
        return str(self._session.get_providers()[0])

    def __call__(self, x: Tensor) -> Tensor:
        """Run the network on ``(batch, channel, K, J, I)`` float32."""
        output: Tensor = self._session.run(None, {self._input: np.ascontiguousarray(x, np.float32)})[0]
        return output


class OpenVinoNetwork:
    """An ONNX file on OpenVINO, on the processor, about twice as fast there as ONNX Runtime.

    What is not quantised is computed in float32: left to itself, OpenVINO takes bfloat16 where the processor has it,
    and results would differ from those that were validated.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    BundleMissingError
        If there is no such file.
    BundleDamagedError
        If the runtime cannot load it.
    ProviderError
        If OpenVINO computes in another precision than it was asked for.
    """

    provider = OPENVINO

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise _no_file(path)
        openvino = importlib.import_module("openvino")
        try:
            model = openvino.Core().compile_model(path, "CPU", OPENVINO_OPTIONS)
        except RUNTIME_ERRORS as error:
            raise BundleDamagedError(f"{path.name} is not a network that OpenVINO loads; install it anew") from error
        precision = model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if precision != OPENVINO_OPTIONS["INFERENCE_PRECISION_HINT"]:
            raise ProviderError(f"OpenVINO computes in {precision}, not in float32; install another release of it")
        self._request, self._free = model.create_infer_request(), Lock()

    def __call__(self, x: Tensor) -> Tensor:
        """Run the network on ``(batch, channel, K, J, I)`` float32; threads wait for each other."""
        with self._free:
            answers = self._request.infer([np.ascontiguousarray(x, np.float32)])
            return np.array(answers[0], np.float32)


OPENVINO_OPTIONS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}


def opened(path: Path) -> Network:
    """Open a network on the first of CUDA, OpenVINO and ONNX Runtime's processor code that is installed.

    Raises
    ------
    BundleMissingError, BundleDamagedError, ProviderError
        See `OnnxNetwork` and `OpenVinoNetwork`.
    """
    on_gpu = PROVIDERS[0] in onnxruntime.get_available_providers()
    if not on_gpu and importlib.util.find_spec("openvino"):
        return OpenVinoNetwork(path)
    return OnnxNetwork(path)


def _no_file(path: Path) -> BundleMissingError:
    return BundleMissingError(f"no network file {path.name}; install the model bundles or name their folder")


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
