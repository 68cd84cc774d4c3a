"""Where the threads of a campaign meet: the lines that touch what several of them touch, learnt from its own schedules.

Some schedules are *observed* (`SharedPlaces`): the third, and every sixteenth after it whose grain is synchronization
or instructions. Being observed changes none of their choices. What they show is known from the next epoch on, so the
places of a campaign follow from its seed and its program alone. A long run is observed up to `INSTRUCTIONS_MAX`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from detrun_scheduler.footprints.shared_places import SharedPlaces
from detrun_scheduler.threads.preemption import Preemption
from detrun_scheduler.threads.watched_code import WatchedCode

OBSERVED_EVERY, OBSERVED_FIRST = 16, 2
INSTRUCTIONS_MAX = 200_000

Include = tuple[str, ...]
Places = dict[Include, list[str]]
"""By the patterns of a scope: its lines where threads meet, sorted."""


def is_observed(index: int) -> bool:
    """Whether the schedule with this index is one to learn from."""
    return index % OBSERVED_EVERY == OBSERVED_FIRST


class MeetingPlaces:
    """What the observed schedules of one piece of a campaign show."""

    def __init__(self) -> None:
        self.shared = SharedPlaces(INSTRUCTIONS_MAX)
        self.is_used = False

    def silent(self, includes: Iterable[Include], exclude: Sequence[str]) -> Preemption:
        """Observes all scopes and interrupts threads nowhere in them."""
        patterns = dict.fromkeys(pattern for include in includes for pattern in include)
        return Preemption("opcode", patterns, exclude, self.shared, only_at=())

    def found(self, includes: Iterable[Include], exclude: Sequence[str]) -> Places:
        """The places in each scope."""
        if not self.is_used:
            return {}
        places = {include: self.shared.places_in(WatchedCode(include, exclude)) for include in includes}
        return {include: sorted(names) for include, names in places.items() if names}


def joined(first: Places, second: Places) -> Places:
    """What either knows."""
    known = {include: set(names) for include, names in first.items()}
    for include, names in second.items():
        known.setdefault(include, set()).update(names)
    return {include: sorted(names) for include, names in known.items()}
