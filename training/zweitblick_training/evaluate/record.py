"""What one case gave, as dataclasses and as the JSON file that keeps it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from zweitblick.prediction import REGIONS, Region
from zweitblick.study import Sequence
from zweitblick_training.evaluate.subsets import Subset
from zweitblick_training.scores import Histogram, LesionScore, LesionWise, Measured, RegionScore

DIGITS = 5
"""Figures are kept with so many decimals; a card shows three."""


@dataclass(frozen=True)
class Asked:
    """Which question a record answers.

    Parameters
    ----------
    name, patient, source, site
        Of the case: its name, whom it shows, its data set and the part of that.
    subset
        The sequences that the network was shown.
    everything
        Whether these are all that the case has.
    network
        Digest of the networks and the code that answered, see `network_key`.
    case
        Digest of the case, its outline included, see `case_key`; older records lack it.
    """

    name: str
    patient: str
    source: str
    site: str
    subset: Subset
    everything: bool
    network: str
    case: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "subset": sorted(map(str, self.subset))}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        subset = frozenset(Sequence(name) for name in values["subset"])
        return cls(**{**values, "subset": subset})


@dataclass(frozen=True)
class Refused:
    """What serving refuses to read: neither T1c nor FLAIR is there.

    Parameters
    ----------
    asked
        The question.
    reason
        What the error said.
    """

    asked: Asked
    reason: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"asked": self.asked.to_json(), "reason": self.reason}


@dataclass(frozen=True, eq=False)
class CaseScore:
    """Scores of one case.

    Parameters
    ----------
    asked
        The question.
    regions
        Scores of the regions that the experts drew.
    lesions
        Every lesion of the whole tumour; empty where the spacing is not known.
    histograms
        Brain voxels by predicted probability, for the same regions; empty where they are not kept.
    """

    asked: Asked
    regions: Mapping[Region, RegionScore]
    lesions: tuple[LesionScore, ...]
    histograms: Mapping[Region, Histogram]

    @property
    def has_tumour(self) -> bool:
        """Whether the experts drew any."""
        return self.regions[Region.WT].truth_voxels > 0

    @property
    def is_complete(self) -> bool:
        """Whether experts drew all three regions."""
        return set(self.regions) == set(REGIONS)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        regions = {str(region): asdict(score) for region, score in self.regions.items()}
        lesions = [asdict(lesion) for lesion in self.lesions]
        histograms = {str(region): _histogram_to_json(one) for region, one in self.histograms.items()}
        scores = rounded({"regions": regions, "lesions": lesions})
        return {"asked": self.asked.to_json(), **scores, "histograms": histograms}


Record = CaseScore | Refused
"""What a case gave."""


def record_from_json(values: Mapping[str, Any]) -> Record:
    """Read what either ``to_json`` wrote."""
    asked = Asked.from_json(values["asked"])
    if "reason" in values:
        return Refused(asked, values["reason"])
    return CaseScore(
        asked,
        {Region(region): _region_from_json(score) for region, score in values["regions"].items()},
        tuple(LesionScore(**lesion) for lesion in values["lesions"]),
        {Region(region): _histogram_from_json(one) for region, one in values["histograms"].items()},
    )


def _region_from_json(values: Mapping[str, Any]) -> RegionScore:
    measured = values["measured"]
    if measured is not None:
        measured = Measured(**{**measured, "lesions": LesionWise(**measured["lesions"])})
    return RegionScore(**{**values, "measured": measured})


def _histogram_to_json(histogram: Histogram) -> dict[str, list[float]]:
    return {
        "voxels": histogram.voxels.tolist(),
        "true": histogram.true.tolist(),
        "probability": np.round(histogram.probability, DIGITS).tolist(),
    }


def _histogram_from_json(values: Mapping[str, Any]) -> Histogram:
    return Histogram(
        np.asarray(values["voxels"], np.int64),
        np.asarray(values["true"], np.int64),
        np.asarray(values["probability"], np.float64),
    )


def rounded(value: Any) -> Any:
    """Return JSON values with every number cut to `DIGITS`; tuples become lists."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {str(key): rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value
