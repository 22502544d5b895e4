"""The imaging part of RANO for enhancing lesions, as a proposal.

The rule is RANO of 2010 (Wen 2010, J Clin Oncol 28:1963): the sum of the products of perpendicular diameters of up to
five measurable enhancing lesions; progression from 25 % over the smallest sum since the baseline on, or by a new
lesion; response from 50 % below the baseline on. RANO 2.0 (Wen 2023, J Clin Oncol 41:5187) keeps both thresholds and
counts a new lesion when it is measurable. Where the two, or the readings, leave room for more than one category, none
is proposed; nor where the volume of enhancing tumour contradicts the sum of products, which alone depends much on how
the head lay. Every limit of this is in ``docs/measurements.md``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from zweitblick.change import Category, Fate, LesionChange, Matching, NoProposal, Proposal, Unmatched
from zweitblick.findings import Findings
from zweitblick.prediction import Region
from zweitblick.prior import Role, Timepoint

MAX_TARGETS = 5
"""Largest lesions that are followed (Wen 2010)."""

PROGRESSION = 1.25
"""Share of the nadir from which on the sum is a progression: an increase of 25 % (Wen 2010; Wen 2023)."""

RESPONSE = 0.5
"""Share of the baseline up to which the sum is a response: a decrease of 50 % (Wen 2010; Wen 2023)."""

REPEATED = 0.2
"""Enhancing volumes of a head that has not changed differ by less from scan to scan: 15 % at most from 2 ml on, while
sums of products differ by up to 70 % (``python -m benchmarks.repeatability``)."""

VOLUME_PROGRESSION, VOLUME_RESPONSE = 1.40, 0.35
"""Shares of the smallest volume and of the baseline's that are a progression and a response by volume (Wen 2023)."""

RULES = {
    Category.COMPLETE: "no enhancing tumour or core is outlined any more (Wen 2010: disappearance of all enhancing "
    "disease)",
    Category.PARTIAL: "the sum of products is at least 50 % below the baseline (Wen 2010)",
    Category.STABLE: "the sum of products is neither 50 % below the baseline nor 25 % over the nadir (Wen 2010)",
    Category.PROGRESSION: "the sum of products is at least 25 % over the nadir (Wen 2010)",
}
NEW_LESION_RULE = "there is a new measurable enhancing lesion (Wen 2010: any new lesion; Wen 2023: measurable)"


@dataclass(frozen=True)
class Burden:
    """Sum of products of the followed lesions, mm².

    Parameters
    ----------
    least_mm2
        Of those that are measurable.
    most_mm2
        With the largest others in place of those that are measurable no more: which of them is a former target is not
        known.
    """

    least_mm2: float
    most_mm2: float


def proposed(present: Timepoint, earlier: Sequence[Timepoint], matching: Matching | Unmatched) -> Proposal | NoProposal:
    """Propose a category, or say why there is none.

    Parameters
    ----------
    present
        This reading.
    earlier
        All readings before it that are known, in any order. One is the baseline; those before it do not count. Where
        none is, nobody has said that there was a treatment.
    matching
        Of this reading's lesions with those of the last one before it.
    """
    if gaps := list(_gaps(present, earlier)):
        return NoProposal(gaps[0])
    (baseline,) = (each for each in earlier if each.role is Role.BASELINE)
    sums = _sums(present, baseline, [each for each in earlier if _day(each) >= _day(baseline)])
    if not sums.targets:
        return NoProposal("no enhancing lesion is measurable at the baseline")
    categories = sums.categories()
    if categories == {Category.PROGRESSION} and sums.volumes.agree(Category.PROGRESSION):
        return sums.proposal(Category.PROGRESSION, RULES[Category.PROGRESSION])
    if isinstance(matching, Matching) and any(_measurable(lesion) for lesion in matching.of(Fate.NEW)):
        return sums.proposal(Category.PROGRESSION, NEW_LESION_RULE)
    if doubts := [*_doubts(sums, matching), *_core_doubts(present.findings)]:
        return NoProposal(doubts[0])
    category = Category.COMPLETE if _nothing_enhances(present.findings) else categories.pop()
    return sums.proposal(category, RULES[category])


def burden(findings: Findings, targets: int) -> Burden:
    """Sum the products of the largest measurable enhancing parts; see `Burden`.

    Parameters
    ----------
    findings
        Of one reading.
    targets
        How many are followed.
    """
    parts = [part.diameters for lesion in findings.lesions for part in lesion.enhancing]
    measurable = sorted((one.product_mm2 for one in parts if one.measurable), reverse=True)[:targets]
    others = sorted((one.product_mm2 for one in parts if not one.measurable), reverse=True)
    least = sum(measurable)
    return Burden(least, least + sum(others[: targets - len(measurable)]))


def category_of(now_mm2: float, *, nadir_mm2: float, baseline_mm2: float) -> Category:
    """Category of a sum of products by the thresholds alone; a progression goes before a response."""
    if now_mm2 > nadir_mm2 and now_mm2 >= PROGRESSION * nadir_mm2:
        return Category.PROGRESSION
    return Category.PARTIAL if now_mm2 <= RESPONSE * baseline_mm2 else Category.STABLE


def _day(timepoint: Timepoint) -> date:
    return timepoint.studied_on or date.max


@dataclass(frozen=True)
class _Volumes:
    """Of enhancing tumour, ml, at the times that matter."""

    baseline: float
    nadir: float
    now: float

    def agree(self, category: Category) -> bool:
        """Whether they do not contradict a category by sums of products."""
        if category is Category.PROGRESSION:
            return self.now >= (1 + REPEATED) * self.nadir
        if category is Category.PARTIAL:
            return self.now <= (1 - REPEATED) * self.baseline
        return VOLUME_RESPONSE * self.baseline < self.now < VOLUME_PROGRESSION * self.nadir


@dataclass(frozen=True)
class _Sums:
    """Of the followed lesions, at the times that matter."""

    targets: int
    baseline: Burden
    nadir: Burden
    now: Burden
    volumes: _Volumes

    def categories(self) -> set[Category]:
        """Every category that the sums may mean."""
        return {
            category_of(now, nadir_mm2=nadir, baseline_mm2=self.baseline.most_mm2)
            for now in (self.now.least_mm2, self.now.most_mm2)
            for nadir in (self.nadir.least_mm2, self.nadir.most_mm2)
        }

    def proposal(self, category: Category, rule: str) -> Proposal:
        sums = (self.baseline.most_mm2, self.nadir.most_mm2, self.now.most_mm2)
        return Proposal(category, rule, self.targets, *sums)


def _gaps(present: Timepoint, earlier: Sequence[Timepoint]) -> Iterator[str]:
    """Tell what is not known and must be, the most fundamental first."""
    baselines = [each for each in earlier if each.role is Role.BASELINE]
    if not baselines:
        yield "treatment not known"
        return
    if len(baselines) > 1:
        yield f"{len(baselines)} readings are said to be the baseline"
    if not all(each.studied_on for each in (*earlier, present)):
        yield "the date of a study is not known, so neither is the nadir"
        return
    course = [*(each for each in earlier if _day(each) >= _day(baselines[0])), present]
    if max(map(_day, course)) > _day(present):
        yield "a reading of the course is later than this one"
    if not all(each.with_contrast for each in course):
        yield "T1 with contrast is missing at one time, so enhancing tumour is not known"
    if len({each.models for each in course}) > 1:
        yield "the readings were made by different models; read the earlier studies again"


def _doubts(sums: _Sums, matching: Matching | Unmatched) -> Iterator[str]:
    """Tell what speaks against a category that is no progression."""
    if isinstance(matching, Unmatched):
        yield f"whether lesions are new is not known, since they were not matched: {matching.reason}"
        return
    if matching.of(Fate.NEW):
        yield "a new lesion is too small to be measured or does not enhance; a reader must judge it"
    if any(lesion.now for lesion in matching.of(Fate.NOT_SHOWN)):
        yield "a lesion lies where the earlier study shows nothing, so it may be new or not"
    categories = sums.categories()
    if len(categories) > 1:
        yield "a target is too small to be measured, and the sums may be on either side of a threshold"
    if not all(sums.volumes.agree(category) for category in categories):
        yield "the sum of products and the volume of enhancing tumour contradict each other; a reader must measure"


def _core_doubts(findings: Findings) -> Iterator[str]:
    """Tell if enhancing tumour that the network was not sure of may have been left to the core."""
    if findings.volume_ml[Region.ET] == 0 and findings.volume_ml[Region.TC] > 0:
        yield "no part of the core is surely enhancing any more, and some may be; a reader must look"


def _sums(present: Timepoint, baseline: Timepoint, course: Sequence[Timepoint]) -> _Sums:
    parts = [part for lesion in baseline.findings.lesions for part in lesion.enhancing]
    targets = min(MAX_TARGETS, sum(part.diameters.measurable for part in parts))
    burdens = [burden(each.findings, targets) for each in course]
    nadir = Burden(min(one.least_mm2 for one in burdens), min(one.most_mm2 for one in burdens))
    enhancing_ml = [each.findings.volume_ml[Region.ET] for each in (baseline, *course, present)]
    volumes = _Volumes(enhancing_ml[0], min(enhancing_ml[:-1]), enhancing_ml[-1])
    return _Sums(targets, burden(baseline.findings, targets), nadir, burden(present.findings, targets), volumes)


def _measurable(lesion: LesionChange) -> bool:
    return any(part.diameters.measurable for one in lesion.now for part in one.enhancing)


def _nothing_enhances(findings: Findings) -> bool:
    """Whether no enhancing voxel is listed, and nothing is too small to be listed."""
    return findings.volume_ml[Region.ET] == 0 and findings.dropped == 0
