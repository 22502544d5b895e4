"""State files: small texts of a run, whole at every moment."""

from pathlib import Path


def write_state(path: Path, text: str) -> None:
    """Write a text, unless the file says it already.

    A full disk or a kill leaves what was there: the new text takes its place once it is written.

    Parameters
    ----------
    path
        The file; only one process may write it.
    text
        All of it.
    """
    content = text.encode()
    if path.is_file() and path.read_bytes() == content:
        return
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)
