"""What every test may use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from zweitblick.model.bundle import Bundles, default_models, load_bundles
from zweitblick.sample import SampleTruth, write_sample

# Examples take longer on a busy machine; in continuous integration a run must not depend on luck.
settings.register_profile("steady", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("steady")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let whoever has the time try more."""
    parser.addoption("--fuzz-cases", type=int, default=60, help="cases that each test of hostile input tries")


def pytest_configure(config: pytest.Config) -> None:
    """Make the profile of the tests of hostile input, which read it when they are imported."""
    cases = config.getoption("--fuzz-cases")
    settings.register_profile("fuzz", settings.get_profile("steady"), max_examples=cases)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out tests on real MRI where that data is not at hand; it is not in the repository."""
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(pytest.mark.skip(reason="needs ../shared/data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real MRI; only for tests marked ``real``."""
    return SHARED


@pytest.fixture(scope="session")
def bundles() -> Bundles:
    """The released networks."""
    return load_bundles(default_models())


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleTruth:
    """The bundled sample, as ``zweitblick sample`` writes it; not to be changed."""
    return write_sample(tmp_path_factory.mktemp("sample") / "study")
