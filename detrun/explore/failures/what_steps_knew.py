"""`Knowledge`: what the steps of a run knew of each other, and how far each is from the failure.

A step knows what the step knew that woke it, or that sent it its message: one hop. And it knows what was written to an
object that it touches by the last step that changed it: one hop, and more for an object that many steps touch, by the
logarithm of their number. The distance to the failure is the least over all ways against the flow of this; steps of
which the failing one knew nothing have none.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from detrun.explore.failures.narration import Narration
from detrun.explore.failures.occurrences import Occurrence, Timeline
from detrun_scheduler.footprints.footprints import COMMUTE, READ, WRITE, Key


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What steps knew.

    Attributes:
        touching: by object, the steps that touch it, and the mode that conflicts with most.
        handled: by the step that goes on with it, an occurrence.
        distance: of each step to those that showed the failure.
        known_to: of each step but those, the next one on the shortest way, and the object through which that knows of
            it; None: it was woken, or sent a message.
    """

    narration: Narration
    timeline: Timeline
    touching: Mapping[Key, Mapping[int, int]]
    handled: Mapping[int, Occurrence]
    distance: dict[int, float]
    known_to: dict[int, tuple[int, Key | None]]
    _by_name: Mapping[str, Sequence[Key]]

    @classmethod
    def of(cls, narration: Narration, timeline: Timeline, seen: Sequence[int]) -> Knowledge:
        """That of a narrated run, whose failure these steps showed."""
        touching = _touching(narration)
        handled = {one.handled_in: one for one in timeline.fired if one.handled_in >= 0}
        found = cls(narration, timeline, touching, handled, {}, {}, _by_name(narration, touching))
        found._measure(seen)
        return found

    def looked_at(self, step: int) -> set[Key]:
        """What a step touches that has a name, and the contents of a container of which it read only where it stands.

        A look at the contents is not seen where a function in C has it, or a method is called that was fetched before:
        so pytest rewrites ``assert``.
        """
        marks = self.narration.steps[step].marks
        names = {self.narration.name_of(mark.key) for mark in marks if mark.is_data and mark.mode != COMMUTE}
        return {key for name in names for key in self._by_name.get(name, ())}

    def only_watch(self, seen: Sequence[int]) -> bool:
        """Whether a task does nothing but look, again and again: nothing that it changes is touched by another one."""
        steps = self.narration.steps
        tasks = {steps[step].task for step in seen}
        look = steps[seen[-1]].lines[-1:]
        return (
            bool(look)
            and any(step.task in tasks and set(look) <= set(step.lines) for step in steps[: seen[0]])
            and all(
                mode == READ or all(steps[other].task in tasks for other in modes)
                for modes in self.touching.values()
                for step, mode in modes.items()
                if steps[step].task in tasks
            )
        )

    def led_to(self, step: int, then: Occurrence) -> bool:
        """Whether an occurrence would not have been but for a step: then it cannot come before."""
        at = then.set_in
        while at > step:
            at = self._cause(at)
        return at == step

    def cause_of(self, one: Occurrence) -> Occurrence | None:
        """The occurrence that led to one, by the step that set it; None if that went on by itself."""
        at = one.set_in
        while at >= 0 and at not in self.handled:
            at = self._cause(at)
        return self.handled.get(at)

    def followed_from(self, step: int) -> set[int]:
        """A step, and those that would not have been but for it."""
        found = {step}
        last: dict[str, int] = {}  # of each task, its last step
        for at, one in enumerate(self.narration.steps):
            cause = self._cause(at)
            if at > step and (cause if cause >= 0 else last.get(one.task, -1)) in found:
                found.add(at)
            last[one.task] = at
        return found

    def _cause(self, step: int) -> int:
        """The step that woke this one, or set what it handles; -1: it went on by itself."""
        woken = self.timeline.woken_in[step] if step < len(self.timeline.woken_in) else -1
        if woken >= 0:
            return woken
        return self.handled[step].set_in if step in self.handled else -1

    def _measure(self, seen: Sequence[int]) -> None:
        narration, timeline, touching = self.narration, self.timeline, self.touching
        writers = {key: sorted(step for step, mode in modes.items() if mode != READ) for key, modes in touching.items()}
        keys = list(touching)
        numbers = {key: number for number, key in enumerate(keys)}
        # With the step that knows, and the number of the object, so that of ways of one length always the same is kept.
        waiting = [(0.0, -step, -1, -1) for step in seen]
        while waiting:
            far, negative, knowing, number = heappop(waiting)
            step = -negative
            if step in self.distance or not 0 <= step < len(narration.steps):
                continue
            self.distance[step] = far
            if knowing >= 0:
                self.known_to[step] = knowing, keys[number] if number >= 0 else None
            if step < len(timeline.woken_in) and timeline.woken_in[step] >= 0:
                heappush(waiting, (far, -timeline.woken_in[step], step, -1))
            if step in self.handled:
                heappush(waiting, (far + 1, -self.handled[step].set_in, step, -1))
            for key in self.looked_at(step):
                at = bisect_left(writers[key], step)
                if at > 0:
                    longer = far + 1 + math.log2(len(touching[key]))
                    heappush(waiting, (longer, -writers[key][at - 1], step, numbers[key]))


def _by_name(narration: Narration, touching: Mapping[Key, Mapping[int, int]]) -> dict[str, list[Key]]:
    """What steps touch, by name: an attribute, and the contents of the container that it holds, have one."""
    found: dict[str, list[Key]] = defaultdict(list)
    for key in touching:
        name = narration.name_of(key)
        if name:
            found[name].append(key)
    return found


def _touching(narration: Narration) -> dict[Key, dict[int, int]]:
    found: dict[Key, dict[int, int]] = defaultdict(dict)
    for at, step in enumerate(narration.steps):
        for mark in step.marks:
            if mark.is_data:
                modes = found[mark.key]
                modes[at] = mark.mode if modes.get(at, mark.mode) == mark.mode else WRITE
    return found
