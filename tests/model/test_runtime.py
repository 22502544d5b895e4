"""The runtime runs where it was asked to, or says so."""

import onnxruntime
import pytest

from zweitblick.errors import ProviderError
from zweitblick.model.bundle import default_models
from zweitblick.model.runtime import PROVIDERS, OnnxNetwork, check_providers


def test_a_silent_fall_back_to_the_processor_is_an_error() -> None:
    with pytest.raises(ProviderError, match="CUDAExecutionProvider is installed but CPUExecutionProvider runs"):
        check_providers(list(PROVIDERS), ["CPUExecutionProvider"])


def test_the_provider_in_force_is_the_first_that_is_installed() -> None:
    installed = [one for one in PROVIDERS if one in onnxruntime.get_available_providers()]
    network = OnnxNetwork(default_models() / "tumour" / "models" / "model.onnx")
    assert network._session.get_providers()[0] == installed[0]
