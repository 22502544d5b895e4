"""What a volume must show to be aligned at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from register.head import rigid, scan
from zweitblick.errors import RegistrationError
from zweitblick.register.level import level
from zweitblick.volume import Grid, Volume, axis_aligned_grid

GRID = axis_aligned_grid((0, 0, 0), (30, 38, 34), 6.0)
TURNED = Grid(GRID.shape, rigid((17, 5, -11), (0, 0, 0)) @ GRID.lps_from_index)


@pytest.mark.parametrize("spacing_mm", [6.0, 3.0])
@pytest.mark.parametrize("grid", [GRID, TURNED], ids=["straight", "turned"])
@pytest.mark.parametrize("value", [0.0, 0.1, 100.0, -7.0, 3e38])
def test_one_grey_value_is_no_head(value: float, grid: Grid, spacing_mm: float) -> None:
    with pytest.raises(RegistrationError, match="one grey value"):
        level(Volume(np.full(grid.shape, value, np.float32), grid), spacing_mm)


def test_grey_values_below_zero_are_no_head() -> None:
    with pytest.raises(RegistrationError, match="not positive"):
        level(Volume(scan(GRID).voxels - 1000, GRID), 6.0)


def test_a_shell_around_a_deep_hole_is_no_head() -> None:
    """The hole belongs to the head, whose mean it draws below zero: nothing to divide a shading by."""
    hollow = np.zeros(GRID.shape, np.float32)
    hollow[5:25, 5:33, 5:29] = 100
    hollow[8:22, 8:30, 8:26] = -5000
    with pytest.raises(RegistrationError, match="mean grey value is -"):
        level(Volume(hollow, GRID), 6.0)


def test_one_slice_is_too_thin() -> None:
    sheet = Grid((1, 38, 34), TURNED.lps_from_index)
    with pytest.raises(RegistrationError, match="too thin"):
        level(Volume(scan(sheet).voxels, sheet), 6.0)


@settings(max_examples=20, deadline=None)
@given(exponent=st.floats(-30, 35))
def test_the_unit_of_the_grey_values_does_not_matter(exponent: float) -> None:
    head = scan(GRID)
    factor = 10.0**exponent
    one, other = level(head, 6.0), level(Volume((head.voxels * factor).astype(np.float32), GRID), 6.0)
    assert (one.foreground != other.foreground).mean() < 1e-3
    np.testing.assert_allclose(other.volume.voxels / factor, one.volume.voxels, rtol=0.01, atol=1.0)
