"""The two places of the program that stand for the instants on either side of a moment.

At an instant a server may run through the loop that takes messages, the dispatcher, a handler, and what sends an
answer. What matters is the state that the one instant leaves and the other finds. So the first place is where a step
*changes* something that a step of the second *touches*, and the second is where it does; of several such things the one
that fewest steps of the run touch. Things are alike if their names are, but for the number: what is kept across a
restart is another object afterwards.

What a task does after an fsync was decided by an earlier step. So a step of the first instant is joined by the last
that changed what it goes on with (`_source`). A helper that several functions call, a setter say, is named by its
caller.

Where nothing is touched at both, a step is named by its line that tells it from the other steps of the run: in the
function that fewest steps ran, the line that fewest ran, the last that changes or calls something.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from detrun.explore.failures.functions import function_at
from detrun.explore.failures.listing import code_of, shown_place
from detrun.explore.failures.narrated_steps import Line, Mark, NarratedStep, function_of
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.occurrences import Occurrence
from detrun.explore.failures.operations import Operation
from detrun_scheduler.footprints.footprints import COMMUTE

_NUMBER = re.compile(r"\[\d+\]")
GOING_ON_MAX = 8  # steps of one task that belong together at most


@dataclass(frozen=True, slots=True)
class NamedStep:
    """A place that a step ran: the task's operation, and where and when it was."""

    operation: Operation
    step: NarratedStep

    def __str__(self) -> str:
        line = self.operation.line
        assert line is not None
        where = f"{self.step.node}, " if self.step.node else ""
        function = function_at(line.file, line.number) or "the module"
        return f"{function} at {shown_place(line)} ({where}{self.step.time:.6g} s):  {code_of(line)}"


@dataclass(frozen=True, slots=True)
class Instant:
    """Steps of a run at one time, of which one is to be named."""

    narration: Narration
    steps: Sequence[NarratedStep]

    @classmethod
    def of(cls, narration: Narration, indices: Collection[int], nodes: Collection[str]) -> Instant:
        """Those of the steps that ran a line, of the nodes if one of theirs did."""
        ran = [narration.steps[index] for index in indices if index < len(narration.steps)]
        ran = [step for step in ran if step.lines]
        return cls(narration, [step for step in ran if step.node in nodes] or ran)


def named(run: Narration, instants: Sequence[Instant]) -> list[NamedStep | None]:
    """The places of one instant or two; None for one that ran no line of the program.

    Args:
        run: the failing one, by which it is told what is rare.
    """
    if len(instants) == 2:
        pair = _pair(run, *instants)
        if pair is not None:
            return list(pair)
    return [_alone(run, instant) for instant in instants]


def _pair(run: Narration, first: Instant, second: Instant) -> tuple[NamedStep, NamedStep] | None:
    touched = Counter(label for step in run.steps for label in {_label(run, mark) for mark in step.marks})
    changes, uses = _touching(first, changed=True), _touching(second, changed=False)
    common = [label for label in changes if label in uses]
    if not common:
        return None
    counted = _counted(second)
    label = min(common, key=lambda one: (one in counted, touched[one], one))
    return _at(run, *changes[label], last=True), _at(run, *uses[label], last=False)


def _alone(run: Narration, instant: Instant) -> NamedStep | None:
    lines, functions = run.line_counts(), run.function_counts()
    best: tuple[tuple[int, int, int, int, bool, int], NamedStep] | None = None
    for step in instant.steps:
        changing = {mark.line for mark in step.marks if mark.is_data and mark.verb == "changes"}
        entered = _entered(step)
        for at, line in enumerate(step.lines):
            function = function_of(line)
            does = line in changing or _calls(line)
            rank = (functions[function], step.index, entered[function], lines[line], not does, -at)
            if best is None or rank < best[0]:
                best = rank, NamedStep(Operation(step.task, line, "runs", step.index), step)
    return None if best is None else best[1]


def innermost(run: Narration, step: NarratedStep) -> Line | None:
    """Of a step's functions that fewest steps run, the one that was entered last: its line that fewest run."""
    lines, functions, entered = run.line_counts(), run.function_counts(), _entered(step)
    return min(
        step.lines,
        key=lambda line: (functions[function_of(line)], -entered[function_of(line)], lines[line], not _calls(line)),
        default=None,
    )


def _entered(step: NarratedStep) -> dict[tuple[str, str], int]:
    """By function, the index of the first line of it that a step runs."""
    found: dict[tuple[str, str], int] = {}
    for at, line in enumerate(step.lines):
        found.setdefault(function_of(line), at)
    return found


def _touching(instant: Instant, *, changed: bool) -> dict[str, tuple[NarratedStep, Line]]:
    """By the name of what it changes: the last step that does, and its last line; or touches: the first of the last."""
    found: dict[str, tuple[NarratedStep, Line]] = {}
    steps = list(instant.steps)
    if changed:
        steps = [source for step in steps for source in _source(instant.narration, step)] + steps
    for step in steps:
        own: dict[str, tuple[NarratedStep, Line]] = {}
        for mark in step.marks:
            label = _label(instant.narration, mark)
            if label and mark.line is not None and (mark.verb == "changes" or not changed):
                if changed:
                    own[label] = step, mark.line
                else:
                    own.setdefault(label, (step, mark.line))
        found.update(own)
    return found


def _counted(instant: Instant) -> set[str]:
    """Names of what a line of it both reads and changes, such as counts, which decide nothing there."""
    found = [
        {(_label(instant.narration, mark), mark.line) for mark in step.marks if (mark.verb == "changes") is changes}
        for step in instant.steps
        for changes in (False, True)
    ]
    pairs = zip(found[::2], found[1::2], strict=True)
    summed = {_label(instant.narration, mark) for step in instant.steps for mark in step.marks if mark.mode == COMMUTE}
    return summed | {label for reads, changes in pairs for label, _ in reads & changes}


def _label(narration: Narration, mark: Mark) -> str:
    name = narration.name_of(mark.key) if mark.is_data else ""
    return _NUMBER.sub("", name) if "." in name else ""


def _source(narration: Narration, step: NarratedStep) -> list[NarratedStep]:
    """The last step of another task of its node that changed what its task goes on with, if there is one."""
    own = [one for one in narration.steps[: step.index + 1] if one.task == step.task][-GOING_ON_MAX:]
    since = len(own) - 1
    while since and own[since - 1].ended in ("", "sleep", "sleep_until", "sleep_true"):
        since -= 1
    read = {mark.key: one.index for one in reversed(own[since:]) for mark in one.marks if mark.is_data}
    for other in reversed(narration.steps[: step.index]):
        if other.node == step.node and other.task != step.task:
            for mark in other.marks:
                if mark.verb == "changes" and other.index < read.get(mark.key, -1):
                    return [other]
    return []


def _at(run: Narration, step: NarratedStep, line: Line, *, last: bool) -> NamedStep:
    line = caller_of(run.steps, step, line, last=last)
    return NamedStep(Operation(step.task, line, "runs", step.index), step)


def sent_by(narration: Narration, message: Occurrence) -> Operation | None:
    """Where a message was sent; None if that is not known, or it is none."""
    file, _, number = message.line.rpartition(":")
    if not file or not 0 <= message.set_in < len(narration.steps):
        return None
    step = narration.steps[message.set_in]
    return Operation(
        step.task, caller_of(narration.steps, step, Line(file, int(number)), last=True), "sends it", step.index
    )


def asked_for_by(narration: Narration, step: NarratedStep, line: Line) -> Line:
    """The same as `caller_of` where the call may have been in an earlier step of the task."""
    name = _called(line)
    calls = {one for one in narration.line_counts() if _is_call(one, name) and function_of(one) != function_of(line)}
    if not name or len({function_of(one) for one in calls}) < 2:
        return line
    own = [one for one in narration.steps[: step.index + 1] if one.task == step.task]
    return next((ran for one in reversed(own) for ran in reversed(one.lines) if ran in calls), line)


def caller_of(steps: Iterable[NarratedStep], step: NarratedStep, line: Line, *, last: bool) -> Line:
    """Where its function was called from, if several functions of the run call it; else the line."""
    callers = {function_of(one) for other in steps for one in _called_from(other, line)}
    here = _called_from(step, line)
    return line if not here or len(callers) < 2 else here[-1 if last else 0]


def _called_from(step: NarratedStep, line: Line) -> list[Line]:
    """The lines that called the function of this line, in their order."""
    name = _called(line)
    if not name or line not in step.lines:
        return []
    found: list[Line] = []
    calling: Line | None = None
    for at in step.lines:
        if at == line:
            found += [calling] if calling is not None else []
        elif _is_call(at, name):
            calling = at
    return found


def _called(line: Line) -> str:
    return function_at(line.file, line.number).rpartition(".")[2]


def _is_call(line: Line, name: str) -> bool:
    return f"{name}(" in code_of(line) and not code_of(line).startswith(("def ", "async def "))


def _calls(line: Line) -> bool:
    """Whether a line does something by a call alone: sends a message, writes a file."""
    code = code_of(line).partition("  #")[0].removeprefix("await ")
    return code.endswith(")") and code.partition("(")[0].replace(".", "").replace("_", "").isalnum()
