"""FolderLayout: data sets whose cases are named folders or files of one 3-D NIfTI per sequence."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zweitblick.study import Sequence
from zweitblick_training.datasets.raw_case import Draft, Listing, RawCase, Terms, found_cases, nifti


@dataclass(frozen=True)
class FolderLayout:
    """Where a data set keeps its cases; a table, not code.

    Parameters
    ----------
    terms
        What its authors declare.
    globs
        Where a case's folder or file may be, from the data set's folder.
    pattern
        What its name must match in full: groups ``name`` and ``patient``, and ``site`` where names tell it.
    images
        File of each sequence without its ending, from beside the folder or file found; ``{name}`` is the case.
    outline
        Likewise, the experts' outline.
    """

    terms: Terms
    globs: tuple[str, ...]
    pattern: re.Pattern[str]
    images: Mapping[Sequence, str]
    outline: str

    def listed(self, folder: Path) -> tuple[Listing, ...]:
        """See `Layout.listed`."""
        found = []
        for path in (path for glob in self.globs for path in folder.glob(glob)):
            if match := self.pattern.fullmatch(path.name):
                parts = match.groupdict()
                site = parts.get("site") or self.terms.source
                found.append(Listing(parts["name"], parts["patient"], site, path.parent))
        return found_cases(found, folder, self.pattern.pattern)

    def read(self, listing: Listing) -> RawCase:
        """See `Layout.read`."""
        draft = Draft(listing)
        for sequence, stem in self.images.items():
            draft.image(sequence, nifti(listing.place / stem.format(name=listing.name)))
        draft.outline(nifti(listing.place / self.outline.format(name=listing.name)), self.terms.labels)
        return draft.finished(self.terms)
