"""The runtime runs where it was asked to, or says so."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from zweitblick.errors import BundleDamagedError, BundleMissingError, ProviderError
from zweitblick.model.bundle import default_models
from zweitblick.model.runtime import OPENVINO, PROVIDERS, Network, OnnxNetwork, OpenVinoNetwork, check_providers, opened

TUMOUR = default_models() / "tumour" / "models"


def test_a_silent_fall_back_to_the_processor_is_an_error() -> None:
    with pytest.raises(ProviderError, match="CUDAExecutionProvider is installed but CPUExecutionProvider runs"):
        check_providers(list(PROVIDERS), ["CPUExecutionProvider"])


def test_the_provider_in_force_is_the_first_that_is_installed() -> None:
    installed = [one for one in PROVIDERS if one in onnxruntime.get_available_providers()]
    assert OnnxNetwork(TUMOUR / "model.onnx").provider == installed[0]


def test_openvino_goes_before_onnx_runtime_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(TUMOUR / "model.onnx").provider == OPENVINO
    monkeypatch.setattr("zweitblick.model.runtime.importlib.util.find_spec", lambda _: None)
    assert opened(TUMOUR / "model.onnx").provider == PROVIDERS[-1]


@pytest.mark.parametrize(("name", "limit"), [("model.onnx", 1e-4), ("model-int8.onnx", 2e-2)])
def test_both_runtimes_say_the_same(name: str, limit: float) -> None:
    x = np.random.default_rng(0).standard_normal((1, 4, 48, 64, 48), np.float32)
    first, second = OnnxNetwork(TUMOUR / name)(x), OpenVinoNetwork(TUMOUR / name)(x)
    assert first.shape == second.shape == (1, 3, 48, 64, 48)
    assert np.abs(first - second).max() <= limit


def test_threads_share_one_network() -> None:
    network = OpenVinoNetwork(TUMOUR / "model.onnx")
    images = [np.full((1, 4, 32, 32, 32), value, np.float32) for value in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(network, images))
    for image, answer in zip(images, together, strict=True):
        np.testing.assert_array_equal(answer, network(image))


@pytest.mark.parametrize("runtime", [OnnxNetwork, OpenVinoNetwork])
def test_a_file_that_is_no_network_is_named(runtime: Callable[[Path], Network], tmp_path: Path) -> None:
    with pytest.raises(BundleMissingError, match=r"no network file absent\.onnx"):
        runtime(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(BundleDamagedError, match=r"text\.onnx"):
        runtime(tmp_path / "text.onnx")
