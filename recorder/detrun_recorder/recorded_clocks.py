"""What a recording says of the tasks' own clocks, from some step on.

A recorded random walk is a run by `TaskClocks` of which only the order of rings is known. Between two steps with ``n``
runnable tasks the time is exponential with mean ``1 / n``, whichever of them steps, so the times can be drawn
afterwards: the clocks that come out are independent and exponential, as if the run had been made by them, and they give
the recorded order. A run that follows them where it goes another way has therefore the law of a random walk, and
keeps the recorded order of all tasks that the difference does not reach.

For a recording whose choices were made otherwise the clocks give the recorded order, too; what comes after the
difference is then an order near to the recorded one and has no law that could be stated.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from detrun_recorder.recording import Recording
from detrun_scheduler.randomness import draw_bits, stream_key
from detrun_scheduler.strategies.task_clocks import KeyedClocks, exponential_ticks


@dataclass(slots=True)
class RecordedClocks:
    """How long clocks last that begin at or after step ``first_step`` of a recording; `__call__` is in ticks.

    Attributes:
        steps: by path, how many steps the recording has from there on.
        effects: by path and name, the results of the external effects in these steps.
    """

    fresh: KeyedClocks  # for steps that the recording does not have
    lasting: dict[str, list[int]] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    effects: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)

    def __call__(self, path: str, count: int) -> int:
        """The recorded clock, or a fresh one."""
        recorded = self.lasting.get(path, ())
        return recorded[count] if count < len(recorded) else self.fresh(path, count)


def recorded_clocks(recording: Recording, first_step: int) -> RecordedClocks:
    """Read the steps from ``first_step`` on; about 5 µs each."""
    seed = recording.seed or 0
    found = RecordedClocks(KeyedClocks(seed))
    stream = stream_key(seed, "clocks of a recorded walk")
    now = 0
    begun: dict[int, tuple[str, int]] = {}  # by runnable task: its path, and when its clock began
    paths = recording.tables
    for step in recording.iter_steps(first_step):
        if step.index == first_step:
            begun = {number: (paths.path(number), 0) for number in step.runnable}
        now += 1 + exponential_ticks(draw_bits(stream, step.index)) // len(step.runnable)
        path, start = begun.pop(step.task, (step.path, now))
        found.lasting.setdefault(path, []).append(now - start)
        found.steps[path] = found.steps.get(path, 0) + 1
        if step.outcome == "checkpoint":
            begun[step.task] = path, now
        for event in step.events:
            if event.kind in ("spawn", "wake") and event.number is not None and event.number not in begun:
                begun[event.number] = str(event.label), now
            elif event.payload is not None:
                found.effects.setdefault((path, str(event.label)), []).append(event.payload)
    # Clocks that had not rung when the recording ended: they last longer than that.
    for path, start in begun.values():
        lasting = found.lasting.setdefault(path, [])
        lasting.append(now - start + found.fresh(path, len(lasting)))
    return found
