"""The size limits of CONTRIBUTING.md that no linter checks."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("inference", "training", "tests", "benchmarks", "deploy")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
FUNCTION_LINES = 40
MODULE_LINES = 400
EXCEPTION = re.compile(
    r"#\s*(?:noqa(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?|type:\s*ignore(?:\[[\w, -]+\])?)(?P<reason>.*)$"
)
"""A reason is any word after the codes; `noqa` for everything at once is refused by ruff."""

pytestmark = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def lines_without_docstring(function: Function) -> int:
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


def test_functions_are_short(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
    long = {f.name: lines for f in functions if (lines := lines_without_docstring(f)) > FUNCTION_LINES}
    assert not long


def test_modules_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES


def test_exceptions_to_the_linters_have_a_reason(path: Path) -> None:
    silent = [
        f"{number}: {line.strip()}"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if (found := EXCEPTION.search(line)) and not re.search(r"\w", found["reason"])
    ]
    assert not silent
