"""Results appear whole or not at all: written under a temporary name beside the target, renamed at the end."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from zweitblick.errors import OutputError

MARK = "findings.json"
"""Every reading has this file."""

SEGMENTATION = "segmentation.dcm"

RECEIPT = "receipt.jws"

DOCUMENTS = frozenset({MARK, "fhir.json", SEGMENTATION, "report.dcm", "report.pdf", "report-pdf.dcm", RECEIPT})
"""Files of a reading."""

CAPTURE = "capture"
"""Folder of a reading that holds the secondary captures, ``*.dcm``."""


def check_folder(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a target folder before any work is done.

    Parameters
    ----------
    out
        Must be absent or empty, in a folder that exists.
    overwrite
        An earlier reading may be there, and nothing but its own files; nothing else is ever replaced.

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
    with _disk_errors(out):
        entries = list(out.iterdir())
        ours = (out / MARK) in entries and all(_is_ours(entry) for entry in entries)
    if not entries:
        return
    if not ours:
        raise OutputError(f"{out} holds more than an earlier reading; choose another folder")
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


def write_folder(out: Path, files: Mapping[str, bytes], *, overwrite: bool = False) -> None:
    """Write files by relative name into a folder that `check_folder` let pass, all or none.

    Raises
    ------
    OutputError
        If the disk refuses, or the folder was filled since; nothing is left behind then.
    """
    with folder_to_be(out, overwrite=overwrite) as folder:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


@contextmanager
def folder_to_be(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``out``, which takes its place if all goes well.

    Raises
    ------
    OutputError
        If the disk refuses, or `check_folder` does at the end; nothing is left behind then.
    """
    partial = _partial(out.resolve())
    with _disk_errors(out):
        partial.mkdir()
        try:
            yield partial
            check_folder(out, overwrite=overwrite)
            _take_place(partial, out.resolve(), overwrite=overwrite)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def write_files(files: Mapping[Path, bytes], *, overwrite: bool = False) -> None:
    """Write files that `check_file` let pass, all or none.

    Raises
    ------
    OutputError
        If the disk refuses, or `check_file` does at the end; no half-written file is left behind then.
    """
    partials = {out: _partial(out.resolve()) for out in files}
    try:
        for out, content in files.items():
            with _disk_errors(out):
                partials[out].write_bytes(content)
        for out in files:
            check_file(out, overwrite=overwrite)
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


def _is_ours(entry: Path) -> bool:
    """Whether a reading's folder has an entry of this name and kind."""
    if entry.is_symlink():
        return False
    if entry.is_dir():
        return entry.name == CAPTURE and all(_is_capture(inner) for inner in entry.iterdir())
    return entry.name in DOCUMENTS and entry.is_file()


def _is_capture(entry: Path) -> bool:
    return entry.suffix == ".dcm" and entry.is_file() and not entry.is_symlink()


def _partial(out: Path) -> Path:
    """Name on the same file system, so that the rename is atomic."""
    return out.with_name(f".{out.name}.partial-{os.getpid()}")


def _take_place(partial: Path, out: Path, *, overwrite: bool) -> None:
    """Rename ``partial`` to ``out``; an earlier reading steps aside first and is deleted last.

    Renaming to a folder that is not empty fails (POSIX rename), so without ``overwrite`` nothing can be lost. What
    has stepped aside is out of others' reach by its old name, so that it is checked once more there.
    """
    if not overwrite or not out.is_dir() or not any(out.iterdir()):
        partial.replace(out)
        return
    aside = out.with_name(f".{out.name}.earlier-{os.getpid()}")
    out.rename(aside)
    try:
        check_folder(aside, overwrite=True)
        partial.replace(out)
    except (OSError, OutputError):
        aside.rename(out)
        raise
    shutil.rmtree(aside)


@contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or type(error).__name__}") from error
