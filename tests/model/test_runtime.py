"""Both runtimes keep one contract, run where they were asked to or say so, and tell nobody."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from zweitblick.errors import BundleDamagedError, BundleMissingError, ProviderError
from zweitblick.model.bundle import METADATA, default_models, load_bundle
from zweitblick.model.runtime import (
    CPU,
    CUDA,
    PROVIDERS,
    TENSORRT,
    Network,
    OnnxNetwork,
    OpenVinoNetwork,
    check_options,
    check_providers,
    computes_bf16,
    opened,
    runs_on_card,
    wanted_providers,
)

MODELS = default_models()
TUMOUR = MODELS / "tumour" / "models"
RUNTIMES = [OnnxNetwork, OpenVinoNetwork]
Runtime = Callable[[Path], Network]

ALONE = """
import sys
events = []
sys.addaudithook(lambda event, _: events.append(event))
from pathlib import Path
import numpy as np
from zweitblick.model.runtime import OnnxNetwork, OpenVinoNetwork
for runtime in OnnxNetwork, OpenVinoNetwork:
    runtime(Path(sys.argv[1]))(np.zeros((1, 4, 32, 32, 32), np.float32))
import json
print(json.dumps(sorted(set(events))))
"""

FORKED = """
import gc, os, signal, sys
from pathlib import Path
import numpy as np
from zweitblick.model.runtime import OpenVinoNetwork
network = OpenVinoNetwork(Path(sys.argv[1]))
network(np.zeros((1, 4, 32, 32, 32), np.float32))
child = os.fork()
if not child:
    signal.alarm(30)
    del network
    gc.collect()
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""


def python(code: str, home: Path) -> "subprocess.CompletedProcess[str]":
    """Run code in a process of its own, on the smaller of the tumour networks."""
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("ORT_DISABLE_TELEMETRY")  # set by the import above
    command = [sys.executable, "-c", code, str(TUMOUR / "model-int8.onnx")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_a_silent_fall_back_to_the_processor_is_an_error() -> None:
    with pytest.raises(ProviderError, match="CUDAExecutionProvider is installed but CPUExecutionProvider runs"):
        check_providers([CUDA, CPU], [CPU])
    with pytest.raises(ProviderError, match="TensorrtExecutionProvider is installed but CUDAExecutionProvider runs"):
        check_providers(PROVIDERS, [CUDA, CPU])
    check_providers(PROVIDERS, PROVIDERS)


@pytest.mark.parametrize(
    ("built_in", "packages", "wanted"),
    [
        ([CPU], {"tensorrt", "openvino"}, [CPU]),
        (["AzureExecutionProvider", CPU], set(), [CPU]),
        ([TENSORRT, CUDA, CPU], set(), [CUDA, CPU]),
        ([CPU, CUDA, TENSORRT], {"tensorrt"}, [TENSORRT, CUDA, CPU]),
    ],
)
def test_the_fastest_provider_whose_libraries_are_there_goes_first(
    built_in: list[str], packages: set[str], wanted: list[str]
) -> None:
    assert wanted_providers(built_in, packages.__contains__) == wanted


@pytest.mark.parametrize("built_in", [[CUDA, CPU], [TENSORRT, CUDA, CPU]])
def test_a_card_that_does_not_start_is_not_passed_over(monkeypatch: pytest.MonkeyPatch, built_in: list[str]) -> None:
    """This ONNX Runtime is said to have CUDA and has not, as one whose driver is broken."""
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: built_in)
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: None)
    assert runs_on_card()
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider' is not in available provider names"),
        pytest.raises(ProviderError, match="CUDAExecutionProvider is installed but CPUExecutionProvider runs"),
    ):
        opened(MODELS / "sequence" / "models" / "model.onnx")


def test_a_silent_fall_back_to_another_precision_is_an_error() -> None:
    with pytest.raises(ProviderError, match="INFERENCE_PRECISION_HINT bf16, not f32"):
        check_options({"INFERENCE_PRECISION_HINT": "f32"}, {"INFERENCE_PRECISION_HINT": "bf16", "NUM_STREAMS": "1"})


def test_the_provider_in_force_is_the_first_that_is_installed() -> None:
    first = wanted_providers()[0]
    assert OnnxNetwork(TUMOUR / "model.onnx").runtime == f"ONNX Runtime {onnxruntime.__version__}, {first}"


@pytest.mark.skipif(runs_on_card(), reason="a card goes first")
def test_openvino_goes_before_onnx_runtime_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(TUMOUR / "model.onnx").runtime.startswith("OpenVINO 20")
    monkeypatch.setattr("zweitblick.model.runtime.importlib.util.find_spec", lambda _: None)
    assert opened(TUMOUR / "model.onnx").runtime.startswith("ONNX Runtime 1")


def test_openvino_that_does_not_load_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ProviderError, match="OpenVINO is installed but does not load"):
        OpenVinoNetwork(MODELS / "sequence" / "models" / "model.onnx", threads=1)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", ["brain-mask", "sequence", "tumour"])
def test_the_released_answer_is_given(runtime: Runtime, name: str) -> None:
    with np.load(MODELS / name / "golden.npz") as golden:
        given, expected = golden["input"], golden["output"]
    file = json.loads((MODELS / name / "configs" / "metadata.json").read_text()).get("network", "models/model.onnx")
    difference = np.abs(runtime(MODELS / name / file)(given) - expected)
    # In int8, what falls on the other side of a rounding step moves single voxels.
    assert difference.mean() <= (1e-3 if "int8" in file else 1e-6)
    assert difference.max() <= (0.2 if "int8" in file else 1e-4)


@pytest.mark.parametrize(("name", "limit"), [("model.onnx", 1e-4), ("model-int8.onnx", 2e-2)])
def test_both_runtimes_say_the_same(name: str, limit: float) -> None:
    x = noise((1, 4, 48, 64, 48))
    first, second = OnnxNetwork(TUMOUR / name)(x), OpenVinoNetwork(TUMOUR / name)(x)
    assert first.shape == second.shape == (1, 3, 48, 64, 48)
    assert first.dtype == second.dtype == np.float32
    assert np.abs(first - second).max() <= limit


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_two_calls_give_the_same_bytes_and_do_not_touch_each_others_results(runtime: Runtime) -> None:
    network, x = runtime(TUMOUR / "model-int8.onnx"), noise((1, 4, 48, 32, 64))
    first = network(x)
    kept = first.tobytes()
    network(noise((1, 4, 48, 32, 64), seed=1))
    assert first.tobytes() == kept == network(x).tobytes() == runtime(TUMOUR / "model-int8.onnx")(x).tobytes()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", ["brain-mask", "sequence", "tumour"])
def test_an_input_of_any_layout_is_read_and_not_touched(runtime: Runtime, name: str) -> None:
    network = runtime(MODELS / name / "models" / "model.onnx")
    with np.load(MODELS / name / "golden.npz") as golden:
        x = golden["input"]
    expected = network(x.copy())
    x.flags.writeable = False
    np.testing.assert_array_equal(network(x), expected)
    np.testing.assert_array_equal(network(np.asfortranarray(x)), expected)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_threads_share_one_network(runtime: Runtime) -> None:
    network = runtime(TUMOUR / "model.onnx")
    images = [noise((1, 4, 32, 32 + 16 * (seed % 2), 32), seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(network, images))
    for image, answer in zip(images, together, strict=True):
        np.testing.assert_array_equal(answer, network(image))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("content", [b"no network", b"", (TUMOUR / "model.onnx").read_bytes()[:100_000]])
def test_a_file_that_is_no_network_is_named(runtime: Runtime, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(BundleMissingError, match=r"no network file absent\.onnx"):
        runtime(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_bytes(content)
    with pytest.raises(BundleDamagedError, match=r"text\.onnx"):
        runtime(tmp_path / "text.onnx")


def test_a_bundle_says_what_runs_it_and_in_which_precision() -> None:
    bundle = load_bundle(MODELS / "tumour")
    said = json.loads((MODELS / "tumour" / METADATA).read_text())
    precision = "bf16" if "bfloat16" in said and computes_bf16() else said["precision"]
    assert bundle.runtime == f"{opened(TUMOUR / 'model-int8.onnx').runtime}, {precision}"


@pytest.mark.skipif(not computes_bf16(), reason="the processor has no bfloat16")
def test_bfloat16_is_next_to_float32() -> None:
    with np.load(MODELS / "tumour" / "golden.npz") as golden:
        x = golden["input"]
    difference = np.abs(opened(TUMOUR / "model.onnx", hint="bf16")(x) - OnnxNetwork(TUMOUR / "model.onnx")(x))
    assert 0 < difference.max() < 0.03
    assert difference.mean() < 1e-3


def test_the_trainer_silences_onnx_runtime_too(tmp_path: Path) -> None:
    done = python("import zweitblick_training.export.int8", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not [one for one in tmp_path.rglob("*") if "onnxruntime" in one.name]


def test_neither_runtime_calls_anybody_or_leaves_anything_behind(tmp_path: Path) -> None:
    done = python(ALONE, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    events = json.loads(done.stdout)
    assert "import" in events
    assert not [one for one in events if one.startswith(("socket.", "os.fork", "subprocess.", "urllib."))]
    assert not list(tmp_path.iterdir())


def test_a_forked_process_can_end_without_the_network(tmp_path: Path) -> None:
    done = python(FORKED, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
