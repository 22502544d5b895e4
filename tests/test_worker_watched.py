"""A worker that receives nothing tells how it is over HTTP where that is set, and nothing of studies."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from zweitblick.cli.service import working
from zweitblick.settings import DicomSettings, HttpSettings, Settings
from zweitblick.vault.keyholders import make_key_file


def settings(folder: Path, worker_port: int | None) -> Settings:
    make_key_file(folder / "key")
    return Settings(
        folder / "data", folder / "key", dicom=DicomSettings(port=0), http=HttpSettings(worker_port=worker_port)
    )


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    with working(settings(tmp_path, 0)) as said:
        yield said


def test_health_and_readiness_are_told_to_anybody(told: Mapping[str, str]) -> None:
    assert httpx.get(f"{told['HTTP']}/health").json() == {"status": "ok"}
    assert httpx.get(f"{told['HTTP']}/ready").json() == {"status": "ok"}


def test_metrics_are_told_to_who_has_the_token(told: Mapping[str, str]) -> None:
    refused = httpx.get(f"{told['HTTP']}/metrics")
    assert (refused.status_code, refused.json()["code"]) == (401, "http.token")
    answer = httpx.get(f"{told['HTTP']}/metrics", headers={"Authorization": f"Bearer {told['Token']}"})
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {
        "zweitblick_readings",
        "zweitblick_network_batch_requests",
        "zweitblick_oldest_round_age_seconds",
    } <= families


@pytest.mark.parametrize("path", ["/api/v1/reads", "/api/v1/openapi.json", "/dicom-web/studies", "/login", "/docs"])
def test_nothing_else_is_there(told: Mapping[str, str], path: str) -> None:
    answer = httpx.get(f"{told['HTTP']}{path}", headers={"Authorization": f"Bearer {told['Token']}"})
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_worker_listens_nowhere_if_it_is_not_set(tmp_path: Path) -> None:
    with working(settings(tmp_path, None)) as told:
        assert set(told) == {"Data"}
