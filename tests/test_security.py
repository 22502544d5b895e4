"""docs/security.md names a test for each threat, and the tests are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def threats(page: str) -> list[list[str]]:
    """Rows of the table under the heading Threats, without its head."""
    section = page.split("\n## Threats\n")[1].split("\n## ", maxsplit=1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def faults(row: list[str]) -> list[str]:
    """What is wrong with a row: a cell too many or empty, no test, one that is not there, or words beside the tests."""
    if len(row) != 3 or not all(row):
        return [f"not three cells: {row}"]
    named = NAMED.findall(row[2])
    found = [f"no test: {row[0]}"] if not named else []
    found += [f"beside tests: {rest}"] if (rest := NAMED.sub("", row[2]).strip(" ,")) else []
    return found + [f"not there: {file}::{name}" for file, name in named if name not in names_in(ROOT / file)]


def names_in(file: Path) -> set[str]:
    """Names of test functions, at the top or in a class whose tests others inherit."""
    if not file.is_file():
        return set()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, functions) and node.name.startswith("test_")}


def test_each_threat_names_tests_that_are_there() -> None:
    rows = threats((ROOT / "docs" / "security.md").read_text(encoding="utf-8"))
    assert len(rows) >= 25
    assert [fault for row in rows for fault in faults(row)] == []


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("| a | b | |", "not three cells"),
        ("| a | b |", "not three cells"),
        ("| a | b | by review |", "no test"),
        ("| a | b | `tests/test_security.py::test_of_the_moon` |", "not there"),
        ("| a | b | `tests/test_moon.py::test_each_threat_names_tests_that_are_there` |", "not there"),
        ("| a | b | `tests/test_security.py::threats` |", "not there"),
        ("| a | b | `tests/test_security.py::test_a_row_at_fault_is_found`, soon more |", "beside tests"),
    ],
)
def test_a_row_at_fault_is_found(row: str, fault: str) -> None:
    (read,) = threats(f"# Page\n\n## Threats\n\n| t | h | n |\n|---|---|---|\n{row}\n\n## Next\n")
    assert fault in faults(read)[0]


def test_the_page_is_found() -> None:
    for page in ("SECURITY.md", "README.md"):
        assert "docs/security.md" in (ROOT / page).read_text(encoding="utf-8")
