"""How large adjoints are along a run: the largest of what each step computed, ``|dL/dv|`` over the values ``v`` of it.

`detrun.ad.growth` says the same along the tape, for warnings, without knowing of steps. A run of many steps is cut into
stretches of equally many of those that computed something.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun.ad.tape import Tape

POINTS_MAX = 400


def adjoint_sizes(tape: Tape, adjoints: Mapping[int, Any], most: int = POINTS_MAX) -> list[tuple[int, float]]:
    """Steps, ascending, with the largest adjoint of each or of the stretch that it begins.

    Args:
        tape: of a whole run, with marks of its steps.
        adjoints: of all ids of the tape; what is no number is passed over.
        most: stretches.
    """
    largest: dict[int, float] = {}
    for entry in range(tape.first_id, tape.end_id):
        adjoint = adjoints.get(entry, 0.0)
        if type(adjoint) is float:
            step = tape.step_of(entry) or 0  # the first step has no mark
            size = abs(adjoint)
            if size != size or size > largest.get(step, -1.0):
                largest[step] = size
    steps = sorted(largest)
    width = -(-len(steps) // most) or 1
    return [(steps[at], max(largest[step] for step in steps[at : at + width])) for at in range(0, len(steps), width)]
