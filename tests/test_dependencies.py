"""What is installed with us may be shipped with us."""

import importlib.util
import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from itertools import chain
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]

BANNED = {
    "pylibjpeg-libjpeg": "GPL-3: use python-gdcm and pyjpegls",
    "picsl-greedy": "GPL-3 by its sources",
    "pymupdf": "AGPL-3",
}


def _licences_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("licences", ROOT / "deploy" / "licences.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


licences = _licences_script()


def required(name: str) -> dict[str, Distribution]:
    """Every distribution that a plain installation of ``name`` brings here, extras left out."""
    found: dict[str, Distribution] = {}
    names = [name]
    while names:
        current = canonical(names.pop())
        if current not in found:
            found[current] = distribution(current)
            asked = map(Requirement, found[current].requires or [])
            names += [one.name for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


@pytest.mark.parametrize("name", sorted(BANNED))
def test_banned_packages_are_not_brought_in(name: str) -> None:
    assert name not in required("zweitblick"), BANNED[name]


def test_a_hospital_installs_no_trainer() -> None:
    assert not {"torch", "monai", "onnx", "tensorboard"} & set(required("zweitblick"))


def test_no_copyleft_in_what_we_import_or_ship() -> None:
    shipped = required("zweitblick") | {name: dist for name in locked() for dist in installed(name)}
    parts = [licences.Part(name, dist.version, declared(dist)) for name, dist in shipped.items()]
    assert licences.faults(parts) == []


def installed(name: str) -> list[Distribution]:
    """The distribution, none where it is for an extra that is not installed here."""
    try:
        return [distribution(name)]
    except PackageNotFoundError:
        return []


def declared(dist: Distribution) -> tuple[str, ...]:
    """Licences as metadata have them: the expression, else classifiers, else one line of text."""
    expression = dist.metadata.get("License-Expression")
    classifiers = [one for one in dist.metadata.get_all("Classifier") or [] if one.startswith("License ::")]
    return (
        (expression,)
        if expression
        else tuple(classifiers) or tuple((dist.metadata.get("License") or "").splitlines()[:1])
    )


@pytest.mark.parametrize(
    ("declares", "is_banned"),
    [
        (("MIT",), False),
        (("LGPL-3.0-only",), False),
        (("License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)",), False),
        (("License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)",), False),
        (("GPL-2.0-only OR MIT",), False),
        (("Mozilla Public License 2.0 (MPL 2.0)",), False),
        (("GPL-3.0-or-later",), True),
        (("MIT AND GPL-2.0-only",), True),
        (("License :: OSI Approved :: GNU General Public License v2 (GPLv2)",), True),
        (("GNU Affero General Public License v3",), True),
        (("AGPL-3.0",), True),
        (("SSPL-1.0",), True),
        (("MIT", "GPLv3"), True),
        ((), True),
    ],
)
def test_a_licence_under_which_nothing_is_shipped_is_found(declares: tuple[str, ...], *, is_banned: bool) -> None:
    assert bool(licences.faults([licences.Part("part", "1", declares)])) == is_banned


def test_a_bill_of_materials_is_read_as_cyclonedx_writes_it() -> None:
    components = [
        {"name": "b", "version": "2", "licenses": [{"expression": "MIT OR GPL-3.0-only"}]},
        {"name": "a", "version": "1", "licenses": [{"license": {"id": "GPL-3.0-only"}}, {"license": {"name": "x\ny"}}]},
        {"name": "c", "version": "3"},
        {"name": "protobuf", "version": "4"},
    ]
    parts = licences.parts_of({"bomFormat": "CycloneDX", "components": components})
    assert [part.licences for part in parts] == [("GPL-3.0-only",), ("MIT OR GPL-3.0-only",), (), ("BSD-3-Clause",)]
    assert licences.faults(parts) == ["c: no licence is declared", "a: GPL-3.0-only"]
    assert licences.report(parts).splitlines()[2:] == [
        "| a | 1 | GPL-3.0-only |",
        "| b | 2 | MIT OR GPL-3.0-only |",
        "| c | 3 |  |",
        "| protobuf | 4 | BSD-3-Clause |",
    ]


def test_the_image_holds_no_program_of_another_package_manager() -> None:
    """What the base brings is Debian's; nothing is added to it whose licence nobody has looked at."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert not re.findall(r"\b(apt|apt-get|apk|dpkg|npm|npx|yarn|curl|wget|git)\b", re.sub(r"#.*", "", dockerfile))
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"python:3.11-slim-bookworm", "build"}
    assert not list(ROOT.glob("inference/**/package.json")), "what npm brings must be in the report, too"


def locked(lock: str = "requirements.lock") -> dict[str, tuple[str, list[str]]]:
    """Version and digests of each package of a lock, by name."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    found = [re.fullmatch(r"([a-z0-9-]+)==(\S+)((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", line) for line in lines]
    assert all(found), "each line is a name, a version and digests, and names no place"
    return {one[1]: (one[2], one[3].split()) for one in found}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_what_is_shipped_is_pinned_by_digest_at_the_versions_that_were_tested(lock: str) -> None:
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line
    )
    constrained = {canonical(name): version for name, version in pinned.items() if not name.startswith("#")}
    versions = {name: version for name, (version, _) in locked(lock).items() if name in constrained}
    assert versions
    assert versions == {name: constrained[name] for name in versions}


def test_what_builds_our_wheel_is_pinned_by_digest_and_nothing_else_is_fetched_for_it() -> None:
    """In image and bundle; whoever develops has versions alone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for asked in map(Requirement, project["build-system"]["requires"]):
        assert asked.specifier.contains(locked("requirements-build.lock")[canonical(asked.name)][0])
    for name in ("Dockerfile", "Makefile"):
        text = re.sub(r"\\\n\s*", "", (ROOT / name).read_text(encoding="utf-8"))
        commands = re.findall(r"(?<=\bpip )(?:install|wheel)\b[^&\n]*", text)
        building = [each.split() for each in commands if each.startswith("wheel")]
        assert building
        assert all({"--no-build-isolation", "--no-index"} <= set(each) for each in building)
        folders = [each for each in commands if each.startswith("install") and re.search(r"""\s['"]?\.(\W|$)""", each)]
        assert not folders, "pip would build it with what it fetches"


def test_the_lock_holds_all_that_we_ask_for_and_no_trainer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [project["optional-dependencies"][extra] for extra in ("hsm", "openvino", "postgres", "telemetry")]
    for line in chain(project["dependencies"], *extras):
        asked = Requirement(line)
        assert asked.specifier.contains(locked()[canonical(asked.name)][0]), line
    assert set(required("zweitblick")) - {"zweitblick"} <= locked().keys()
    assert not {"torch", "monai", "onnx", "tensorboard"} & locked().keys()


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_walk_reaches_what_our_dependencies_need() -> None:
    assert {"numpy", "pydicom", "highdicom", "onnxruntime", "pillow"} <= set(required("zweitblick"))
