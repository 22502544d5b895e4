"""Change: what is different since an earlier reading, in numbers, and the imaging part of RANO as a proposal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from zweitblick.findings import Diameters, Lesion
from zweitblick.prediction import Region
from zweitblick.study import Sequence
from zweitblick.volume import Float64


@dataclass(frozen=True)
class VolumeChange:
    """A volume at two times, ml.

    Parameters
    ----------
    before_ml, now_ml
        As each reading measured it.
    """

    before_ml: float
    now_ml: float

    @property
    def difference_ml(self) -> float:
        """Growth is positive."""
        return self.now_ml - self.before_ml

    @property
    def percents(self) -> tuple[float, ...]:
        """Difference as a percentage of what was there before; none where nothing was."""
        return (100.0 * self.difference_ml / self.before_ml,) if self.before_ml > 0 else ()


class Fate(StrEnum):
    """What became of a lesion."""

    MATCHED = "matched"
    """It lies where one lay before."""
    NEW = "new"
    """Nothing lay there before."""
    VANISHED = "vanished"
    """Nothing lies there any more."""
    ABOVE_LIMIT = "above the reporting limit"
    """Listed now; before, something below the reporting limit lay there."""
    BELOW_LIMIT = "below the reporting limit"
    """Listed before; now something below the reporting limit lies there."""
    NOT_SHOWN = "not shown"
    """Most of its place is outside the other study's field of view: nothing can be said."""


@dataclass(frozen=True)
class LesionChange:
    """One lesion at two times, or several that are one at one of the two times.

    Parameters
    ----------
    fate
        What became of it.
    before, now
        Lesions of the earlier and of this reading, with their own numbers and in their own coordinates.
    """

    fate: Fate
    before: tuple[Lesion, ...]
    now: tuple[Lesion, ...]

    @property
    def volume(self) -> Mapping[Region, VolumeChange]:
        """Sums of the listed lesions; what is below a reporting limit counts as 0."""
        return {region: VolumeChange(summed(self.before, region), summed(self.now, region)) for region in Region}

    @property
    def statement(self) -> str:
        """What became of it, in one sentence."""
        if self.fate is not Fate.MATCHED:
            which = named(self.now) if self.now else f"{named(self.before)} of the earlier study"
            return f"{which.capitalize()}: {self.fate}."
        whole = self.volume[Region.WT]
        return (
            f"{named(self.now).capitalize()}, before {named(self.before)}: whole tumour {whole.before_ml:.1f} to "
            f"{whole.now_ml:.1f} ml."
        )


def named(lesions: tuple[Lesion, ...]) -> str:
    """Call lesions by their numbers, as in ``lesions 1 and 2``."""
    *others, last = [str(lesion.number) for lesion in lesions]
    return f"lesions {', '.join(others)} and {last}" if others else f"lesion {last}"


def summed(lesions: tuple[Lesion, ...], region: Region) -> float:
    """Volume of a region over lesions, ml."""
    return sum(lesion.volume_ml[region] for lesion in lesions)


def largest_diameters(lesions: tuple[Lesion, ...]) -> tuple[Diameters, ...]:
    """Diameters of the lesion with the largest product; none of no lesion."""
    return tuple(sorted((lesion.diameters for lesion in lesions), key=lambda one: -one.product_mm2)[:1])


@dataclass(frozen=True, eq=False)
class Matching:
    """Lesions of two readings found in each other, in the head.

    Parameters
    ----------
    sequence
        On whose images the two heads were aligned.
    earlier_from_present_lps
        ``(4, 4)`` rigid map from this reading's LPS mm to the earlier one's; both are the reference series' own.
    motion_mm
        Largest displacement of a point of the head by it, between the two series' coordinates.
    lesions
        Those of this reading first, by number; then what is no longer listed.
    """

    sequence: Sequence
    earlier_from_present_lps: Float64
    motion_mm: float
    lesions: tuple[LesionChange, ...]

    def of(self, *fates: Fate) -> tuple[LesionChange, ...]:
        """Return the lesions that one of these became of."""
        return tuple(lesion for lesion in self.lesions if lesion.fate in fates)


@dataclass(frozen=True)
class Unmatched:
    """That lesions were not matched, so that nothing is said of single ones.

    Parameters
    ----------
    reason
        Why, without the full stop.
    """

    reason: str


class Category(StrEnum):
    """Categories of response (Wen 2010)."""

    COMPLETE = "complete response"
    PARTIAL = "partial response"
    STABLE = "stable disease"
    PROGRESSION = "progressive disease"


NOT_KNOWN = ("corticosteroids", "clinical state", "confirmation by a later scan", "radiotherapy", "T2/FLAIR change")
"""What a response needs, too, and is not judged here: images do not show the first four, RANO leaves the last open."""


@dataclass(frozen=True)
class Proposal:
    """Category that the enhancing lesions alone would give; a reader decides.

    Parameters
    ----------
    category
        Proposed.
    rule
        What it follows from, with its source.
    targets
        Measurable enhancing lesions at the baseline, at most five, that the sums are of.
    baseline_mm2, nadir_mm2, now_mm2
        Sums of the products of their perpendicular diameters; the nadir is the smallest since the baseline.
    """

    category: Category
    rule: str
    targets: int
    baseline_mm2: float
    nadir_mm2: float
    now_mm2: float

    @property
    def statement(self) -> str:
        """What is proposed, what it follows from, and what is not known."""
        return (
            f"RANO, imaging part only, proposal for a reader: {self.category}, as {self.rule}. Products now "
            f"{self.now_mm2:.0f}, nadir {self.nadir_mm2:.0f}, baseline {self.baseline_mm2:.0f} mm². "
            f"Not known: {', '.join(NOT_KNOWN)}."
        )


@dataclass(frozen=True)
class NoProposal:
    """That no category is proposed.

    Parameters
    ----------
    reason
        Why, without the full stop.
    """

    reason: str

    @property
    def statement(self) -> str:
        """One sentence."""
        return f"No RANO category: {self.reason}."


@dataclass(frozen=True, eq=False)
class Change:
    """What is different since an earlier reading of the same patient.

    Parameters
    ----------
    study_uid
        Of the earlier study.
    days
        Between the two studies' dates; none where one has no date.
    volume
        Sums over the listed lesions, as each reading measured them.
    matching
        Of single lesions, or why they were not matched.
    rano
        Imaging part of RANO, or why there is none.
    """

    study_uid: str = field(repr=False)
    days: tuple[int, ...]
    volume: Mapping[Region, VolumeChange]
    matching: Matching | Unmatched
    rano: Proposal | NoProposal

    @property
    def since(self) -> str:
        """Say since when, as a title."""
        if not self.days:
            return "Change since the earlier study (days between not known)"
        return f"Change since the study {self.days[0]} {'day' if self.days[0] == 1 else 'days'} before"

    @property
    def statement(self) -> str:
        """What changed, in one or two sentences and without a judgement."""
        whole = self.volume[Region.WT]
        relative = "".join(f", {percent:+.0f} %" for percent in whole.percents)
        volumes = (
            f"whole tumour {whole.before_ml:.1f} to {whole.now_ml:.1f} ml ({whole.difference_ml:+.1f} ml{relative})"
        )
        return f"{self.since}: {volumes}. {self.lesions_statement}"

    @property
    def lesions_statement(self) -> str:
        """How many lesions had which fate, or why that is not known."""
        if isinstance(self.matching, Unmatched):
            return f"Lesions were not matched: {self.matching.reason}."
        counts = {fate: len(self.matching.of(fate)) for fate in Fate}
        told = [f"{count} {fate}" for fate, count in counts.items() if count]
        return f"Lesions: {', '.join(told)}." if told else "No lesion in either reading."
