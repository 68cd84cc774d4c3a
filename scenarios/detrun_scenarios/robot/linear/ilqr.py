"""Iterative LQR: controls of a non-linear system over a finite horizon that make a quadratic cost least.

An iteration takes the slopes along the trajectory at hand, finds gains and corrections by a backward pass, and rolls
the system forward with them. The number of iterations is fixed and each takes the whole of its step, so that the
result is a smooth function of start, course and weights, and derivatives flow through all of it. For a linear system
the first iteration is exact: tests hold it against the Riccati recursion.

Source: Li and Todorov, "Iterative linear quadratic regulator design", ICINCO 2004, with the cost's second derivatives
exact and those of the motion left out (Gauss and Newton).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from detrun_scenarios.robot.linear.matrices import Matrix, Vector, applied, inner, plus, product, solved, transposed

ITERATIONS = 2


class Motion(Protocol):
    """What is controlled, in steps of time."""

    def step(self, state: Sequence[Any], control: Sequence[Any]) -> Vector:
        """The state after one."""

    def slopes(self, state: Sequence[Any], control: Sequence[Any]) -> tuple[Matrix, Matrix]:
        """The derivatives of that by the state and by the control."""


@dataclass(frozen=True, slots=True)
class Course:
    """What is wanted: of each step a state and a control, and of the state behind the last one.

    Attributes:
        q, r: weights of what state and control are off.
        last: weight of what the last state is off.
    """

    states: Sequence[Vector]
    controls: Sequence[Vector]
    q: Matrix
    r: Matrix
    last: Matrix


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Controls and the states that they lead through: one more state than controls."""

    states: list[Vector]
    controls: list[Vector]


def rolled_out(motion: Motion, start: Sequence[Any], controls: Sequence[Vector]) -> Trajectory:
    """Where these controls lead."""
    states = [list(start)]
    for control in controls:
        states.append(motion.step(states[-1], control))
    return Trajectory(states, [list(control) for control in controls])


def optimized(
    motion: Motion, start: Sequence[Any], controls: Sequence[Vector], course: Course, iterations: int = ITERATIONS
) -> Trajectory:
    """The trajectory from ``start`` after so many iterations from ``controls`` on."""
    found = rolled_out(motion, start, controls)
    for _ in range(iterations):
        found = _improved(motion, found, course)
    return found


def cost_of(trajectory: Trajectory, course: Course) -> Any:
    """What a trajectory costs: half of the weighted squares, added up."""
    total: Any = 0.0
    for state, wanted in zip(trajectory.states[:-1], course.states[:-1], strict=True):
        total = total + _half_square(course.q, _less(state, wanted))
    for control, wanted in zip(trajectory.controls, course.controls, strict=True):
        total = total + _half_square(course.r, _less(control, wanted))
    return total + _half_square(course.last, _less(trajectory.states[-1], course.states[-1]))


def _improved(motion: Motion, at: Trajectory, course: Course) -> Trajectory:
    value = course.last
    slope = applied(value, _less(at.states[-1], course.states[-1]))
    passes: list[tuple[Vector, Matrix]] = []
    for number in range(len(at.controls) - 1, -1, -1):
        state, control = at.states[number], at.controls[number]
        a, b = motion.slopes(state, control)
        down = transposed(b)
        ahead = product(down, value)
        by_control = _sum(applied(course.r, _less(control, course.controls[number])), applied(down, slope))
        by_state = _sum(applied(course.q, _less(state, course.states[number])), applied(transposed(a), slope))
        cross = product(ahead, a)
        curvature = plus(course.r, product(ahead, b))
        both = solved(curvature, [[one, *row] for one, row in zip(by_control, cross, strict=True)])
        correction, gains = [row[0] for row in both], [row[1:] for row in both]
        passes.append((correction, gains))
        slope = _less(by_state, applied(transposed(cross), correction))
        value = plus(plus(course.q, product(transposed(a), product(value, a))), product(transposed(cross), gains), -1.0)
    states, controls = [at.states[0]], []
    for number, (correction, gains) in enumerate(reversed(passes)):
        off = _less(states[-1], at.states[number])
        control = _less(_less(at.controls[number], correction), applied(gains, off))
        controls.append(control)
        states.append(motion.step(states[-1], control))
    return Trajectory(states, controls)


def _half_square(weight: Matrix, off: Vector) -> Any:
    return 0.5 * inner(applied(weight, off), off)


def _less(one: Sequence[Any], other: Sequence[Any]) -> Vector:
    return [a - b for a, b in zip(one, other, strict=True)]


def _sum(one: Sequence[Any], other: Sequence[Any]) -> Vector:
    return [a + b for a, b in zip(one, other, strict=True)]
