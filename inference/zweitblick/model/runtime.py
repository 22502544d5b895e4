"""Runtime: an ONNX network as a plain function of arrays, on the fastest runtime that is installed."""

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state

from zweitblick.device import PROCESSOR, Device, address, cuda_card, lies_on_card
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
"""What the runtimes raise; ONNX Runtime's own exceptions share no base class, OpenVINO's are RuntimeErrors."""


TENSORRT, CUDA, CPU = "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
PROVIDERS = (TENSORRT, CUDA, CPU)
"""ONNX Runtime's, in order of preference; the last alone is there unless onnxruntime-gpu is in onnxruntime's place."""

ON_CARD = (TENSORRT, CUDA)


@dataclass(frozen=True)
class NetworkFile:
    """An ONNX file that was read.

    Parameters
    ----------
    name
        Of the file, for errors.
    content
        What it holds.
    """

    name: str
    content: bytes = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file.

        Raises
        ------
        BundleMissingError
            If there is none.
        """
        if not path.is_file():
            raise BundleMissingError(f"no network file {path.name}; install the model bundles or name their folder")
        return cls(path.name, path.read_bytes())


class Network(Protocol):
    """A network with one input and one output."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map ``(batch, channel, K, J, I)`` float32 to probabilities of the same spatial size, where the input lies."""
        ...


class OnnxNetwork:
    """An ONNX file on ONNX Runtime: on a CUDA card where onnxruntime-gpu is installed, else on the processor.

    Where input and output are of one size, both are bound: ONNX Runtime reads and writes our arrays, copies nothing
    and, if they lie on the card, leaves them there.

    Parameters
    ----------
    source
        The file, or what was read of it.
    threads
        Threads within an operator; 0 lets the runtime take every core.

    Raises
    ------
    BundleMissingError
        If there is no such file.
    BundleDamagedError
        If the runtime cannot load it.
    ProviderError
        If TensorRT or CUDA is installed but does not start, as ONNX Runtime would fall back without a word; or if what
        else a card needs is missing.
    """

    def __init__(self, source: Path | NetworkFile, *, threads: int = 0) -> None:
        file = _read(source)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        wanted = wanted_providers()
        _preload(wanted[0])
        try:
            self._session = onnxruntime.InferenceSession(file.content, options, providers=wanted)
        except RUNTIME_ERRORS as error:
            raise BundleDamagedError(
                f"{file.name} is not a network that ONNX Runtime loads; install it anew"
            ) from error
        check_providers(wanted, self._session.get_providers())
        self._device: Device = cuda_card() if wanted[0] in ON_CARD else PROCESSOR
        self._input, self._output = self._session.get_inputs()[0], self._session.get_outputs()[0]

    @property
    def runtime(self) -> str:
        """What runs: ONNX Runtime with its version and the provider in force."""
        return f"ONNX Runtime {onnxruntime.__version__}, {self._session.get_providers()[0]}"

    @property
    def device(self) -> Device:
        """Where it takes its input from without a copy."""
        return self._device

    def __call__(self, x: Tensor) -> Tensor:
        """Run the network on ``(batch, channel, K, J, I)`` float32; the answer lies where the input lies."""
        if self._keeps_size():
            return self._bound(x)
        output: Tensor = self._session.run(None, {self._input.name: np.ascontiguousarray(x, np.float32)})[0]
        return output

    def _keeps_size(self) -> bool:
        """Whether the file says that output and input have the same batch and spatial size."""
        given, answered = self._input.shape, self._output.shape
        return bool([given[0], *given[2:]] == [answered[0], *answered[2:]])

    def _bound(self, x: Tensor) -> Tensor:
        device, kind = (self._device, "cuda") if lies_on_card(x) else (PROCESSOR, "cpu")
        x = device.held(x, np.float32)
        output = device.empty((x.shape[0], self._output.shape[1], *x.shape[2:]))
        binding = self._session.io_binding()
        binding.bind_input(self._input.name, kind, 0, np.float32, x.shape, address(x))
        binding.bind_output(self._output.name, kind, 0, np.float32, output.shape, address(output))
        device.finish()  # ONNX Runtime has a stream of its own and does not wait for others
        self._session.run_with_iobinding(binding)
        return output


class OpenVinoNetwork:
    """An ONNX file on OpenVINO, on the processor: about twice as fast there as ONNX Runtime.

    What is not quantised is computed in float32 unless bfloat16 is asked for; left to itself, OpenVINO takes bfloat16
    where the processor has it.
    A file is compiled once in a process and kept until its end: OpenVINO's destructor waits for a thread, and in a
    process that was forked meanwhile that thread is not there. Such a process must not use the network.

    Parameters
    ----------
    source
        The file, or what was read of it.
    threads
        Threads within an operator; 0 takes every core that this process may run on. Not tied to cores, which several
        processes on one machine would share while others idle.
    hint
        What OpenVINO calls the precision of what is not quantised: ``f32`` or ``bf16``.

    Raises
    ------
    BundleMissingError
        If there is no such file.
    BundleDamagedError
        If the runtime cannot load it.
    ProviderError
        If OpenVINO does not start, or does not compute as it was asked to.
    """

    def __init__(self, source: Path | NetworkFile, *, threads: int = 0, hint: str = "f32") -> None:
        self._compiled = _compiled(_read(source), threads or len(os.sched_getaffinity(0)), hint)

    @property
    def runtime(self) -> str:
        """What runs: OpenVINO with its version."""
        return f"OpenVINO {silent_openvino().__version__.partition('-')[0]}, CPU"

    @property
    def device(self) -> Device:
        """Where it takes its input from without a copy."""
        return PROCESSOR

    def __call__(self, x: Tensor) -> Tensor:
        """Run the network on ``(batch, channel, K, J, I)`` float32; threads wait for each other."""
        return self._compiled(np.ascontiguousarray(x, np.float32))


def opened(source: Path | NetworkFile, *, hint: str = "f32") -> OnnxNetwork | OpenVinoNetwork:
    """Open a network on the first of TensorRT, CUDA, OpenVINO and ONNX Runtime on the processor that is installed.

    Parameters
    ----------
    source
        The file, or what was read of it.
    hint
        See `OpenVinoNetwork`; ``bf16`` only where `computes_bf16`.

    Raises
    ------
    BundleMissingError, BundleDamagedError, ProviderError
        See `OnnxNetwork` and `OpenVinoNetwork`. What is installed but does not work is never passed over.
    """
    return OpenVinoNetwork(source, hint=hint) if _takes_openvino() else OnnxNetwork(source)


def wanted_providers(
    built_in: Collection[str] | None = None, is_installed: Callable[[str], bool] | None = None
) -> list[str]:
    """Return the execution providers that ONNX Runtime is asked for, first choice first.

    Parameters
    ----------
    built_in
        Those that ONNX Runtime was built with (by default, of the one that is installed).
    is_installed
        Whether a package is. ONNX Runtime's builds for CUDA list TensorRT whether or not its libraries are there.
    """
    built_in = onnxruntime.get_available_providers() if built_in is None else built_in
    is_installed = is_installed or _is_installed
    return [one for one in PROVIDERS if one in built_in and (one != TENSORRT or is_installed("tensorrt"))]


def runs_on_card() -> bool:
    """Whether a network would be opened on a CUDA card."""
    return wanted_providers()[0] in ON_CARD


def computes_bf16() -> bool:
    """Whether a network would be opened on OpenVINO, on a processor with instructions for bfloat16.

    Raises
    ------
    ProviderError
        If OpenVINO is installed but does not load.
    """
    return _takes_openvino() and "BF16" in silent_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


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


def check_options(wanted: dict[str, str], in_force: dict[str, str]) -> None:
    """Make sure that OpenVINO compiled a network as it was asked to.

    Parameters
    ----------
    wanted, in_force
        Properties as OpenVINO names them; those in force may be more.

    Raises
    ------
    ProviderError
        If one is another.
    """
    for name, value in wanted.items():
        if in_force[name] != value:
            raise ProviderError(
                f"OpenVINO has {name} {in_force[name]}, not {value}; install the release in constraints.txt"
            )


def silent_openvino() -> Any:
    """Import OpenVINO without its telemetry.

    Its ``__init__`` reports every import to Google Analytics, from a process that it forks, and leaves an identity in
    the home folder, unless the package ``openvino_telemetry`` is missing.

    Raises
    ------
    ProviderError
        If it does not load.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: not to be imported
    try:
        return importlib.import_module("openvino")
    except (ImportError, OSError) as error:
        raise ProviderError("OpenVINO is installed but does not load; install it anew, or uninstall it") from error


class _CompiledNetwork:
    """One request; threads that share it take turns, as one call keeps every core busy."""

    def __init__(self, model: Any) -> None:
        self._request, self._free = model.create_infer_request(), Lock()

    def __call__(self, x: Tensor) -> Tensor:
        with self._free:
            # The input is read where it lies; the answer is copied, as the next call overwrites the request's own.
            answer = self._request.infer([x], share_inputs=True, share_outputs=True)[0]
            return np.array(answer, np.float32)


_COMPILED: dict[tuple[str, int, str], _CompiledNetwork] = {}
_COMPILING = Lock()


def _compiled(file: NetworkFile, threads: int, hint: str) -> _CompiledNetwork:
    """Return the one compiled network of a file's content, a number of threads and a precision."""
    key = hashlib.sha256(file.content).hexdigest(), threads, hint
    with _COMPILING:
        if key not in _COMPILED:
            _COMPILED[key] = _CompiledNetwork(_compiled_model(file, threads, hint))
        return _COMPILED[key]


def _compiled_model(file: NetworkFile, threads: int, hint: str) -> Any:
    openvino = silent_openvino()
    wanted = {
        "INFERENCE_PRECISION_HINT": hint,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": str(threads),
        "ENABLE_CPU_PINNING": "NO",
    }
    try:
        core = openvino.Core()
        model = core.compile_model(core.read_model(file.content), "CPU", wanted)
    except RUNTIME_ERRORS as error:
        raise BundleDamagedError(f"{file.name} is not a network that OpenVINO loads; install it anew") from error
    in_force = {name: model.get_property(name) for name in wanted}
    check_options(wanted, {name: _as_text(value) for name, value in in_force.items()})
    return model


def _takes_openvino() -> bool:
    return not runs_on_card() and _is_installed("openvino")


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _preload(provider: str) -> None:
    """Load the libraries of a provider that lie in wheels of their own, where ONNX Runtime does not look."""
    if provider == TENSORRT:
        importlib.import_module("tensorrt")
    if provider in ON_CARD:
        onnxruntime.preload_dlls()


def _as_text(value: Any) -> str:
    """Write a property's value as it is given."""
    if isinstance(value, bool):
        return "YES" if value else "NO"
    return str(value.get_type_name()) if hasattr(value, "get_type_name") else str(value)


def _read(source: Path | NetworkFile) -> NetworkFile:
    return NetworkFile.read(source) if isinstance(source, Path) else source
