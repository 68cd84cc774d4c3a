"""How a derivative flowed through the interleaving: from step to step, along what the program computed.

An operation ``u`` of a step that uses a value ``v`` of an earlier one carries ``dL/du * du/dv * dv/dp`` of ``dL/dp``.
Summed over all uses between two steps this is the *flow* between them. It is conserved: what flows into the values of
a step, from the parameter or from other steps, flows out of them again, up to the loss. So across any cut between
parameter and loss the flows add up to ``dL/dp``, and a share of it says how much of the derivative took that way. Signs
differ where paths cancel; shares are of absolute flows out of the parameter.

The tangents ``dv/dp`` come from one pass up the tape for each parameter, the adjoints from the sweep down. Uses inside
a block with its own pullback have no partials on the tape; what flows through them is left out.

Source: edge weights of linearized computational graphs, Griewank and Walther, *Evaluating Derivatives*, 2nd edition,
2008, section 2.2; summed over the vertices of a partition into steps.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from detrun.ad.tape import Tape

PARAMETER = -1  # the origin of what flows out of the parameter itself


@dataclass(frozen=True, slots=True)
class Flow:
    """What flowed of ``dL/dp`` from one step to a later one.

    Attributes:
        origin: the step; `PARAMETER` for the parameter.
        contribution: with its sign.
        share: of the absolute flows out of the parameter.
    """

    origin: int
    target: int
    contribution: float
    share: float


def flows(tape: Tape, parameter: int, adjoints: Mapping[int, Any], keep: int) -> list[Flow]:
    """The largest flows of one parameter's derivative, the largest first.

    Args:
        tape: of a whole run, with marks of its steps.
        parameter: its id, which is on the tape.
        adjoints: of all ids of the tape.
        keep: how many flows.
    """
    between: dict[tuple[int, int], float] = {}
    for origin, target, _, flow in passages(tape, parameter, adjoints):
        between[origin, target] = between.get((origin, target), 0.0) + flow
    out = sum(abs(flow) for (origin, _), flow in between.items() if origin == PARAMETER)
    largest = heapq.nlargest(keep, between.items(), key=lambda item: (abs(item[1]), item[0]))
    return [Flow(origin, target, flow, abs(flow) / out if out else 0.0) for (origin, target), flow in largest if flow]


def passages(tape: Tape, parameter: int, adjoints: Mapping[int, Any]) -> Iterator[tuple[int, int, int, float]]:
    """Each use in one step of a value of another: both steps, the entry of the use, and what flowed by it."""
    tangents: dict[int, float] = {parameter: 1.0}
    steps: dict[int, int] = {}

    def step_of(entry_id: int) -> int:
        known = steps.get(entry_id)
        if known is None:
            known = steps[entry_id] = tape.step_of(entry_id) or 0  # the first step has no mark
        return known

    for entry_id in range(tape.first_id, tape.end_id):
        parents, partials = tape.parents_of(entry_id)
        if callable(partials):
            continue
        tangent = 0.0
        adjoint = adjoints.get(entry_id, 0.0)
        for parent, partial in zip(parents, partials, strict=True):
            moved = tangents.get(parent)
            if moved is None or not partial:
                continue
            tangent += partial * moved
            if type(adjoint) is float and adjoint:
                target = step_of(entry_id)
                origin = PARAMETER if parent == parameter else step_of(parent)
                if origin != target:
                    yield origin, target, entry_id, adjoint * partial * moved
        if tangent:
            tangents[entry_id] = tangent


def strongest_path(flow: Sequence[Flow]) -> list[Flow]:
    """The path from the parameter to the loss whose weakest flow is largest, in the order of its steps.

    Only the given flows count, so a path may end before the loss where smaller ones were not kept; of equal paths the
    first is taken.
    """
    best: dict[int, tuple[float, Flow | None]] = {PARAMETER: (inf, None)}  # by step: the weakest flow, the last one
    for one in sorted(flow, key=lambda one: (one.target, one.origin)):
        if one.origin in best:
            weakest = min(best[one.origin][0], abs(one.contribution))
            if one.target not in best or weakest > best[one.target][0]:
                best[one.target] = weakest, one
    goes_on = {one.origin for one in flow}
    ends = [step for step in best if step not in goes_on]
    path: list[Flow] = []
    at = max(ends, key=lambda step: (best[step][0], -step), default=PARAMETER)
    while at != PARAMETER:
        last = best[at][1]
        assert last is not None
        path.append(last)
        at = last.origin
    return path[::-1]
