"""One case, read by the code that serves and scored on the grid of its own images."""

import hashlib
import inspect
from collections.abc import Mapping
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from zweitblick.errors import MissingSequenceError
from zweitblick.model.brain_mask import brain_mask
from zweitblick.model.bundle import Bundle, Bundles
from zweitblick.model.certainty import without_doubtful_enhancement
from zweitblick.model.prepare import Prepared
from zweitblick.model.specks import without_specks
from zweitblick.model.windows import Windowed
from zweitblick.pipeline import outlined, prepared_head, reference_of
from zweitblick.prediction import REGIONS, Prediction, Region
from zweitblick.reading import Alignment
from zweitblick.study import Sequence
from zweitblick.volume import Bool, Float64
from zweitblick_training.cases import case_key, outline_from_reference, preparation_digest
from zweitblick_training.datasets import RawCase, drawn_on
from zweitblick_training.datasets.packed import respaced
from zweitblick_training.evaluate.box import tumour_box
from zweitblick_training.evaluate.record import Asked, CaseScore, Refused
from zweitblick_training.evaluate.subsets import ALL, Subset
from zweitblick_training.scores import (
    Histogram,
    RegionScore,
    dice,
    hd95_mm,
    lesion_scores,
    lesion_wise,
    region_mask,
    score_region,
)
from zweitblick_training.source_code import code


def network_key(tumour: Bundle, brain_mask: Bundle) -> str:
    """Name the networks, the arithmetic that runs them and the code about them: whatever may give other scores."""
    networks = [f"{one.digest} {one.runtime}" for one in (tumour, brain_mask)]
    return hashlib.sha256("\n".join((*networks, answering_digest())).encode()).hexdigest()[:16]


@cache
def answering_digest() -> str:
    """Digest of the code that decides what is outlined and how it is scored; comments and docstrings do not count."""
    outlining = (outlined, brain_mask, without_specks, without_doubtful_enhancement, Windowed, Prediction)
    scoring = (CaseReader, tumour_box, score_region, lesion_scores, lesion_wise, hd95_mm, dice, Histogram)
    modules = map(inspect.getmodule, (*outlining, *scoring))
    return hashlib.sha256("\n".join((preparation_digest(), *map(code, modules))).encode()).hexdigest()


class CaseReader:
    """One case before the networks; what subsets of its sequences share is done once for all.

    Parameters
    ----------
    case
        The case.
    bundles
        The networks.
    """

    def __init__(self, case: RawCase, bundles: Bundles) -> None:
        self._raw = case
        self._bundles = bundles
        self._laid: dict[Sequence, tuple[Prepared, Mapping[Sequence, Alignment]]] = {}

    def question(self, subset: Subset = ALL) -> Asked:
        """Say what is asked when the case is read from a subset; sequences that it lacks are not part of it."""
        there = frozenset(self._raw.volumes)
        return Asked(
            name=self._raw.name,
            patient=self._raw.patient,
            source=self._raw.source,
            site=self._raw.site,
            subset=there & subset,
            everything=there <= subset,
            network=network_key(self._bundles.tumour, self._bundles.brain_mask),
            case=self._key,
        )

    def score(self, subset: Subset = ALL) -> CaseScore | Refused:
        """Outline the case as ``zweitblick segment`` would and score the regions that its experts drew.

        Only what is read from everything there is has all scores; the others have what can be counted in voxels.

        Returns
        -------
        CaseScore or Refused
            Refused if neither T1c nor FLAIR is among the sequences shown.

        Raises
        ------
        NotAHeadError, VoxelError, RegistrationError
            If serving cannot read the case.
        """
        asked = self.question(subset)
        try:
            prediction = self.prediction(subset)
        except MissingSequenceError as error:
            return Refused(asked, str(error))
        return _measured(asked, self.case, prediction) if asked.everything else _counted(asked, self.case, prediction)

    def prediction(self, subset: Subset = ALL) -> Prediction:
        """Outline the case from a subset, as `zweitblick.pipeline.segment` does but for the midline.

        Returns
        -------
        Prediction
            In the patient coordinates of the sequence that the experts drew on, whether it was shown or not.

        Raises
        ------
        MissingSequenceError, NotAHeadError, VoxelError, RegistrationError
            See `zweitblick.pipeline.segment`.
        """
        shown = {sequence: volume for sequence, volume in self.case.volumes.items() if sequence in subset}
        reference = reference_of(shown)
        prepared, _ = self._laid_on(reference)
        probabilities = outlined(prepared.only(shown), self._bundles.tumour)
        return Prediction(probabilities, prepared.brain, prepared.grid).carried(self._outline_from(reference))

    @cached_property
    def case(self) -> RawCase:
        """The case; where its spacing was a guess, the height of the brain corrects it, as in training."""
        if self._raw.spacing_known:
            return self._raw
        reference = self._raw.volumes[reference_of(self._raw.volumes)]
        return respaced(self._raw, brain_mask(reference, self._bundles.brain_mask.network))

    @cached_property
    def _key(self) -> str:
        """Digest of the case as it was read: a corrected outline is another case."""
        return case_key(self._raw, self._bundles.brain_mask.digest)

    def _outline_from(self, reference: Sequence) -> Float64:
        """Map from a reference's LPS mm to those of the experts' outline.

        It is what alignment with all of the case says, so that the outline lies in one place for every subset.
        """
        drawn = drawn_on(self.case.labels, self.case.volumes)
        if reference in drawn:
            return np.eye(4)
        _, alignments = self._laid_on(reference_of(self.case.volumes))
        moves = {sequence: alignment.moving_from_reference_lps for sequence, alignment in alignments.items()}
        return np.asarray(outline_from_reference(self.case, moves) @ np.linalg.inv(moves[reference]), np.float64)

    def _laid_on(self, reference: Sequence) -> tuple[Prepared, Mapping[Sequence, Alignment]]:
        """Prepare all sequences that may come with a reference: T1c, when it is there, is the reference itself."""
        if reference not in self._laid:
            others = {
                sequence: volume
                for sequence, volume in self.case.volumes.items()
                if reference is Sequence.T1C or sequence is not Sequence.T1C
            }
            self._laid[reference] = prepared_head(others, self._bundles)
        return self._laid[reference]


def evaluate_case(case: RawCase, bundles: Bundles, subset: Subset = ALL) -> CaseScore | Refused:
    """Score one case from one subset; see `CaseReader.score`."""
    return CaseReader(case, bundles).score(subset)


def _measured(asked: Asked, case: RawCase, prediction: Prediction) -> CaseScore:
    """Say everything that can be said."""
    grid = case.labels.grid
    spacing_mm = grid.spacing_mm if case.spacing_known else None
    found = prediction.resampled(grid)
    truths = _truths(case, case.labels.voxels.astype(np.uint8))
    return CaseScore(
        asked,
        {region: score_region(found.mask(region), truth, spacing_mm) for region, truth in truths.items()},
        tuple(lesion_scores(found.mask(Region.WT), truths[Region.WT], grid.voxel_ml)) if case.spacing_known else (),
        {region: _histogram(found, region, truth) for region, truth in truths.items()},
    )


def _counted(asked: Asked, case: RawCase, prediction: Prediction) -> CaseScore:
    """Count voxels, and interpolate no more of the head than has tumour in it."""
    box = tumour_box(prediction, case.labels)
    found = prediction.resampled(box.grid)
    regions: dict[Region, RegionScore] = {
        region: score_region(found.mask(region), truth, None)
        for region, truth in _truths(case, box.voxels.astype(np.uint8)).items()
    }
    return CaseScore(asked, regions, (), {})


def _truths(case: RawCase, labels: NDArray[np.uint8]) -> dict[Region, Bool]:
    return {region: region_mask(labels, region) for region in REGIONS if region in case.labelled}


def _histogram(prediction: Prediction, region: Region, truth: Bool) -> Histogram:
    inside = prediction.brain
    return Histogram.of(prediction.probabilities[REGIONS.index(region)][inside], truth[inside])
