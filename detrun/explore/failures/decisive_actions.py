"""An early timer or a garbage collection as the explanation of a failure, verified by leaving it out.

A schedule that fails only because the run acts by itself (`detrun_scheduler.acting`) has no two operations to reverse.
What is tested is the action: the same turns without it, and the same order of steps without it. It is named with the
step before which it comes, the place in the program that set the timer or where the collector ran, and what it hit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from detrun.explore.failures.acted import FiredTimer
from detrun.explore.failures.explanation import Explanation, summary
from detrun.explore.failures.listing import code_of, shown_place
from detrun.explore.failures.narrated_steps import Line, NarratedStep
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.trials import KIND_OF_TURN, Trial, Turn
from detrun_scheduler.choices import COLLECT, FIRE

_DONE = (FIRE, COLLECT)


@dataclass(frozen=True, slots=True)
class DecisiveAction:
    """An action without which the schedule passes.

    Attributes:
        step: before which it happened.
        text: what happened, a line each.
        passing: the schedule without it, step by step.
    """

    step: int
    text: tuple[str, ...]
    passing: Narration | None


def only_actions(reversals: Reversals, narration: Narration) -> Explanation | None:
    """The action that decides, of a schedule that takes nothing else."""
    return decisive_action(reversals, narration) if takes_only_actions(reversals.failing) else None


def decisive_action(reversals: Reversals, narration: Narration) -> Explanation | None:
    """The action that decides."""
    failing = reversals.failing
    found = verified_action(reversals, narration)
    if found is None:
        return None
    text = "\n".join([summary(failing), *found.text, "Verified: without it the run passes."])
    return Explanation(text, None, "", found.step, narration, found.passing, True)


def takes_only_actions(failing: Trial) -> bool:
    """Whether the schedule has actions, and beside them no preemption."""
    taken = sum(failing.actions[kind] for kind in _DONE)
    return taken > 0 and sum(failing.preemptions) == sum(failing.actions.values())


def verified_action(reversals: Reversals, narration: Narration) -> DecisiveAction | None:
    """The last action without which everything else passes, None if it fails without each."""
    failing = reversals.failing
    turns = failing.turns
    for index in range(len(turns) - 1, -1, -1):
        if KIND_OF_TURN.get(turns[index].then) not in _DONE:
            continue
        without = [turn for at, turn in enumerate(turns) if at != index]
        for trial in reversals.without(without):
            if trial.error is None:
                step = _step_of(failing, turns[index])
                nth = sum(_is_done(turn) and _step_of(failing, turn) == step for turn in turns[:index])
                text = _text(failing, narration, index, step, nth)
                return DecisiveAction(step, text, reversals.narration(trial))
    return None


def _is_done(turn: Turn) -> bool:
    return KIND_OF_TURN.get(turn.then) in _DONE


def _step_of(failing: Trial, turn: Turn) -> int:
    """Before which step an action comes that follows so many steps of a task."""
    taken = 0
    for at, task in enumerate(failing.order):
        taken += task == turn.task
        if taken == turn.steps and task == turn.task:
            return at + 1
    return len(failing.order)


def _text(failing: Trial, narration: Narration, index: int, at: int, nth: int) -> tuple[str, ...]:
    step = narration.steps[at] if at < len(narration.steps) else None
    acted = step.before[nth] if step is not None and nth < len(step.before) else None
    if step is None or acted is None:
        turn = failing.turns[index]
        what = "time passes" if KIND_OF_TURN[turn.then] == FIRE else "the garbage collector runs"
        return (f"What matters is that {what} before step {at}, after {turn.steps} steps of {turn.task}.",)
    if acted.kind == COLLECT:
        lines = [f"What matters is that before step {at}, in {step.task}, {acted}"]
        stands = _stands(narration, step.task, at) or next(iter(step.lines), None)
        return (*lines, *_placed("  it runs", stands))
    lines = [f"What matters is that before step {at} the clock moves to {acted.time:.9g} s although tasks can run:"]
    lines += [line for timer in acted.timers for line in _of_timer(narration, timer, at)]
    return tuple(dict.fromkeys(lines))


def _of_timer(narration: Narration, timer: FiredTimer, at: int) -> Iterator[str]:
    if timer.task:
        yield from _placed(f"  the timer of {timer.task} fires", _stands(narration, timer.task, at))
        return
    opened = None if timer.scope is None else _opened(narration, timer, at)
    if opened is None:
        yield f"  {timer}"
        return
    step, line = opened
    yield from _placed(f"  the time-out of {step.task} strikes", line)
    yield from _placed(f"  {step.task} stands", _stands(narration, step.task, at), unless=line)


def _opened(narration: Narration, timer: FiredTimer, at: int) -> tuple[NarratedStep, Line] | None:
    for step in narration.steps[:at]:
        for mark in step.marks:
            if mark.key == timer.scope and mark.line is not None:
                return step, mark.line
    return None


def _stands(narration: Narration, task: str, at: int) -> Line | None:
    """The line that a task ran last before a step."""
    for step in reversed(narration.steps[:at]):
        if step.task == task and step.lines:
            return step.lines[-1]
    return None


def _placed(what: str, line: Line | None, unless: Line | None = None) -> list[str]:
    return [] if line is None or line == unless else [f"{what} at {shown_place(line)}:  {code_of(line)}"]
