"""Wording of what was measured."""

from types import MappingProxyType

import pytest

from zweitblick.findings import DiameterBasis, Diameters, Findings, Lesion, Side
from zweitblick.prediction import Region

DIAMETERS = Diameters(DiameterBasis.ENHANCING, 20.0, 12.5, ((0, 0, 0), (20, 0, 0)), ((5, 0, 0), (5, 12.5, 0)), True)


def findings(*volumes_ml: float, limit_ml: float | None = 0.5) -> Findings:
    lesions = tuple(
        Lesion(number, {Region.WT: volume}, (0, 0, 0), Side.LEFT, 30.0, False, 25.0, DIAMETERS, (), 0.9)
        for number, volume in enumerate(volumes_ml, start=1)
    )
    total = MappingProxyType({Region.WT: sum(volumes_ml)})
    return Findings(
        lesions, total, 250.0, reporting_limit_ml=0.5, validated_ml=limit_ml, dropped=0, dropped_ml=0.0, brain_ml=1400.0
    )


@pytest.mark.parametrize(
    ("volumes_ml", "statement"),
    [
        ((), "No glioma-like lesion above 0.5 ml."),
        ((12.34,), "1 glioma-like lesion above 0.5 ml, 12.3 ml in all."),
        ((12.0, 3.0), "2 glioma-like lesions above 0.5 ml, 15.0 ml in all."),
    ],
)
def test_statement_says_what_was_measured(volumes_ml: tuple[float, ...], statement: str) -> None:
    assert findings(*volumes_ml).statement == statement


def test_nothing_found_is_said_of_what_was_validated_only() -> None:
    assert findings(limit_ml=30.3).statement == "No glioma-like lesion above 30.3 ml."


def test_nothing_found_says_so_where_nothing_was_validated() -> None:
    told = findings(limit_ml=None).statement
    assert told == "No glioma-like lesion was found; from which size on lesions are found is not known."
    assert findings(12.34, limit_ml=None).statement == "1 glioma-like lesion above 0.5 ml, 12.3 ml in all."


def test_product_of_diameters() -> None:
    assert DIAMETERS.product_mm2 == 250.0
