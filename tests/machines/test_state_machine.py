"""Machines: dispatching, the past, refusals, and events on disk."""

from __future__ import annotations

import contextlib
import enum
from dataclasses import dataclass
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.ad import trees
from detrun.ad.revolve import Keep, Restore, reversal
from detrun.ad.value import Value
from detrun.errors import RecordingFormatError, UsageError
from detrun.machines.codec import StateCodec
from detrun.machines.log import EventLog
from detrun.machines.store import DiskStore, MemoryStore, TwoLevelStore


class Colour(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: float
    y: float


@dataclass(frozen=True)
class Deposit:
    account: str
    amount: float


@dataclass
class Stranger:
    inside: object


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.complex_numbers(allow_nan=False)
    | st.just(Colour.RED)
    | st.builds(Point, st.floats(allow_nan=False), st.floats(allow_nan=False)),
    lambda trees: (
        st.lists(trees, max_size=3)
        | st.lists(trees, max_size=3).map(tuple)
        | st.dictionaries(
            st.text(max_size=3) | st.integers() | st.tuples(st.integers(), st.text(max_size=2)), trees, max_size=3
        )
        | st.builds(Stranger, trees)
    ),
    max_leaves=12,
)


def same(a, b):
    """Equal, of equal types all the way down, in equal order."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Stranger):
        return same(a.inside, b.inside)
    return repr(a) == repr(b)  # tells -0.0 from 0.0


@given(tree=TREES)
def test_a_tree_comes_back_from_bytes_as_it_went_in(tree):
    codec = StateCodec()
    assert same(codec.unpack(codec.pack(tree)), tree)
    assert same(StateCodec([Colour, Point, Stranger]).unpack(codec.pack(tree)), tree)
    assert same(trees.copy(tree), tree)


@given(tree=TREES, junk=st.binary(max_size=60), place=st.integers(0, 200), byte=st.integers(0, 255))
def test_damaged_bytes_never_raise_anything_but_a_format_error(tree, junk, place, byte):
    codec = StateCodec([Colour, Point, Stranger])
    packed = bytearray(codec.pack(tree))
    packed[place % len(packed)] = byte
    for damaged in (bytes(packed), junk):
        with contextlib.suppress(RecordingFormatError):
            codec.unpack(damaged)


def test_a_class_is_never_imported_because_bytes_name_it():
    packed = StateCodec().pack(Deposit("alice", 1.0))
    with pytest.raises(RecordingFormatError, match=r"class .*Deposit; name the class in types="):
        StateCodec().unpack(packed)


def test_a_value_keeps_its_id_in_bytes():
    value = Value(1.5)
    codec = StateCodec()
    again = codec.unpack(codec.pack({"a": (value, value)}))["a"]
    assert [one.id for one in again] == [value.id] * 2
    assert again[0].primal == 1.5


def test_mapped_trees_share_no_container_with_the_original():
    tree = {"a": [1.0, (2.0, Stranger([3.0]))]}
    mapped = trees.STATES.map(lambda leaf: leaf * 2, tree)
    assert trees.STATES.leaves(mapped) == [2.0, 4.0, 6.0]
    mapped["a"][1][1].inside.append(4.0)
    assert trees.STATES.leaves(tree) == [1.0, 2.0, 3.0]


def test_what_no_tree_may_hold_is_refused_with_its_path():
    with pytest.raises(UsageError, match=r"builtins\.set at \['a'\]\[1\]\.inside"):
        trees.copy({"a": [1.0, Stranger({2.0})]})
    with pytest.raises(UsageError, match="as a whole"):
        trees.copy(object())


# --- the machine ------------------------------------------------------------------------------------------------------


class Account(detrun.StateMachine):
    """Defined as a subclass."""

    def apply(self, state, event):
        return {**state, event.account: state.get(event.account, 0.0) + event.amount}


DEPOSITS = [Deposit("alice", 2.0), Deposit("bob", 3.0), Deposit("alice", 5.0)]


def test_a_subclass_defines_apply_as_a_method():
    machine = Account(initial_state={"alice": 1.0})
    machine.dispatch_all(DEPOSITS)
    assert machine.state == {"alice": 8.0, "bob": 3.0}
    assert list(machine.events) == DEPOSITS
    assert machine.events[-1] == machine.events[2] == DEPOSITS[2]
    assert machine.events[:2] == DEPOSITS[:2]
    assert [machine.state_at(n) for n in range(4)] == [
        {"alice": 1.0},
        {"alice": 3.0},
        {"alice": 3.0, "bob": 3.0},
        {"alice": 8.0, "bob": 3.0},
    ]
    gradient = machine.gradient(lambda state: state["alice"] * state["bob"], "events")
    assert list(gradient.events) == [Deposit("alice", 3.0), Deposit("bob", 8.0), Deposit("alice", 3.0)]
    with pytest.raises(UsageError, match=r"state_at\(4\): there are states 0 to 3"):
        machine.state_at(4)


@given(
    count=st.integers(0, 60),
    snapshots=st.integers(1, 5),
    window=st.integers(1, 9),
    keep=st.none() | st.integers(1, 4),
    keyed=st.booleans(),
)
def test_every_state_of_the_past_is_the_one_that_was(count, snapshots, window, keep, keyed):
    def apply(state, event):
        state["x"] = state["x"] * 0.5 + event
        state["seen"] = [*state["seen"], event][-3:]
        return state

    machine = detrun.StateMachine(
        apply, {"x": 1.0, "seen": []}, keys="observed" if keyed else None, snapshots=keep, window=window
    )
    states = [machine.state]
    for number in range(count):
        machine.dispatch(number * 0.25)
        states.append(machine.state)
    assert list(machine.backward_in_time(snapshots, window)) == list(enumerate(states))[::-1]
    for number in (0, count // 3, count):
        assert machine.state_at(number) == states[number]


def test_a_state_that_was_given_out_is_the_callers_own():
    initial = {"x": [1.0]}
    machine = detrun.StateMachine(lambda state, event: state, initial)
    machine.dispatch(None)
    initial["x"].append(2.0)
    machine.state["x"].append(3.0)
    machine.state_at(0)["x"].append(4.0)
    for _, state in machine.backward_in_time():
        state["x"].append(5.0)
    assert machine.state == machine.state_at(0) == {"x": [1.0]}


@pytest.mark.parametrize("keys", [None, "observed"])
def test_an_apply_that_raises_leaves_the_machine_as_it_was(keys):
    def apply(state, event):
        state["x"] = 2.0
        state["list"].append(1.0)
        raise ZeroDivisionError

    machine = detrun.StateMachine(apply, {"x": 1.0, "list": []}, keys=keys)
    with pytest.raises(ZeroDivisionError):
        machine.dispatch(None)
    assert machine.state == {"x": 1.0, "list": []}
    assert len(machine.events) == 0


def test_in_a_keyed_state_only_assignment_changes_anything():
    def apply(state, event):
        state["list"].append(event)
        if event > 1.0:
            mine = [*state["list"], event]
            state["list"] = mine
            mine.append(99.0)
        return state

    machine = detrun.StateMachine(apply, {"list": []}, keys="observed")
    machine.dispatch_all([1.0, 2.0])
    assert machine.state == {"list": [2.0]}


def test_an_event_is_what_it_was_when_it_was_dispatched():
    event = {"amounts": [1.0]}
    machine = detrun.StateMachine(lambda state, event: {**state, "last": event}, {})
    machine.dispatch(event)
    event["amounts"].append(2.0)
    assert machine.events[0] == {"amounts": [1.0]}
    assert machine.state == {"last": {"amounts": [1.0]}}


def test_events_go_to_a_file_and_come_back(tmp_path):
    machine = Account(initial_state={})
    machine.dispatch_all(DEPOSITS * 1000)
    machine.events.save(tmp_path / "events")
    assert (tmp_path / "events").stat().st_size < 10_000
    loaded = EventLog.load(tmp_path / "events", types=[Deposit])
    assert list(loaded) == DEPOSITS * 1000
    again = Account(initial_state={})
    again.dispatch_all(loaded)
    assert again.state == machine.state
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events"]


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_file_of_events_is_refused(place, bit, cut, tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "events"
    log = EventLog()
    for number in range(50):
        log.append(("deposit", number, 0.5))
    log.save(path)
    content = bytearray(path.read_bytes())
    if cut:
        del content[place % len(content) :]
    else:
        content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(RecordingFormatError, match="not a whole event log"):
        EventLog.load(path)


def test_events_that_hold_values_of_a_run_are_not_saved(tmp_path):
    machines = []

    async def main(params):
        machines.append(detrun.StateMachine(lambda state, event: state + event, 0.0))
        machines[0].dispatch(params["x"])
        return machines[0].state

    assert detrun.gradient(main, {"x": 2.0}).grads == {"x": 1.0}
    with pytest.raises(UsageError, match="event 0 holds Values"):
        machines[0].events.save(tmp_path / "events")


def test_what_is_wrong_with_a_machine_is_said_at_once():
    with pytest.raises(UsageError, match=r"pass apply\(state, event\)"):
        detrun.StateMachine(initial_state=1.0)
    with pytest.raises(UsageError, match="keys='some'"):
        detrun.StateMachine(lambda state, event: state, {}, keys="some")
    with pytest.raises(UsageError, match="a keyed machine's state is a dict"):
        detrun.StateMachine(lambda state, event: state, 1.0, keys="observed")
    with pytest.raises(UsageError, match="at least 1"):
        detrun.StateMachine(lambda state, event: state, 1.0, snapshots=0)
    with pytest.raises(UsageError, match=r"builtins\.set"):
        detrun.StateMachine(lambda state, event: state, {1.0})
    with pytest.raises(UsageError, match="returned None"):
        detrun.StateMachine(lambda state, event: None, 1.0).dispatch(1)
    with pytest.raises(UsageError, match="must return the state it was given"):
        detrun.StateMachine(lambda state, event: None, {}, keys="observed").dispatch(1)
    for options, message in (
        ({"window": 1.5}, "window=1.5"),
        ({"snapshots": 1.5}, "snapshots=1.5"),
        ({"params": [1.0]}, r"params=\[1.0\] is not a dict"),
    ):
        with pytest.raises(UsageError, match=message):
            detrun.StateMachine(lambda state, event: state, 1.0, **options)
    machine = detrun.StateMachine(lambda state, event: state, 1.0)
    with pytest.raises(UsageError, match="there are states 0 to 0"):
        machine.state_at("first")
    with pytest.raises(UsageError, match="window=0"):
        next(machine.backward_in_time(window=0))
    with pytest.raises(UsageError, match=r"builtins\.object"):
        machine.dispatch({"a": object()})
    machine.events.append(1)
    with pytest.raises(UsageError, match=r"use machine\.dispatch_all"):
        machine.dispatch(1)


# --- stores -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [MemoryStore, DiskStore, lambda: TwoLevelStore(1)])
def test_a_store_gives_back_what_it_was_given_and_counts_its_peak(make):
    store = make()
    state = {"x": [1.0, (2.0, Point(3.0, 4.0))]}
    store.put(0, state, 5)
    store.put(1, {"x": []}, 6)
    state["x"].append(7.0)
    for _ in range(2):  # what is taken out is a copy
        taken, next_id = store.get(0)
        assert (taken, next_id) == ({"x": [1.0, (2.0, Point(3.0, 4.0))]}, 5)
        taken["x"].clear()
    store.free(0)
    store.put(0, 1.0, 0)
    assert store.peak == 2
    store.close()


def test_snapshots_on_disk_lie_where_they_were_asked_for_and_leave_nothing_behind(tmp_path):
    seen = []

    def loss(state):
        seen.extend(path.name for path in tmp_path.rglob("*.msgpack"))
        return state

    machine = detrun.StateMachine(lambda state, event: state * 0.9, 1.0)
    machine.dispatch_all([None] * 100)
    gradient = machine.gradient(loss, snapshots=(2, 3), window=1, storage=tmp_path)
    assert sorted(seen) == ["0.msgpack", "1.msgpack", "2.msgpack"]  # the other two are in memory
    assert gradient.diagnostics.snapshots_peak == 5
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError):
        machine.gradient(lambda state: state / 0.0, snapshots=3, window=1, storage=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_slots_on_disk_are_the_ones_used_least():
    """Stumm and Walther: the plan touches low slots least, so there are as few disk accesses as can be."""
    used = [0] * 8
    for action in reversal(5000, 8):
        if isinstance(action, Restore | Keep):
            used[action.slot] += 1
    for on_disk in range(8):
        assert sum(used[:on_disk]) == sum(sorted(used)[:on_disk])


def test_one_value_of_a_keyed_machine_is_read_as_a_copy() -> None:
    machine = detrun.StateMachine(lambda state, event: state, {"a": [1.0], "b": [2.0]}, keys="observed")
    machine.value_of("a").append(3.0)
    assert machine.value_of("a") == [1.0]
    with pytest.raises(UsageError, match="nothing under 'c'"):
        machine.value_of("c")
    with pytest.raises(UsageError, match="only a machine with keys"):
        detrun.StateMachine(lambda state, event: state, {"a": 1.0}).value_of("a")
