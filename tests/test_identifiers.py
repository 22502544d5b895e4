"""The search for identifiers finds them: in whatever form, wherever they lie, and in the files that were sent."""

import base64
import random
import shutil
from pathlib import Path

import pytest

from identifiers import HEADER, IMAGES, Search, forms, given_to, identifiers_of

VALUE = HEADER["PatientID"]
WRITTEN = {
    "utf-8": lambda value, _: value.encode(),
    "upper case": lambda value, _: value.upper().encode(),
    "utf-16-le": lambda value, _: value.encode("utf-16-le"),
    "utf-16-be": lambda value, _: value.encode("utf-16-be"),
    "hex": lambda value, before: (before + value.encode()).hex().encode(),
    "upper hex": lambda value, before: (before + value.encode()).hex().upper().encode(),
    "base64": lambda value, before: base64.b64encode(before + value.encode() + before),
    "base64 for URLs": lambda value, before: base64.urlsafe_b64encode(before + value.encode() + before),
}


@pytest.mark.parametrize("before", [0, 1, 2, 3])
@pytest.mark.parametrize("form", WRITTEN)
def test_a_value_is_found_in_each_form_at_each_place(form: str, before: int) -> None:
    noise = random.Random(before)  # noqa: S311 -- no secret
    content = noise.randbytes(100) + WRITTEN[form](VALUE, noise.randbytes(before)) + noise.randbytes(100)
    assert Search({"id": VALUE}).within(content)
    assert not Search({"id": VALUE}).within(noise.randbytes(300))


@pytest.fixture
def study(quick_files: list[Path], tmp_path: Path) -> Path:
    files = [shutil.copy(path, tmp_path) for path in quick_files[:IMAGES]]
    given_to(HEADER, files)
    return tmp_path


def test_no_form_is_so_short_that_it_is_found_by_chance(study: Path) -> None:
    """Six bytes come once in 2.8e14."""
    assert min(len(form) for value in identifiers_of(study).values() for form in forms(value).values()) >= 6


def test_all_of_them_are_in_what_was_sent(study: Path) -> None:
    values = identifiers_of(study) | {"another": "PID-00000000"}
    found = {line.partition(": ")[2].rpartition(" (")[0] for line in Search(values).below(study)}
    assert found == set(values) - {"another", "birth date, ISO 8601"}
