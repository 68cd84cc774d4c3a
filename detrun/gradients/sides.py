"""`OneSided`: the two derivatives of a loss where a run is decided exactly, and whether they are one."""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose

SAME = 1e-6  # relative


@dataclass(frozen=True, slots=True)
class OneSided:
    """The loss on both sides of a tie, as one parameter moves alone.

    Attributes:
        left, right: its derivative just below and just above; None if the program fails there.
        jump_left, jump_right: the loss just below and just above, less that of the run itself.
    """

    left: float | None
    right: float | None
    jump_left: float = 0.0
    jump_right: float = 0.0

    @property
    def agreed(self) -> float | None:
        """The derivative, if both sides have the same and the loss does not jump; None otherwise."""
        left, right = self.left, self.right
        if left is None or right is None or self.jump_left or self.jump_right:
            return None
        return (left + right) / 2 if isclose(left, right, rel_tol=SAME, abs_tol=SAME) else None

    def __str__(self) -> str:
        sides = []
        for name, slope, jump in (("below", self.left, self.jump_left), ("above", self.right, self.jump_right)):
            said = "the program fails" if slope is None else f"{slope:.9g}"
            sides.append(f"{said} just {name}" + (f", where the loss is {jump:+.4g} away" if jump else ""))
        return ", ".join(sides)
