"""What is installed with us may be shipped with us."""

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import pytest

BANNED = {
    "pylibjpeg-libjpeg": "GPL-3: use python-gdcm and pyjpegls",
    "picsl-greedy": "GPL-3 by its sources",
    "pymupdf": "AGPL-3",
}


def required(name: str) -> dict[str, Distribution]:
    """Every distribution that a plain installation of ``name`` brings, extras and other platforms left out."""
    found: dict[str, Distribution] = {}
    names = [name]
    while names:
        current = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if current in found:
            continue
        try:
            found[current] = distribution(current)
        except PackageNotFoundError:  # asked for on another platform or Python only
            continue
        requirements = (line for line in found[current].requires or [] if "extra ==" not in line)
        names += [re.match(r"[\w.-]+", line)[0] for line in requirements]
    return found


@pytest.mark.parametrize("name", sorted(BANNED))
def test_banned_packages_are_not_brought_in(name: str) -> None:
    assert name not in required("zweitblick"), BANNED[name]


def test_a_hospital_installs_no_trainer() -> None:
    assert not {"torch", "monai", "onnx", "tensorboard"} & set(required("zweitblick"))


def test_no_copyleft_in_what_we_import() -> None:
    copyleft = [name for name, dist in required("zweitblick").items() if re.search(r"\bA?GPL", f"{licences(dist)}")]
    assert not copyleft


def licences(dist: Distribution) -> str:
    return " ".join(line for key in ("License-Expression", "Classifier") for line in dist.metadata.get_all(key) or [])


def test_the_walk_reaches_what_our_dependencies_need() -> None:
    assert {"numpy", "pydicom", "highdicom", "onnxruntime", "pillow"} <= set(required("zweitblick"))
