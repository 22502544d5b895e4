"""Augmentation: every number of what a training patch may go through."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

Range = tuple[float, float]


@dataclass(frozen=True)
class Augmentation:
    """How far a training patch may differ from the case it is cut from.

    A ``share`` is a probability of 0 to 1. Axes are K, J, I: upwards, backwards and leftwards on the canonical grid.
    Most effects and their sizes follow nnU-Net (Isensee 2021); the rest is what hospital studies show.

    Parameters
    ----------
    jitter
        Largest distance of the chosen voxel from the patch's centre along an axis, as a share of the patch's edge.
    rotation_share, rotation_deg
        Patches that are turned, and the largest angle about each axis.
    scale, stretch
        Largest relative change of size in common, and of each axis on top.
    flip_shares
        Mirrored along K, J, I; left and right are exchanged most often.
    elastic_share, elastic_mm, elastic_spacing_mm
        Patches that are bent, the largest shift of a control point along each axis, and the control points' distance.
    misregistered_share, misregistered_mm, misregistered_deg
        Patches in which one sequence lies wrong, the largest error at any voxel, and the largest angle.
    cut_share, cut_extent
        Patches in which one sequence's field of view ends, and the largest share of the edge that is lost.
    unenhanced_share
        Patches whose tumour loses its enhancement.
    solid_share, levelled
        Of these, the share in which all of the tumour is core, and how far what was core comes to look like the rest.
    faint_share, faint
        Patches with a fainter tumour, and the share of its contrast against healthy brain that stays in a sequence.
    remap_share, remap_strength
        Sequences whose intensities pass a random monotone curve, and the deviation of its slope's logarithm.
    gamma_share, inverted_gamma_share, gamma
        Sequences that get a gamma curve, that get it on inverted intensities, and its exponents.
    fat_suppressed_share, fat_suppressed_slope
        T1c that shows the contrast within healthy brain weaker, as fat suppression does, and by what factor.
    contrast_share, contrast, brightness
        Sequences that are scaled and shifted against the rest, the factors, and the largest shift in deviations.
    bias_share, bias
        Sequences under a smooth multiplicative field, and the largest logarithm of a control point.
    noise_share, noise
        Sequences with noise, and its largest deviation in those of the brain.
    blur_share, blur_mm
        Sequences that are smoothed, and the Gaussian's deviation.
    low_resolution_share, low_resolution_mm
        Sequences with larger voxels, and their edge.
    thick_share, thick_sequence_share, thick_axis_shares, thick_mm, thick_coverage
        Studies of thick slices, the share of sequences in them that are thick, along which axis, the distance from
        slice to slice, and how much of it a slice covers (less than 1 is a gap).
    mask_share, mask_error_mm
        Patches with an imperfect brain mask, and the most that it is off along the border.
    missing_share, missing_mm, missing_radius_mm
        Of these, the share that lacks a piece of brain, how deep at most, and how wide.
    leftover_share
        Of these, the share where what lies outside the brain was left standing.
    unserved_weight
        How likely a subset with neither T1c nor FLAIR is, against any other; serving refuses it.
    """

    jitter: float = 0.25
    rotation_share: float = 0.6
    rotation_deg: float = 25.0
    scale: float = 0.25
    stretch: float = 0.06
    flip_shares: tuple[float, float, float] = (0.15, 0.15, 0.5)
    elastic_share: float = 0.25
    elastic_mm: float = 5.0
    elastic_spacing_mm: float = 24.0
    misregistered_share: float = 0.2
    misregistered_mm: float = 2.0
    misregistered_deg: float = 2.0
    cut_share: float = 0.04
    cut_extent: float = 0.5
    unenhanced_share: float = 0.15
    solid_share: float = 0.3
    levelled: Range = (0.3, 1.0)
    faint_share: float = 0.35
    faint: Range = (0.25, 1.0)
    remap_share: float = 0.5
    remap_strength: float = 0.6
    gamma_share: float = 0.3
    inverted_gamma_share: float = 0.15
    gamma: Range = (0.7, 1.5)
    fat_suppressed_share: float = 0.1
    fat_suppressed_slope: Range = (0.35, 0.8)
    contrast_share: float = 0.5
    contrast: Range = (0.75, 1.3)
    brightness: float = 0.25
    bias_share: float = 0.25
    bias: float = 0.3
    noise_share: float = 0.25
    noise: float = 0.25
    blur_share: float = 0.15
    blur_mm: Range = (0.5, 1.2)
    low_resolution_share: float = 0.1
    low_resolution_mm: Range = (1.2, 2.5)
    thick_share: float = 0.35
    thick_sequence_share: float = 0.7
    thick_axis_shares: tuple[float, float, float] = (0.7, 0.15, 0.15)
    thick_mm: Range = (2.0, 6.0)
    thick_coverage: Range = (0.8, 1.0)
    mask_share: float = 0.3
    mask_error_mm: float = 3.0
    missing_share: float = 0.3
    missing_mm: float = 12.0
    missing_radius_mm: Range = (6.0, 16.0)
    leftover_share: float = 0.4
    unserved_weight: float = 0.25

    # Read by pydantic: a misspelt key must not pass for a default.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
