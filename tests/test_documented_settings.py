"""The guide shows every setting, and the variable of each."""

import re
from pathlib import Path

from test_settings import ENVIRONMENT, loaded


def test_the_documented_file_loads_and_its_variables_are_known(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[1] / "docs" / "serve.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", guide, re.DOTALL)[1]
    assert loaded(tmp_path, example).dicom.calling_ae_titles == {"PACS"}
    assert set(re.findall(r"ZWEITBLICK_\w+", example)) == set(ENVIRONMENT)
