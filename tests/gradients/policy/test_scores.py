"""Scores against derivatives worked out by hand, draw by draw and choice by choice, without runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from detrun.ad import state
from detrun.ad.reverse import backward
from detrun.ad.value import Value
from detrun.counterfactuals.choice_log import Choice
from detrun.gradients.policy.decisions import SCHEDULER, DecisionLog
from detrun.gradients.policy.scores import ScoredChoices, ScoredDraws, Scores
from detrun.primitives import discrete_laws
from detrun.primitives.continuous_laws import Exponential, Uniform
from detrun.primitives.discrete_laws import Bernoulli
from detrun.primitives.draw_log import Open
from detrun.primitives.laws import Law

RUN: Any = SimpleNamespace(paths={3: "main/one"}, current=3, step_index=7, time=0.5, weights=None, features={})


@pytest.fixture(autouse=True)
def tape() -> Iterator[Any]:
    """A tape for Values outside of a run."""
    state.begin_run()
    yield state.start_tape()
    state.end_run()


def derivative(scores: Scores, by: Value) -> float:
    """Of the log-probability so far."""
    found: float = backward(state.stop_tape(), dict(scores.seeds), wanted=[by.id])[by.id]
    return found


def drawn(draws: ScoredDraws, law: Law, outcome: Any, derivative: str | None = None, is_constant: bool = False) -> Any:
    """What the program gets."""
    draws._open = Open(law, derivative, RUN, "main/one", 0, None, is_constant=is_constant)
    return draws.came_out(outcome)


def counts(scores: Scores) -> tuple[int, int, int]:
    """Draws that are scored, not scored, and at an edge."""
    return scores.draws, scores.unscored, scores.edges


def test_a_discrete_draw_has_the_derivative_of_its_log_probability() -> None:
    p = Value(0.25)
    scores = Scores(keeps_outcomes=True)
    draws = ScoredDraws(scores)
    assert drawn(draws, Bernoulli(p), True, "score") is True
    assert drawn(draws, Bernoulli(p), False, "score") is False
    assert drawn(draws, Bernoulli(0.25), True, "score") is True  # no parameter moves it
    assert counts(scores) == (2, 0, 0)
    assert scores.outcomes == {("main/one", 0): False}
    assert scores.log_probability == pytest.approx(math.log(0.25) + math.log(0.75))
    assert derivative(scores, p) == pytest.approx(1 / 0.25 - 1 / 0.75)


def test_outcomes_are_kept_only_where_they_are_asked_for() -> None:
    scores = Scores()
    drawn(ScoredDraws(scores), Bernoulli(Value(0.25)), True, "score")
    assert (scores.draws, scores.outcomes) == (1, {})


def test_a_draw_that_was_not_said_to_be_wanted_adds_nothing() -> None:
    scores = Scores()
    scores.met(("main", 0), Bernoulli(Value(0.5)), True)
    assert counts(scores) == (0, 0, 0)
    assert scores.seeds == {}


@pytest.mark.parametrize("continuous", [True, False])
def test_a_continuous_draw_is_a_plain_number_with_a_score_or_moves_along_the_path(continuous: bool) -> None:
    """``log(e^(-x/m) / m)`` has the derivative ``x / m² - 1 / m``."""
    mean = Value(2.0)
    scores = Scores(keeps_outcomes=True)
    outcome = drawn(ScoredDraws(scores, continuous), Exponential(mean), mean * 1.5)
    if continuous:
        assert type(outcome) is float
        assert scores.outcomes == {("main/one", 0): 3.0}
        assert derivative(scores, mean) == pytest.approx(3.0 / 4.0 - 1.0 / 2.0)
    else:
        assert isinstance(outcome, Value)
        assert scores.seeds == {}
    assert counts(scores) == (int(continuous), 0, 0)


def test_what_is_left_alone_is_counted() -> None:
    """Draws that say so, those of a generator with a seed of the program's own, and those whose ends move."""
    p = Value(0.25)
    scores = Scores()
    draws = ScoredDraws(scores)
    for name in ("pathwise", "stop"):
        drawn(draws, Bernoulli(p), True, name)
    drawn(draws, Bernoulli(p), True, "score", is_constant=True)
    moving = drawn(draws, Uniform(0.0, p), p * 0.5)
    assert isinstance(moving, Value)
    assert counts(scores) == (0, 4, 0)
    drawn(draws, Uniform(0.0, 1.0), 0.5)
    drawn(draws, Bernoulli(0.5), True, "stop")
    assert counts(scores) == (0, 4, 0)
    assert scores.seeds == {}
    assert scores.log_probability == 0.0


def test_after_a_scored_draw_one_that_no_parameter_moves_is_no_decision() -> None:
    scores = Scores()
    draws = ScoredDraws(scores)
    drawn(draws, Bernoulli(Value(0.25)), True, "score")
    drawn(draws, Exponential(1.0), 2.0)
    assert counts(scores) == (1, 0, 0)


def test_draws_as_certain_as_can_be_are_at_an_edge() -> None:
    """A probability of 0 or 1, a weight of 0; a weight of 1 is none, nor is a plain number."""
    for law, outcome, edges in (
        (Bernoulli(Value(1.0)), True, 1),
        (Bernoulli(Value(0.0)), False, 1),
        (Bernoulli(Value(0.5)), False, 0),
        (discrete_laws.Choice(2, (Value(0.0), 2.0)), 1, 1),
        (discrete_laws.Choice(2, (Value(1.0), 2.0)), 1, 0),
        (discrete_laws.Choice(2, (0.0, Value(2.0))), 1, 0),
    ):
        scores = Scores()
        drawn(ScoredDraws(scores), law, outcome, "score")
        assert counts(scores) == (1, 0, edges), law
    scores = Scores()
    drawn(ScoredDraws(scores), Exponential(Value(1.0)), 0.5)  # which is continuous
    assert counts(scores) == (1, 0, 0)


def test_a_choice_by_weights_has_the_derivative_of_its_share() -> None:
    """Of 3 of 2 + 3 + 5, the logarithm by the weight chosen is ``1/3 - 1/10``, by another ``-1/10``."""
    scores = Scores()
    chosen, other = Value(3.0), Value(2.0)
    scores.chosen(Choice(1, 4, (2, 4, 5), (1.0, 1.0, 2.0)))  # no parameter moves it
    assert scores.choices == 0
    for _ in range(2):
        scores.chosen(Choice(1, 4, (2, 4, 5), (other, chosen, 5.0)))
    assert scores.choices == 2
    assert scores.log_probability == pytest.approx(2 * math.log(0.3))
    assert scores.seeds == pytest.approx({chosen.id: 2 * (1 / 3 - 1 / 10), other.id: -2 / 10})


def test_effects_add_their_logarithm_and_count_also_as_plain_numbers() -> None:
    scores = Scores()
    assert scores.takes_scores
    x = Value(-0.5)
    scores.add_effect(x)
    scores.add_effect(-0.25)
    scores.add(2.0, x)
    assert scores.effects == 2
    assert scores.log_probability == -1.75
    assert scores.seeds == {x.id: 3.0}


def test_decisions_are_logged_one_by_one_where_a_parameter_moves_them() -> None:
    scores = Scores()
    log = scores.log = DecisionLog()
    log.begin(RUN)
    draws = ScoredDraws(scores)
    drawn(draws, Bernoulli(Value(0.25)), True, "score")
    effect = Value(-1.0)
    scores.add_effect(effect)
    scores.add_effect(-1.0)
    weight = Value(1.0)
    scores.chosen(Choice(7, 3, (3, 4), (weight, 1.0)))
    assert [(one.stream, one.index) for one in log.decisions] == [
        (SCHEDULER, 0),
        ("main/one", 0),
        ("effects of main/one", 0),
    ]
    assert log.decisions[0].seeds == [(weight.id, 0.5)]
    ((_, of_draw),) = log.decisions[1].seeds
    assert of_draw == 1.0
    assert log.decisions[2].seeds == [(effect.id, 1.0)]


def test_some_draws_may_be_forced() -> None:
    forces = ScoredDraws(Scores(), force={("main/one", 0): True}).forces
    assert forces is not None
    assert forces.table == {("main/one", 0): True}
    assert ScoredDraws(Scores()).forces is None


def test_choices_are_scored_and_not_kept_and_the_log_learns_that_a_step_is_over() -> None:
    scores = Scores()
    scored = ScoredChoices("random", scores)
    weight = Value(3.0)
    scored._asked = (3, 4), (weight, 1.0), 0
    scored.step_taken(RUN)
    assert (scores.choices, scored.choices) == (1, [])
    assert scores.seeds == pytest.approx({weight.id: 1 / 3 - 1 / 4})
    log = scores.log = DecisionLog()
    log.begin(RUN)
    scored._asked = (3, 4), (weight, 1.0), 0
    scored.step_taken(RUN)
    assert log._features is RUN.features
    assert [one.stream for one in log.decisions] == [SCHEDULER]
