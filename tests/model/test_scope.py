"""What the header says against the model, in the words that hospitals use."""

import numpy as np
import pytest

from test_findings import findings
from zweitblick.model.prepare import Prepared
from zweitblick.model.scope import damage_notices, doubt_notices, missing_notices, scope_notices
from zweitblick.study import Patient, Sequence, Series, Study
from zweitblick.volume import axis_aligned_grid


def study(description: str = "", *, age_years: float | None = 60.0, protocol: str = "") -> Study:
    series = Series(uid="1.2", number=1, modality="MR", instances=(), protocol=protocol)
    return Study(uid="1", patient=Patient(age_years=age_years), series=(series,), description=description)


OPERATED = [
    "MRI brain post-op",
    "postsurgical follow up",
    "Z.n. Tumor-OP",
    "MR Kopf nach OP",
    "St. n. Kraniotomie",
    "Status nach Resektion",
    "tumor surveillance",
    "VP shunt",
]

NOT_OPERATED = [
    "MRI brain with and without contrast",
    "MR Kopf nach KM",
    "optic nerve",
    "Option B",
    "posterior fossa",
    "",
]


@pytest.mark.parametrize("words", OPERATED)
def test_an_operated_head_is_outside_scope(words: str) -> None:
    assert [notice.code for notice in scope_notices(study(words))] == ["outside-scope"]
    assert [notice.code for notice in scope_notices(study(protocol=words))] == ["outside-scope"]


@pytest.mark.parametrize("words", NOT_OPERATED)
def test_other_words_are_not_mistaken_for_an_operation(words: str) -> None:
    assert scope_notices(study(words)) == ()


@pytest.mark.parametrize(("age_years", "outside"), [(17.9, True), (18.0, False), (None, False)])
def test_a_child_is_outside_scope(age_years: float | None, outside: bool) -> None:
    assert bool(scope_notices(study(age_years=age_years))) is outside


def test_notices_hold_no_text_of_the_header() -> None:
    words = "Muster Erika post-op"
    assert all("Erika" not in notice.text for notice in scope_notices(study(words)))


def test_what_is_missing_and_damaged_is_said() -> None:
    assert [notice.code for notice in missing_notices((Sequence.T1C, Sequence.FLAIR))] == ["missing-sequence"] * 2
    whole = study()
    cut = Study(uid="1", patient=Patient(), series=(), unreadable={"file 3": "cut short"})
    assert damage_notices(whole, ()) == ()
    assert [notice.code for notice in damage_notices(cut, ("series 4: slice missing",))] == [
        "series-damaged",
        "unreadable-files",
    ]


@pytest.mark.parametrize(
    ("limit_ml", "told"),
    [
        (3.6, ["How reliably lesions below 3.6 ml are found is not known."]),
        (1.0, []),
        (None, ["How reliably lesions are found is not known."]),
    ],
)
def test_what_was_not_validated_is_said(limit_ml: float | None, told: list[str]) -> None:
    grid = axis_aligned_grid((0.0, 0.0, 0.0), (2, 2, 2), 1.0)
    head = Prepared(np.zeros((1, 4, 2, 2, 2), np.float32), np.ones((2, 2, 2), bool), grid, {Sequence.FLAIR: 1.0})
    assert [notice.text for notice in doubt_notices({}, head, findings(12.0, 1.5, limit_ml=limit_ml))] == told
