"""The recommender: what it promises, its derivatives against folds of its log, and what decisions were worth."""

from __future__ import annotations

import json
import re

import pytest

import detrun
from benchmarks import recommender as million_events
from detrun.checkers.assertions import AssertionViolatedError
from detrun_scenarios.frame.catalogue import folder_of
from detrun_scenarios.studies.recommender import SCENARIO, million
from detrun_scenarios.studies.recommender.crowd import drawn
from detrun_scenarios.studies.recommender.model import initial_state, learn, log_loss, score
from detrun_scenarios.studies.recommender.service import FOLD, LEARNED_ONCE, Service, Traffic, check_fold
from tests.scenarios.whole import frozen_difference, program_of

pytestmark = pytest.mark.one_python

SHORT = 5_000  # events of the log in the default run


def test_a_visit_that_is_not_learned_from_is_noticed() -> None:
    async def main(params):
        traffic = Traffic()
        service = Service(traffic, drawn(traffic.users, traffic.items, traffic.turn), params, is_serving=False)
        await service.run()
        service.traffic = Traffic(visits=traffic.visits + 1)
        service.check()

    with pytest.raises(AssertionViolatedError, match=LEARNED_ONCE):
        detrun.record(main, SCENARIO.defaults)


def test_a_model_that_changes_beside_its_log_is_noticed() -> None:
    """It learns each click, and once more behind the back of the log."""

    def forgetful(state, event, params):
        changed = learn(state, event, params)
        calls.append(1)
        if len(calls) == 5:
            changed = learn(changed, event, params)
        return changed

    calls: list[int] = []

    async def main(params):
        traffic = Traffic()
        crowd = drawn(traffic.users, traffic.items, traffic.turn)
        service = Service(traffic, crowd, params, is_serving=False)
        service.machine = detrun.StateMachine(
            forgetful, initial_state(traffic.users, crowd.guesses), params=params, keys="observed"
        )
        await service.run()
        check_fold(service.machine, traffic, crowd, params)

    with pytest.raises(AssertionViolatedError, match=FOLD):
        detrun.record(main, SCENARIO.defaults)


def test_derivatives_of_the_log_loss_are_frozen_differences_in_windows_too() -> None:
    """Truncation goes with 1e-12 of the step's square over the scale of the rates, rounding with 1e-16 over 1e-6."""
    program = program_of(SCENARIO, "small", "log_loss")
    params = SCENARIO.defaults
    rates = {name: params[name] for name in ("user_rate", "item_rate", "decay")}
    whole = detrun.gradient(program, rates, seed=1)
    assert detrun.gradient(program, rates, seed=1, snapshots=3, window=60).grads == whole.grads
    for name, slope in whole.grads.items():
        assert slope == pytest.approx(frozen_difference(program, params, name, 1e-5), rel=1e-6, abs=1e-9)


def test_the_derivatives_of_a_learned_model_are_those_of_torch() -> None:
    """Rates, decay and weights of events through a fold of both sides, against torch's own graph."""
    torch = pytest.importorskip("torch")
    events = [(number % 3, number * number % 4, float(number % 5 == 0), 1.0) for number in range(60)]
    guesses = [[0.3 * (item - number) for number in range(3)] for item in range(4)]
    params = {"user_rate": 0.2, "item_rate": 0.1, "decay": 0.05}
    machine = detrun.StateMachine(learn, initial_state(3, guesses), params=params, keys="observed")
    machine.dispatch_all(events)
    found = machine.gradient(lambda state: log_loss(score(state["user 1"], state["item 2"]), 1.0), ("params", "events"))

    rates = {name: torch.tensor(number, dtype=torch.float64, requires_grad=True) for name, number in params.items()}
    weights = [torch.tensor(1.0, dtype=torch.float64, requires_grad=True) for _ in events]
    users = [torch.tensor([-1.0, 0.0, 0.0, 0.0], dtype=torch.float64) for _ in range(3)]
    items = [torch.tensor([0.0, *guess], dtype=torch.float64) for guess in guesses]

    def logit(user, item):
        return users[user][0] + items[item][0] + users[user][1:] @ items[item][1:]

    for (user, item, clicked, _), weight in zip(events, weights, strict=True):
        error = (clicked - torch.sigmoid(logit(user, item))) * weight
        moved = []
        for own, other, rate in (
            (users[user], items[item], rates["user_rate"]),
            (items[item], users[user], rates["item_rate"]),
        ):
            vector = (1.0 - rate * rates["decay"]) * own[1:] + rate * error * other[1:]
            moved.append(torch.cat([(own[0] + rate * error).reshape(1), vector]))
        users[user], items[item] = moved
    torch.nn.functional.softplus(-logit(1, 2)).backward()
    assert found.params is not None
    assert found.events is not None
    assert found.params == pytest.approx({name: float(one.grad) for name, one in rates.items()}, rel=1e-9)
    theirs = [0.0 if one.grad is None else float(one.grad) for one in weights]
    assert [event[3] for event in found.events] == pytest.approx(theirs, rel=1e-9, abs=1e-15)


def test_what_an_early_decision_was_worth_is_what_two_folds_of_the_log_say() -> None:
    """The step of 1e-4 leaves 1e-8 of truncation; rounding of the losses is 1e-16 over it, 1e-12."""
    machine = million.machine_of(SHORT)
    sparse = machine.gradient(million.last_loss, ("events", "params"))
    windows = machine.gradient(million.last_loss, ("events", "params"), snapshots=8, sparse=False)
    assert sparse.events is not None
    assert windows.events is not None
    early = sparse.events[million.EARLY]
    assert early == windows.events[million.EARLY]
    assert sparse.params == windows.params
    assert sparse.diagnostics.events_in_slice < SHORT / 500
    assert early[2] == pytest.approx(million.difference(SHORT, 2), rel=1e-6)
    assert early[3] == pytest.approx(million.difference(SHORT, 3), rel=1e-6)
    assert sparse.value == million.folded_loss(SHORT)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_worth_of_an_early_decision_is_known_a_million_events_later() -> None:
    machine = million.machine_of(1_000_000)
    found = machine.gradient(million.last_loss, "events")
    assert found.events is not None
    assert found.diagnostics.events_in_slice < 100
    assert found.events[million.EARLY][3] == pytest.approx(million.difference(1_000_000, 3), rel=1e-6)


def test_the_readme_shows_the_million_events_that_are_kept() -> None:
    kept = json.loads(million_events.KEPT.read_text())
    page = (folder_of("recommender") / "README.md").read_text()
    assert re.search(r"<!-- million -->\n(.*?)<!-- end of million -->", page, re.DOTALL)[1] == million_events.markdown(
        kept
    )
    for one in kept["events"].values():
        assert one["derivative"] == pytest.approx(one["difference"], rel=1e-6)
    for one in kept["events"].values():
        reverse = one["peak_megabytes"] - one["log_megabytes"]
        assert reverse < 160.0, "30 states of 5 MB and one tape, however long the log is"
