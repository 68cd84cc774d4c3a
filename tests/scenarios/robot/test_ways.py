"""Angles, maps, plans and courses: against networkx, brute force and what must be true of them."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun_scenarios.robot.body.arm import UPPER, angles_of, hand_of
from detrun_scenarios.robot.geometry.angles import near, wrapped
from detrun_scenarios.robot.geometry.course import Course
from detrun_scenarios.robot.geometry.place import WORKSHOP, Box, Place
from detrun_scenarios.robot.planning.a_star import Cell, neighbours, octile, shortest
from detrun_scenarios.robot.planning.route import HULL, routed
from detrun_scenarios.robot.planning.symbolic import planned, transport
from detrun_scheduler.errors import UsageError

pytestmark = pytest.mark.one_python


@given(st.floats(-1e3, 1e3), st.floats(-10.0, 10.0))
def test_a_wrapped_angle_is_the_same_direction_within_half_a_turn(angle: float, other: float) -> None:
    assert abs(wrapped(angle)) <= math.pi + 1e-9
    assert math.cos(wrapped(angle)) == pytest.approx(math.cos(angle), abs=1e-9)
    assert math.sin(wrapped(angle)) == pytest.approx(math.sin(angle), abs=1e-9)
    assert abs(near(angle, other) - other) <= math.pi + 1e-9


def test_wrapping_lets_derivatives_through() -> None:
    assert detrun.gradient(lambda params: wrapped(3.0 * params["angle"]), {"angle": 1.5}).grads == {"angle": 3.0}


@pytest.mark.parametrize("seed", range(20))
def test_a_star_is_as_short_as_networkx(seed: int) -> None:
    rng = random.Random(seed)
    free = {(x, y) for x in range(12) for y in range(9) if rng.random() > 0.3} | {(0, 0), (11, 8)}
    graph = networkx.Graph()
    graph.add_nodes_from(free)
    for cell in sorted(free):
        graph.add_weighted_edges_from((cell, to, step) for to, step in neighbours(cell, free.__contains__))
    found = shortest((0, 0), (11, 8), free.__contains__)
    if not networkx.has_path(graph, (0, 0), (11, 8)):
        assert found is None
        return
    assert found is not None
    way, _ = found
    length = sum(graph[one][other]["weight"] for one, other in pairwise(way))
    assert length == pytest.approx(networkx.shortest_path_length(graph, (0, 0), (11, 8), weight="weight"))


def test_the_heuristic_spares_cells_on_an_empty_grid() -> None:
    def is_free(cell: Cell) -> bool:
        return 0 <= cell[0] < 20 and 0 <= cell[1] < 20

    found = shortest((0, 0), (19, 19), is_free)
    assert found is not None
    assert found[1] == 20
    assert octile((0, 0), (19, 7)) == pytest.approx(12 + 7 * math.sqrt(2))


def test_courses_between_all_sites_keep_the_hull_clear_and_meet_their_ends() -> None:
    for name, (x, y, _) in WORKSHOP.sites.items():
        for other, (to_x, to_y, _) in WORKSHOP.sites.items():
            if name == other:
                continue
            course, _ = routed(WORKSHOP, (x, y), (to_x, to_y))
            spots = [course.at(course.length * number / 500) for number in range(501)]
            assert min(WORKSHOP.clearance(spot.x, spot.y) for spot in spots) > HULL
            assert (spots[0].x, spots[0].y) == pytest.approx((x, y))
            assert (spots[-1].x, spots[-1].y) == pytest.approx((to_x, to_y))


@pytest.mark.parametrize(
    ("width", "obstacles", "says"),
    [(4.0, (Box(1.9, 0.0, 2.1, 2.0),), "is cut off from"), (0.5, (), "no cell is 0.34 m from walls")],
)
def test_a_place_without_a_way_is_an_error_that_says_why(width: float, obstacles: tuple[Box, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        routed(Place(width, 2.0, obstacles, (), {}), (0.5, 1.0), (3.5, 1.0))


def test_progress_is_that_of_the_nearest_point() -> None:
    course, _ = routed(WORKSHOP, (0.7, 0.8), (5.2, 3.2))
    for length in (0.4, 1.9, 3.3, 5.0):
        spot = course.at(length)
        x, y = spot.x - 0.03 * math.sin(spot.heading), spot.y + 0.03 * math.cos(spot.heading)
        grid = [length + 0.0005 * number for number in range(-300, 301)]
        nearest = min(grid, key=lambda at: math.hypot(course.at(at).x - x, course.at(at).y - y))
        assert course.progress(x, y, length + 0.2) == pytest.approx(nearest, abs=1e-3)


def test_a_course_is_continuous_and_turns_by_its_curvature() -> None:
    course = Course([(math.cos(0.1 * at), math.sin(0.1 * at)) for at in range(16)])
    assert course.length == pytest.approx(1.5, rel=1e-3)
    assert course.at(0.7).curvature == pytest.approx(1.0, rel=1e-2)
    assert course.at(0.7).heading == pytest.approx(0.7 + math.pi / 2, abs=0.01)
    assert course.curvature(0.4, 0.5) == pytest.approx(1.0, rel=1e-2)


def test_the_symbolic_plan_is_the_shortest() -> None:
    actions = transport(["shelf", "bench"])
    start = frozenset({"robot at bench", "parcel at shelf", "hand free"})
    plan = planned(start, frozenset({"parcel at bench"}), actions)
    assert [one.name for one in plan] == ["drive to shelf", "pick up at shelf", "drive to bench", "put down at bench"]
    with pytest.raises(UsageError, match="no actions lead"):
        planned(start, frozenset({"parcel painted"}), actions)


def test_angles_bring_the_hand_where_it_is_to_be() -> None:
    assert hand_of(*angles_of(0.4, -0.15)) == pytest.approx((0.4, -0.15))
    with pytest.raises(UsageError, match="the arm reaches"):
        angles_of(2 * UPPER, 0.0)
