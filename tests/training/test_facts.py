"""What a bundle says of its data and licence: as it was stated, or that nothing was."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zweitblick_training.export.metadata import tumour_metadata
from zweitblick_training.facts import UNSTATED, Facts, FactsError

OURS = Path(__file__).parents[2] / "training" / "release.yaml"

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\x85"))


@given(st.builds(Facts, version=TEXTS, changelog=st.dictionaries(TEXTS, TEXTS), data=TEXTS, licence=TEXTS))
def test_facts_are_read_as_they_were_written(facts: Facts) -> None:
    assert Facts(**yaml.safe_load(facts.text)) == facts


def test_what_a_file_leaves_out_is_not_stated(tmp_path: Path) -> None:
    path = tmp_path / "facts.yaml"
    path.write_text("version: 1.2.3\nspdx: MIT\n", encoding="utf-8")
    facts = Facts.read(path)
    assert (facts.version, facts.spdx, facts.data) == ("1.2.3", "MIT", UNSTATED.data)
    said = tumour_metadata(facts)
    assert (said["version"], said["license"], said["authors"]) == ("1.2.3", "MIT", "not stated")


@pytest.mark.parametrize("text", ["licence_text: x\n", "version: 1\n", "- a\n", "a: [\n"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "facts.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FactsError, match=r"facts\.yaml"):
        Facts.read(path)


def test_ours_are_stated_whole() -> None:
    facts = Facts.read(OURS)
    assert not [name for name, value in vars(facts).items() if value == getattr(UNSTATED, name)]
    assert facts.version in facts.changelog
    assert facts.spdx in facts.licence
