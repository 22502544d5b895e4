"""Image and composition fit the service: every setting they make is one, and the parts that must agree do."""

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from zweitblick.settings import PREFIX, Settings, load_settings

ROOT = Path(__file__).parents[1]
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
COMPOSE = ROOT / "deploy" / "compose.yaml"


def instructions(name: str) -> list[str]:
    """Arguments of an instruction wherever it stands."""
    return re.findall(rf"^\s*{name} (.*)$", DOCKERFILE, re.MULTILINE)


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]


@pytest.fixture(scope="module")
def settings(services: dict[str, dict[str, Any]]) -> Settings:
    """Of the container, as the service itself reads them: one that is none would be refused."""
    variables = dict(part.split("=", 1) for line in instructions("ENV") for part in line.split())
    return load_settings(None, variables | services["zweitblick"]["environment"])


def test_every_variable_is_a_setting(settings: Settings, services: dict[str, dict[str, Any]]) -> None:
    assert all(name.startswith(PREFIX) for name in services["zweitblick"]["environment"])
    assert settings.dicom.ae_title == "ZWEITBLICK"


def test_what_is_kept_lies_on_volumes_and_keys_on_one_of_their_own(
    settings: Settings, services: dict[str, dict[str, Any]]
) -> None:
    (volumes,) = (json.loads(one) for one in instructions("VOLUME"))
    mounted = [mount.split(":")[1] for mount in services["zweitblick"]["volumes"]]
    assert mounted == volumes
    assert [str(settings.data.parent), str(settings.key_file.parent)] == volumes


def test_the_service_has_no_rights_that_it_does_not_need(services: dict[str, dict[str, Any]]) -> None:
    service = services["zweitblick"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert instructions("USER") == [service["user"]]
    assert not service["user"].startswith("0")


def test_orthanc_and_the_proxy_know_the_service(settings: Settings, services: dict[str, dict[str, Any]]) -> None:
    orthanc = services["orthanc"]["environment"]
    assert json.loads(orthanc["ORTHANC__DICOM_MODALITIES"]) == {
        "zweitblick": [settings.dicom.ae_title, settings.dicom.host, settings.dicom.port]
    }
    assert settings.dicom.calling_ae_titles == {orthanc["ORTHANC__DICOM_AET"]}
    proxy = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["configs"]["proxy"]["content"]
    assert f"reverse_proxy {settings.http.host}:{settings.http.port}" in proxy
    assert services["zweitblick"]["network_mode"] == services["orthanc"]["network_mode"] == "service:proxy"


def test_nothing_is_published_beyond_this_machine(services: dict[str, dict[str, Any]]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_files_and_volumes_that_are_mounted_are_there(services: dict[str, dict[str, Any]]) -> None:
    declared = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["volumes"]
    for service in services.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (COMPOSE.parent / source).is_file() if source.startswith(".") else source in declared, mount


def test_the_image_is_built_from_what_is_there_and_passes_the_ignore_file() -> None:
    passed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}
    copied = {source for line in instructions("COPY") if not line.startswith("--from") for source in line.split()[:-1]}
    assert copied == passed
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_installs_extras_that_there_are_and_no_trainer() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installed = {extra for names in re.findall(r"'\.\[([\w,]+)\]'", DOCKERFILE) for extra in names.split(",")}
    assert installed <= extras.keys()
    assert not installed & {"training", "dev", "notebooks"}


def test_the_health_check_asks_the_port_that_is_served(settings: Settings) -> None:
    (command,) = re.findall(r"CMD (\[\"python\".*\])", DOCKERFILE)
    _, _, code = json.loads(command)
    assert f"http://{settings.http.host}:{settings.http.port}/health" in code
    ast.parse(code)
