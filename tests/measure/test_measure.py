"""Findings against phantoms of known truth, against SimpleITK, and under changes that must not matter."""

import time

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from measure.lesion_phantoms import EMPTY, GRID, ball, box, ellipsoid, prediction
from zweitblick.findings import DiameterBasis, Findings, Lesion, Side
from zweitblick.measure import measure
from zweitblick.measure.diameters import smallest_measurable_mm
from zweitblick.prediction import Prediction, Region
from zweitblick.volume import Grid, axis_aligned_grid

CENTER = tuple(GRID.center_lps.tolist())


def findings(of: Prediction, slice_distance_mm: float = 1.0, reporting_limit_ml: float = 0.01) -> Findings:
    return measure(
        of,
        slice_distance_mm=dict.fromkeys(DiameterBasis, slice_distance_mm),
        reporting_limit_ml=reporting_limit_ml,
        validated_ml=reporting_limit_ml,
    )


def only(of: Prediction, slice_distance_mm: float = 1.0) -> Lesion:
    (lesion,) = findings(of, slice_distance_mm).lesions
    return lesion


def off_center(dx: float, dy: float, dz: float) -> tuple[float, float, float]:
    x, y, z = CENTER
    return x + dx, y + dy, z + dz


@pytest.mark.parametrize("diameter_mm", [6, 12, 20, 30, 40])
@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.3, -0.2, 0.4)])
def test_a_ball(diameter_mm: int, shift: tuple[float, float, float]) -> None:
    center = off_center(*shift)
    lesion = only(prediction(et=ball(center, diameter_mm / 2)))
    assert lesion.volume_ml[Region.ET] == pytest.approx(np.pi / 6 * diameter_mm**3 / 1000, rel=0.02, abs=0.025)
    assert lesion.diameters.major_mm == pytest.approx(diameter_mm, abs=1.0)
    assert lesion.diameters.minor_mm == pytest.approx(diameter_mm, abs=1.0)
    assert lesion.max_3d_mm == pytest.approx(diameter_mm, abs=1.0)
    np.testing.assert_allclose(lesion.center_lps, center, atol=0.1)
    assert lesion.diameters.basis is DiameterBasis.ENHANCING


@pytest.mark.parametrize("turn_deg", [0, 17, 45, 60, 90, 133])
def test_a_turned_ellipsoid(turn_deg: float) -> None:
    """Its largest axial section is the ellipse through its centre; its longest extent lies along z."""
    lesion = only(prediction(et=ellipsoid(off_center(0.2, 0.1, 0), (18, 9, 25), turn_deg)))
    assert lesion.diameters.major_mm == pytest.approx(36, abs=1.0)
    assert lesion.diameters.minor_mm == pytest.approx(18, abs=1.0)
    assert lesion.max_3d_mm == pytest.approx(50, abs=1.0)
    start, end = np.array(lesion.diameters.major_lps)
    along = (end - start) / np.linalg.norm(end - start)
    angle = np.deg2rad(turn_deg)
    assert abs(along @ [np.cos(angle), np.sin(angle), 0]) > np.cos(np.deg2rad(8))


def test_a_block_is_measured_from_edge_to_edge() -> None:
    """24 x 10 mm: the diagonal of 26 mm, and across it the 10 mm seen at the diagonal's slant."""
    lesion = only(prediction(et=box((0, -20, 20), (24, -10, 32))))
    assert lesion.volume_ml[Region.ET] == pytest.approx(24 * 10 * 12 / 1000)
    assert lesion.diameters.major_mm == pytest.approx(26.0, abs=0.6)
    assert lesion.diameters.minor_mm == pytest.approx(10 / np.cos(np.arctan2(10, 24)), abs=0.8)
    assert lesion.max_3d_mm == pytest.approx(np.sqrt(24**2 + 10**2 + 12**2), abs=1.2)


def test_one_voxel_is_one_millimetre() -> None:
    single = EMPTY.copy()
    single[40, 40, 40] = True
    (lesion,) = findings(prediction(et=single), reporting_limit_ml=0.0).lesions
    assert lesion.diameters.major_mm == pytest.approx(1.0)
    assert lesion.diameters.minor_mm == pytest.approx(1.0, abs=0.3)
    assert lesion.max_3d_mm == pytest.approx(1.0)
    assert lesion.volume_ml[Region.WT] == pytest.approx(0.001)


def test_a_ring_is_measured_through_its_wall_never_across_its_core() -> None:
    """Longest way within a wall from 15 to 20 mm touches the core: 2 sqrt(20^2 - 15^2) = 26.5 mm, not 40."""
    whole, core = ball(CENTER, 20), ball(CENTER, 15)
    lesion = only(prediction(et=whole & ~core, core=core, oedema=ball(CENTER, 30)))
    assert lesion.diameters.major_mm == pytest.approx(2 * np.sqrt(20**2 - 15**2), abs=1.5)
    assert lesion.diameters.minor_mm < 10
    assert not lesion.diameters.measurable
    assert lesion.volume_ml[Region.TC] == pytest.approx(4 / 3 * np.pi * 20**3 / 1000, rel=0.01)


def test_diameters_stay_inside_the_tissue_and_cross_at_right_angles() -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(4).standard_normal(GRID.shape), 3)
    rough = ball(CENTER, 30) & (noise > 0.0)
    found = findings(prediction(et=rough)).lesions[0].diameters
    for ends in (found.major_lps, found.minor_lps):
        along = np.linspace(*np.array(ends), 200)
        index = GRID.index(along)
        within = ndimage.map_coordinates(rough.astype(float), index.T, order=1)
        assert within.min() > 0.2
        assert np.ptp(along[:, 2]) == 0
    (a, b), (c, d) = (np.array(ends)[:, :2] for ends in (found.major_lps, found.minor_lps))
    assert abs((b - a) @ (d - c)) < 1e-6 * np.linalg.norm(b - a) * np.linalg.norm(d - c)
    share = np.linalg.solve(np.column_stack([b - a, c - d]), c - a)
    assert (share > -1e-6).all()
    assert (share < 1 + 1e-6).all()
    assert found.minor_mm <= found.major_mm + 0.5


def test_where_nothing_enhances_t2_flair_is_measured() -> None:
    lesion = only(prediction(oedema=ellipsoid(CENTER, (20, 12, 10))))
    assert lesion.diameters.basis is DiameterBasis.WHOLE_TUMOUR
    assert lesion.diameters.major_mm == pytest.approx(40, abs=1.0)
    assert lesion.diameters.minor_mm == pytest.approx(24, abs=1.0)
    assert lesion.enhancing == ()
    assert findings(prediction(oedema=ball(CENTER, 12))).sum_of_products_mm2 == 0


@pytest.mark.parametrize(
    ("slice_distance_mm", "smallest_mm"), [(1.0, 10.0), (5.0, 10.0), (5.5, 11.0), (6.5, 13.0), (7.0, 14.0)]
)
def test_smallest_measurable_length_follows_the_slice_distance(slice_distance_mm: float, smallest_mm: float) -> None:
    assert smallest_measurable_mm(slice_distance_mm) == smallest_mm
    lesion = only(prediction(et=box((0, -20, 20), (24, -8, 32))), slice_distance_mm)
    assert lesion.diameters.measurable == (lesion.diameters.minor_mm >= smallest_mm)
    assert 12 <= lesion.diameters.minor_mm < 14


def test_lesions_and_their_enhancing_parts_come_largest_first_and_add_up() -> None:
    left, right = off_center(25, 0, 0), off_center(-25, 0, 0)
    enhancing = ball(right, 7) | ball(left, 5) | ball(off_center(25, 0, 13), 3)
    found = findings(prediction(et=enhancing, oedema=ball(left, 18) | ball(right, 12)))
    first, second = found.lesions
    assert (first.number, second.number) == (1, 2)
    assert first.volume_ml[Region.WT] > second.volume_ml[Region.WT]
    assert [round(part.diameters.major_mm) for part in first.enhancing] == [11, 7]
    np.testing.assert_allclose(first.enhancing[1].center_lps, off_center(25, 0, 13), atol=0.01)
    for region in Region:
        assert found.volume_ml[region] == pytest.approx(first.volume_ml[region] + second.volume_ml[region])
    assert first.volume_ml[Region.ET] == pytest.approx(sum(part.volume_ml for part in first.enhancing))
    assert [part.diameters.measurable for part in (*first.enhancing, *second.enhancing)] == [True, False, True]
    measured = first.enhancing[0].diameters.product_mm2 + second.enhancing[0].diameters.product_mm2
    assert found.sum_of_products_mm2 == pytest.approx(measured)


def test_parts_that_touch_by_a_corner_are_one_lesion() -> None:
    blocks = EMPTY.copy()
    blocks[10:20, 10:20, 10:20] = True
    blocks[20:30, 20:30, 20:30] = True
    assert len(findings(prediction(oedema=blocks)).lesions) == 1
    blocks[19, 19, 19] = False
    assert len(findings(prediction(oedema=blocks)).lesions) == 2


def test_small_lesions_are_counted_not_listed() -> None:
    found = findings(
        prediction(oedema=ball(CENTER, 10) | ball(off_center(25, 0, 0), 3) | ball(off_center(-25, 0, 0), 2)),
        reporting_limit_ml=0.5,
    )
    assert len(found.lesions) == 1
    assert found.dropped == 2
    true_ml = sum(float(np.count_nonzero(ball(CENTER, radius))) for radius in (3, 2)) / 1000
    assert found.dropped_ml == pytest.approx(true_ml, abs=0.02)
    assert found.volume_ml[Region.WT] == pytest.approx(np.count_nonzero(ball(CENTER, 10)) / 1000)


def test_nothing_found() -> None:
    found = findings(prediction(), reporting_limit_ml=0.3)
    assert found.lesions == ()
    assert found.volume_ml == {Region.ET: 0, Region.TC: 0, Region.WT: 0}
    assert (found.dropped, found.dropped_ml, found.sum_of_products_mm2) == (0, 0, 0)
    assert found.statement == "No glioma-like lesion above 0.3 ml."
    assert found.brain_ml == pytest.approx(np.prod(GRID.shape) / 1000)


def test_mean_probability_is_of_the_lesion_alone() -> None:
    of = prediction(oedema=ball(CENTER, 6), sure=0.75)
    assert only(of).mean_probability == pytest.approx(0.75)


def turned_about_z(angle_deg: float, at_lps: np.ndarray) -> np.ndarray:
    """Head coordinates whose origin is ``at_lps`` and that are turned about z."""
    angle = np.deg2rad(angle_deg)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = -matrix[:3, :3] @ at_lps
    return matrix


@pytest.mark.parametrize("angle_deg", [0, 20, -35])
@pytest.mark.parametrize(("leftward_mm", "side"), [(25, Side.LEFT), (-25, Side.RIGHT), (1, Side.MIDLINE)])
def test_side_is_the_patients_whatever_the_head_does(angle_deg: float, leftward_mm: float, side: Side) -> None:
    head_from_lps = turned_about_z(angle_deg, GRID.center_lps)
    center = (np.linalg.inv(head_from_lps) @ [leftward_mm, 5, 0, 1])[:3]
    lesion = only(prediction(oedema=ball(tuple(center), 8), head_from_lps=head_from_lps))
    assert lesion.side is side
    assert lesion.midline_mm == pytest.approx(abs(leftward_mm), abs=0.2)
    assert lesion.crosses_midline == (side is Side.MIDLINE)


def test_a_left_lesion_that_reaches_over_crosses_the_midline() -> None:
    head_from_lps = turned_about_z(0, GRID.center_lps)
    lesion = only(prediction(oedema=ball(off_center(8, 0, 0), 14), head_from_lps=head_from_lps))
    assert lesion.side is Side.LEFT
    assert lesion.crosses_midline


def test_simpleitk_agrees_on_volume_centroid_and_feret_diameter() -> None:
    """On a real-looking shape; SimpleITK's largest distance goes between voxel centres, ours from edge to edge."""
    noise = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(GRID.shape), 5)
    rough = ball(CENTER, 22) & (noise > -0.03)
    labels, _ = ndimage.label(rough, np.ones((3, 3, 3)))
    lumps = ndimage.binary_opening(labels == 1 + np.bincount(labels.ravel())[1:].argmax())
    image = sitk.GetImageFromArray(lumps.astype(np.uint8))
    image.SetOrigin(GRID.lps([0, 0, 0]).tolist())
    image = sitk.ConnectedComponent(image, True)
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.ComputeFeretDiameterOn()
    shape.Execute(sitk.RelabelComponent(image))
    found = findings(prediction(oedema=lumps))
    assert len(found.lesions) == shape.GetNumberOfLabels()
    first = found.lesions[0]
    assert first.volume_ml[Region.WT] == pytest.approx(shape.GetPhysicalSize(1) / 1000)
    np.testing.assert_allclose(first.center_lps, shape.GetCentroid(1), atol=1e-6)
    assert shape.GetFeretDiameter(1) - 0.1 <= first.max_3d_mm <= shape.GetFeretDiameter(1) + np.sqrt(3)


blobs = st.builds(
    lambda seed, level: (
        (ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((14, 18, 16)), 2) > level)
        & (np.random.default_rng(seed + 1).random((14, 18, 16)) > 0.02)
    ),
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.05, 0.1]),
)


def placed(blob: np.ndarray, center_lps: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Prediction:
    k, j, i = blob.shape
    grid = axis_aligned_grid(center_lps, (k, j, i), 1.0)
    return prediction(blob, np.zeros_like(blob), np.zeros_like(blob), grid=grid)


def numbers(of: Findings) -> np.ndarray:
    """What no motion of the patient may change."""
    return np.array(
        [
            (each.volume_ml[Region.ET], each.diameters.major_mm, each.max_3d_mm, each.diameters.measurable)
            for each in of.lesions
        ]
    )


@settings(max_examples=12, deadline=None)
@given(blob=blobs, shift=st.tuples(*[st.floats(-200, 200)] * 3))
def test_moving_the_patient_moves_the_centres_only(blob: np.ndarray, shift: tuple[float, float, float]) -> None:
    here, there = findings(placed(blob)), findings(placed(blob, shift))
    np.testing.assert_allclose(numbers(there), numbers(here), atol=1e-6)
    for one, other in zip(here.lesions, there.lesions, strict=True):
        np.testing.assert_allclose(np.array(other.center_lps) - one.center_lps, shift, atol=1e-6)
        assert other.diameters.minor_mm == pytest.approx(one.diameters.minor_mm)


@settings(max_examples=12, deadline=None)
@given(blob=blobs, turns=st.integers(1, 3))
def test_quarter_turns_in_the_slice_change_no_number(blob: np.ndarray, turns: int) -> None:
    here, there = findings(placed(blob)), findings(placed(np.rot90(blob, turns, axes=(1, 2)).copy()))
    np.testing.assert_allclose(sorted(numbers(there).tolist()), sorted(numbers(here).tolist()), atol=1e-6)


@settings(max_examples=12, deadline=None)
@given(blob=blobs)
def test_mirroring_swaps_the_sides_and_nothing_else(blob: np.ndarray) -> None:
    here, there = findings(placed(blob)), findings(placed(blob[:, :, ::-1].copy()))
    np.testing.assert_allclose(sorted(numbers(there).tolist()), sorted(numbers(here).tolist()), atol=1e-6)
    other = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT, Side.MIDLINE: Side.MIDLINE}
    assert sorted(other[each.side] for each in there.lesions) == sorted(each.side for each in here.lesions)
    np.testing.assert_allclose(
        sorted(each.midline_mm for each in there.lesions), sorted(each.midline_mm for each in here.lesions), atol=1e-6
    )


def test_the_order_and_direction_of_array_axes_do_not_matter() -> None:
    """The same voxels listed right to left, bottom up and with slices last."""
    mask = ellipsoid(CENTER, (15, 8, 10), 30)
    here = only(prediction(et=mask, grid=GRID))
    flipped = np.diag([-1.0, 1.0, -1.0, 1.0])
    flipped[:3, 3] = [GRID.shape[0] - 1, 0, GRID.shape[2] - 1]
    order = [1, 2, 0]
    affine = (GRID.lps_from_index @ flipped)[:, [*order, 3]]
    listed = mask[::-1, :, ::-1].transpose(order)
    k, j, i = listed.shape
    blank = np.zeros_like(listed)
    there = only(prediction(listed, blank, blank, grid=Grid((k, j, i), affine)))
    np.testing.assert_allclose(there.center_lps, here.center_lps, atol=1e-9)
    assert there.diameters.major_mm == pytest.approx(here.diameters.major_mm)
    assert there.diameters.minor_mm == pytest.approx(here.diameters.minor_mm, abs=0.3)
    assert there.max_3d_mm == pytest.approx(here.max_3d_mm)


def test_twenty_lesions_on_the_canonical_grid_take_about_a_second_of_one_core() -> None:
    grid = axis_aligned_grid((0, 0, 0), (144, 176, 144), 1.0)
    rng = np.random.default_rng(0)
    seeds = np.zeros(grid.shape)
    for k, j, i in np.stack(np.meshgrid([30, 70, 110], [30, 70, 110, 150], [40, 100]), -1).reshape(-1, 3)[:20]:
        seeds[k, j, i] = 1
    away = ndimage.distance_transform_edt(seeds == 0) + 3 * ndimage.gaussian_filter(rng.standard_normal(grid.shape), 2)
    wt, et = away < 12, (away < 7) & (away > 3)
    of = prediction(et, np.zeros_like(et), wt & ~et, grid=grid)
    begin = time.process_time()
    found = findings(of, reporting_limit_ml=0.5)
    spent_s = time.process_time() - begin
    assert len(found.lesions) == 20
    assert spent_s < 1.5
