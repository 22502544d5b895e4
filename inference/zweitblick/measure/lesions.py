"""Findings of a prediction: one lesion per connected part of the whole tumour.

Every rule is given in ``docs/measurements.md``.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from zweitblick.findings import DiameterBasis, Diameters, EnhancingPart, Findings, Lesion
from zweitblick.measure.component import Component, components
from zweitblick.measure.diameters import diameters
from zweitblick.measure.place import place
from zweitblick.prediction import REGIONS, Prediction, Region
from zweitblick.volume import Bool


def measure(
    prediction: Prediction,
    *,
    slice_distance_mm: Mapping[DiameterBasis, float],
    reporting_limit_ml: float,
    validated_ml: float | None,
) -> Findings:
    """Turn a prediction into what a radiologist signs.

    Parameters
    ----------
    prediction
        Probabilities on a grid whose slices are axial; the midsagittal plane comes from its ``head_from_lps``.
    slice_distance_mm
        Of the acquired series that each basis is seen on; decides what is measurable (Wen 2010).
    reporting_limit_ml
        Lesions below this volume are counted and summed as dropped, not listed.
    validated_ml
        From this size on the model found nine in ten lesions in validation; None if that is not known.

    Returns
    -------
    Findings
        Lesions by 26-connectivity of WT, largest first; volumes in ml, lengths in mm, points in LPS mm.
    """
    found = components(prediction.mask(Region.WT), prediction.grid)
    kept = [each for each in found if each.volume_ml >= reporting_limit_ml]
    lesions = tuple(_lesion(number, each, prediction, slice_distance_mm) for number, each in enumerate(kept, 1))
    return Findings(
        lesions=lesions,
        volume_ml=_summed(lesions),
        sum_of_products_mm2=sum(_product_mm2(lesion) for lesion in lesions),
        reporting_limit_ml=reporting_limit_ml,
        validated_ml=validated_ml,
        dropped=len(found) - len(kept),
        dropped_ml=sum(each.volume_ml for each in found[len(kept) :]),
        brain_ml=float(np.count_nonzero(prediction.brain)) * prediction.grid.voxel_ml,
    )


def _lesion(
    number: int, whole: Component, prediction: Prediction, slice_distance_mm: Mapping[DiameterBasis, float]
) -> Lesion:
    enhancing = _enhancing(whole, prediction, slice_distance_mm[DiameterBasis.ENHANCING])
    where = place(whole.points_lps, prediction.head_from_lps)
    probability = prediction.probabilities[(REGIONS.index(Region.WT), *whole.box)]
    return Lesion(
        number=number,
        volume_ml={region: _volume_ml(region, whole, prediction) for region in REGIONS},
        center_lps=whole.center_lps,
        side=where.side,
        midline_mm=where.midline_mm,
        crosses_midline=where.crosses_midline,
        max_3d_mm=whole.max_3d_mm,
        diameters=_diameters(whole, enhancing, slice_distance_mm[DiameterBasis.WHOLE_TUMOUR]),
        enhancing=enhancing,
        mean_probability=float(probability[whole.mask].mean(dtype=np.float64)),
    )


def _within(region: Region, whole: Component, prediction: Prediction) -> Bool:
    """Voxels of a region that lie in a lesion, on the lesion's own box."""
    probability = prediction.probabilities[(REGIONS.index(region), *whole.box)]
    return np.asarray((probability >= prediction.threshold) & whole.mask, np.bool_)


def _volume_ml(region: Region, whole: Component, prediction: Prediction) -> float:
    return float(np.count_nonzero(_within(region, whole, prediction))) * whole.grid.voxel_ml


def _enhancing(whole: Component, prediction: Prediction, slice_distance_mm: float) -> tuple[EnhancingPart, ...]:
    return tuple(
        EnhancingPart(
            volume_ml=part.volume_ml,
            center_lps=part.center_lps,
            diameters=diameters(part, DiameterBasis.ENHANCING, slice_distance_mm=slice_distance_mm),
        )
        for part in components(_within(Region.ET, whole, prediction), whole.grid)
    )


def _diameters(whole: Component, enhancing: Sequence[EnhancingPart], slice_distance_mm: float) -> Diameters:
    """Those of the largest enhancing part, or on T2/FLAIR where nothing enhances (Wen 2023)."""
    if enhancing:
        return enhancing[0].diameters
    return diameters(whole, DiameterBasis.WHOLE_TUMOUR, slice_distance_mm=slice_distance_mm)


def _summed(lesions: Sequence[Lesion]) -> Mapping[Region, float]:
    return {region: sum(lesion.volume_ml[region] for lesion in lesions) for region in REGIONS}


def _product_mm2(lesion: Lesion) -> float:
    return sum(part.diameters.product_mm2 for part in lesion.enhancing if part.diameters.measurable)
