"""Cases: raw cases brought before the network by the product's own code."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zweitblick import extent, interpolation
from zweitblick.extent import filled
from zweitblick.model import brain_mask as brain_mask_module
from zweitblick.model import prepare as prepare_module
from zweitblick.model.brain_mask import brain_mask
from zweitblick.model.bundle import Bundle, load_bundle
from zweitblick.model.prepare import CHANNELS, canonical_grid, prepare
from zweitblick.pipeline import reference_of
from zweitblick.prediction import CORE, ENHANCING, OEDEMA, REGIONS
from zweitblick.register import information, level, rigid, search, smoothing
from zweitblick.register.level import Pyramid
from zweitblick.register.rigid import align
from zweitblick.study import Sequence
from zweitblick.volume import Bool, Float64, Grid, Volume, axis_aligned_grid
from zweitblick_training.case import BYTES_PER_VOXEL, Case
from zweitblick_training.datasets import DataSetError, Fault, RawCase, drawn_on
from zweitblick_training.datasets.packed import respaced
from zweitblick_training.source_code import code


class Masks(Protocol):
    """Where the brain masks of whole heads come from."""

    def brain(self, case: RawCase) -> Bool:
        """Brain ``(K, J, I)`` on the grid of the case's reference series.

        Raises
        ------
        ZweitblickError, DataSetError
            If there is none.
        """
        ...

    def digest(self, name: str) -> str:
        """Say which mask a case gets, so that another is noticed."""
        ...


@dataclass(frozen=True)
class TeacherMasks:
    """Masks that another program drew.

    Parameters
    ----------
    folder
        Holds ``CASE.npz`` with ``brain``, ``(K, J, I)`` bool on the grid of the case's images.
    """

    folder: Path

    def brain(self, case: RawCase) -> Bool:
        """See `Masks.brain`."""
        path = self.folder / f"{case.name}.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                brain = np.asarray(arrays["brain"], np.bool_)
        except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
            what = f"no brain mask can be read from {path.name} ({type(error).__name__})"
            raise DataSetError([Fault(case.name, what)]) from error
        shape = case.volumes[reference_of(case.volumes)].shape
        if brain.shape != shape:
            what = f"the brain mask has {brain.shape} voxels where the image has {shape}"
            raise DataSetError([Fault(case.name, what)])
        return brain

    def digest(self, name: str) -> str:
        """See `Masks.digest`."""
        path = self.folder / f"{name}.npz"
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@dataclass(frozen=True)
class NetworkMasks:
    """Masks by the product's own network, as in serving.

    Parameters
    ----------
    bundle
        Folder of the ``brain-mask`` bundle.
    """

    bundle: Path

    def brain(self, case: RawCase) -> Bool:
        """See `Masks.brain`."""
        return brain_mask(case.volumes[reference_of(case.volumes)], _opened(self.bundle).network)

    def digest(self, name: str) -> str:
        """See `Masks.digest`."""
        del name
        return f"{_opened(self.bundle).digest} {code(brain_mask_module)}"


def with_brain(case: RawCase, masks: Masks) -> tuple[RawCase, Bool]:
    """Find a case's brain; where spacing was a guess, the brain's height corrects it.

    Parameters
    ----------
    case
        As read.
    masks
        For whole heads; a stripped head is its own mask.

    Returns
    -------
    RawCase
        The case, on a corrected grid if its spacing is not known.
    Bool
        ``(K, J, I)`` on the grid of its reference series.

    Raises
    ------
    ZweitblickError, DataSetError
        If no mask is to be had.
    """
    if case.stripped:
        reference = case.volumes[reference_of(case.volumes)].grid
        return case, stripped_brain(one for one in case.volumes.values() if one.grid.is_close(reference))
    brain = masks.brain(case)
    if case.spacing_known:
        return case, brain
    corrected = respaced(case, brain)
    return corrected, masks.brain(corrected)


def prepared_case(case: RawCase, brain: Bool, *, key: str = "") -> Case:
    """Prepare a case with the code that serves.

    Parameters
    ----------
    case
        The case.
    brain
        ``(K, J, I)`` bool on the grid of its reference series (`zweitblick.pipeline.reference_of`).
    key
        See `Case`.

    Raises
    ------
    ZweitblickError
        If serving would refuse it.
    """
    reference = case.volumes[reference_of(case.volumes)]
    moves = own_from_reference(case)
    prepared = prepare(case.volumes, brain, reference=reference.grid, own_from_reference=moves)
    return Case(
        name=case.name,
        source=case.source,
        images=prepared.tensor[0].astype(np.float16),
        brain=prepared.brain,
        labels=labels_on(prepared.grid, case.labels, own_from_grid_lps=outline_from_reference(case, moves)),
        present=np.array([sequence in case.volumes for sequence in CHANNELS]),
        labelled=np.array([region in case.labelled for region in REGIONS]),
        key=key,
        preparation=preparation_digest(),
    )


def prepared_bytes(case: RawCase, brain: Bool) -> int:
    """Size on disk of a case once prepared.

    Raises
    ------
    NotAHeadError
        If the mask is empty.
    """
    grid = canonical_grid(brain, case.volumes[reference_of(case.volumes)].grid)
    return int(np.prod(grid.shape)) * BYTES_PER_VOXEL


def stripped_brain(volumes: Iterable[Volume]) -> Bool:
    """Brain of an already stripped head: where any sequence is not 0, holes filled."""
    anything = np.any([volume.voxels != 0 for volume in volumes], axis=0)
    return filled(anything)


def own_from_reference(case: RawCase) -> dict[Sequence, Float64]:
    """Map from the reference's LPS mm to each sequence's own, ``(4, 4)``.

    Sequences on one grid were aligned by the data set's authors; the others are aligned as in serving.

    Raises
    ------
    RegistrationError
        If a sequence cannot be aligned.
    """
    reference = case.volumes[reference_of(case.volumes)]
    fixed = Pyramid(reference)
    return {
        sequence: np.eye(4)
        if volume.grid.is_close(reference.grid)
        else align(Pyramid(volume), fixed, same_frame=True).moving_from_reference_lps
        for sequence, volume in case.volumes.items()
    }


def outline_from_reference(case: RawCase, moves: Mapping[Sequence, Float64]) -> Float64:
    """Map from the reference's LPS mm to those of the outline, which lies where the sequence does that it was drawn on.

    Parameters
    ----------
    case
        The case.
    moves
        From the reference to each of its sequences, as `own_from_reference` gives them.
    """
    drawn = drawn_on(case.labels, case.volumes)
    reference = reference_of(case.volumes)
    # What shares a grid was aligned by the data set's authors: of several, the reference needs no move.
    return moves[reference if reference in drawn else drawn[0]]


def labels_on(grid: Grid, labels: Volume, *, own_from_grid_lps: ArrayLike | None = None) -> NDArray[np.uint8]:
    """Labels on another grid, ``(K, J, I)``: each value interpolated on its own, the likeliest wins.

    Parameters
    ----------
    grid, own_from_grid_lps
        See `zweitblick.volume.Volume.resampled`.
    labels
        Label map.
    """
    parts = (Volume((labels.voxels == value).astype(np.float32), labels.grid) for value in (CORE, OEDEMA, ENHANCING))
    chances = [part.resampled(grid, own_from_grid_lps=own_from_grid_lps).voxels for part in parts]
    none = 1.0 - np.sum(chances, axis=0)
    return np.asarray(np.argmax([none, *chances], axis=0), np.uint8)


def case_key(case: RawCase, mask_digest: str) -> str:
    """Digest of a raw case, its mask and the code that prepares it: another key means another array.

    Parameters
    ----------
    case
        As read.
    mask_digest
        See `Masks.digest`; of no account for stripped heads.
    """
    digest = hashlib.sha256(preparation_digest().encode())
    digest.update(repr((case.name, case.source, sorted(case.labelled), case.spacing_known)).encode())
    digest.update(b"" if case.stripped else mask_digest.encode())
    for name, volume in [*sorted(case.volumes.items()), ("labels", case.labels)]:
        digest.update(name.encode())
        digest.update(volume.lps_from_index.tobytes())
        digest.update(volume.voxels.tobytes())
    return digest.hexdigest()


@cache
def preparation_digest() -> str:
    """Digest of the code that decides what a prepared case holds; comments and docstrings do not count."""
    registration = (rigid, level, smoothing, information, search)
    deciding = (prepare_module, extent, interpolation, *registration, Volume.resampled, axis_aligned_grid)
    own = (with_brain, prepared_case, stripped_brain, own_from_reference, outline_from_reference, drawn_on, labels_on)
    return hashlib.sha256("\n".join(map(code, (*deciding, *own, respaced))).encode()).hexdigest()


@cache
def _opened(folder: Path) -> Bundle:
    return load_bundle(folder)
