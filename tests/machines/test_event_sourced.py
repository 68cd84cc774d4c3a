"""Gradients of random machines: against central differences, and to the last bit however the events are cut."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.ad.revolve import forward_steps
from detrun.errors import DivergenceError, NotDifferentiableError, UsageError
from tests.examples import examples

EVERYTHING = ("initial state", "events", "params")


class Pair(NamedTuple):
    left: float
    right: float


@dataclass(frozen=True)
class Place:
    name: str
    pair: Pair
    history: list[float]


INITIAL = {"x": 0.3, "place": Place("here", Pair(-0.4, 0.7), [0.1, 0.2]), "count": 0}
PARAMS = {"gain": 0.8, "shift": -0.2}


def apply(state, event, params):
    """Smooth and bounded; moves numbers between containers, shares them, and drops them."""
    kind, amount = event
    x, place = state["x"], state["place"]
    if kind == "mix":
        x = detrun.tanh(x * params["gain"] + place.pair.left * amount)
    elif kind == "share":
        place = replace(place, pair=Pair(x, x), history=[*place.history[1:], x])
    elif kind == "swap":
        place = replace(place, pair=Pair(place.pair.right * amount, place.pair.left), history=place.history[::-1])
    elif kind == "fold":
        x = detrun.sin(detrun.sum([x, *place.history, amount])) + params["shift"] * x
    else:
        state["x"] = x * 0.5 + amount  # in place, on purpose
        x = state["x"]
    return {"x": x, "place": place, "count": state["count"] + 1}


def loss(state):
    place = state["place"]
    return state["x"] * (1.0 + place.pair.left) + place.pair.right * place.history[0] + place.history[1] ** 2


EVENTS = st.lists(
    st.tuples(st.sampled_from(["mix", "share", "swap", "fold", "drift"]), st.floats(-1, 1)), min_size=0, max_size=40
)


def machine_of(events, initial=INITIAL, params=PARAMS, **kept):
    machine = detrun.StateMachine(apply, initial, params=params, **kept)
    machine.dispatch_all(events)
    return machine


def all_of(gradient):
    return (gradient.value, gradient.initial_state, list(gradient.events or ()), gradient.params)


def leaves(tree):
    return detrun.ad.trees.STATES.leaves(tree)


@given(events=EVENTS)
@examples(30)
def test_the_gradient_is_the_central_difference(events):
    gradient = machine_of(events).gradient(loss, EVERYTHING)

    def value(initial, changed, params):
        return loss(machine_of(changed, initial, params).state)

    def near(analytic, up, down):
        h = 1e-5
        assert analytic == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-8)

    h = 1e-5
    found = leaves(gradient.initial_state)
    for place, one in enumerate(found):

        def moved(by, place=place):
            counter = itertools.count()
            return detrun.ad.trees.STATES.map(lambda leaf: leaf + by * (next(counter) == place), INITIAL)

        near(one, value(moved(h), events, PARAMS), value(moved(-h), events, PARAMS))
    for name, one in gradient.params.items():
        up, down = ({**PARAMS, name: PARAMS[name] + by} for by in (h, -h))
        near(one, value(INITIAL, events, up), value(INITIAL, events, down))
    for place in range(0, len(events), 7):
        kind, amount = events[place]
        up, down = ([*events[:place], (kind, amount + by), *events[place + 1 :]] for by in (h, -h))
        near(gradient.events[place][1], value(INITIAL, up, PARAMS), value(INITIAL, down, PARAMS))


@given(events=EVENTS, snapshots=st.integers(1, 6), window=st.integers(1, 9), on_disk=st.integers(0, 3))
@examples(30)
def test_all_ways_to_cut_and_keep_give_the_same_bits(events, snapshots, window, on_disk, tmp_path_factory):
    machine = machine_of(events)
    whole = all_of(machine.gradient(loss, EVERYTHING))
    in_windows = machine.gradient(loss, EVERYTHING, snapshots=snapshots, window=window)
    assert all_of(in_windows) == whole
    assert in_windows.diagnostics.snapshots_peak <= snapshots
    directory = tmp_path_factory.getbasetemp()
    assert all_of(machine.gradient(loss, EVERYTHING, snapshots=snapshots, window=window, storage=directory)) == whole
    two_levels = (snapshots, on_disk)
    assert all_of(machine.gradient(loss, EVERYTHING, snapshots=two_levels, window=window)) == whole
    kept = machine_of(events, snapshots=snapshots, window=window)
    for _ in range(2):  # the kept ones are still there for the second
        from_kept = kept.gradient(loss, EVERYTHING, snapshots="kept")
        assert all_of(from_kept) == whole
        assert from_kept.diagnostics.snapshots_peak <= snapshots


@given(events=EVENTS)
@settings(max_examples=30)
def test_a_kept_run_goes_on_after_a_gradient(events):
    machine = detrun.StateMachine(apply, INITIAL, params=PARAMS, snapshots=3, storage="disk")
    for event in events[:20]:
        machine.dispatch(event)
        machine.gradient(loss, snapshots="kept")
    assert all_of(machine.gradient(loss, EVERYTHING, snapshots="kept")) == all_of(
        machine_of(events[:20]).gradient(loss, EVERYTHING)
    )


def test_events_are_replayed_as_often_as_the_closed_form_says():
    machine = machine_of([("mix", 0.1), ("share", 0.0), ("fold", 0.2)] * 100)
    for snapshots, window in ((3, 1), (5, 4), (10, 7)):
        facts = machine.gradient(loss, snapshots=snapshots, window=window).diagnostics
        assert facts.windows == -(-300 // window)
        assert facts.events_replayed == forward_steps(facts.windows, snapshots) * window
        assert facts.peak_bytes > 2**20
        assert facts.events_taped == 300
        assert facts.entries_peak <= 4 * window + 8  # at most four operations an event, and those of the loss


# --- sparse -----------------------------------------------------------------------------------------------------------

KEYS = 12


def transfer(state, event):
    """Reads two keys and writes them; deletes and makes keys; now and then looks at all of them."""
    kind, i, j, x = event
    if kind == "move":
        moved = state[i] * 0.3 + x
        state[i] = state[i] - moved
        state[j] = detrun.tanh(state.get(j, 0.0) + moved * state[i])
    elif kind == "set":
        state[j] = x
    elif kind == "delete":
        if i in state and len(state) > 1:
            del state[i]
        state[i] = state.get(j, 0.0) * x
    elif kind == "total":
        state[i] = detrun.tanh(detrun.sum(state.values()))
    elif kind == "count":
        state[i] = 0.01 * len(state) + state[j] * 0.5
    elif kind == "make":
        state[KEYS + i] = state[j] * x
    return state


def sparse_loss(state):
    return state[1] * state[2] + state.get(KEYS + 1, 0.5) ** 2


def bank(events, **options):
    machine = detrun.StateMachine(transfer, {key: 0.1 * key for key in range(KEYS)}, **options)
    machine.dispatch_all(events)
    return machine


TRANSFERS = st.lists(
    st.tuples(
        st.sampled_from(["move", "move", "move", "set", "make", "delete", "total", "count"]),
        st.integers(0, KEYS - 1),
        st.integers(0, KEYS - 1),
        st.floats(-1, 1),
    ),
    max_size=40,
)


@given(events=TRANSFERS, snapshots=st.integers(1, 4), window=st.integers(1, 5))
@examples(40)
def test_the_backward_slice_alone_gives_the_bits_of_the_full_reverse(events, snapshots, window):
    machine = bank(events, keys="observed")
    wanted = ("initial state", "events")
    full = machine.gradient(sparse_loss, wanted, sparse=False)
    sparse = machine.gradient(sparse_loss, wanted)
    in_windows = machine.gradient(sparse_loss, wanted, snapshots=snapshots, window=window)
    kept = bank(events, keys="observed", snapshots=snapshots).gradient(sparse_loss, wanted, snapshots="kept")
    assert all_of(full) == all_of(sparse) == all_of(in_windows) == all_of(kept)
    machine._check()
    assert sparse.diagnostics.events_in_slice <= full.diagnostics.events_in_slice == len(events)
    assert sparse.diagnostics.events == len(events)


def test_a_slice_holds_only_what_the_loss_depends_on():
    machine = bank([("move", 5, 6, 0.1), ("move", 0, 1, 0.2), ("set", 0, 3, 0.4), ("move", 3, 4, 0.1)], keys="observed")
    gradient = machine.gradient(lambda state: state[1], "events")
    assert gradient.diagnostics.events_in_slice == 1
    assert [place for place, _ in gradient.events.largest()] == [1]
    assert gradient.events[0] == ("move", 5, 6, 0.0)


def test_looking_at_all_keys_depends_on_every_event_that_made_or_deleted_one():
    makers = [("make", 0, 5, 2.0), ("make", 1, 6, 2.0)]
    machine = bank([*makers, ("move", 6, 7, 0.1), ("count", 1, 2, 0.0)], keys="observed")
    gradient = machine.gradient(lambda state: state[1] * state[1])
    assert gradient.value == (0.01 * (KEYS + 2) + 0.1) ** 2
    assert gradient.diagnostics.events_in_slice == 3  # the move makes no key, and nothing reads what it writes
    assert gradient.initial_state == machine.gradient(lambda state: state[1] * state[1], sparse=False).initial_state


def test_declared_keys_give_the_same_and_a_violation_names_the_key():
    events = [("move", 0, 1, 0.2), ("set", 3, 2, 0.4), ("move", 2, 1, 0.1)]
    declared = bank(events, keys=lambda event: event[1:3])
    assert all_of(declared.gradient(sparse_loss, "events")) == all_of(
        bank(events, keys="observed").gradient(sparse_loss, "events")
    )
    before = declared.state
    with pytest.raises(UsageError, match=r"touched key 14 of the state, but keys\(event\) declares only \[2, 5\]"):
        declared.dispatch(("make", 2, 5, 1.0))
    with pytest.raises(UsageError, match="the set of all keys"):
        declared.dispatch(("total", 2, 5, 1.0))
    assert declared.state == before
    assert len(declared.events) == 3


def test_an_apply_that_returns_a_whole_mapping_is_exact_too():
    def whole(state, event):
        return {**state, event: state[event] * 2.0}

    machine = detrun.StateMachine(whole, {"a": 1.0, "b": 2.0}, keys="observed")
    machine.dispatch_all(["a", "b", "a"])
    assert machine.state == {"a": 4.0, "b": 4.0}
    assert machine.gradient(lambda state: state["a"]).initial_state == {"a": 4.0, "b": 0.0}


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"snapshots": 2, "window": 2}, {"sparse": True}])
def test_an_apply_that_is_no_function_of_its_arguments_is_found_out(options):
    calls = itertools.count()

    def impure(state, event):
        state["x"] = state["x"] * 0.5 + next(calls)
        return state

    machine = detrun.StateMachine(impure, {"x": 1.0}, keys="observed")
    machine.dispatch_all([0.0] * 5)
    with pytest.raises(DivergenceError, match="apply depends on more than its arguments"):
        machine.gradient(lambda state: state["x"], **{"sparse": False, **options})


def test_an_apply_that_reads_another_key_the_second_time_is_found_out():
    keys = iter(["a", "b"])

    def impure(state, event):
        state["x"] = state["x"] + state[next(keys)]
        return state

    machine = detrun.StateMachine(impure, {"x": 1.0, "a": 1.0, "b": 1.0}, keys="observed")
    machine.dispatch(None)
    with pytest.raises(DivergenceError, match="event 0, applied again, read key 'b'"):
        machine.gradient(lambda state: state["x"])


def test_a_detached_number_is_listed_with_its_line():
    machine = detrun.StateMachine(lambda state, event: state * float(state), 2.0)
    machine.dispatch_all([0, 0])
    gradient = machine.gradient(lambda state: state, snapshots=1, window=1)
    assert gradient.diagnostics.detachments[0][2] == 2
    assert "bare number" in gradient.warnings[0]


def test_wrong_arguments_name_themselves():
    machine = machine_of([("mix", 0.1)])
    for match, arguments in (
        ("wrt='weights'", {"wrt": "weights"}),
        ("wrt is empty", {"wrt": ()}),
        ("sparse=True", {"sparse": True}),
        ("kept", {"snapshots": "kept"}),
        ("snapshots='all'", {"snapshots": "all"}),
        ("at least 1", {"snapshots": 0, "window": 1}),
        ("window=0", {"window": 0}),
        ("snapshots=2.5", {"snapshots": 2.5}),
        (r"snapshots=\(1,\); a pair", {"snapshots": (1,)}),
        ("window=1.5", {"window": 1.5}),
    ):
        with pytest.raises(UsageError, match=match):
            machine.gradient(loss, **arguments)
    with pytest.raises(UsageError, match="no params"):
        detrun.StateMachine(lambda state, event: state, 1.0).gradient(lambda state: state, "params")
    with pytest.raises(NotDifferentiableError, match="the loss is"):
        machine.gradient(lambda state: "much")


def test_a_gradient_inside_a_run_is_refused_and_a_failed_one_leaves_nothing_behind():
    machine = machine_of([("mix", 0.1)])

    async def main():
        machine.gradient(loss)

    with pytest.raises(UsageError, match="runs do not nest"):
        detrun.record(main)
    with pytest.raises(ZeroDivisionError):
        machine.gradient(lambda state: state["x"] / 0.0)
    assert all_of(machine.gradient(loss, EVERYTHING)) == all_of(machine_of([("mix", 0.1)]).gradient(loss, EVERYTHING))


def test_a_run_differentiates_through_a_machine_that_it_uses():
    async def main(params):
        machine = detrun.StateMachine(lambda state, event: state * event, 1.0)
        for _ in range(3):
            machine.dispatch(params["x"])
        return machine.state

    gradient = detrun.gradient(main, {"x": 2.0})
    assert gradient.grads == {"x": 12.0}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_events_of_which_a_hundred_matter_are_reversed_in_under_one_percent():
    """Accounts in closed groups; the loss reads one account, touched 100 times among 10**6 events."""

    def exchange(state, event):
        i, x = event
        state[i] = state[i] * 0.99 + x * state[i + 1]
        return state

    machine = detrun.StateMachine(exchange, dict.fromkeys(range(2000), 1.0), keys="observed")
    events = 10**6
    for number in range(events):
        machine.dispatch((0 if number % 10_000 == 0 else 2 + 2 * (number % 900), 0.01))
    sparse = machine.gradient(lambda state: state[0], snapshots=30)
    full = machine.gradient(lambda state: state[0], snapshots=30, sparse=False)
    assert sparse.initial_state == full.initial_state
    assert sparse.diagnostics.events_in_slice == 100
    cost = [facts.events_taped + facts.events_replayed for facts in (sparse.diagnostics, full.diagnostics)]
    assert cost[0] < 0.01 * cost[1]
    assert full.diagnostics.events_replayed == forward_steps(full.diagnostics.windows, 30) * 256


def test_a_gradient_is_printed_with_the_paths_of_its_numbers():
    events = [("mix", 0.5), ("share", 0.1), ("fold", -0.3), ("swap", 0.9), ("mix", 0.2), ("drift", 0.4)]
    machine = machine_of(events)
    gradient = machine.gradient(loss, EVERYTHING)
    text = str(gradient)
    lines = [line.split() for line in text.splitlines()]
    assert lines[0][:4] == ["local", "gradient", "of", f"{gradient.value:.9g}"]
    assert ["['gain']", f"{gradient.params['gain']:.9g}"] in lines
    assert ["['place'].pair.left", f"{gradient.initial_state['place'].pair.left:.9g}"] in lines
    (index, size), *_ = gradient.events.largest(1)
    assert [f"{index}", f"{size:.9g}"] in lines
    assert gradient.bias in text
    assert "params" not in str(machine.gradient(loss, ("events",))).split()
