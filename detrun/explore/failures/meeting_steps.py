"""Where two steps of a run at different times meet: the objects that both touch, and the lines that do so.

A message or a timer is handled in one step, and in those that this one wakes within the same instant. Of the objects
that two such groups of steps have in common, and at least one changes, those say most that are touched in lines which
few steps run: every handler counts messages, and few change what a failure is about. A helper that several functions
call is named by its caller (`named_steps.py`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

from detrun.explore.failures.named_steps import Instant, caller_of, named
from detrun.explore.failures.narrated_steps import Line, Mark
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.occurrences import MESSAGE, TIMEOUT, Occurrence, Timeline
from detrun.explore.failures.operations import Operation
from detrun.explore.failures.what_steps_knew import Knowledge
from detrun_scheduler.footprints.footprints import Key, modes_conflict


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two operations of steps at different times.

    Attributes:
        resource: what reports call the object that both touch; empty where it is not known.
    """

    first: Operation
    then: Operation
    resource: str


def meeting_of(narration: Narration, timeline: Timeline, first: int, then: int) -> Meeting | None:
    """What two steps have to do with each other: the operations on what both touch, None if that is nothing."""
    counts = narration.line_counts()
    touching = [
        [
            (step, mark)
            for step in group_of(timeline, one)
            if step < len(narration.steps)
            for mark in narration.steps[step].marks
            if mark.is_data and mark.line is not None and narration.name_of(mark.key)
        ]
        for one in (first, then)
    ]
    later: dict[Key, list[tuple[int, Mark]]] = defaultdict(list)
    for step, mark in touching[1]:
        later[mark.key].append((step, mark))
    found = [
        (_rarity(counts, mark) + _rarity(counts, against), -mark.mode, -against.mode, one, other, mark, against)
        for one, mark in touching[0]
        for other, against in later.get(mark.key, ())
        if modes_conflict(mark.mode, against.mode)
    ]
    if not found:
        return _of_one_task(narration, first, then)
    *_, one, other, mark, against = min(found, key=lambda each: each[:5])
    return Meeting(
        _operation(narration, one, mark, last=True),
        _operation(narration, other, against, last=False),
        narration.name_of(mark.key),
    )


def meeting_on_the_way(narration: Narration, sent_in: int, acted_in: int) -> Meeting | None:
    """The step that sent what had not come, and the one that acted without it."""
    if not 0 <= sent_in < acted_in:
        return None
    return _by_lines(narration, sent_in, acted_in)


def _of_one_task(narration: Narration, first: int, then: int) -> Meeting | None:
    """Two steps of one task, by the line of each that tells it from the others."""
    if narration.steps[first].task != narration.steps[then].task:
        return None
    return _by_lines(narration, first, then)


def _by_lines(narration: Narration, first: int, then: int) -> Meeting | None:
    one, other = (named(narration, [Instant.of(narration, [step], ())])[0] for step in (first, then))
    return None if one is None or other is None else Meeting(one.operation, other.operation, "")


def _rarity(counts: Mapping[Line, int], mark: Mark) -> int:
    return 0 if mark.line is None else counts.get(mark.line, 0)


def _operation(narration: Narration, at: int, mark: Mark, *, last: bool) -> Operation:
    """What a step did to an object, at the line that says most."""
    step = narration.steps[at]
    line = None if mark.line is None else caller_of(narration.steps, step, mark.line, last=last)
    return Operation(step.task, line, mark.verb, at)


@dataclass(frozen=True, slots=True)
class AcrossTime:
    """Two occurrences whose handling touches the same at different times, and what they have to do with the failure.

    Attributes:
        steps: that meet, the first of the one and a later one of the other.
        distance: to the failure, see `Knowledge`.
        observed: 2 if one of them is of the task that failed, 1 if what they meet on is what its failing step looked
            at, else 0. To reverse those may change what is asked, and not what the program does. A watcher asks for
            nothing, so that of one the latter are 0.
    """

    first: Occurrence
    then: Occurrence
    steps: tuple[int, int]
    distance: float
    observed: int = 0


def meetings_across_time(knowledge: Knowledge, seen: Sequence[int]) -> list[AcrossTime]:
    """Pairs of occurrences that meet, those that have most to do with the failure first.

    Among them those come first that are near each other, by the logarithm of the time between them: a message that
    comes much later than messages do makes another run.

    Args:
        seen: the steps that showed it.
    """
    narration, timeline, distance = knowledge.narration, knowledge.timeline, knowledge.distance
    observers = {narration.steps[step].task for step in seen}
    checked = {key for step in seen for key in knowledge.looked_at(step)}
    watchers = observers if knowledge.only_watch(seen) else set()
    if watchers:
        checked = set()
    usual = median([one.seconds for one in timeline.fired if one.is_sent] or [1.0]) or 1.0  # of a message
    owner: dict[int, Occurrence] = {}
    for one in timeline.fired:
        if one.handled_in >= 0:
            owner.update(dict.fromkeys(group_of(timeline, one.handled_in), one))
    found: dict[tuple[int, int], AcrossTime] = {}
    for key, modes in knowledge.touching.items():
        if len(modes) < 2 or not narration.name_of(key):
            continue
        rarity = math.log2(len(modes))
        # The looks of a watcher would come between any two others.
        unwatched = {step: mode for step, mode in modes.items() if narration.steps[step].task not in watchers}
        views = [modes] if len(unwatched) == len(modes) else [unwatched, modes]
        for earlier, later in chain.from_iterable(_neighbours(view, distance) for view in views):
            if earlier not in owner or later not in owner or owner[earlier] is owner[later]:
                continue
            one, other = owner[earlier], owner[later]
            if timeline.times[earlier] == timeline.times[later] or knowledge.led_to(earlier, other):
                continue
            far = min(distance.get(earlier, math.inf), distance.get(later, math.inf)) + rarity
            far += math.log2(1.0 + (timeline.times[later] - timeline.times[earlier]) / usual)
            known = found.get((one.number, other.number))
            if far < math.inf and (known is None or far < known.distance):
                is_own = not observers.isdisjoint((narration.steps[earlier].task, narration.steps[later].task))
                observed = 2 if is_own else int(key in checked)
                found[one.number, other.number] = AcrossTime(one, other, (earlier, later), far, observed)
    for pair in _waits_in_vain(narration, timeline, distance):
        found.setdefault((pair.first.number, pair.then.number), pair)
    return sorted(found.values(), key=lambda one: (one.distance, -one.steps[1]))


def _waits_in_vain(narration: Narration, timeline: Timeline, distance: Mapping[int, float]) -> Iterator[AcrossTime]:
    """Time-outs, with the next message that their tasks go on with: it may be the one that they have waited for."""
    handled = sorted((one.handled_in, one) for one in timeline.fired if 0 <= one.handled_in < len(narration.steps))
    coming: dict[str, tuple[int, Occurrence]] = {}  # by task, its next message
    for step, one in reversed(handled):
        task = narration.steps[step].task
        if one.label.kind == MESSAGE:
            coming[task] = step, one
        elif one.label.kind == TIMEOUT and task in coming and step in distance:
            later, message = coming[task]
            if message.set_at < timeline.times[step]:
                yield AcrossTime(one, message, (step, later), distance[step])


def _neighbours(modes: Mapping[int, int], distance: Mapping[int, float]) -> Iterator[tuple[int, int]]:
    """Steps that touch one object in these modes, and conflict with nothing between them.

    Of the steps that a later one would come next to, only the one that has most to do with the failure.
    """
    steps = sorted(modes)
    nearest: dict[int, int] = {}
    for at, step in enumerate(steps):
        after = next((one for one in steps[at + 1 :] if modes_conflict(modes[one], modes[step])), None)
        if after is not None and (step in distance or after in distance):
            before = nearest.get(after, step)
            far = distance.get(before, math.inf)
            nearest[after] = step if distance.get(step, math.inf) <= far else before
    for after, before in nearest.items():
        yield before, after


def group_of(timeline: Timeline, step: int) -> list[int]:
    """A step and those that it led to in the same instant."""
    group, time = {step}, timeline.times[step]
    for later in range(step + 1, len(timeline.times)):
        if timeline.times[later] != time:
            break
        if timeline.woken_in[later] in group:
            group.add(later)
    return sorted(group)
