"""What-if replays: the recorded choices are followed while they fit, and then as far as they go.

A program that is run again with other parameters, or with a draw forced to another outcome, takes the recorded steps
until something flips: a branch, an order of timers, a compare-and-exchange. Up to there this replay compares every step
as a strict one does, values and times apart; `FirstDifference` says where it could not go on so. An equal order of
steps is thus proved and not guessed: there was a difference, or every step, every wake-up and every operation of the
run was the recorded one.

After the difference the tasks go on by their own clocks (`recorded_clocks`): what the difference does not reach keeps
its recorded order, steps that the recording does not have come where a random walk would put them, and if the recorded
schedule was a random walk, this one has the law of a random walk. A strategy that draws for each task by itself, or
draws nothing, takes over instead: it is consulted all along and is in the state in which it would be.

External effects give their recorded results as long as the recording has them, by task and name after the difference;
others are carried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import outcome

from detrun_recorder.divergence import StepSummary, describe_events
from detrun_recorder.format import unpack_varints
from detrun_recorder.recorded_clocks import RecordedClocks, recorded_clocks
from detrun_recorder.recording import Recording
from detrun_recorder.strict_replay import StrictReplay
from detrun_scheduler.choices import FIRST_ACTION, NO_ACTION, GivenActions, Oracle, RunView, action_of
from detrun_scheduler.journal import HAS_EVENTS
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.strategies.task_clocks import TaskClocks

ARRIVED_MAX = 4096


@dataclass(slots=True)
class FirstDifference:
    """The first step of a what-if replay that was not the recorded one.

    Attributes:
        step: counted from 0. The same task took it in both runs; what it did, or what followed, differs.
        time: virtual seconds of this run, after the step.
        recorded_time: of the recording, before the step.
        recorded, actual: the task, how its step ended, what it did and what followed it.
        flipped: what flipped, in words.
        kind: ``"compare_exchange"``, ``"timers"``, ``"wake-ups"`` or ``"code"``: what decided otherwise, as far as the
            two records show it.
        stack: where the task stands in the user's code after the step, outermost first; of one that failed, where it
            failed; empty for one that has returned.
        runnable: paths of the tasks that could step next here.
        next_recorded: path of the task that stepped next in the recording; None: it ended.
    """

    step: int
    time: float
    recorded_time: float
    recorded: StepSummary
    actual: StepSummary
    flipped: str
    kind: str
    stack: tuple[str, ...]
    runnable: tuple[str, ...]
    next_recorded: str | None

    def __str__(self) -> str:
        following = self.next_recorded or "nothing"
        able = ", ".join(self.runnable[:8]) + (", …" if len(self.runnable) > 8 else "") or "nothing"
        return "\n".join(
            [
                f"as recorded up to step {self.step:,}, virtual time {self.time:.9g} s: {self.flipped}",
                f"  recorded: {self.recorded}",
                f"  now:      {self.actual}",
                *(f"    at {place}" for place in self.stack),
                f"  next in the recording: {following}; here can run: {able}",
            ]
        )


@dataclass(slots=True)
class WhatIfReport:
    """How far a what-if replay was the recorded run.

    Attributes:
        first_difference: None: every step, wake-up and operation was the recorded one, in the same order.
        steps: of this run.
        steps_recorded: of the recording.
        steps_unknown: after the difference, that the recording does not have.
        effects_performed: external effects that were carried out because the recording has no result for them.
    """

    steps_recorded: int
    first_difference: FirstDifference | None = None
    steps: int = 0
    steps_unknown: int = 0
    effects_performed: int = 0

    @property
    def followed(self) -> int:
        """Steps as recorded before the first difference."""
        return self.steps if self.first_difference is None else self.first_difference.step

    def __str__(self) -> str:
        if self.first_difference is None:
            return f"all {self.steps:,} steps as recorded"
        return f"{self.followed:,} of {self.steps:,} steps as recorded, then another way"


class WhatIfReplay(StrictReplay):
    """Follows a recording while it fits; both oracle and verifier of the run.

    Args:
        strategy: consulted all along; it chooses where a truncated recording ends.
        takes_over: it also chooses after the first difference. Otherwise the tasks' recorded clocks do.
    """

    def __init__(self, recording: Recording, strategy: Oracle, takes_over: bool) -> None:
        super().__init__(recording, strategy)
        self.takes_over = takes_over
        self.report = WhatIfReport(recording.steps)
        self.run: RunView | None = None
        self.clocks: TaskClocks | None = None  # after the difference
        self.recorded: RecordedClocks | None = None
        self.counts: dict[str, int] = {}  # by path: steps after the difference
        self.effects_taken: dict[tuple[str, str], int] = {}
        self.effects_of_step = 0  # taken in the open step
        self.told: list[int] = []
        self.step_taken = self._step_taken

    def new_run(self, run: RunView) -> None:
        """Know the run, and start the strategy."""
        self.run = run
        super().new_run(run)

    def arrivals(self) -> list[int] | None:
        """A list of our own, or the one that the strategy has asked for."""
        told = super().arrivals()
        if told is not None:
            self.told = told
        return self.told

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The recorded choice; after the difference that of the clocks, or of the strategy."""
        if self.report.first_difference is None:
            return super().next_task(runnable, current)
        if self.clocks is None:
            return self.strategy.next_task(runnable, current)
        return self.clocks.next_task(self.run, runnable)  # type: ignore[arg-type]  # an ActiveRun

    def next_action(self, steps: int) -> float:
        """Where the recording has its next action."""
        return super().next_action(steps) if self.report.first_difference is None else self.actions.next_action(steps)

    def action(self, steps: int, has_timers: bool) -> int:
        """The recorded action."""
        if self.report.first_difference is None:
            return super().action(steps, has_timers)
        return self.actions.action(steps, has_timers) if self.actions.next_action(steps) <= steps else NO_ACTION

    def recorded_effect(self, name: str) -> bytes | None:
        """The result of the next effect, if the recording has one of this name there."""
        found = self._recorded_effect(name)
        self.report.effects_performed += found is None
        return found

    def _recorded_effect(self, name: str) -> bytes | None:
        if self.recorded is not None and self.run is not None:
            key = (self.run.path_of(self.run.current), name)
            taken = self.effects_taken[key] = self.effects_taken.get(key, 0) + 1
            results = self.recorded.effects.get(key, ())
            return results[taken - 1] if taken <= len(results) else None
        chunk = self.expected.chunk
        if chunk is None or self.expected.step >= chunk.steps or not chunk.outcomes[self.expected.step] & HAS_EVENTS:
            return None
        events = describe_events(chunk.events[self.expected.event :], self.expected.names)
        names = [event for event in events if event.startswith("effect ")]
        self.effects_of_step += 1
        # Otherwise this step is the difference, and what it does after this is no longer the recorded one's.
        is_same = names[self.effects_of_step - 1 : self.effects_of_step] == [f"effect {name}"]
        return super().recorded_effect(name) if is_same else None

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """Compare the step, as long as all agreed."""
        report = self.report
        report.steps += 1
        self.effects_of_step = 0
        if report.first_difference is None:
            super().step_closed(run, task, outcome_byte, record)
            chunk = self.expected.chunk
            if report.first_difference is not None:
                self._part(run)
            elif chunk is not None and self.expected.step >= chunk.steps:
                # The journal's own chunk ends here, too: what makes it end is equal.
                self.expected.next_chunk()
                self.seen = [0, 0, 0, 0]
        elif self.recorded is not None:
            path = run.path_of(task)
            count = self.counts[path] = self.counts.get(path, 0) + 1
            report.steps_unknown += count > self.recorded.steps.get(path, 0)

    def _step_taken(self, run: ActiveRun) -> None:
        taken = getattr(self.strategy, "step_taken", None)
        if self.clocks is not None:
            self.clocks.step_taken(run)
        elif taken is not None:
            taken(run)
        elif len(self.told) > ARRIVED_MAX and self.report.first_difference is None:
            self.told.clear()

    def _different_time(self, run: ActiveRun, chunk: Any) -> str | None:
        return None  # times follow from parameters; an order that they change shows in who wakes

    def _raise(
        self,
        run: ActiveRun,
        recorded: StepSummary,
        actual: StepSummary,
        detail: str,
        stack: tuple[str, ...],
        cause: BaseException | None = None,
    ) -> None:
        """The first difference is noted, and the run goes on."""
        if self.report.first_difference is not None:
            return
        step = self._steps_compared()
        has_step = step < self.recording.steps
        following = self.recording.step(step + 1).path if step + 1 < self.recording.steps else None
        kind, flipped = _flipped(recorded, actual, detail)
        self.report.first_difference = FirstDifference(
            step=step,
            time=run.time,
            recorded_time=self.recording.step(step).time if has_step else self.recording.virtual_time,
            recorded=recorded,
            actual=actual,
            flipped=flipped,
            kind=kind,
            stack=stack,
            runnable=tuple(run.path_of(number) for number in run.host.queue.numbers),
            next_recorded=following,
        )

    def _part(self, run: ActiveRun) -> None:
        """From here on the recorded choices do not fit."""
        difference = self.report.first_difference
        assert difference is not None
        first_step = difference.step + 1
        self.recorded = recorded_clocks(self.recording, first_step)
        numbers = [
            number
            for chunk in self.recording.chunks()
            if chunk.first_step + chunk.steps >= first_step and not chunk.choices.isascii()
            for number in unpack_varints(chunk.choices)
            if number >= FIRST_ACTION and action_of(number)[0] >= first_step
        ]
        self.actions = GivenActions(numbers)
        if not self.takes_over:
            self.clocks = TaskClocks(self.recorded)
            self.clocks.arrived = self.told
            self.told.clear()
            self.clocks.begin(run, run.host.queue.numbers)

    def ended(self, run: ActiveRun, ended: outcome.Outcome[object]) -> None:
        """The program has ended; the recording may go on."""
        if self.report.first_difference is None and self.expected.chunk is not None:
            how = f" with {type(ended.error).__qualname__}" if isinstance(ended, outcome.Error) else ""
            now = StepSummary("", how.removeprefix(" with "), ())
            self._raise(run, self._recorded_step(), now, f"the program has ended{how}, but the recording goes on", ())


def _flipped(recorded: StepSummary, actual: StepSummary, detail: str) -> tuple[str, str]:
    """What kind of decision the two records differ in first, and the difference in words."""
    for was, now in zip_longest(recorded.events, actual.events):
        if was == now:
            continue
        one, other = was or "nothing more", now or "nothing more"
        words = f"{one} in the recording, {other} now"
        operations = {text.partition(" on ")[0] for text in (one, other)}
        if operations == {"compare_exchange", "compare_exchange_failed"}:
            place = one.partition(" on ")[2]
            failed = "succeeded in the recording, failed now"
            if one.startswith("compare_exchange_failed"):
                failed = "failed in the recording, succeeds now"
            return "compare_exchange", f"compare_exchange on {place} {failed}"
        if all(text.startswith(("woke ", "time ", "nothing")) for text in (one, other)):
            if recorded.ended != actual.ended:
                break  # what followed the step follows from that
            words = f"{_woken(recorded)} in the recording, {_woken(actual)} now"
            if "time moved" in recorded.events or "time moved" in actual.events:
                return "timers", f"the timers that fire next wake {words}"
            return "wake-ups", f"the step wakes {words}"
        return "code", f"the program took another way: {words}"
    if recorded.task and recorded.task == actual.task and recorded.ended != actual.ended:
        return "code", f"the program took another way: {recorded.ended} in the recording, {actual.ended} now"
    return "code", detail


def _woken(summary: StepSummary) -> str:
    """Whom a step woke."""
    paths = [event.partition(" (")[2].removesuffix(")") for event in summary.events if event.startswith("woke ")]
    return ", ".join(paths[:8]) + (", …" if len(paths) > 8 else "") or "no task"
