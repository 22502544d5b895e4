"""RawCase: one public case as volumes, nothing done to it, and everything that may be wrong with one."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

from zweitblick.errors import ZweitblickError
from zweitblick.prediction import REGIONS, Region
from zweitblick.study import Sequence
from zweitblick.volume import Volume

LABEL_TOLERANCE_MM = 0.1
"""Corners of an outline may lie this far off its image's: headers are rounded, a tenth of a voxel is no other grid."""

USABLE = (Sequence.T1C, Sequence.FLAIR)
"""Without one of these nothing can be outlined (`zweitblick.pipeline.reference_of`)."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one case.

    Parameters
    ----------
    case
        Its public name.
    what
        The offending file or value and what is allowed.
    """

    case: str
    what: str

    def __str__(self) -> str:
        return f"{self.case}: {self.what}"


class DataSetError(ValueError):
    """A data set cannot be used.

    Parameters
    ----------
    faults
        All of them, not only the first; each is a line of the message.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))

    def __reduce__(self) -> tuple[type["DataSetError"], tuple[tuple[Fault, ...]]]:
        """Travel between processes with the faults, not their text."""
        return DataSetError, (self.faults,)


@dataclass(frozen=True)
class Listing:
    """A case that a layout found, unopened.

    Parameters
    ----------
    name
        Unique in its data set.
    patient
        Cases of one patient belong on one side of every split.
    site
        Hospital or data set, as far as names tell; splits are stratified by it.
    place
        Folder that the layout reads it from.
    """

    name: str
    patient: str
    site: str
    place: Path


@dataclass(frozen=True)
class Terms:
    """What a data set's authors declare.

    Parameters
    ----------
    source
        The data set.
    labels
        Value in the file -> `zweitblick.prediction.CORE`, ``OEDEMA`` or ``ENHANCING``, or 0 for what is no tumour.
        The file's 0 is none of them; any other value that is not listed is an error.
    labelled
        Regions that the experts drew; others teach nothing.
    stripped
        Whether all but the brain was removed.
    """

    source: str
    labels: Mapping[int, int]
    labelled: tuple[Region, ...] = REGIONS
    stripped: bool = True


@dataclass(frozen=True, eq=False)
class RawCase:
    """One case as volumes, nothing done to it.

    Parameters
    ----------
    name, patient, source
        Case, whom it shows, and data set.
    volumes
        Sequences in one patient coordinate system, mostly on one grid.
    labels
        Our label values (0 none, 1 core, 2 oedema, 3 enhancing) on the grid of one of the volumes, and so where that
        one lies; see `drawn_on`.
    labelled
        Regions that the experts drew.
    stripped
        Whether all but the brain was removed.
    spacing_known
        False where distances are a guess, so that none may be scored.
    site
        Hospital or part of the data set that it came from, as far as names tell.
    """

    name: str
    patient: str
    source: str
    volumes: Mapping[Sequence, Volume]
    labels: Volume
    labelled: tuple[Region, ...]
    stripped: bool
    spacing_known: bool = True
    site: str = ""


class Layout(Protocol):
    """How a public data set lies on disk."""

    def listed(self, folder: Path) -> tuple[Listing, ...]:
        """Find the cases under a folder, sorted by name, opening none.

        Raises
        ------
        DataSetError
            If the folder does not have this layout.
        """
        ...

    def read(self, listing: Listing) -> RawCase:
        """Read one case.

        Raises
        ------
        DataSetError
            With every fault of the case.
        """
        ...


@dataclass
class Draft:
    """A case being read: takes what is sound and notes every fault.

    Parameters
    ----------
    listing
        The case.
    """

    listing: Listing
    volumes: dict[Sequence, Volume] = field(default_factory=dict)
    outlines: list[Volume] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @contextmanager
    def noting(self, what: str) -> Iterator[None]:
        """Turn an error of the product's into a fault of this case, ``what`` (a file's name, mostly) before it."""
        try:
            yield
        except ZweitblickError as error:
            self.fault(f"{what}: {error}")

    def fault(self, what: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(self.listing.name, what))

    def image(self, sequence: Sequence, path: Path) -> None:
        """Read one sequence from a file of one volume."""
        with self.noting(path.name):
            self.volumes[sequence] = Volume.from_nifti(path)

    def outline(self, path: Path, labels: Mapping[int, int]) -> None:
        """Read the experts' outline and translate its values."""
        with self.noting(path.name):
            drawn = Volume.from_nifti(path)
            self.take_outline(drawn, labels)

    def take_outline(self, drawn: Volume, labels: Mapping[int, int]) -> None:
        """Translate an outline's values; each that is not declared is a fault, and so is none where tumour is declared.

        An outline of a resection cavity alone is not empty, though nothing of it is tumour.
        """
        if any(labels.values()) and not drawn.voxels.any():
            self.fault("the outline is empty: all of its voxels are 0; remove the case, or take a finished outline")
        ours = np.zeros(drawn.shape, np.float32)
        for value, count in zip(*np.unique(drawn.voxels[drawn.voxels != 0], return_counts=True), strict=True):
            if value in labels:
                ours[drawn.voxels == value] = labels[int(value)]
            else:
                declared = ", ".join(map(str, sorted({0, *labels})))
                self.fault(f"label {value:g} of {count} voxels is not declared (declared: {declared})")
        self.outlines.append(Volume(ours, drawn.grid))

    def finished(self, terms: Terms, *, spacing_known: bool = True) -> RawCase:
        """Return the case.

        Raises
        ------
        DataSetError
            With every fault, those noted before included.
        """
        self._check_images()
        self._check_grid()
        if self.faults:
            raise DataSetError(self.faults)
        return RawCase(
            name=self.listing.name,
            patient=self.listing.patient,
            source=terms.source,
            volumes=self.volumes,
            labels=self.outlines[0],
            labelled=terms.labelled,
            stripped=terms.stripped,
            spacing_known=spacing_known,
            site=self.listing.site,
        )

    def _check_images(self) -> None:
        for sequence, volume in self.volumes.items():
            value = float(volume.voxels.flat[0])
            if (volume.voxels == value).all():
                self.fault(f"{sequence} is empty: all of its voxels are {value:g}")
        if not self.faults and not any(sequence in self.volumes for sequence in USABLE):
            found = ", ".join(sorted(self.volumes)) or "no sequence"
            self.fault(f"neither T1c nor FLAIR among {found}: no usable sequence")

    def _check_grid(self) -> None:
        for outline in self.outlines if self.volumes else ():
            if not drawn_on(outline, self.volumes):
                self.fault(
                    f"the outline of {outline.shape} voxels lies on no image's grid "
                    f"(images have {_shapes(self.volumes.values())}); shape, spacing and position must be an image's"
                )


def drawn_on(outline: Volume, volumes: Mapping[Sequence, Volume]) -> tuple[Sequence, ...]:
    """Name the sequences whose grid an outline has: where these are moved to, it has to go with them."""
    return tuple(
        sequence
        for sequence in Sequence
        if sequence in volumes and outline.grid.is_close(volumes[sequence].grid, tolerance_mm=LABEL_TOLERANCE_MM)
    )


def nifti(stem: Path) -> Path:
    """Path of a NIfTI file named without its ending: ``.nii`` if only that exists, else ``.nii.gz``."""
    plain, packed = stem.with_name(f"{stem.name}.nii"), stem.with_name(f"{stem.name}.nii.gz")
    return plain if plain.is_file() and not packed.is_file() else packed


def found_cases(listings: Iterable[Listing], folder: Path, wanted: str) -> tuple[Listing, ...]:
    """Sort listings by name.

    Raises
    ------
    DataSetError
        If there are none, or a name comes twice.
    """
    ordered = tuple(sorted(listings, key=lambda one: one.name))
    if not ordered:
        raise DataSetError([Fault(folder.name, f"no case here; this layout looks for {wanted}")])
    doubles = [one for one, other in pairwise(ordered) if one.name == other.name]
    if doubles:
        raise DataSetError([Fault(one.name, "there are two cases of this name") for one in doubles])
    return ordered


def _shapes(volumes: Iterable[Volume]) -> str:
    return ", ".join(map(str, sorted({volume.shape for volume in volumes})))
