"""Task01_BrainTumour of the Medical Segmentation Decathlon (Antonelli 2022): one 4-D NIfTI a case.

Its cases are BraTS 2016 and 2017 under other names, so its patients may be those of BraTS 2018 to 2021; identities
are not published. Train on one or the other.
"""

import json
from pathlib import Path
from typing import Any

from zweitblick.prediction import CORE, ENHANCING, OEDEMA
from zweitblick.study import Sequence
from zweitblick.volume import Volume
from zweitblick_training.datasets.raw_case import (
    DataSetError,
    Draft,
    Fault,
    Listing,
    RawCase,
    Terms,
    found_cases,
    nifti,
)

CHANNELS = {"FLAIR": Sequence.FLAIR, "T1w": Sequence.T1, "t1gd": Sequence.T1C, "T2w": Sequence.T2}
"""The fourth dimension in order, as dataset.json names it."""

LABEL_NAMES = {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}
"""As dataset.json names them."""

TERMS = Terms("decathlon", {1: OEDEMA, 2: CORE, 3: ENHANCING})


class DecathlonLayout:
    """``dataset.json``, ``imagesTr/BRATS_001.nii.gz`` and ``labelsTr/BRATS_001.nii.gz``."""

    def listed(self, folder: Path) -> tuple[Listing, ...]:
        """See `Layout.listed`; channels and labels are compared with dataset.json, which names the cases."""
        names = _training_names(folder / "dataset.json")
        listings = (Listing(name, name, TERMS.source, folder) for name in names)
        return found_cases(listings, folder, "the training cases of dataset.json")

    def read(self, listing: Listing) -> RawCase:
        """See `Layout.read`."""
        draft = Draft(listing)
        path = nifti(listing.place / "imagesTr" / listing.name)
        with draft.noting(path.name):
            channels = Volume.channels_from_nifti(path)
            if len(channels) == len(CHANNELS):
                draft.volumes.update(zip(CHANNELS.values(), channels, strict=True))
            else:
                draft.fault(f"{path.name}: {len(channels)} channels where {', '.join(CHANNELS)} are declared")
        draft.outline(nifti(listing.place / "labelsTr" / listing.name), TERMS.labels)
        return draft.finished(TERMS)


def _training_names(path: Path) -> list[str]:
    try:
        description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        channels = {str(key): str(name) for key, name in description["modality"].items()}
        labels = {str(key): str(name) for key, name in description["labels"].items()}
        names = [Path(pair["image"]).name.removesuffix(".gz").removesuffix(".nii") for pair in description["training"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"dataset.json is missing or lacks modality, labels or training ({type(error).__name__})"
        raise DataSetError([Fault(path.parent.name, what)]) from error
    declared = dict(zip("0123", CHANNELS, strict=True))
    faults = [
        Fault(path.parent.name, f"dataset.json says {what} {found} where {wanted} are declared")
        for what, found, wanted in (("channels", channels, declared), ("labels", labels, LABEL_NAMES))
        if _plain(found) != _plain(wanted)
    ]
    if faults:
        raise DataSetError(faults)
    return names


def _plain(names: dict[str, str]) -> dict[str, str]:
    return {key: name.casefold() for key, name in names.items()}
