"""Trials of schedules: which turns apply where, what is written down, which runs are made again, and how many."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

import detrun
from detrun.execution.options import Options
from detrun.execution.schedules import packed
from detrun.explore.campaign.program import Program
from detrun.explore.failures import time_limit
from detrun.explore.failures.time_limit import TimeLimit
from detrun.explore.failures.trials import FollowedOrder, FollowedTurns, LimitedTrials, Trial, TrialRunner, Turn
from detrun_scheduler.choices import ATTENDS, COLLECT, COLLECTS, FIRE, NO_ACTION, action_number
from detrun_scheduler.errors import StepLimitError
from tests.explore.racy_programs import lost_update

A, B, C = 0, 1, 2
TIMER, COLLECTION = "<early timer>", "<garbage collection>"


class Run:
    """A run of tasks called a, b, c; those that a step names can go on."""

    def __init__(self, oracle: FollowedTurns) -> None:
        self.oracle = oracle
        self.paths = {A: "a", B: "b", C: "c"}
        self.current = -1
        oracle.new_run(self)  # type: ignore[arg-type]

    def path_of(self, task: int) -> str:
        return self.paths[task]

    def step(self, *runnable: int) -> str:
        """The task that is chosen takes a step."""
        task = runnable[self.oracle.next_task(list(runnable), self.current)]
        self.current = task
        self.oracle.step_closed(self, task, 0, b"")  # type: ignore[arg-type]
        return "abc"[task]

    def steps(self, count: int, *runnable: int) -> str:
        return "".join(self.step(*runnable) for _ in range(count))


# --- turns -----------------------------------------------------------------------------------------------------------


def test_without_turns_the_running_task_goes_on_and_then_the_oldest() -> None:
    run = Run(FollowedTurns())
    assert run.steps(2, A, B, C) == "aa"
    assert run.step(B, C) == "b"
    assert run.steps(2, A, B, C) == "bb"
    assert (run.oracle.made, run.oracle.order) == ([], [A, A, B, B, B])


def test_a_turn_is_made_once_its_task_has_taken_as_many_steps() -> None:
    turns = [Turn("", 0, "b"), Turn("b", 2, "c"), Turn("c", 1, "a"), Turn("b", 5, "a")]
    run = Run(FollowedTurns(turns))
    assert run.steps(5, A, B, C) == "bbcaa"
    assert run.oracle.made == turns[:3]
    assert run.oracle.preempted == [False, True, True]  # nothing ran before the first
    assert run.oracle.taken == {A: 2, B: 2, C: 1}


def test_a_turn_away_from_a_task_that_cannot_go_on_is_no_preemption() -> None:
    run = Run(FollowedTurns([Turn("a", 1, "c")]))
    assert run.steps(1, A, B, C) + run.steps(1, B, C) == "ac"
    assert run.oracle.preempted == [False]
    preempts_the_oldest = Run(FollowedTurns([Turn("a", 1, "b")]))
    assert preempts_the_oldest.steps(2, A, B) == "ab"
    assert preempts_the_oldest.oracle.preempted == [True]


def test_of_several_turns_at_one_moment_the_first_that_can_be_made_is() -> None:
    turns = [Turn("a", 1, "b"), Turn("a", 1, "c")]
    assert Run(FollowedTurns(turns)).steps(2, A, B, C) == "ab"
    assert Run(FollowedTurns(turns)).steps(2, A, C) == "ac"
    alone = Run(FollowedTurns(turns))
    assert alone.steps(2, A) == "aa"
    assert alone.oracle.made == []


def test_a_turn_to_the_task_that_goes_on_anyway_is_none() -> None:
    run = Run(FollowedTurns([Turn("a", 1, "a")]))
    assert (run.steps(3, A, B), run.oracle.made) == ("aaa", [])


def test_choices_by_index_are_counted_round_and_after_the_last_nothing_is_chosen() -> None:
    run = Run(FollowedTurns((), [2, 4, 0]))
    assert run.steps(5, A, B, C) == "cbaaa"
    assert run.oracle.made == [Turn("", 0, "c"), Turn("c", 1, "b"), Turn("b", 1, "a")]
    few = Run(FollowedTurns((), [3]))
    assert few.step(A, B) == "b"


# --- actions ---------------------------------------------------------------------------------------------------------


def acted(run: Run, task: int, *, has_timers: bool = True) -> int:
    """What the run is to do at the end of a step of this task, which is not closed yet."""
    run.current = task
    return run.oracle.action(9, has_timers)


def test_actions_among_the_turns_are_taken_at_the_end_of_the_step_they_name() -> None:
    turns = [Turn("a", 2, COLLECTION), Turn("a", 2, TIMER), Turn("b", 1, TIMER), Turn("a", 1, "b")]
    run = Run(FollowedTurns(turns))
    oracle = run.oracle
    assert (oracle.attends, oracle.collects, oracle.decides_actions) == (False, True, True)
    assert oracle.next_action(3) == 4
    assert acted(run, A) == NO_ACTION
    assert run.steps(2, A, B) == "ab"
    assert acted(run, B) == NO_ACTION  # it would be its second step
    assert acted(run, A) == COLLECT
    assert oracle.next_action(3) == 3  # there is another one at this place
    assert acted(run, A) == FIRE
    assert oracle.next_action(3) == 4
    assert acted(run, A) == NO_ACTION
    assert oracle.made == [turns[3], *turns[:2]]
    assert oracle.preempted == [True, True, True]
    without = FollowedTurns([Turn("a", 1, "b")])
    assert (without.next_action(3), without.attends, without.collects) == (math.inf, False, False)


def test_a_timer_fires_early_only_where_there_is_one() -> None:
    run = Run(FollowedTurns([Turn("a", 1, TIMER), Turn("b", 1, COLLECTION)]))
    assert acted(run, A, has_timers=False) == NO_ACTION
    assert run.oracle.made == []
    assert acted(run, B, has_timers=False) == COLLECT
    assert run.oracle.made == [Turn("b", 1, COLLECTION)]


def test_what_holds_for_a_whole_run_is_a_turn_before_its_first_step() -> None:
    attends = Turn("", 0, "<gives way alone>")
    for oracle in (FollowedTurns([attends]), FollowedTurns((), [action_number(0, ATTENDS)])):
        assert Run(oracle).oracle.made == [attends]
        assert (oracle.attends, oracle.collects, oracle.preempted) == (True, False, [True])
    collects = FollowedTurns((), [action_number(0, COLLECTS)])
    assert (Run(collects).oracle.made, collects.attends, collects.collects) == ([], False, True)


def test_actions_among_choices_stand_before_their_steps_and_are_no_choices() -> None:
    run = Run(FollowedTurns((), [1, action_number(0, FIRE), action_number(1, COLLECT), 0, 1]))
    assert run.oracle.next_action(0) == 0
    assert acted(run, A) == FIRE
    assert run.oracle.next_action(0) == 1
    assert run.steps(3, A, B) == "bab"
    assert acted(run, A, has_timers=False) == COLLECT
    assert run.oracle.made == [
        Turn("a", 1, TIMER),
        *(Turn("", 0, "b"), Turn("b", 1, "a"), Turn("a", 1, "b")),
        Turn("a", 2, COLLECTION),
    ]


# --- orders ----------------------------------------------------------------------------------------------------------


def test_tasks_step_in_a_given_order_and_after_it_as_without_turns() -> None:
    run = Run(FollowedOrder(list("bacbb")))
    assert run.steps(8, A, B, C) == "bacbb" + "bbb"
    assert run.oracle.made[0] == Turn("", 0, "b")
    assert run.oracle.made[-1] == Turn("c", 1, "b")


def test_a_task_that_cannot_go_on_is_passed_over_until_it_can() -> None:
    run = Run(FollowedOrder(list("abcab")))
    assert run.step(A, B) == "a"
    assert run.step(A, C) == "c"  # b's turn has come, and c's next step comes before a's
    assert run.steps(3, A, B) == "bab"


def test_an_order_takes_its_actions_from_the_turns() -> None:
    run = Run(FollowedOrder(list("aab"), [Turn("a", 1, "b"), Turn("a", 1, COLLECTION)]))
    assert acted(run, A) == COLLECT
    assert run.steps(3, A, B) == "aab"


# --- trials ----------------------------------------------------------------------------------------------------------


def test_a_trial_of_a_program_is_written_down() -> None:
    runner = TrialRunner(Program(lost_update, (), Options()), 3)
    default = runner.try_turns([])
    assert (default.signature, default.error, default.turns, default.faults) == (None, None, [], {})
    preempted = [Turn("main/add", 1, "main/add[1]")]
    failing = runner.try_turns(preempted)
    assert failing.signature is not None
    assert failing.signature[0].startswith("AssertionError at racy_programs.py:")
    assert isinstance(failing.error, AssertionError)
    assert (failing.turns, failing.preemptions, failing.steps) == (preempted, [True], len(failing.order))
    assert failing.tasks == len(set(failing.order))
    assert failing.cost == (1, failing.tasks, 1, failing.steps)
    for again in (
        runner.try_order(failing.order),
        runner.try_schedule(failing.schedule),
        TrialRunner(Program(lost_update, (), Options()), 3).try_schedule(failing.schedule),
    ):
        assert (again.schedule, again.order, again.signature) == (failing.schedule, failing.order, failing.signature)


def test_wrong_use_and_an_interrupt_end_the_search() -> None:
    for error in (detrun.UsageError("wrong"), KeyboardInterrupt()):

        async def main(error: BaseException = error) -> None:
            raise error

        with pytest.raises(type(error)):
            TrialRunner(Program(main, (), Options()), 0).try_turns([])


def test_planned_faults_and_buggify_sites_are_told() -> None:
    fired: dict[str, bool] = {}

    async def main() -> None:
        async with detrun.World():
            fired.update((f"buggify {site}", False) for site in range(200) if detrun.buggify(str(site)))

    assert TrialRunner(Program(main, (), Options()), 0).try_turns([]).faults == fired != {}


def trial(turns: Sequence[Turn] = (), steps: int = 5, error: BaseException | None = None) -> Trial:
    return Trial(b"", None, error, list(turns), [True] * len(turns), 1, steps)


class Scripted(TrialRunner):
    """A runner whose runs are given; of each, what it was to follow."""

    def __init__(self, *results: Trial, drifts: bool = False) -> None:
        program: Any = SimpleNamespace(paths=SimpleNamespace(compare=self._compare))
        program.within = lambda steps: SimpleNamespace(paths=program.paths, limit=steps)
        super().__init__(program, 0)
        self.results = list(results)
        self.drifts = drifts
        self.followed: list[FollowedTurns] = []
        self.compared: list[Any] = []

    def _compare(self, one: Any, other: Any) -> None:
        self.compared.append((one, other))

    def _run(self, oracle: FollowedTurns) -> Trial:
        self.followed.append(oracle)
        oracle.run_paths = SimpleNamespace(may_drift=self.drifts)
        return self.results.pop(0)


ONE, TWO = [Turn("a", 1, "b")], [Turn("a", 2, "b")]


def test_what_was_tried_is_known_by_what_was_asked_for_and_by_the_turns_it_made() -> None:
    first = trial(ONE)
    runner = Scripted(first, trial(ONE), trial(TWO))
    assert runner.try_turns(TWO) is first
    assert runner.try_turns(ONE) is runner.try_turns(TWO) is first
    second = runner.try_schedule(b"\1")
    assert runner.try_schedule(b"\1") is second is first  # it made the same turns
    assert len(runner.followed) == 2
    assert runner.followed[1].choices == [1]
    runner.try_choices([1])
    runner.results = [trial(), trial()]
    assert runner.try_order("ab") is not runner.try_order("ab")
    assert len(runner.followed) == 5


def test_a_schedule_of_tasks_whose_names_have_numbers_is_run_twice_and_compared() -> None:
    first, again = trial(), trial()
    runner = Scripted(first, again, drifts=True)
    assert runner.try_schedule(b"\1\2") is first
    assert [one.choices for one in runner.followed] == [[1, 2], [1, 2]]
    assert runner.compared == [tuple(one.run_paths for one in runner.followed)]
    steady = Scripted(trial())
    steady.try_schedule(b"\1\2")
    assert (len(steady.followed), steady.compared) == (1, [])


def test_trials_much_longer_than_the_failing_one_are_cut_off_and_not_kept() -> None:
    runner = Scripted(trial(ONE))
    kept = runner.try_turns(ONE)
    shorter = runner.not_much_longer_than(trial(steps=200, error=ValueError()))
    assert shorter.program.limit == 3_000  # type: ignore[attr-defined]
    assert shorter.try_turns(ONE) is kept
    endless = trial(TWO, error=StepLimitError("too many"))
    for one, is_kept in ((endless, False), (trial(TWO, error=ValueError()), True)):
        shorter._run = lambda oracle, one=one: one  # type: ignore[method-assign,misc]
        assert shorter.try_turns(TWO) is one
        assert (tuple(TWO) in runner.known) is is_kept
    without_limit = Scripted(endless)
    without_limit.try_turns(TWO)
    assert tuple(TWO) in without_limit.known
    by_steps = trial(error=ExceptionGroup("", [StepLimitError("too many")]))
    assert runner.not_much_longer_than(by_steps) is runner


def test_the_actions_of_a_trial_are_counted_by_kind() -> None:
    made = trial([Turn("a", 1, TIMER), Turn("a", 1, "b"), Turn("b", 1, TIMER), Turn("b", 2, COLLECTION)])
    assert made.actions == Counter({FIRE: 2, COLLECT: 1})


# --- budgets ---------------------------------------------------------------------------------------------------------


class Asked:
    """A runner that writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def try_turns(self, turns: Sequence[Turn]) -> Trial:
        self.asked.append(turns)
        return trial(turns)

    def try_order(self, order: Sequence[str], turns: Sequence[Turn]) -> Trial:
        self.asked.append((order, turns))
        return trial(turns)


def test_so_many_different_trials_are_made_and_those_made_may_be_asked_for_again() -> None:
    runner: Any = Asked()
    limited = LimitedTrials(runner, 2)
    assert limited.try_turns(ONE) is not None
    assert not limited.is_used_up
    assert limited.try_order(["a"], TWO) is not None
    assert (limited.used, limited.is_used_up, limited.is_cut) == (2, True, False)
    assert limited.try_turns(TWO) is None
    assert limited.try_order(["b"], TWO) is None
    assert limited.try_turns(ONE) is not None
    assert runner.asked == [ONE, (["a"], TWO), ONE]
    assert (limited.used, LimitedTrials(runner, 0).is_used_up) == (2, True)


def test_no_trial_begins_at_the_time_limit_or_after(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time_limit.time, "process_time", lambda: now[0])
    limited = LimitedTrials(Asked(), 10, TimeLimit(5.0))  # type: ignore[arg-type]
    now[0] = 4.9
    assert limited.try_turns(ONE) is not None
    assert (limited.is_cut, limited.is_used_up) == (False, False)
    now[0] = 5.0
    assert limited.try_turns(TWO) is None
    assert (limited.used, limited.is_cut, limited.is_used_up) == (1, True, True)
    assert limited.try_turns(ONE) is not None  # which was run before


def test_a_search_ends_after_so_much_processor_time_or_thrice_as_much_real_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processor, real = [0.0], [0.0]
    monkeypatch.setattr(time_limit.time, "process_time", lambda: processor[0])
    monkeypatch.setattr(time_limit.time, "monotonic", lambda: real[0])
    limit = TimeLimit(20.0)
    processor[0], real[0] = 19.0, 57.0
    assert (limit.elapsed(), limit.is_over) == (19.0, False)
    real[0] = 63.0
    assert (limit.elapsed(), limit.is_over) == (21.0, True)
    processor[0], real[0] = 20.0, 20.0
    assert limit.is_over


def test_a_schedule_is_unpacked_for_its_trial() -> None:
    runner = Scripted(trial())
    runner.try_schedule(packed([1, 300, 2]))
    assert runner.followed[0].choices == [1, 300, 2]
