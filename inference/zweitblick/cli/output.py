"""Results appear whole or not at all: written under a temporary name beside the target, renamed at the end."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from zweitblick.errors import OutputError

MARK = "findings.json"
"""A folder that holds this file is an earlier reading and may be overwritten on request."""


def check_folder(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a target folder before any work is done.

    Parameters
    ----------
    out
        Must be absent or empty, in a folder that exists.
    overwrite
        An earlier reading may be there; nothing else is ever replaced.

    Raises
    ------
    OutputError
        If results could not be put there.
    """
    _check_parent(out)
    if not out.exists() and not out.is_symlink():
        return
    if out.is_symlink() or not out.is_dir():
        raise OutputError(f"{out} is no folder; choose another --out")
    if not any(out.iterdir()):
        return
    if not (out / MARK).is_file():
        raise OutputError(f"{out} is not empty and no earlier reading; choose another folder")
    if not overwrite:
        raise OutputError(f"{out} holds an earlier reading; choose another folder or say --overwrite")


def check_file(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a target file before any work is done.

    Raises
    ------
    OutputError
        If it exists (unless ``overwrite``), is no plain file, or its folder does not exist.
    """
    _check_parent(out)
    if out.exists() and not out.is_file():
        raise OutputError(f"{out} is no file; choose another name")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists; choose another name or say --overwrite")


def write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    """Write files by relative name into a folder that `check_folder` let pass, all or none.

    Raises
    ------
    OutputError
        If the disk refuses; nothing is left behind then.
    """
    with folder_to_be(out) as folder:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


@contextmanager
def folder_to_be(out: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``out``, which takes its place if all goes well.

    Raises
    ------
    OutputError
        If the disk refuses; nothing is left behind then.
    """
    partial = _partial(out.resolve())
    with _disk_errors(out):
        partial.mkdir()
        try:
            yield partial
            _take_place(partial, out.resolve())
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write files that `check_file` let pass, all or none.

    Raises
    ------
    OutputError
        If the disk refuses; no half-written file is left behind then.
    """
    partials = {out: _partial(out.resolve()) for out in files}
    try:
        for out, content in files.items():
            with _disk_errors(out):
                partials[out].write_bytes(content)
        for out, partial in partials.items():
            with _disk_errors(out):
                partial.replace(out)
    finally:
        for partial in partials.values():
            with suppress(OSError):
                partial.unlink()


def _check_parent(out: Path) -> None:
    parent = out.resolve().parent
    if not parent.is_dir():
        raise OutputError(f"folder {parent} does not exist; make it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"folder {parent} is not writable; choose another place")


def _partial(out: Path) -> Path:
    """Name on the same file system, so that the rename is atomic."""
    return out.with_name(f".{out.name}.partial-{os.getpid()}")


def _take_place(partial: Path, out: Path) -> None:
    """Rename ``partial`` to ``out``; an earlier reading steps aside first and is deleted last."""
    if not out.is_dir() or not any(out.iterdir()):
        partial.replace(out)
        return
    aside = out.with_name(f".{out.name}.earlier-{os.getpid()}")
    out.rename(aside)
    try:
        partial.replace(out)
    except OSError:
        aside.rename(out)
        raise
    shutil.rmtree(aside)


@contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or type(error).__name__}") from error
