"""A recipe reads back as it was written, and says what is wrong with one that no run can follow."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from zweitblick_training.augmentation import Augmentation
from zweitblick_training.recipe import Recipe, RecipeError


def test_it_reads_back_as_it_was_written(tmp_path: Path) -> None:
    recipe = replace(Recipe(), steps=17, features=(2, 4, 6, 8, 10), cube=1, shares=(("upenn", 0.5), ("brats", 0.5)))
    recipe.write(tmp_path / "recipe.yaml")
    assert Recipe.read(tmp_path / "recipe.yaml") == recipe


def test_the_file_is_plain_yaml_with_every_number(tmp_path: Path) -> None:
    Recipe().write(tmp_path / "recipe.yaml")
    values = yaml.safe_load((tmp_path / "recipe.yaml").read_text())
    assert values["rate"] == Recipe.rate
    assert set(values) == set(Recipe.__dataclass_fields__) - {"__pydantic_config__"}
    assert set(values["augmentation"]) == set(Augmentation.__dataclass_fields__) - {"__pydantic_config__"}


def test_a_key_left_out_has_its_default(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("steps: 12\n")
    assert Recipe.read(tmp_path / "recipe.yaml") == replace(Recipe(), steps=12)


def test_a_run_takes_no_default_for_a_key_that_its_recipe_lacks(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    replace(Recipe(), augmentation=Augmentation(faint_share=0)).write(path)
    assert Recipe.read_whole(path).augmentation.faint_share == 0
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "faint" not in line and "steps" not in line))
    assert Recipe.read(path).augmentation.faint_share == Augmentation().faint_share
    with pytest.raises(RecipeError, match=r"lacks steps, augmentation\.faint_share, augmentation\.faint: .* is 0"):
        Recipe.read_whole(path)
    path.write_text("".join(lines[:5]))
    with pytest.raises(RecipeError, match="augmentation, seed"):
        Recipe.read_whole(path)
    path.write_text("")
    with pytest.raises(RecipeError, match=r"lacks architecture, .*, seed: the file was cut short"):
        Recipe.read_whole(path)


def test_the_released_recipe_is_whole() -> None:
    """As docs/retrain.md says: who follows it trains as the released model was trained."""
    assert Recipe.read_whole(Path(__file__).parents[2] / "models" / "tumour" / "recipe.yaml").steps == 22_000


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("stepz: 3", "stepz"),
        ("steps: many", "steps"),
        ("steps: 0", "steps"),
        ("sequence_dropout: 1.5", "sequence_dropout"),
        ("augmentation: {rotatoin_deg: 3}", "augmentation.rotatoin_deg"),
        ("patch: 40", "patch: 40"),
        ("patch: 32", "patch: 32"),
        ("features: [8, 16]", "2 levels"),
        ("cube: 1", "cube"),
        ("- 1", "file"),
        ("a: [", "not YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"recipe\.yaml") as caught:
        Recipe.read(tmp_path / "recipe.yaml")
    assert named in str(caught.value)
