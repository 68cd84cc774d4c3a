"""Impulses against the complementarity problem solved by enumeration, and the parts that workers share."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import networkx
import numpy
import pytest
import trio

import detrun
from detrun_scenarios.physics.dynamics.body import Body
from detrun_scenarios.physics.dynamics.colours import Colours
from detrun_scenarios.physics.dynamics.constraints import Constraint
from detrun_scenarios.physics.dynamics.links import Links
from detrun_scenarios.physics.dynamics.rows import Row
from detrun_scenarios.physics.geometry.shapes import Circle
from detrun_scenarios.physics.geometry.vectors import Vector, turned
from detrun_scenarios.physics.workers import working

pytestmark = pytest.mark.one_python


def enumerated(matrix: Any, speeds: Any, friction: float) -> list[Any]:
    """Speeds of all solutions with a normal and a tangential row for each contact, by trying every state of each."""
    contacts = len(speeds) // 2
    found = []
    for states in product(("open", "sticks", "slides", "slides back"), repeat=contacts):
        # Of the unknown impulses: rows that keep a speed at 0, and rows that are tied to others.
        equations, right = numpy.eye(2 * contacts), numpy.zeros(2 * contacts)
        for contact, state in enumerate(states):
            normal, along = 2 * contact, 2 * contact + 1
            if state != "open":
                equations[normal], right[normal] = matrix[normal], -speeds[normal]
            if state == "sticks":
                equations[along], right[along] = matrix[along], -speeds[along]
            elif state != "open":
                equations[along, normal] = friction if state == "slides" else -friction
        try:
            impulses = numpy.linalg.solve(equations, right)
        except numpy.linalg.LinAlgError:
            continue
        after = speeds + matrix @ impulses
        fits = True
        for contact, state in enumerate(states):
            normal, along = 2 * contact, 2 * contact + 1
            fits &= impulses[normal] >= -1e-9 and after[normal] >= -1e-9
            fits &= abs(impulses[along]) <= friction * impulses[normal] + 1e-9
            if state.startswith("slides"):
                fits &= after[along] * (1.0 if state == "slides" else -1.0) >= -1e-9
        if fits:
            found.append(after)
    return found


@pytest.mark.parametrize("seed", range(12))
def test_the_solver_finds_what_enumeration_finds(seed: int) -> None:
    """Three bodies in a chain of random contacts; the friction is low enough for one solution."""
    chance = random.Random(seed)
    friction = chance.choice([0.0, 0.1, 0.3])
    bodies = [Body(Circle(0.5), mass=chance.uniform(0.5, 2.0)) for _ in range(3)]
    motions = [[chance.uniform(-1.0, 1.0) for _ in range(3)] for _ in bodies]
    pairs = [(0, 1), (1, 2), (0, 2)]
    rows = []
    for first, second in pairs:
        normal = Vector(*turned(chance.uniform(0.0, 6.0)))
        points = [Vector(chance.uniform(-0.5, 0.5), chance.uniform(-0.5, 0.5)) for _ in range(2)]
        pushing, along = None, normal.turned_left()
        for direction in (normal, along):
            arms = (points[0].cross(direction), points[1].cross(direction))
            row = Row(
                bodies[first], bodies[second], direction, arms, 0.0, (0.0, None), normal=pushing, coefficient=friction
            )
            pushing = pushing or row
            rows.append((first, second, row))
    speeds = numpy.array([row.relative(motions[first], motions[second]) for first, second, row in rows])
    matrix = numpy.zeros((6, 6))
    for column, (first, second, row) in enumerate(rows):
        still = [[0.0, 0.0, 0.0] for _ in bodies]
        row.impulse = 1.0
        row.begin(still[first], still[second])
        row.impulse = 0.0
        matrix[:, column] = [other.relative(still[one], still[two]) for one, two, other in rows]
    for _ in range(3_000):
        for first, second, row in rows:
            row.solve(motions[first], motions[second])
    after = numpy.array([row.relative(motions[first], motions[second]) for first, second, row in rows])
    solutions = enumerated(matrix, speeds, friction)
    assert solutions
    # Where all contacts open after all, or friction is 0, tangential speeds are as they come.
    assert any(numpy.allclose(after, one, atol=1e-6) for one in solutions)


@pytest.mark.parametrize("seed", range(4))
def test_workers_link_the_components_of_a_graph_in_any_order(seed: int) -> None:
    graph = networkx.gnm_random_graph(12, 9, seed=seed)
    edges = list(graph.edges)

    async def main() -> list[int]:
        links = Links(12)

        async def link(number: int) -> None:
            await links.link(*edges[number])

        async with working(3) as workers:
            await workers.each(link, len(edges))
        return [links.root(body) for body in range(12)]

    roots = [0] * 12
    for component in networkx.connected_components(graph):
        for body in component:
            roots[body] = min(component)
    assert all(detrun.record(main, seed=order).result == roots for order in range(5))


@pytest.mark.parametrize("seed", range(4))
def test_no_two_constraints_of_a_colour_share_a_body_that_moves(seed: int) -> None:
    is_fixed = [number == 0 for number in range(10)]
    edges = sorted({tuple(sorted(edge)) for edge in networkx.gnm_random_graph(10, 20, seed=seed).edges})
    constraints = [Constraint(edge) for edge in edges]
    groups = Colours(is_fixed).groups(constraints)
    assert sorted(one.pair for group in groups for one in group) == edges
    most = 0
    for group in groups:
        moving = [body for one in group for body in one.pair if not is_fixed[body]]
        assert len(moving) == len(set(moving))
    for body in range(1, 10):
        most = max(most, sum(body in edge for edge in edges))
    assert len(groups) < 2 * most


def test_a_phase_ends_when_the_last_part_does() -> None:
    async def main() -> list[int]:
        done: list[int] = []

        async def work(part: int) -> None:
            await trio.lowlevel.checkpoint()
            done.append(part)

        async with working(2) as workers:
            for count in (0, 1, 5):
                done.clear()
                await workers.each(work, count)
                assert sorted(done) == list(range(count))
        return done

    assert len({tuple(detrun.record(main, seed=seed).result) for seed in range(5)}) > 1
