"""Trying one schedule: a list of *turns* is followed as far as it goes, and what really happened is written down.

A turn says: once this task has been chosen or stepped so often, that task goes on. Turns name tasks by path and count a
task's own steps, so a turn keeps its meaning when others are taken away, which choices by index do not. Where no turn
applies, the running task goes on, and when it cannot, the oldest task that can. A schedule is thus a short list: of its
turns those that take off a task that could have gone on are *preemptions*, the others decide who follows a task that
blocked or ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import outcome

from detrun.execution.execute import execute
from detrun.explore.campaign.pieces import Program
from detrun.explore.campaign.schedules import ScheduleJournal
from detrun.explore.failures.signatures import Signature, signature_of
from detrun_scheduler.choices import KeyedDraws, RunView
from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import ActiveRun, RunHooks


class Turn(NamedTuple):
    """Once ``task`` has taken ``steps`` steps, ``then`` goes on."""

    task: str  # path; empty before the first step
    steps: int
    then: str


@dataclass(slots=True)
class Trial:
    """What a schedule came to.

    Attributes:
        turns: those that happened, in order.
        preemptions: how many of them took off a task that could have gone on.
        tasks: who took a step.
        order: the task of every step.
        faults: planned faults that began and `buggify` sites that fired, and whether they last.
    """

    schedule: bytes
    signature: Signature | None  # None: the program did not fail
    error: BaseException | None
    turns: list[Turn]
    preemptions: list[bool]
    tasks: int
    steps: int
    order: list[str] = field(default_factory=list)
    faults: dict[str, bool] = field(default_factory=dict)

    @property
    def cost(self) -> tuple[int, int, int, int]:
        """What shrinking makes small, the first first: preemptions, tasks, turns, steps."""
        return sum(self.preemptions), self.tasks, len(self.turns), self.steps


class FollowedTurns(KeyedDraws):
    """Makes the turns that apply, each once; both oracle and verifier of a run.

    Args:
        turns: in any order; of several that apply at the same moment the first counts.
        choices: instead of turns, the choices of a schedule by index, counted round where there are fewer tasks.
    """

    def __init__(self, turns: Sequence[Turn] = (), choices: Sequence[int] | None = None) -> None:
        self.turns: dict[tuple[str, int], list[str]] = {}
        for turn in turns:
            self.turns.setdefault((turn.task, turn.steps), []).append(turn.then)
        self.choices = choices
        self.run: Any = None
        self.taken: dict[str, int] = {}
        self.made: list[Turn] = []
        self.preempted: list[bool] = []
        self.order: list[str] = []
        self.position = 0

    def new_run(self, run: RunView) -> None:
        """Start."""
        self.run = run

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The turn's task, or the running one."""
        path_of = self.run.path_of
        here = runnable.index(current) if current in runnable else -1
        last = self.order[-1] if self.order else ""
        steps = self.taken.get(last, 0)
        default = max(here, 0)
        index = default
        if self.choices is not None:
            if self.position < len(self.choices):
                index = self.choices[self.position] % len(runnable)
            self.position += 1
        else:
            for then in self.turns.get((last, steps), ()):
                found = next((at for at, task in enumerate(runnable) if path_of(task) == then), None)
                if found is not None:
                    index = found
                    break
        if index != default:
            self.made.append(Turn(last, steps, path_of(runnable[index])))
            self.preempted.append(here >= 0)
        return index

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """Count the step."""
        path = run.path_of(task)
        self.taken[path] = self.taken.get(path, 0) + 1
        self.order.append(path)


class Laboratory:
    """Tries schedules of one program with one seed, at most so many.

    Args:
        budget: how many trials; `try_turns` gives None when they are used up.
    """

    def __init__(self, program: Program, seed: int, budget: int) -> None:
        self.program = program
        self.seed = seed
        self.budget = budget
        self.used = 0
        self.known: dict[tuple[Turn, ...], Trial] = {}

    def try_turns(self, turns: Sequence[Turn]) -> Trial | None:
        """Follow these turns."""
        key = tuple(turns)
        known = self.known.get(key)
        if known is not None:
            return known
        if self.used >= self.budget:
            return None
        self.used += 1
        trial = self.known[key] = self._run(FollowedTurns(turns))
        return trial

    def try_choices(self, choices: Sequence[int]) -> Trial:
        """Follow a schedule as it was; not counted."""
        return self._run(FollowedTurns(choices=choices))

    def _run(self, oracle: FollowedTurns) -> Trial:
        journal = ScheduleJournal()
        program = self.program
        faults: dict[str, bool] = {}
        loop, ended = execute(
            program.main,
            program.args,
            oracle=oracle,
            seed=self.seed,
            journal=journal,
            verifier=oracle,
            options=program.options,
            hooks=RunHooks(fault_began=faults.__setitem__),
        )
        error = ended.error if isinstance(ended, outcome.Error) else None
        if isinstance(error, UsageError | KeyboardInterrupt):
            raise error
        return Trial(
            journal.schedule,
            None if error is None else signature_of(error),
            error,
            oracle.made,
            oracle.preempted,
            len(oracle.taken),
            loop.steps_at_end,
            oracle.order,
            faults,
        )
