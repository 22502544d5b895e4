"""What to synthesise, and the truth about what was synthesised.

Head coordinates are ICBM 152 (MNI) space turned to LPS: x to the left, y to the back, z to the head, in mm; the
midsagittal plane is x = 0 and the origin the anterior commissure (Fonov 2011). The scanned head is 7 % smaller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from zweitblick.findings import Side
from zweitblick.prediction import Region
from zweitblick.study import Sequence
from zweitblick.volume import Float64, Grid, Volume

Triple = tuple[float, float, float]


class Plane(StrEnum):
    """How the slices lie in the patient."""

    AXIAL = "axial"
    SAGITTAL = "sagittal"
    CORONAL = "coronal"
    OBLIQUE = "oblique"
    """Axial, tilted about all three axes, as a technician aligns slices with the corpus callosum."""


@dataclass(frozen=True)
class SampleLesion:
    """A ring-enhancing lesion: necrotic core in an enhancing rim in oedema.

    Parameters
    ----------
    center_mm
        In head coordinates (LPS, mm); negative x is the patient's right.
    core_mm, rim_mm, oedema_mm
        Mean outer radii of the three, growing.
    irregularity
        Relative variation of the radii over direction, 0 for spheres.
    """

    center_mm: Triple = (-36.0, -30.0, 30.0)
    core_mm: float = 10.0
    rim_mm: float = 15.5
    oedema_mm: float = 26.0
    irregularity: float = 0.15


@dataclass(frozen=True)
class SampleSpec:
    """A synthetic study; equal specs give equal bytes.

    Parameters
    ----------
    lesion
        None draws a healthy head.
    plane
        Of all four series; T2 and FLAIR are tilted a little more than T1, as in clinical studies.
    from_top
        Instance Number grows against the slice normal instead of along it.
    slice_mm
        Distance of slice centres; slices are 90 % of it thick, the rest is gap.
    pixel_mm
        Distance of pixel centres in the plane for T1 and T1c; T2 and FLAIR are 5 % finer.
    head_mm, head_deg
        Where the head lies in the scanner: shift along and turn about x, y and z.
    flair_motion_mm, flair_motion_deg
        Further movement before FLAIR. Where it is not zero FLAIR has its own frame of reference.
    noise
        Standard deviation of the receiver noise relative to white matter.
    seed
        Of everything random, UIDs included.
    day
        Days after the first study of this head, whose date is fixed.
    """

    lesion: SampleLesion | None = field(default_factory=SampleLesion)
    plane: Plane = Plane.OBLIQUE
    from_top: bool = False
    slice_mm: float = 5.0
    pixel_mm: float = 0.94
    head_mm: Triple = (3.0, -14.0, 9.0)
    head_deg: Triple = (3.0, -1.5, 2.0)
    flair_motion_mm: Triple = (0.0, 0.0, 0.0)
    flair_motion_deg: Triple = (0.0, 0.0, 0.0)
    noise: float = 0.025
    seed: int = 0
    day: int = 0

    @property
    def identity(self) -> str:
        """Everything that makes this study another one; UIDs are made from it, the first day's without a day."""
        return repr(self).replace(", day=0)", ")")


GROWTH = 1.15
"""Of the lesion's radii in a follow-up: half more volume, where brain's border leaves room for it."""


def follow_up(spec: SampleSpec, *, day: int = 90) -> SampleSpec:
    """Return the same head some days later, lying otherwise in the scanner, its lesion grown by `GROWTH`."""
    lesion = spec.lesion and replace(
        spec.lesion,
        core_mm=spec.lesion.core_mm * GROWTH,
        rim_mm=spec.lesion.rim_mm * GROWTH,
        oedema_mm=spec.lesion.oedema_mm * GROWTH,
    )
    return replace(spec, lesion=lesion, head_mm=(-4.0, -9.0, 15.0), head_deg=(-2.0, 3.0, -4.0), day=day)


@dataclass(frozen=True, eq=False)
class SampleSeries:
    """One series that was written.

    Parameters
    ----------
    sequence
        Which of the four it is.
    folder
        Holds its Part 10 files and nothing else.
    uid, number
        Series Instance UID and Series Number.
    grid
        Where its voxels lie, ``k`` along Instance Number.
    own_from_truth_lps
        ``(4, 4)`` rigid map from the truth's LPS mm to this series' own; identity unless FLAIR moved.
    """

    sequence: Sequence
    folder: Path
    uid: str
    number: int
    grid: Grid
    own_from_truth_lps: Float64


@dataclass(frozen=True, eq=False)
class SampleTruth:
    """What a perfect reader would find.

    Parameters
    ----------
    labels
        0 none, 1 core, 2 oedema, 3 enhancing on a 1 mm LPS grid over the whole head, in T1's frame of reference.
    brain
        1 inside the brain (cortex, white matter, ventricles and sulci), on the same grid.
    volume_ml
        Of ET, TC and WT.
    center_lps
        Centroid of the whole tumour, LPS mm; None in a healthy head.
    side
        Side of that centroid; None in a healthy head.
    head_from_lps
        ``(4, 4)`` map from LPS mm to head coordinates (turn, shift, scale), whose x = 0 is the midsagittal plane.
    series
        The four series.
    """

    labels: Volume
    brain: Volume
    volume_ml: Mapping[Region, float]
    center_lps: Triple | None
    side: Side | None
    head_from_lps: Float64
    series: Mapping[Sequence, SampleSeries]
