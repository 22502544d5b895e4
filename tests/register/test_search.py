"""The motion that is searched, against SciPy's rotations and finite differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from zweitblick.register.search import RADIUS_MM, _motion

CENTER = np.array([12.0, -30.0, 45.0])
STEPS = hnp.arrays(np.float64, 6, elements=st.floats(-80, 80))


@settings(max_examples=50)
@given(STEPS)
def test_it_turns_about_the_centre_and_shifts(steps: np.ndarray) -> None:
    motion, _ = _motion(steps, CENTER)
    turn = Rotation.from_rotvec(steps[:3] / RADIUS_MM).as_matrix()
    np.testing.assert_allclose(motion[:3, :3], turn, atol=1e-12)
    np.testing.assert_allclose(motion[:3, :3] @ CENTER + motion[:3, 3], CENTER + steps[3:], atol=1e-9)


@settings(max_examples=50)
@given(STEPS)
def test_its_slopes_are_those_of_finite_differences(steps: np.ndarray) -> None:
    _, slopes = _motion(steps, CENTER)
    for number, nudge in enumerate(1e-4 * np.eye(6)):
        change = (_motion(steps + nudge, CENTER)[0] - _motion(steps - nudge, CENTER)[0])[:3] / 2e-4
        np.testing.assert_allclose(slopes[number], change, atol=1e-7)


def test_no_motion_is_none_to_the_last_bit() -> None:
    motion, slopes = _motion(np.zeros(6), CENTER)
    assert np.array_equal(motion, np.eye(4))
    assert slopes[0, 2, 1] == pytest.approx(1 / RADIUS_MM)
