"""What is filled while a run is under way is looked at again before anything is replaced."""

from pathlib import Path

import pytest

from zweitblick.cli.output import check_file, check_folder, folder_to_be, write_files, write_folder
from zweitblick.errors import OutputError


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def run_while_written(out: Path, name: str, *, overwrite: bool = False) -> None:
    with folder_to_be(out, overwrite=overwrite) as folder:
        (folder / "findings.json").write_text("new")
        out.mkdir(exist_ok=True)
        (out / name).write_text("mine")


@pytest.mark.parametrize("name", ["findings.json", "thesis.tex"])
def test_a_folder_filled_during_the_run_stays(tmp_path: Path, name: str) -> None:
    check_folder(tmp_path / "out")
    with pytest.raises(OutputError):
        run_while_written(tmp_path / "out", name)
    assert contents(tmp_path) == {f"out/{name}": "mine"}


def test_a_file_put_into_an_earlier_reading_during_the_run_stays(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", {"findings.json": b"old"})
    check_folder(tmp_path / "out", overwrite=True)
    with pytest.raises(OutputError):
        run_while_written(tmp_path / "out", "thesis.tex", overwrite=True)
    assert contents(tmp_path) == {"out/findings.json": "old", "out/thesis.tex": "mine"}


def test_a_link_in_an_earlier_reading_is_no_file_of_ours(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", {"findings.json": b"old"})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "capture").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError):
        check_folder(tmp_path / "out", overwrite=True)


def test_an_earlier_reading_is_replaced_on_request(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", {"findings.json": b"old", "capture/001.dcm": b"old"})
    write_folder(tmp_path / "out", {"findings.json": b"new"}, overwrite=True)
    assert contents(tmp_path) == {"out/findings.json": "new"}


def test_a_file_written_during_the_run_is_replaced_on_request_only(tmp_path: Path) -> None:
    out, other = tmp_path / "labels.nii", tmp_path / "probabilities.nii"
    check_file(out)
    out.write_text("mine")
    with pytest.raises(OutputError):
        write_files({other: b"new", out: b"new"})
    assert contents(tmp_path) == {"labels.nii": "mine"}
    write_files({other: b"new", out: b"new"}, overwrite=True)
    assert contents(tmp_path) == {"labels.nii": "new", "probabilities.nii": "new"}
