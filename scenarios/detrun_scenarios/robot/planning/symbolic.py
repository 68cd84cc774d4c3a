"""A symbolic planner: the fewest actions that make the facts of a goal true.

An action needs facts, adds some and takes some away. States are sets of facts; the search goes breadth first, over
actions in the order in which they are given, so that the plan is the same in every run.

Source: Fikes and Nilsson, "STRIPS", Artificial Intelligence 2, 1971.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from detrun_scheduler.errors import UsageError

Fact = str
State = frozenset[Fact]


@dataclass(frozen=True, slots=True)
class Action:
    """Something that the robot can do.

    Attributes:
        kind: ``"drive"`` or ``"reach"``.
        site: where to, or where it is done.
    """

    name: str
    kind: str
    site: str
    needs: State
    adds: State
    removes: State

    def after(self, state: State) -> State:
        """The facts when it is done."""
        return (state - self.removes) | self.adds


def planned(start: State, wanted: State, actions: Sequence[Action]) -> list[Action]:
    """The shortest plan.

    Raises:
        UsageError: no sequence of actions makes the wanted facts true.
    """
    ways: dict[State, list[Action]] = {start: []}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        if wanted <= state:
            return ways[state]
        for action in actions:
            if action.needs <= state and (after := action.after(state)) not in ways:
                ways[after] = [*ways[state], action]
                waiting.append(after)
    raise UsageError(f"no actions lead from {sorted(start)} to {sorted(wanted)}; add one, or ask for less")


def transport(sites: Iterable[str], parcel: str = "parcel") -> list[Action]:
    """All that a robot with one arm can do with a parcel at these sites."""
    names = list(sites)
    found = []
    for site in names:
        here, lies, held = f"robot at {site}", f"{parcel} at {site}", f"{parcel} held"
        others = frozenset(f"robot at {other}" for other in names if other != site)
        free = frozenset({"hand free"})
        found += [
            Action(
                f"pick up at {site}", "reach", site, frozenset({here, lies}) | free, frozenset({held}), free | {lies}
            ),
            Action(f"put down at {site}", "reach", site, frozenset({here, held}), free | {lies}, frozenset({held})),
            Action(f"drive to {site}", "drive", site, frozenset(), frozenset({here}), others),
        ]
    return found
