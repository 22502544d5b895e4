"""A bundle's folder is replaced as a whole, whenever the export is killed."""

from pathlib import Path

import pytest

from zweitblick_training.export import replacing


def test_a_release_that_a_kill_left_under_its_other_name_is_put_back(tmp_path: Path) -> None:
    left, bundle = tmp_path / ".tumour.old", tmp_path / "tumour"
    left.mkdir()
    (left / "training.json").write_text("{}", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), replacing(bundle):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["tumour"]
    assert (bundle / "training.json").read_text(encoding="utf-8") == "{}"
