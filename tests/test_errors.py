"""The error tree is the one that its docstring draws, and its codes are unique."""

import re

import pytest

from zweitblick import errors
from zweitblick.errors import SeriesError, ZweitblickError


def tree(root: type[ZweitblickError]) -> list[type[ZweitblickError]]:
    return [root, *(below for child in root.__subclasses__() for below in tree(child))]


def ours() -> list[type[ZweitblickError]]:
    return [error for error in tree(ZweitblickError) if error.__module__.startswith(f"{errors.__name__}.")]


def test_docstring_lists_every_class_with_its_code() -> None:
    drawn = dict(re.findall(r"── (\w+)\s+([a-z]+\.[a-z-]+)", errors.__doc__))
    leaves = {error.__name__: error.code for error in ours() if not error.__subclasses__()}
    assert drawn == leaves


def test_codes_are_unique_and_below_their_parent() -> None:
    codes = [error.code for error in ours()]
    assert len(set(codes)) == len(codes)
    for error in ours():
        parent = error.__mro__[1]
        if parent not in (Exception, ZweitblickError):
            assert error.code.startswith(f"{parent.code}.")


@pytest.mark.parametrize("error", [e for e in ours() if issubclass(e, SeriesError)], ids=lambda e: e.code)
def test_series_uid_is_for_programs_only(error: type[SeriesError]) -> None:
    raised = error("series 3: something", series_uid="9.9.9")
    assert raised.series_uid == "9.9.9"
    assert "9.9.9" not in str(raised)
