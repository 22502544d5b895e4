"""Canonical JSON is that of RFC 8785, as far as we write it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zweitblick.signing.canonical import MOST_INTEGER, canonical

# RFC 8785 section 3.2.3: members in the order in which they must come out
SORTED = {
    "\r": "Carriage Return",
    "1": "One",
    "\u0080": "Control",
    "\u00f6": "Latin Small Letter O With Diaeresis",
    "\u20ac": "Euro Sign",
    "\U0001f600": "Emoji: Grinning Face",
    "\ufb33": "Hebrew Letter Dalet With Dagesh",
}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
documents = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | st.integers(-MOST_INTEGER, MOST_INTEGER) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def test_published_order_of_members() -> None:
    written = canonical(dict(reversed(SORTED.items())))
    assert list(json.loads(written).values()) == list(SORTED.values())


def test_published_text_and_literals() -> None:
    # RFC 8785 sections 3.2.2 and 3.2.4, without its fractions
    document = {"string": '\u20ac$\u000f\nA\'B"\\\\"/', "literals": [None, True, False]}
    assert canonical(document).hex() == (
        "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c22737472696e67223a22e282ac245c75303030665c6e41274"
        "25c225c5c5c5c5c222f227d"
    )


@given(documents)
def test_nothing_is_lost_and_order_does_not_count(document: dict[str, object]) -> None:
    written = canonical(document)
    assert json.loads(written) == document
    assert canonical(dict(reversed(document.items()))) == written


@pytest.mark.parametrize("value", [0.5, 1.0, float("nan"), MOST_INTEGER + 1, -MOST_INTEGER - 1, "\ud800"])
def test_what_has_no_canonical_form_here_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"canonical|surrogates"):
        canonical({"value": [value]})
