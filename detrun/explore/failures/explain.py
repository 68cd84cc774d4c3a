"""Explanation of a failure: the nearest schedule that passes, and the two operations whose order tells them apart.

The shrunk schedule is 1-minimal, so leaving out any one of its turns gives a schedule that does not fail so. Of those
that pass, the one that agrees with it for the longest time is compared with it. At the first difference one task goes
on instead of another. What then matters is the *critical pair*: an operation of the task that was kept waiting and one
of those that came in between, on the same object, of which at least one changes it; if there are several, one that the
passing schedule has the other way round. If none is known, the pair is the lines that the two tasks ran next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from detrun.explore.campaign.schedules import unpacked
from detrun.explore.failures.listing import code_of, shown_place
from detrun.explore.failures.narration import Line, Mark, NarratedStep, Narration, narrate
from detrun.explore.failures.trials import LimitedTrials, Trial, TrialRunner
from detrun_scheduler.choices import COLLECT, FIRE
from detrun_scheduler.footprints.footprints import Key, modes_conflict

PASSING_TRIALS = 60
MANY = 720_720  # divisible by every number of tasks up to 16, so that a walk by its remainders is uniform


@dataclass(frozen=True, slots=True)
class Operation:
    """One end of the critical pair."""

    task: str
    line: Line | None
    verb: str  # "reads", "changes", "runs"

    def __str__(self) -> str:
        if self.line is None:
            return self.task
        return f"{self.task} {self.verb} at {shown_place(self.line)}:  {code_of(self.line)}"


@dataclass(frozen=True, slots=True)
class CriticalPair:
    """Two operations, in the order in which the schedule fails.

    Attributes:
        resource: what reports call the object that both touch; empty if it is not known.
        is_reversed: the passing schedule has them the other way round, or only the second.
    """

    first: Operation
    second: Operation
    resource: str = ""
    is_reversed: bool = False

    def lines(self) -> list[str]:
        """What an explanation says of it."""
        return [
            f"What matters is the order of two {f'operations on {self.resource}' if self.resource else 'lines'}:",
            f"  first  {self.first}",
            f"  then   {self.second}",
            *(["The schedule that passes has them the other way round."] if self.is_reversed else []),
        ]


@dataclass(slots=True)
class Explanation:
    """What it takes to fail.

    Attributes:
        text: the explanation in words.
        pair: the critical operations, in the order in which they fail; None if there is no passing schedule.
        resource: what reports call the object that both touch; empty if it is not known.
        first_difference: the step at which the nearest passing schedule goes another way.
        failing, passing: both schedules, step by step.
    """

    text: str
    pair: tuple[Operation, Operation] | None
    resource: str
    first_difference: int | None
    failing: Narration
    passing: Narration | None

    def __str__(self) -> str:
        return self.text


def explain(runner: TrialRunner, failing: Trial) -> Explanation:
    """Compare a failing schedule with the nearest passing one."""
    program, seed = runner.program, runner.seed
    narration = narrate(program, seed, unpacked(failing.schedule))
    passing = _nearest_passing(runner, failing)
    if passing is None:
        tried = f"{PASSING_TRIALS} other schedules were tried and none passes: this may not be a matter of the schedule"
        return Explanation(tried, None, "", None, narration, None)
    other = narrate(program, seed, unpacked(passing.schedule))
    difference = common(failing.order, passing.order)
    pair = _critical_pair(narration, other, difference)
    lines = [f"{_summary(failing)} The nearest schedule that passes goes another way at step {difference}."]
    if pair is None:
        return Explanation("\n".join(lines), None, "", difference, narration, other)
    text = "\n".join([*lines, *pair.lines()])
    return Explanation(text, (pair.first, pair.second), pair.resource, difference, narration, other)


def _summary(failing: Trial) -> str:
    if not failing.turns:
        return "It fails if every task goes on for as long as it can."
    actions = failing.actions
    preemptions = sum(failing.preemptions) - sum(actions.values())
    taken = [f"{preemptions} preemption{'s' if preemptions > 1 else ''}"] if preemptions else []
    early, collections = actions[FIRE], actions[COLLECT]
    taken += [f"{early} timer{'s' if early > 1 else ''} that fire{'' if early > 1 else 's'} while tasks can run"] * (
        early > 0
    )
    taken += [f"{collections} garbage collection{'s' if collections > 1 else ''}"] * (collections > 0)
    if not taken:
        return "It takes no preemption, only an order in which tasks follow those that block or end."
    return f"It takes {' and '.join(taken)}."


def common(first: list[str], second: list[str]) -> int:
    """How many steps two schedules agree."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


def _nearest_passing(runner: TrialRunner, failing: Trial) -> Trial | None:
    limited = LimitedTrials(runner, 4 * PASSING_TRIALS)
    trials = []
    for index in range(len(failing.turns)):
        trial = limited.try_turns([turn for at, turn in enumerate(failing.turns) if at != index])
        if trial is not None:
            trials.append(trial)
    passing = [trial for trial in trials if trial.error is None]
    if not passing:
        # Fails by itself, or each of its parts does in another way: look around.
        for index in range(PASSING_TRIALS):
            numbers = Random(f"{runner.seed} {index}").choices(range(MANY), k=2 * len(failing.order))
            trial = runner.try_choices(numbers)
            if trial.error is None:
                passing.append(trial)
    return max(passing, key=lambda trial: common(failing.order, trial.order), default=None)


def _critical_pair(failing: Narration, passing: Narration, difference: int) -> CriticalPair | None:
    """The operations that come in one order in the one and in the other in the other."""
    if difference >= min(len(failing.steps), len(passing.steps)):
        return None
    late = passing.steps[difference].task  # goes on there, is kept waiting here
    between: list[NarratedStep] = []
    rest: list[NarratedStep] = []
    for step in failing.steps[difference:]:
        if step.task == late:
            rest.append(step)
        elif not rest:
            between.append(step)
    # A task that is kept waiting for good, as in a deadlock, shows what it would have done in the other schedule.
    would_be = [step for step in passing.steps[difference:] if step.task == late]
    clashes = list(_clashes(between, rest, failing)) + list(_clashes(between, would_be, passing))
    reversed_ones = [replace(one, is_reversed=True) for one in clashes if _is_reversed(one, passing, difference)]
    if reversed_ones:
        # Of those on the object where they meet first, a read that came too early says more than what it led to.
        stale = [one for one in reversed_ones if (one.first.verb, one.second.verb) == ("reads", "changes")]
        return next((one for one in stale if one.resource == reversed_ones[0].resource), reversed_ones[0])
    if clashes:
        return clashes[0]
    return _lines_of(between, rest or would_be)


def _lines_of(between: Sequence[NarratedStep], rest: Sequence[NarratedStep]) -> CriticalPair | None:
    """A line of each of the two: one that both run, or the last before the waiting task could go on and its next."""
    second = next((step for step in rest if step.lines), None)
    first = next((step for step in reversed(between) if step.lines), None)
    if first is None or second is None:
        return None
    # Two that do the same are likely to meet in the same line, `log.append(...)` for instance, and not where they wait.
    ran = {line: step.task for step in between for line in step.lines if not code_of(line).startswith("await ")}
    line = next((line for step in rest for line in step.lines if line in ran), None)
    if line is not None:
        return CriticalPair(Operation(ran[line], line, "runs"), Operation(second.task, line, "runs"))
    return CriticalPair(Operation(first.task, first.lines[-1], "runs"), Operation(second.task, second.lines[0], "runs"))


def _clashes(
    between: Sequence[NarratedStep], rest: Sequence[NarratedStep], narration: Narration
) -> Iterator[CriticalPair]:
    """Operations of the two that conflict on an object of the program and have lines, in the order of the second."""
    marks: dict[Key, list[tuple[str, Mark]]] = {}
    for step in between:
        for mark in step.marks:
            known = marks.setdefault(mark.key, [])
            if mark.line is not None and all(mark != other for _, other in known):
                known.append((step.task, mark))
    for step in rest:
        for mark in step.marks:
            for task, other in marks.get(mark.key, ()) if mark.line is not None else ():
                name = narration.name_of(mark.key)
                if name and modes_conflict(mark.mode, other.mode):
                    first, second = Operation(task, other.line, other.verb), Operation(step.task, mark.line, mark.verb)
                    yield CriticalPair(first, second, name)


def _is_reversed(pair: CriticalPair, passing: Narration, difference: int) -> bool:
    """Whether the passing schedule does the second of the operations, and not the first before it."""
    for step in passing.steps[difference:]:
        for mark in step.marks:
            operation = Operation(step.task, mark.line, mark.verb)
            if operation == pair.second:
                return True
            if operation == pair.first:
                return False
    return False
