"""Joints: a pin, a rod and a motor, each between two bodies.

A joint is kept for many steps; its impulses of one step are the guess for the next. Motors and torques may be changed
between steps, by a controller for example.
"""

from __future__ import annotations

from collections.abc import Sequence

from detrun_scenarios.physics.dynamics.body import Body
from detrun_scenarios.physics.dynamics.constraints import Constraint
from detrun_scenarios.physics.dynamics.rows import Row
from detrun_scenarios.physics.dynamics.settings import Settings
from detrun_scenarios.physics.dynamics.velocities import Motion
from detrun_scenarios.physics.geometry.placed import Placed
from detrun_scenarios.physics.geometry.vectors import ORIGIN, Number, Vector

ACROSS, UP = Vector(1.0, 0.0), Vector(0.0, 1.0)


class Joint(Constraint):
    """What all joints share.

    Args:
        pair: the numbers of the two bodies.
        anchors: where it holds them, around the origin of each shape.
    """

    __slots__ = ("anchors",)

    def __init__(self, pair: tuple[int, int], anchors: tuple[Vector, Vector] = (ORIGIN, ORIGIN)) -> None:
        super().__init__(pair)
        self.anchors = anchors

    @property
    def drives(self) -> bool:
        """Whether it gives or takes energy by itself."""
        return False

    def prepare(self, bodies: Sequence[Body], placed: Sequence[Placed], seconds: float, settings: Settings) -> None:
        """See `Constraint`."""
        guesses = [row.impulse for row in self.rows]
        first, second = self.pair
        self.pushes = []
        self.rows = self._rows(
            (bodies[first], bodies[second]), (placed[first], placed[second]), seconds, settings.push_share / seconds
        )
        for row, guess in zip(self.rows, guesses, strict=False):
            row.impulse = guess

    def _rows(self, bodies: tuple[Body, Body], placed: tuple[Placed, Placed], seconds: float, rate: float) -> list[Row]:
        """The rows for velocities; those for places, which take away a drift at a rate, are added to `pushes`."""
        raise NotImplementedError

    def _ends(self, placed: tuple[Placed, Placed]) -> tuple[Vector, Vector]:
        """From the centre of mass of each body to its anchor."""
        first, second = (anchor.rotated(*where.turn) for anchor, where in zip(self.anchors, placed, strict=True))
        return first, second


class Pin(Joint):
    """Holds a point of one body at a point of the other; they turn freely.

    Args:
        torque: in N m, on the second body, and against it on the first.
    """

    __slots__ = ("_twist", "torque")

    def __init__(
        self, pair: tuple[int, int], anchors: tuple[Vector, Vector] = (ORIGIN, ORIGIN), torque: Number = 0.0
    ) -> None:
        super().__init__(pair, anchors)
        self.torque = torque
        self._twist: Row | None = None

    @property
    def drives(self) -> bool:
        """See `Joint`."""
        return not (type(self.torque) is float and self.torque == 0.0)

    def _rows(self, bodies: tuple[Body, Body], placed: tuple[Placed, Placed], seconds: float, rate: float) -> list[Row]:
        first, second = self._ends(placed)
        drift = placed[1].position + second - placed[0].position - first
        rows = []
        for direction, away in ((ACROSS, drift.x), (UP, drift.y)):
            arms = (first.cross(direction), second.cross(direction))
            rows.append(Row(*bodies, direction, arms, 0.0))
            self.pushes.append(Row(*bodies, direction, arms, -away * rate))
        self._twist = None
        if self.drives:
            self._twist = Row(*bodies, ORIGIN, (1.0, 1.0), 0.0)
            self._twist.impulse = self.torque * seconds
        return rows

    def begin(self, first: Motion, second: Motion) -> float:
        """See `Constraint`."""
        if self._twist is not None:
            self._twist.begin(first, second)
        return super().begin(first, second)


class Rod(Joint):
    """Keeps two points at a distance.

    Args:
        length: in metres, positive.
    """

    __slots__ = ("length",)

    def __init__(
        self, pair: tuple[int, int], length: Number, anchors: tuple[Vector, Vector] = (ORIGIN, ORIGIN)
    ) -> None:
        super().__init__(pair, anchors)
        self.length = length

    def _rows(self, bodies: tuple[Body, Body], placed: tuple[Placed, Placed], seconds: float, rate: float) -> list[Row]:
        first, second = self._ends(placed)
        apart = placed[1].position + second - placed[0].position - first
        distance = apart.length()
        along = apart / distance
        arms = (first.cross(along), second.cross(along))
        self.pushes.append(Row(*bodies, along, arms, (self.length - distance) * rate))
        return [Row(*bodies, along, arms, 0.0)]


class Motor(Joint):
    """Turns the second body against the first one.

    Args:
        speed: in radians a second.
        torque_max: in N m, which it takes to get there.
    """

    __slots__ = ("speed", "torque_max")

    def __init__(self, pair: tuple[int, int], speed: Number, torque_max: Number) -> None:
        super().__init__(pair)
        self.speed = speed
        self.torque_max = torque_max

    @property
    def drives(self) -> bool:
        """See `Joint`."""
        return True

    def _rows(self, bodies: tuple[Body, Body], placed: tuple[Placed, Placed], seconds: float, rate: float) -> list[Row]:
        most = self.torque_max * seconds
        return [Row(*bodies, ORIGIN, (1.0, 1.0), self.speed, (-most, most))]
