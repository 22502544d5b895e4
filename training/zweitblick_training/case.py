"""Case: one patient as the network is shown it, on disk as arrays that processes share."""

import json
import mmap
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from zweitblick.volume import Bool

BYTES_PER_VOXEL = 4 * 2 + 1 + 1
"""Four float16 images, a mask and a label map."""

ARRAYS = {"images": np.float16, "brain": np.bool_, "labels": np.uint8}
"""Files of a case, ``<name>.npy`` each, and their type."""

LABELS = 4
"""Values of a label map: none, core, oedema, enhancing."""

BRAIN = LABELS
"""Stands for the brain beside the labels; added to the label of a voxel in it, both are looked up at once."""

PART = ".part"
"""Ends the name of a folder that is being written."""


class CaseError(ValueError):
    """A folder is no prepared case; the message names it and what is wrong."""


@dataclass(frozen=True, eq=False)
class Case:
    """One patient, prepared as serving would.

    Parameters
    ----------
    name, source
        Case and data set.
    images
        ``(4, K, J, I)`` float16, normalised; zeros where a sequence is missing.
    brain
        ``(K, J, I)`` bool.
    labels
        ``(K, J, I)`` uint8: 0 none, 1 core, 2 oedema, 3 enhancing.
    present
        ``(4,)`` bool, which sequences there are.
    labelled
        ``(3,)`` bool, which of ET, TC, WT the experts drew.
    key
        Digest of what the case was made from and how; empty if it was made up.
    preparation
        Digest of the code that prepared it, by which what older code made is known without its source.
    """

    name: str
    source: str
    images: NDArray[np.float16]
    brain: Bool
    labels: NDArray[np.uint8]
    present: Bool
    labelled: Bool
    key: str = ""
    preparation: str = ""

    def save(self, folder: Path) -> None:
        """Write to ``folder`` by way of a temporary name, so that a killed run leaves no half case."""
        part = folder.with_name(f"{folder.name}{PART}")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, dtype in ARRAYS.items():
            np.save(part / f"{name}.npy", np.asarray(getattr(self, name), dtype))
        said = {
            "name": self.name,
            "source": self.source,
            "present": [bool(one) for one in self.present],
            "labelled": [bool(one) for one in self.labelled],
            "key": self.key,
            "preparation": self.preparation,
        }
        (part / "case.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        # A folder cannot replace another: killed between these two, the case is missing and made again.
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open what `save` wrote: nothing is read before it is used, and processes share the pages.

        Raises
        ------
        CaseError
            If the folder is no case, or one that was damaged.
        """
        try:
            said: dict[str, Any] = json.loads((folder / "case.json").read_text(encoding="utf-8"))
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
            case = cls(
                name=str(said["name"]),
                source=str(said["source"]),
                present=np.array(said["present"], np.bool_),
                labelled=np.array(said["labelled"], np.bool_),
                key=str(said["key"]),
                preparation=str(said.get("preparation", "")),  # what was made before this was noted is stale
                **arrays,
            )
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise CaseError(f"{folder} is no prepared case ({type(error).__name__}); prepare it again") from error
        case._check(folder)
        return case

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """``(5, K)``: how many voxels of each label, and of the `BRAIN`, each slice has."""
        labels = [np.bincount(plane.ravel(), minlength=LABELS) for plane in self.labels]
        return np.stack([*np.transpose(labels), self.brain.sum((1, 2))])

    def __getstate__(self) -> dict[str, Any]:
        """Name the files of arrays that lie in files, so that another process opens them and copies nothing."""
        return {name: _File.of(value) if _is_file(value) else value for name, value in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open those files."""
        for name, value in state.items():
            object.__setattr__(self, name, value.opened() if isinstance(value, _File) else value)

    def _check(self, folder: Path) -> None:
        shape = self.brain.shape
        for name, dtype in ARRAYS.items():
            array = getattr(self, name)
            wanted = (4, *shape) if name == "images" else shape
            if array.shape != wanted or array.dtype != dtype:
                raise CaseError(
                    f"{folder}: {name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {wanted}; prepare it again"
                )


class _File(NamedTuple):
    """An array file as it is named to another process."""

    path: Path

    @classmethod
    def of(cls, array: "np.memmap[Any, Any]") -> Self:
        return cls(Path(str(array.filename)))

    def opened(self) -> NDArray[Any]:
        array: NDArray[Any] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return array


def _is_file(value: object) -> bool:
    """Whether this is all of a file: a part of one has its name too."""
    return isinstance(value, np.memmap) and isinstance(value.base, mmap.mmap)
