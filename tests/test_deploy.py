"""Image and composition fit the service: every setting they make is one, and the parts that must agree do."""

import ast
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from zweitblick.settings import PREFIX, Settings, load_settings

ROOT = Path(__file__).parents[1]
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
COMPOSE = ROOT / "deploy" / "compose.yaml"
PASSWORD = "0f1e2d"  # noqa: S105 -- of no service


def instructions(name: str) -> list[str]:
    """Arguments of an instruction wherever it stands."""
    return re.findall(rf"^\s*{name} (.*)$", DOCKERFILE, re.MULTILINE)


@pytest.fixture(scope="module")
def composition() -> dict[str, Any]:
    """What is composed, with the password filled in as Compose does."""
    return yaml.safe_load(re.sub(r"\$\{PASSWORD(:\?[^}]*)?\}", PASSWORD, COMPOSE.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def services(composition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return composition["services"]


@pytest.fixture(scope="module")
def settings(composition: dict[str, Any]) -> Settings:
    """Of the container, as the service itself reads them: one that is none would be refused."""
    variables = dict(part.split("=", 1) for line in instructions("ENV") for part in line.split())
    service = composition["services"]["zweitblick"]
    (source,) = (
        one["source"] for one in service["configs"] if service["command"] == ["serve", "--config", one["target"]]
    )
    return load_settings(COMPOSE.parent / composition["configs"][source]["file"], variables | service["environment"])


def test_every_variable_is_a_setting(settings: Settings, services: dict[str, dict[str, Any]]) -> None:
    others = {name for name in services["zweitblick"]["environment"] if not name.startswith(PREFIX)}
    assert others == {"PASSWORD"}  # of the script that starts it
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


def test_what_a_read_only_service_is_given_is_in_a_file(
    composition: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    """Compose copies anything else into the container, which it refuses there (docker/compose#12031)."""
    given = [
        composition[kind][one["source"]].keys()
        for service in services.values()
        for kind in ("configs", "secrets")
        for one in service.get(kind, [])
        if service.get("read_only")
    ]
    assert given
    assert all(keys == {"file"} for keys in given)


def test_databases_are_made_whose_owners_know_the_password(
    settings: Settings, composition: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    script = composition["configs"][services["postgres"]["configs"][0]["source"]]["content"]
    assert services["postgres"]["configs"][0]["target"].startswith("/docker-entrypoint-initdb.d/")
    roles = dict(re.findall(r"CREATE ROLE (\w+) LOGIN PASSWORD '(.*)';", script))
    owners = dict(re.findall(r"CREATE DATABASE (\w+) OWNER (\w+);", script))
    orthanc = {
        name.removeprefix("ORTHANC__POSTGRESQL__"): value
        for name, value in services["orthanc"]["environment"].items()
        if name.startswith("ORTHANC__POSTGRESQL__")
    }
    used = [(orthanc["HOST"], orthanc["DATABASE"], orthanc["USERNAME"], orthanc["PASSWORD"])]
    password = services["zweitblick"]["environment"]["PASSWORD"]
    ours = [make_url(url) for url in (settings.database, settings.keys_database)]
    used += [(url.host, url.database, url.username, password) for url in ours]
    assert used == [("postgres", database, owner, roles[owner]) for database, owner in owners.items()]
    for name in ("zweitblick", "orthanc"):
        assert services[name]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_libpq_is_given_the_password_and_the_service_is_not(
    settings: Settings, services: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """The script that starts the container is run, with another program in the place of the service."""
    service = services["zweitblick"]
    program = tmp_path / "zweitblick"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" && env\n')
    program.chmod(0o700)
    (memory,) = service["tmpfs"]
    command = [part.replace("$$", "$").replace(f"{memory}/", f"{tmp_path}/") for part in service["entrypoint"]]
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PASSWORD": service["environment"]["PASSWORD"]}
    said = subprocess.run([*command, *service["command"]], env=variables, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[:3] == service["command"]
    assert PASSWORD not in said.stdout
    passfile = tmp_path / "pgpass"
    assert passfile.stat().st_mode & 0o777 == 0o600
    for url in (make_url(settings.database), make_url(settings.keys_database)):
        assert passfile.read_text() == f"{url.host}:5432:*:{url.username}:{PASSWORD}\n"
        assert url.query["passfile"] == f"{memory}/pgpass"


def test_results_go_back_to_orthanc(settings: Settings, services: dict[str, dict[str, Any]]) -> None:
    (destination,) = (route.destination for route in settings.routes)
    assert destination.called_ae_title == services["orthanc"]["environment"]["ORTHANC__DICOM_AET"]
    assert f"127.0.0.1:{destination.port}:{destination.port}" in services["proxy"]["ports"]
    # it reports what it commits itself to keep to the modality of this title
    assert destination.calling_ae_title == settings.dicom.ae_title
    assert services["zweitblick"]["network_mode"] == services["orthanc"]["network_mode"]


def test_orthanc_and_the_proxy_know_the_service(
    settings: Settings, composition: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    orthanc = services["orthanc"]["environment"]
    assert json.loads(orthanc["ORTHANC__DICOM_MODALITIES"]) == {
        "zweitblick": [settings.dicom.ae_title, settings.dicom.host, settings.dicom.port]
    }
    assert settings.dicom.calling_ae_titles == {orthanc["ORTHANC__DICOM_AET"]}
    proxy = composition["configs"]["proxy"]["content"]
    assert f"reverse_proxy {settings.http.host}:{settings.http.port}" in proxy
    # believed of TLS only so, and links and subscriptions say what browsers can reach
    assert f"{settings.access.public_url} {{\n  tls internal" in proxy
    port = make_url(settings.access.public_url).port
    assert f"127.0.0.1:{port}:{port}" in services["proxy"]["ports"]
    assert services["zweitblick"]["network_mode"] == services["orthanc"]["network_mode"] == "service:proxy"


def test_nothing_is_published_beyond_this_machine(services: dict[str, dict[str, Any]]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_files_and_volumes_that_are_mounted_are_there(
    composition: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    declared = composition["volumes"]
    for service in services.values():
        for config in service.get("configs", []):
            made = composition["configs"][config["source"]]
            assert "content" in made or (COMPOSE.parent / made["file"]).is_file()
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
