"""Search for the rigid map of greatest normalised mutual information between two levels.

Powell's method (Powell 1964, Comput J 7:155) in SciPy; it needs no gradient, and one evaluation is under a millisecond.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from zweitblick.errors import RegistrationError
from zweitblick.register.information import Information, Samples
from zweitblick.register.level import Level
from zweitblick.volume import Bool, Float64, Volume, transformed

RADIUS_MM = 70.0
"""A radian moves the brain's surface by about this much: makes turns and shifts commensurable."""

SAMPLES = 40_000
"""Places at which the two images are compared, at most."""

TOLERANCE = 1e-3
"""Powell ends when a round of all directions changes the information by less, relatively. SciPy searches each line
to 100 times its ``xtol``."""

LINE_TOLERANCE = 1e-4

REMEDY = "check that both show the same head, or leave one out"


def refined(fixed: Level, moving: Level, start: Float64, *, step_mm: float, seed: int) -> Float64:
    """Climb from ``start`` to the nearest maximum of the information.

    Parameters
    ----------
    fixed, moving
        Both images at one resolution.
    start
        ``(4, 4)`` map from the fixed image's LPS mm to the moving one's.
    step_mm
        First step along each direction.
    seed
        Of the sampling.

    Returns
    -------
    Float64
        ``(4, 4)`` map of the same kind.

    Raises
    ------
    RegistrationError
        If the two images do not meet at the start.
    """
    information = Information(Samples.between_voxels(fixed, fixed.region, SAMPLES, seed), moving)
    if not information.meets(start):
        raise apart(fixed, moving, start)
    found = minimize(
        lambda steps: -information(start @ _motion(steps, fixed.center_lps)),
        np.zeros(6),
        method="Powell",
        options={"direc": np.eye(6) * step_mm, "ftol": TOLERANCE, "xtol": LINE_TOLERANCE},
    )
    return np.asarray(start @ _motion(found.x, fixed.center_lps), np.float64)


def apart(fixed: Level, moving: Level, start: Float64) -> RegistrationError:
    """Say that two images do not meet under a map."""
    apart_mm = float(np.linalg.norm(transformed(start, fixed.center_lps) - moving.center_lps))
    return RegistrationError(
        f"two series cannot be compared from where their heads lie {apart_mm:.0f} mm apart; {REMEDY}"
    )


def carried(mask: Bool, fixed: Level, moving: Level, moving_from_fixed: Float64) -> Bool:
    """Mask of the moving level, ``(K, J, I)`` bool, on the fixed level's grid."""
    own = Volume(mask.astype(np.float32), moving.volume.grid)
    there = own.resampled(fixed.volume.grid, own_from_grid_lps=moving_from_fixed)
    return np.asarray(there.voxels > 0.5, np.bool_)


def _motion(steps: Float64, center_lps: Float64) -> Float64:
    """Turn about a centre and shift, six numbers in mm: the turns as the way of a point `RADIUS_MM` from the centre."""
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(steps[:3] / RADIUS_MM).as_matrix()
    motion[:3, 3] = center_lps + steps[3:] - motion[:3, :3] @ center_lps
    return motion
