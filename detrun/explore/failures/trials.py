"""Trials of schedules: a list of *turns* is followed as far as it goes, and what really happened is written down.

A turn says: once this task has been chosen or stepped so often, that task goes on. Turns name tasks by path and count a
task's own steps, so a turn keeps its meaning when others are taken away, which choices by index do not. Where no turn
applies, the running task goes on, and when it cannot, the oldest task that can. A schedule is thus a short list: of its
turns those that take off a task that could have gone on are *preemptions*, the others decide who follows a task that
blocked or ended. What a run does by itself (`detrun_scheduler.choices.Actor`) is a turn, too: its ``then`` is the
action in angle brackets, which no path of the program's is, and it counts as a preemption.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import outcome

from detrun.checkers.assertions import Tally, tallying, violated_always
from detrun.execution.execute import execute
from detrun.execution.schedules import ScheduleJournal, unpacked
from detrun.explore.campaign.program import Program
from detrun.explore.campaign.signatures import Signature, signature_of
from detrun.explore.campaign.steady_paths import SteadyPaths
from detrun.explore.failures.time_limit import TimeLimit
from detrun_scheduler.choices import (
    ACTION_NAMES,
    ATTENDS,
    COLLECT,
    FIRE,
    FIRST_ACTION,
    NO_ACTION,
    GivenActions,
    KeyedDraws,
    RunView,
)
from detrun_scheduler.endings import exception_leaves
from detrun_scheduler.errors import StepLimitError, UsageError
from detrun_scheduler.run import ActiveRun, FaultSpan, RunHooks
from detrun_scheduler.strategies.runnable_order import place_in

# What stands in place of a task that goes on where the run acts by itself.
ACTION_TURNS = {kind: f"<{name}>" for kind, name in enumerate(ACTION_NAMES)}
KIND_OF_TURN = {text: kind for kind, text in ACTION_TURNS.items()}
STEPS_LEAST, STEPS_TIMES = 1_000, 10  # see `TrialRunner.not_much_longer_than`


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
        preemptions: of each, whether it took off a task that could have gone on, or was an action of the run.
        tasks: how many took a step.
        order: the task of every step.
        faults: planned faults that began and `buggify` sites that fired, and whether they last.
        in_asyncio: whether it made an event loop of asyncio's.
        held: how often the `always` by which it failed had held before; 0 if it did not fail by one.
        cost: what shrinking makes small, the first first: preemptions, tasks, turns, steps.
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
    in_asyncio: bool = False
    held: int = 0
    cost: tuple[int, int, int, int] = field(init=False)

    @property
    def actions(self) -> Counter[int]:
        """How many of the turns are actions of each kind."""
        return Counter(kind for turn in self.turns if (kind := KIND_OF_TURN.get(turn.then)) is not None)

    def __post_init__(self) -> None:
        self.cost = sum(self.preemptions), self.tasks, len(self.turns), self.steps


class FollowedTurns(KeyedDraws):
    """Makes the turns that apply, each once; both oracle and verifier of a run.

    Tasks are counted by number, and the path of each is looked up once.

    Args:
        turns: in any order; of several that apply at the same moment the first counts.
        choices: instead of turns, the choices of a schedule by index, counted round where there are fewer tasks, and
            its actions.
        steady: what tasks are called.
    """

    decides_actions = True

    def __init__(
        self,
        turns: Sequence[Turn] = (),
        choices: Sequence[int] | None = None,
        steady: SteadyPaths | None = None,
    ) -> None:
        self.steady = SteadyPaths() if steady is None else steady
        self.turns: dict[tuple[str, int], list[str]] = {}
        self.acts: dict[tuple[str, int], list[int]] = {}  # of the turns, those that are actions
        for turn in turns:
            kind = KIND_OF_TURN.get(turn.then)
            if kind is None:
                self.turns.setdefault((turn.task, turn.steps), []).append(turn.then)
            else:
                self.acts.setdefault((turn.task, turn.steps), []).append(kind)
        self.more = False  # there is another action where the last one was
        kinds = {kind for acts in self.acts.values() for kind in acts}
        self.given = None if choices is None else GivenActions(choices)
        self.attends = ATTENDS in kinds or (self.given is not None and self.given.attends)
        self.collects = COLLECT in kinds or (self.given is not None and self.given.collects)
        self.choices = None if choices is None else [number for number in choices if number < FIRST_ACTION]
        self.run: Any = None
        self.run_paths: Any = None  # in a run: `RunPaths`
        self.position = 0  # choices made
        self.last = -1  # the task that stepped last; -1 before the first step
        self.taken: dict[int, int] = {}  # task -> its steps so far, which add up to len(order)
        self.order: list[int] = []  # the task of every step
        self.made: list[Turn] = []
        self.preempted: list[bool] = []  # of each turn made, whether the task could have gone on
        self.paths: dict[int, str] = {-1: ""}  # of every task in `order`: the run forgets those that have ended

    def new_run(self, run: RunView) -> None:
        """Start."""
        self.run = run
        self.run_paths = self.steady.of_run(run)
        if self.attends:
            self._acted("", 0, ATTENDS)

    def next_action(self, steps: int) -> float:
        """Where a schedule has its next action; turns are looked for after every step."""
        if self.given is not None:
            return self.given.next_action(steps)
        return math.inf if not self.acts else steps if self.more else steps + 1

    def action(self, steps: int, has_timers: bool) -> int:
        """The schedule's action, or that of a turn."""
        task = self.run.current
        path, taken = self.path(task), self.taken.get(task, 0) + 1  # the step that is about to be closed counts
        if self.given is not None:
            kind = self.given.action(steps, has_timers)
        else:
            kinds = self.acts.get((path, taken), [])
            kind = kinds.pop(0) if kinds else NO_ACTION
            self.more = bool(kinds)
            kind = NO_ACTION if kind == FIRE and not has_timers else kind
        if kind != NO_ACTION:
            self._acted(path, taken, kind)
        return kind

    def _acted(self, path: str, taken: int, kind: int) -> None:
        self.made.append(Turn(path, taken, ACTION_TURNS[kind]))
        self.preempted.append(True)

    def path(self, task: int) -> str:
        """The path of a task."""
        path = self.paths.get(task)
        if path is None:
            path = self.paths[task] = self.run_paths.of(task)
        return path

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The turn's task, or the running one."""
        here = place_in(runnable, current)
        last = self.last
        steps = self.taken.get(last, 0)
        default = max(here, 0)
        index = self.chosen(runnable, default, steps)
        if index != default:
            self.made.append(Turn(self.path(last), steps, self.path(runnable[index])))
            self.preempted.append(here >= 0)
        return index

    def chosen(self, runnable: Sequence[int], default: int, steps: int) -> int:
        """Which of them goes on, where ``default`` would by itself and the last task has taken so many steps."""
        if self.choices is not None:
            self.position += 1
            if self.position <= len(self.choices):
                return self.choices[self.position - 1] % len(runnable)
        elif self.turns:
            for then in self.turns.get((self.path(self.last), steps), ()):
                found = next((at for at, task in enumerate(runnable) if self.path(task) == then), None)
                if found is not None:
                    return found
        return default

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """Count the step."""
        if task not in self.paths:
            self.path(task)
        self.taken[task] = self.taken.get(task, 0) + 1
        self.order.append(task)
        self.last = task


class FollowedOrder(FollowedTurns):
    """Lets tasks step in a given order as near as possible; both oracle and verifier of a run.

    Of the tasks that can go on, the one does whose next step comes first in the order. One whose turn has come but that
    cannot go on is passed over until it can.

    Args:
        order: the path of the task of each step. Steps beyond it are taken as without turns.
        turns: whose actions are taken, where their tasks have taken as many steps.
        steady: what tasks are called.
    """

    def __init__(self, order: Sequence[str], turns: Sequence[Turn] = (), steady: SteadyPaths | None = None) -> None:
        super().__init__([turn for turn in turns if turn.then in KIND_OF_TURN], steady=steady)
        self.places: dict[str, list[int]] = {}  # by task: where in the order its steps are
        at = 0
        for path, steps in groupby(order):  # orders may end in thousands of steps of one task
            until = at + len(list(steps))
            self.places.setdefault(path, []).extend(range(at, until))
            at = until

    def chosen(self, runnable: Sequence[int], default: int, steps: int) -> int:
        """The one that comes first in the order, else the default."""
        best, first = default, math.inf
        for at, task in enumerate(runnable):
            places = self.places.get(self.path(task), ())
            taken = self.taken.get(task, 0)
            if taken < len(places) and places[taken] < first:
                best, first = at, places[taken]
        return best


class TrialRunner:
    """Tries schedules of one program with one seed. A schedule that was tried is not run again: its trial is known.

    That goes for the turns that a trial made, too, however it was asked for. Between two choices the task that stepped
    last has taken a step, so no two choices are alike in (task, steps): following just these turns makes each of the
    trial's choices again, and so the same run.
    """

    def __init__(self, program: Program, seed: int, spans: Mapping[str, FaultSpan] | None = None) -> None:
        self.program = program
        self.seed = seed
        self.spans = spans or {}  # see `RunHooks.fault_spans`
        self.steady = program.paths
        self.known: dict[tuple[Turn, ...] | bytes, Trial] = {}  # by turns or schedule: asked for, or made
        self.keeps_endless = True  # trials that were ended by the limit of steps

    def not_much_longer_than(self, failing: Trial) -> TrialRunner:
        """A runner that ends trials which take many times the steps of this one, and shares all others with this.

        A task that waits in a loop for another one that is kept from running would go on to the limit of the campaign,
        which may be a thousand times as far. What fails by its number of steps has no other limit.
        """
        assert failing.error is not None
        if any(isinstance(leaf, StepLimitError) for leaf in exception_leaves(failing.error)):
            return self
        runner = TrialRunner(self.program.within(STEPS_LEAST + STEPS_TIMES * failing.steps), self.seed, self.spans)
        runner.known = self.known
        runner.keeps_endless = False
        return runner

    def try_turns(self, turns: Sequence[Turn]) -> Trial:
        """Follow these turns."""
        key = tuple(turns)
        trial = self.known.get(key)
        if trial is None:
            trial = self._keep(key, self._run(FollowedTurns(turns, steady=self.steady)))
        return trial

    def try_schedule(self, schedule: bytes) -> Trial:
        """Follow a schedule as it was."""
        trial = self.known.get(schedule)
        if trial is None:
            once = FollowedTurns((), unpacked(schedule), self.steady)
            trial = self._keep(schedule, self._run(once))
            if once.run_paths.may_drift:
                again = FollowedTurns((), unpacked(schedule), self.steady)
                self._run(again)
                self.steady.compare(once.run_paths, again.run_paths)
        return trial

    def try_order(self, order: Sequence[str], turns: Sequence[Turn] = ()) -> Trial:
        """Let tasks step in this order, as near as possible, and the run act where the turns say."""
        return self._run(FollowedOrder(order, turns, self.steady))

    def try_timers(self, turns: Sequence[Turn], hooks: RunHooks) -> Trial:
        """Follow these turns, with timers that fire as the hooks say; not kept."""
        return self._run(FollowedTurns(turns, steady=self.steady), hooks)

    def try_choices(self, choices: Sequence[int]) -> Trial:
        """Follow these choices by index; not kept."""
        return self._run(FollowedTurns((), choices, self.steady))

    def _keep(self, asked_for: tuple[Turn, ...] | bytes, trial: Trial) -> Trial:
        if not self.keeps_endless and isinstance(trial.error, StepLimitError):
            return trial
        kept = self.known[asked_for] = self.known.setdefault(tuple(trial.turns), trial)
        return kept

    def _run(self, oracle: FollowedTurns, hooks: RunHooks | None = None) -> Trial:
        journal = ScheduleJournal()
        program = self.program
        faults: dict[str, bool] = {}
        hooks = hooks or RunHooks()
        hooks.fault_spans = self.spans
        hooks.fault_began = lambda fault: faults.__setitem__(fault.name, bool(fault.lasts))
        with tallying() as tally:
            loop, ended = execute(
                program.main,
                program.args,
                oracle=oracle,
                seed=self.seed,
                journal=journal,
                verifier=oracle,
                options=program.options,
                hooks=hooks,
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
            [oracle.paths[task] for task in oracle.order],
            faults,
            loop.asyncio is not None,
            _held(tally, error),
        )


def _held(tally: Tally, error: BaseException | None) -> int:
    violated = violated_always(error)
    return 0 if violated is None else tally[violated.name].held


class LimitedTrials:
    """At most so many different trials of a runner.

    Args:
        budget: how many; the methods give None when they are used up.
        limit: no further one is run when it is over.

    Attributes:
        used: how many were asked for, whether or not the runner had run them before, so that a result depends on
            neither.
        is_cut: one was refused because of the time.
    """

    def __init__(self, runner: TrialRunner, budget: int, limit: TimeLimit | None = None) -> None:
        self.runner = runner
        self.budget = budget
        self.limit = limit or TimeLimit()
        self.used = 0
        self.is_cut = False
        self._asked: set[object] = set()  # len(_asked) == used

    @property
    def is_used_up(self) -> bool:
        """Whether no further one is to be had."""
        return self.is_cut or self.used >= self.budget

    def try_turns(self, turns: Sequence[Turn]) -> Trial | None:
        """Follow these turns."""
        return self.runner.try_turns(turns) if self._allows(tuple(turns)) else None

    def try_order(self, order: Sequence[str], turns: Sequence[Turn]) -> Trial | None:
        """Let tasks step in this order, as near as possible, and the run act where the turns say."""
        return self.runner.try_order(order, turns) if self._allows((tuple(order), None)) else None

    def _allows(self, asked: object) -> bool:
        if asked not in self._asked:
            if self.used >= self.budget:
                return False
            if self.limit.is_over:
                self.is_cut = True
                return False
            self.used += 1
            self._asked.add(asked)
        return True
