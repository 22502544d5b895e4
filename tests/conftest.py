"""What every test may use."""

import gc
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from quick_reading import quick_study
from reading_house import House
from written_samples import Written, written_in
from zweitblick.model.bundle import Bundles, default_models, load_bundles
from zweitblick.sample import SampleSpec, SampleTruth

# Examples take longer on a busy machine; in continuous integration a run must not depend on luck.
settings.register_profile("steady", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("steady")

SAMPLE_PATIENT = ("Sample^Synthetic", "ZB-SAMPLE")
"""Patient's Name and Patient ID of every sample study."""

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let whoever has the time try more."""
    parser.addoption("--fuzz-cases", type=int, default=40, help="cases that each test of hostile input tries")


def pytest_configure(config: pytest.Config) -> None:
    """Make the profile of the tests of hostile input, which read it when they are imported."""
    cases = config.getoption("--fuzz-cases")
    settings.register_profile("fuzz", settings.get_profile("steady"), max_examples=cases)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Keep Python's collector off what stays, and from coming often: it took a seventh of web's tests."""
    gc.disable()
    collected = yield
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()
    return collected


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out tests on real MRI where that data is not at hand; it is not in the repository."""
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(pytest.mark.skip(reason="needs ../shared/data"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test if what it said or logged, up to its end, names the sample patient.

    Seen is what pytest captures, or capsys and its kin take: of this process, and of others with the same stdout and
    stderr. What a test took by pipes or files of its own is for that test to see.
    """
    report = yield
    if call.when == "teardown":
        said = "".join(text for _, text in report.sections)
        if any(name.lower() in said.lower() for name in SAMPLE_PATIENT):
            report.outcome, report.longrepr = "failed", f"{item.nodeid} said or logged who the sample patient is"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """Put what a test takes from capsys and its kin on its report, where the hook above sees it."""
    made = yield
    if isinstance(made, pytest.CaptureFixture):
        read = made.readouterr

        def readouterr() -> Any:
            taken = read()
            request.node.add_report_section("call", "and taken", f"{taken.out}{taken.err}")
            return taken

        made.readouterr = readouterr
    return made


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real MRI; only for tests marked ``real``."""
    return SHARED


@pytest.fixture(scope="session")
def bundles() -> Bundles:
    """The released networks."""
    return load_bundles(default_models())


@pytest.fixture(scope="session")
def sample_of(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Gives samples that nobody changes."""
    own = tmp_path_factory.getbasetemp()
    return written_in((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "samples")


@pytest.fixture(scope="session")
def quick_files(sample_of: Written) -> list[Path]:
    """A study that takes a second to be read by `quick_reading.quick`; not to be changed."""
    return quick_study(sample_of)


@pytest.fixture(scope="session")
def sample(sample_of: Written) -> SampleTruth:
    """The bundled sample, as ``zweitblick sample`` writes it; not to be changed."""
    return sample_of(SampleSpec())


@pytest.fixture(scope="session")
def study(sample: SampleTruth) -> Path:
    """Folder of the bundled sample."""
    return next(iter(sample.series.values())).folder.parent


@pytest.fixture
def house(tmp_path: Path, bundles: Bundles) -> House:
    """A store, and workers with the released networks."""
    return House(tmp_path, bundles)
