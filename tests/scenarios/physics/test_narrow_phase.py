"""Where shapes overlap, against a comparison of both along many directions."""

from __future__ import annotations

import math
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun_scenarios.physics.geometry.narrow_phase import BIAS, meeting
from detrun_scenarios.physics.geometry.placed import Placed
from detrun_scenarios.physics.geometry.shapes import Circle, Polygon, Shape, box, regular
from detrun_scenarios.physics.geometry.vectors import ORIGIN, Vector

pytestmark = pytest.mark.one_python
DIRECTIONS = 720

numbers = st.floats(-1.0, 1.0, allow_subnormal=False)


@st.composite
def placed(draw: st.DrawFn) -> Placed:
    """A circle, or a polygon whose corners lie on an ellipse, near the origin."""
    corners = draw(st.integers(2, 6))
    shape: Shape
    if corners == 2:
        shape = Circle(draw(st.floats(0.2, 1.0)))
    else:
        flat = draw(st.floats(0.3, 1.0))
        turns = [2.0 * math.pi * (at + 0.4 * draw(numbers)) / corners for at in range(corners)]
        shape = Polygon([Vector(math.cos(turn), flat * math.sin(turn)) for turn in turns])
    return Placed(shape, Vector(1.5 * draw(numbers), 1.5 * draw(numbers)), 3.0 * draw(numbers))


def reach(one: Placed, directions: Any) -> Any:
    """How far a shape goes in each direction."""
    if isinstance(one.shape, Circle):
        return directions @ [one.position.x, one.position.y] + one.shape.radius
    return (directions @ numpy.array(one.corners).T).max(axis=1)


def depths_along(first: Placed, second: Placed, directions: Any) -> Any:
    """How far the second has to move in each direction to be free of the first; negative if it is."""
    return reach(first, directions) + reach(second, -directions)


@settings(max_examples=60, deadline=None)
@given(placed(), placed())
def test_the_overlap_is_the_least_of_all_directions(first: Placed, second: Placed) -> None:
    turns = numpy.linspace(0.0, 2.0 * math.pi, DIRECTIONS)
    faces = [*first.faces, *((-x, -y) for x, y in second.faces)]
    around = numpy.column_stack([numpy.cos(turns), numpy.sin(turns)])
    least = depths_along(first, second, numpy.array([*around, *faces])).min()
    found, back = meeting(first, second), meeting(second, first)
    assert (found is None) == (back is None)
    if found is None or back is None:
        # Between two directions the least may be missed by the square of half their angle, times the size of both.
        assert least < 1e-4
        return
    depth = max(-point.separation for point in found.points)
    assert least - 1e-3 <= depth <= least + BIAS + 1e-9
    normal = numpy.array([[found.normal.x, found.normal.y]])
    # The deepest corner may lie beside the face, if another face overlaps less by no more than the bias.
    assert depth == pytest.approx(depths_along(first, second, normal)[0], abs=BIAS)
    assert depth == pytest.approx(max(-point.separation for point in back.points), abs=BIAS)
    assert found.normal.length() == pytest.approx(1.0)


@settings(max_examples=60, deadline=None)
@given(placed(), placed())
def test_points_are_half_the_overlap_from_both_shapes_at_most(first: Placed, second: Placed) -> None:
    found = meeting(first, second)
    for point in () if found is None else found.points:
        away = 1e-9 - 0.5 * point.separation
        for one in (first, second):
            if isinstance(one.shape, Circle):
                assert (point.position - one.position).length() <= one.shape.radius + away
            else:
                assert all(
                    (point.position - vertex).dot(normal) <= away
                    for vertex, normal in zip(one.vertices, one.normals, strict=True)
                )


def test_a_box_rests_on_two_corners_that_keep_their_names() -> None:
    ground, crate = Placed(box(4.0, 1.0), ORIGIN, 0.0), box(1.0, 1.0)
    seen = [meeting(ground, Placed(crate, Vector(x, 0.99), 0.0)) for x in (0.0, 0.3)]
    assert [sorted(point.feature for point in found.points) for found in seen if found] == 2 * [
        [("first", 2, 0), ("first", 2, 1)]
    ]
    over_the_edge = meeting(ground, Placed(crate, Vector(2.2, 0.99), 0.0))
    assert over_the_edge is not None
    assert sorted(point.position.x for point in over_the_edge.points) == pytest.approx([1.7, 2.0])


def test_the_overlap_of_two_circles_has_the_derivative_of_their_distance() -> None:
    def overlap(params: dict[str, float]) -> object:
        there = Vector(params["x"], 0.4)
        found = meeting(Placed(Circle(0.3), ORIGIN, 0.0), Placed(Circle(0.3), there, 0.0))
        assert found is not None
        return found.points[0].separation

    assert detrun.gradient(overlap, {"x": 0.3}).grads["x"] == pytest.approx(0.3 / 0.5)


@pytest.mark.parametrize("shape", [box(2.0, 1.0), regular(5, 0.7)])
def test_moments_are_those_of_many_small_squares(shape: Polygon) -> None:
    size, inside, squares = 0.02, 0, 0.0
    for column in range(-60, 60):
        for row in range(-60, 60):
            place = Vector((column + 0.5) * size, (row + 0.5) * size)
            if all((place - a).dot(n) < 0.0 for a, n in zip(shape.vertices, shape.normals, strict=True)):
                inside += 1
                squares += place.dot(place)
    assert shape.area == pytest.approx(inside * size * size, rel=0.02)
    assert shape.moment == pytest.approx(squares / inside, rel=0.02)


def test_a_polygon_that_is_not_convex_is_refused() -> None:
    dent = [Vector(0.0, 0.0), Vector(1.0, 0.0), Vector(0.1, 0.1), Vector(0.0, 1.0)]
    with pytest.raises(detrun.UsageError, match="does not turn left"):
        Polygon(dent)
