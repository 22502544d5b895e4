"""Search for the rigid map of greatest normalised mutual information between two levels.

BFGS (Nocedal and Wright, Numerical Optimization, 2006, section 6.1) in SciPy with exact derivatives: a climb takes some
twenty evaluations, where searching along one direction after the other takes two hundred. Not L-BFGS-B, whose tiny
matrices wake OpenBLAS's threads, which then keep the other cores busy.
"""

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from zweitblick.errors import RegistrationError
from zweitblick.register.information import Information, Samples
from zweitblick.register.level import Level
from zweitblick.volume import Bool, Float64, Volume, transformed

RADIUS_MM = 70.0
"""A radian moves the brain's surface by about this much: makes turns and shifts commensurable."""

SAMPLES = 80_000
"""Places at which the two images are compared, at most."""

TOLERANCE = 1e-7
"""A climb ends when a step gains less than this, relatively, times the square of a voxel's edge in mm: near a maximum
the gain falls with the square of the way. A third of it makes no result better."""

FLAT = 1e-6
"""It ends as well when no direction promises more on the way of a first step."""

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
        Length of the first step.
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
    center, scale, before = fixed.center_lps, 1.0, 0.0

    def cost(steps: Float64) -> tuple[float, Float64]:
        motion, slopes = _motion(steps * step_mm, center)
        value, by_map = information.with_gradient(start @ motion)
        by_steps = np.tensordot(start[:3, :3] @ slopes, by_map, 2)
        return -value * scale, -by_steps * step_mm * scale

    def stop_where_flat(intermediate_result: OptimizeResult) -> None:
        nonlocal before
        before, gained = intermediate_result.fun, before - intermediate_result.fun
        if gained < TOLERANCE * fixed.volume.spacing_mm[0] ** 2 * scale:
            raise StopIteration

    before, slope = cost(np.zeros(6))
    scale = 1 / max(float(np.linalg.norm(slope)), FLAT)  # so that the first step has the length it should
    before *= scale
    found = minimize(
        cost, np.zeros(6), method="BFGS", jac=True, callback=stop_where_flat, options={"gtol": FLAT * scale}
    )
    return np.asarray(start @ _motion(found.x * step_mm, center)[0], np.float64)


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


def _motion(steps: Float64, center_lps: Float64) -> tuple[Float64, Float64]:
    """Turn about a centre and shift, ``(4, 4)``, and what each of six numbers changes in its upper rows, ``(6, 3, 4)``.

    The numbers are mm: the turns about x, y and z the way of a point `RADIUS_MM` from the centre, then the shifts. A
    turn vector that grows by d turns on by J d (J the left Jacobian; Solà 2018, arXiv 1812.01537, eq. 145).
    """
    vector = steps[:3] / RADIUS_MM
    angle = float(np.linalg.norm(vector))
    axis = vector / angle if angle else vector
    cross, along = _crossing(axis), np.outer(axis, axis)
    turn = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * along
    sine, rest = (np.sin(angle) / angle, (1 - np.cos(angle)) / angle) if angle else (1.0, 0.0)
    onward = sine * np.eye(3) + (1 - sine) * along + rest * cross
    motion, slopes = np.eye(4), np.zeros((6, 3, 4))
    motion[:3, :3], motion[:3, 3] = turn, center_lps + steps[3:] - turn @ center_lps
    for number, further in enumerate(onward.T):
        slopes[number, :, :3] = _crossing(further) @ turn / RADIUS_MM
    slopes[:3, :, 3] = -slopes[:3, :, :3] @ center_lps
    slopes[3:, :, 3] = np.eye(3)
    return motion, slopes


def _crossing(vector: Float64) -> Float64:
    """Matrix that takes the cross product with a vector."""
    x, y, z = vector
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
