"""Shrinking faults, on programs that are a function from lengths of faults and turns to a trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from detrun.explore.failures import shrink_faults as module
from detrun.explore.failures.shrink_faults import FewerFaults, shrink_faults
from detrun.explore.failures.time_limit import TimeLimit
from detrun.explore.failures.trials import Trial, Turn

FIRST = (Turn("main", 3, "main/a"),)  # of the failing schedule
SIGNATURE = ("AssertionError at x.py:1",)


def trial(faults: Mapping[str, bool], *, fails: bool = True, turns: Sequence[Turn] = (), preemptions: int = 0) -> Trial:
    """With these faults, and whether each lasts."""
    happened = [True] * preemptions + [False] * (len(turns) - preemptions)
    return Trial(b"", SIGNATURE if fails else None, None, list(turns), happened, 5, 9, faults=dict(faults))


@dataclass
class Simulated:
    """A program: what comes of faults left out or shortened, and of turns; and what was tried, in order."""

    outcome: Callable[[dict[str, float], Sequence[Turn]], Trial]
    lengths: Mapping[str, float] | None = None
    tried: list[tuple[dict[str, float], bool]] = field(default_factory=list)  # and whether with turns

    @property
    def options(self) -> Any:
        return SimpleNamespace(fault_lengths=self.lengths)

    def with_faults(self, lengths: Mapping[str, float]) -> Any:
        def try_turns(turns: Sequence[Turn]) -> Trial:
            self.tried.append((dict(lengths), bool(turns)))
            return self.outcome(dict(lengths), turns)

        return SimpleNamespace(try_turns=try_turns)

    def shrunk(self, best: Trial, trials: int = 200, seconds: float = math.inf) -> FewerFaults:
        return shrink_faults(self, 0, best, trials, TimeLimit(seconds))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _runs_are_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TrialRunner", lambda program, seed: program)


def needs(faults: Mapping[str, bool], **least: float) -> Callable[[dict[str, float], Sequence[Turn]], Trial]:
    """The failure takes these faults, each for at least this share of its time, and the schedule does not matter."""

    def outcome(lengths: dict[str, float], turns: Sequence[Turn]) -> Trial:
        left = {name: lasts for name, lasts in faults.items() if lengths.get(name, 1.0)}
        return trial(left, fails=all(lengths.get(name, 1.0) >= share for name, share in least.items()), turns=turns)

    return outcome


def test_all_faults_are_left_out_first_then_halves_and_single_ones() -> None:
    faults = dict.fromkeys("abcd", False)
    program = Simulated(needs(faults, c=1.0))
    found = program.shrunk(trial(faults, turns=FIRST))
    assert found.lengths == {"a": 0.0, "b": 0.0, "d": 0.0}
    assert found.trial.faults == {"c": False}
    left_out = [sorted(lengths) for lengths, with_turns in program.tried if with_turns]
    assert left_out == [list("abcd"), list("ab"), list("abcd"), list("abc"), list("abd")]
    assert found.trials == len(program.tried) == 8  # three were refused, and each of these was tried without turns


def test_what_lasts_is_halved_as_often_as_the_failure_stays_and_what_does_not_is_left() -> None:
    faults = {"a": True, "b": False, "c": True}
    program = Simulated(needs(faults, a=0.2, b=1.0, c=0.5))
    found = program.shrunk(trial(faults, turns=FIRST))
    assert found.lengths == {"a": 0.25, "c": 0.5}


def test_a_fault_that_may_be_as_short_as_one_likes_lasts_a_sixty_fourth() -> None:
    program = Simulated(needs({"a": True}, a=1e-9))
    assert program.shrunk(trial({"a": True}, turns=FIRST)).lengths == {"a": 1 / 64}
    tried = [lengths["a"] for lengths, with_turns in program.tried if with_turns]
    assert tried == [0.0, *(1 / 2**halvings for halvings in range(1, 7))]


def test_lengths_that_the_campaign_gave_are_where_it_begins() -> None:
    program = Simulated(needs({"a": True}, a=0.1), lengths={"a": 0.25, "gone": 0.0})
    assert program.shrunk(trial({"a": True}, turns=FIRST)).lengths == {"a": 0.125, "gone": 0.0}


def test_a_fault_that_begins_because_others_do_not_is_left_out_too() -> None:
    def outcome(lengths: dict[str, float], turns: Sequence[Turn]) -> Trial:
        begins = {"a": "a" not in lengths, "b": "a" in lengths and "b" not in lengths}
        return trial({name: False for name, does in begins.items() if does}, turns=turns)

    found = Simulated(outcome).shrunk(trial({"a": False}, turns=FIRST))
    assert found.lengths == {"a": 0.0, "b": 0.0}
    assert found.trial.faults == {}


def test_where_the_turns_do_not_show_the_failure_the_simplest_schedule_may() -> None:
    program = Simulated(lambda lengths, turns: trial({}, fails=not turns))
    found = program.shrunk(trial({"a": False}, turns=FIRST))
    assert program.tried == [({"a": 0.0}, True), ({"a": 0.0}, False)]
    assert (found.trial.turns, found.lengths, found.trials) == ([], {"a": 0.0}, 2)


@pytest.mark.parametrize(("preemptions", "is_taken"), [(0, True), (1, True), (2, False)])
def test_a_run_with_more_preemptions_is_no_better(preemptions: int, is_taken: bool) -> None:
    turns = [*FIRST, Turn("main", 4, "main/b"), Turn("main", 5, "main/c")]
    best = trial({"a": False}, turns=turns, preemptions=1)
    program = Simulated(lambda lengths, given: trial({}, turns=turns, preemptions=preemptions))
    assert (program.shrunk(best).trial is not best) is is_taken


def test_another_failure_is_no_better() -> None:
    best = trial({"a": False}, turns=FIRST)
    other = trial({}, turns=FIRST)
    other.signature = ("KeyError at x.py:2",)
    found = Simulated(lambda lengths, turns: other).shrunk(best)
    assert (found.trial, found.lengths) == (best, {})


@pytest.mark.parametrize(("trials", "seconds", "made"), [(3, math.inf, 3), (5, math.inf, 5), (200, -math.inf, 0)])
def test_no_more_trials_are_made_than_there_are_and_none_after_the_time_limit(
    trials: int, seconds: float, made: int
) -> None:
    faults = dict.fromkeys("abcd", False)
    program = Simulated(needs(faults, a=1.0, c=1.0))
    found = program.shrunk(trial(faults, turns=FIRST), trials, seconds)
    assert found.trials == len(program.tried) == made
