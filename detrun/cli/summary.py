"""Summary of a recording, in one pass: each task's steps, how they ended, and how often each object was touched."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from detrun_recorder.described import CLOCK, event_described, is_wait, wait_shown
from detrun_recorder.recording import Recording
from detrun_recorder.steps import Step

REPORT_EVERY = 10_000
_OBJECT_EVENTS = ("operation", "send", "receive")


@dataclass(slots=True)
class TaskSummary:
    """What one task did."""

    number: int
    path: str
    steps: int = 0
    first_step: int = 0
    last_step: int = 0
    first_time: float = 0.0
    last_time: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    state: str = "not started"  # how its last step ended

    @property
    def most_waited(self) -> str:
        """The wait kind in which it blocked most often, and how often; empty if it never did."""
        waits = [(count, kind) for kind, count in self.outcomes.items() if is_wait(kind)]
        if not waits:
            return ""
        count, kind = min(waits, key=lambda wait: (-wait[0], wait[1]))
        return f"{wait_shown(kind)} {count:,}"


@dataclass(slots=True)
class FaultSummary:
    """How often a fault took effect, and when."""

    times: int
    first: Step
    last: Step


@dataclass(slots=True)
class Summary:
    """What a whole recording says."""

    tasks: list[TaskSummary]  # in spawn order
    outcomes: Counter[str]
    events: Counter[str]
    objects: list[Counter[str]]  # by object number: operation -> count
    last: list[Step]
    faults: dict[str, FaultSummary]  # by name, in the order in which they first struck
    choices: int  # steps that began with more than one runnable task


def summarize(recording: Recording, last: int, report: Callable[[int], None]) -> Summary:
    """Read every step once; about 3 µs each. Calls ``report`` with the count of steps from time to time."""
    tasks = {number: TaskSummary(number, path) for number, (_, path) in sorted(recording.tasks.items())}
    outcomes: Counter[str] = Counter()
    events: Counter[str] = Counter()
    objects: list[Counter[str]] = [Counter() for _ in recording.objects]
    kept: deque[Step] = deque(maxlen=last)
    faults: dict[str, FaultSummary] = {}
    choices = 0
    for step in recording.iter_steps():
        task = tasks[step.task]
        if not task.steps:
            task.first_step, task.first_time = step.index, step.time
        task.steps += 1
        task.last_step, task.last_time = step.index, step.time
        task.outcomes[step.outcome] += 1
        task.state = step.outcome
        choices += step.choice is not None
        for event in step.events:
            events[event.kind] += 1
            if event.kind in _OBJECT_EVENTS and event.number is not None:
                objects[event.number][event.operation or event.kind] += 1
            elif event.kind == "fault":
                fault = faults.setdefault(str(event.label), FaultSummary(0, step, step))
                fault.times, fault.last = fault.times + 1, step
        kept.append(step)
        if step.index % REPORT_EVERY == 0:
            report(step.index)
    for task in tasks.values():
        outcomes.update(task.outcomes)
    return Summary(list(tasks.values()), outcomes, events, objects, list(kept), faults, choices)


def ended_in_words(task: TaskSummary, recording: Recording) -> str | None:
    """``returned``, ``cancelled``, ``killed`` or ``failed: TYPE``; None if the task did not end."""
    if recording.endings is not None and task.number in recording.endings:
        return recording.endings[task.number]
    if task.state == "done":
        return "returned"
    if task.state == "failed":
        return "failed or cancelled"  # which of them, files from before format 2.2 do not say
    return None


def ending_shown(task: TaskSummary, recording: Recording) -> str:
    """How the task ended, or why it never did."""
    ended = ended_in_words(task, recording)
    if ended is not None:
        return ended
    if not task.steps:
        return "never started"
    never = "not yet" if recording.truncated else "never"
    if task.state == "checkpoint":
        return f"{never}: could go on"
    is_deadlocked = recording.end is not None and recording.end.error_type == "DeadlockError"
    waits_in = "trio.sleep_forever" if is_deadlocked and task.state == CLOCK else wait_shown(task.state)
    return f"{never}: waits in {waits_in}"


def describe_events(step: Step) -> str:
    """What a step did, in words."""
    return ", ".join(map(event_described, step.events))
