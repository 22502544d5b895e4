"""BIDS: whole or stripped heads with the experts' outlines under ``derivatives`` (Gorgolewski 2016).

Outlines are ``derivatives/*/sub-x[/ses-y]/anat/*_dseg`` with a table of their values (BIDS 1.10, "Derivatives: imaging
data types", segmentations): ``*_dseg.tsv`` beside the outline, or the only ``*dseg.tsv`` at the top of that
derivative. An outline without a table is an error. Images are ``*_T1w``, ``*_ce-*_T1w``, ``*_T2w`` and ``*_FLAIR``
beside the outline, if that derivative has any of them, else in the raw ``sub-x[/ses-y]/anat``; which are there may
differ.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

from zweitblick.prediction import CORE, ENHANCING, OEDEMA, REGIONS, Region
from zweitblick.study import Sequence
from zweitblick_training.datasets.raw_case import DataSetError, Draft, Fault, Listing, RawCase, Terms, found_cases

WHOLE = -1
"""Stands in a table for an outline of the whole tumour that tells no parts."""

NAMES = {
    **dict.fromkeys(("background", "bg", "resection cavity", "rc"), 0),
    **dict.fromkeys(("ncr", "net", "ncr/net", "netc", "necrotic tumor core", "non-enhancing tumor core", "core"), CORE),
    **dict.fromkeys(("ed", "edema", "oedema", "snfh"), OEDEMA),
    **dict.fromkeys(("et", "enhancing tumor", "enhancing tumour", "enhancing tissue"), ENHANCING),
    **dict.fromkeys(("wt", "whole tumor", "whole tumour"), WHOLE),
}
"""Names and abbreviations that a label table may use, in any case; another is an error."""

SUFFIXES = {"T1w": Sequence.T1, "T2w": Sequence.T2, "FLAIR": Sequence.FLAIR}
"""BIDS suffixes of the sequences; T1w with a ``ce`` entity is T1 with contrast."""


class BidsLayout:
    """One case per session that has an outline."""

    def listed(self, folder: Path) -> tuple[Listing, ...]:
        """See `Layout.listed`."""
        wanted = ("derivatives/*/sub-*/anat/*_dseg.nii*", "derivatives/*/sub-*/ses-*/anat/*_dseg.nii*")
        sessions = {outline.parent.parent for glob in wanted for outline in folder.glob(glob)}
        parts = {session.relative_to(folder).parts[2:] for session in sessions}
        listings = (Listing("_".join(part), part[0], "bids", folder) for part in parts)
        return found_cases(listings, folder, " or ".join(wanted))

    def read(self, listing: Listing) -> RawCase:
        """See `Layout.read`; more than one file for a sequence, or more than one outline, is a fault."""
        draft = Draft(listing)
        session = "/".join(listing.name.split("_"))
        outlines = sorted(listing.place.glob(f"derivatives/*/{session}/anat/*_dseg.nii*"))
        beside = _images(draft, outlines[0].parent.glob("*.nii*"))
        for sequence, paths in (beside or _images(draft, (listing.place / session / "anat").glob("*.nii*"))).items():
            if len(paths) > 1:
                draft.fault(f"{len(paths)} files for {sequence}: {', '.join(path.name for path in paths)}; keep one")
            draft.image(sequence, paths[0])
        if len(outlines) > 1:
            draft.fault(f"{len(outlines)} outlines: {', '.join(path.name for path in outlines)}; keep one")
        terms = _terms(draft, outlines[0], listing.place)
        return draft.finished(terms)


def _images(draft: Draft, paths: Iterable[Path]) -> dict[Sequence, list[Path]]:
    found: dict[Sequence, list[Path]] = {}
    for path in sorted(paths):
        *entities, suffix = path.name.split(".nii")[0].split("_")
        enhanced = [entity for entity in entities if entity.startswith("ce-")]
        if suffix not in SUFFIXES:
            continue  # maps, angiograms and the like are no input
        if enhanced and suffix != "T1w":
            draft.fault(f"{path.name}: {suffix} with {enhanced[0]} is not declared, only T1w may be")
            continue
        found.setdefault(Sequence.T1C if enhanced else SUFFIXES[suffix], []).append(path)
    return found


def _terms(draft: Draft, outline: Path, folder: Path) -> Terms:
    try:
        values = _table(draft.listing.name, outline, folder)
    except DataSetError as error:
        draft.faults.extend(error.faults)
        return Terms("bids", {}, stripped=False)
    whole = WHOLE in values.values()
    draft.outline(outline, {index: OEDEMA if value == WHOLE else value for index, value in values.items()})
    labelled: tuple[Region, ...] = (Region.WT,) if whole else REGIONS
    return Terms("bids", values, labelled, stripped=False)


def _table(case: str, outline: Path, folder: Path) -> dict[int, int]:
    """Values of an outline by its table."""
    path = _table_path(case, outline, folder)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    values, faults = {}, []
    for row in rows:
        texts = [str(row.get(column) or "").strip() for column in ("index", "abbreviation", "name")]
        known = [NAMES[text.casefold()] for text in texts[1:] if text.casefold() in NAMES]
        if not texts[0].isdecimal() or not known:
            faults.append(Fault(case, f"{path.name}: index {texts[0]!r}, name {texts[2]!r} is not declared"))
            continue
        values[int(texts[0])] = known[0]
    if {*values.values()} - {0} not in ({WHOLE}, {CORE, OEDEMA, ENHANCING}):
        what = f"{path.name} must name either core, oedema and enhancing tumour, or the whole tumour alone"
        faults.append(Fault(case, what))
    if faults:
        raise DataSetError(faults)
    return values


def _table_path(case: str, outline: Path, folder: Path) -> Path:
    beside = outline.with_name(f"{outline.name.split('.nii')[0]}.tsv")
    if beside.is_file():
        return beside
    derivative = folder / "derivatives" / outline.relative_to(folder / "derivatives").parts[0]
    tables = sorted(derivative.glob("*dseg.tsv"))
    if len(tables) != 1:
        what = f"{outline.name} has no label table: neither {beside.name} beside it nor one *dseg.tsv"
        raise DataSetError([Fault(case, f"{what} at the top of {derivative.name}, which holds {len(tables)}")])
    return tables[0]
