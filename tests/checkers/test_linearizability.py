"""The checker against brute force over all orders, against clocks that run backward, and against the clock."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio

import detrun
from detrun.checkers.histories import PENDING, History, Operation, timeline
from detrun.checkers.inconclusive import InconclusiveError
from detrun.checkers.linearizability import NotLinearizableError, linearizable
from detrun.checkers.models import (
    CompareAndSwapRegister,
    Counter,
    KeyValueMap,
    Model,
    Mutex,
    Queue,
    Register,
    Set,
    Stack,
)

# Objects written in the plainest way: the oracle shares no line with the models.


class PlainRegister:
    def __init__(self) -> None:
        self.content: Any = None

    def write(self, value: Any) -> None:
        self.content = value

    def read(self) -> Any:
        return self.content

    def compare_and_swap(self, expected: Any, desired: Any) -> bool:
        if self.content == expected:
            self.content = desired
            return True
        return False


class PlainQueue:
    def __init__(self) -> None:
        self.items: deque[Any] = deque()

    def put(self, value: Any) -> None:
        self.items.append(value)

    def get(self) -> Any:
        return self.items.popleft() if self.items else None


class PlainStack:
    def __init__(self) -> None:
        self.items: list[Any] = []

    def push(self, value: Any) -> None:
        self.items.append(value)

    def pop(self) -> Any:
        return self.items.pop() if self.items else None


class PlainSet:
    def __init__(self) -> None:
        self.items: set[Any] = set()

    def add(self, item: Any) -> bool:
        new = item not in self.items
        self.items.add(item)
        return new

    def remove(self, item: Any) -> bool:
        there = item in self.items
        self.items.discard(item)
        return there

    def contains(self, item: Any) -> bool:
        return item in self.items


class PlainCounter:
    def __init__(self) -> None:
        self.number = 0

    def fetch_add(self, amount: int) -> int:
        self.number += amount
        return self.number - amount

    def read(self) -> int:
        return self.number


class PlainMap:
    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}

    def put(self, key: Any, value: Any) -> None:
        self.values[key] = value

    def get(self, key: Any) -> Any:
        return self.values.get(key)

    def delete(self, key: Any) -> None:
        self.values.pop(key, None)


CASES: list[tuple[Model[Any], Callable[[], Any], list[tuple[str, int]], int]] = [
    # model, object, (operation, arguments), how many different arguments
    (Register(), PlainRegister, [("write", 1), ("read", 0)], 2),
    (CompareAndSwapRegister(), PlainRegister, [("write", 1), ("read", 0), ("compare_and_swap", 2)], 2),
    (Queue(), PlainQueue, [("put", 1), ("get", 0)], 3),
    (Stack(), PlainStack, [("push", 1), ("pop", 0)], 3),
    (Set(), PlainSet, [("add", 1), ("remove", 1), ("contains", 1)], 2),
    (Counter(), PlainCounter, [("fetch_add", 1), ("read", 0)], 2),
    (KeyValueMap(), PlainMap, [("put", 2), ("get", 1), ("delete", 1)], 2),
]


def by_brute_force(make: Callable[[], Any], operations: Sequence[Operation]) -> bool:
    """Try every subset of the pending operations in every order."""
    returned = [one for one in operations if one.returned is not None]
    pending = [one for one in operations if one.returned is None]
    for count in range(len(pending) + 1):
        for taken in itertools.combinations(pending, count):
            for order in itertools.permutations([*returned, *taken]):
                if respects_time(order) and is_legal(make, order):
                    return True
    return False


def respects_time(order: Sequence[Operation]) -> bool:
    return not any(
        later.returned is not None and later.returned < earlier.called
        for index, earlier in enumerate(order)
        for later in order[index + 1 :]
    )


def is_legal(make: Callable[[], Any], order: Sequence[Operation]) -> bool:
    plain = make()
    for one in order:
        result = getattr(plain, one.name)(*one.arguments)
        if one.returned is not None and result != one.result:
            return False
    return True


def random_history(
    source: random.Random, make: Callable[[], Any], names: list[tuple[str, int]], arguments: int, size: int
) -> list[Operation]:
    """Operations that take effect somewhere within or, now and then, just outside their bars; some stay pending."""
    plain = make()
    moments = list(range(1, 2 * size + 1))
    source.shuffle(moments)
    bars = [sorted((moments[2 * i], moments[2 * i + 1])) for i in range(size)]
    effects = sorted((source.uniform(start - 1, end + 1), i) for i, (start, end) in enumerate(bars))
    operations: list[Operation | None] = [None] * size
    for _, i in effects:
        name, count = source.choice(names)
        given = tuple(source.randrange(arguments) for _ in range(count))
        result = getattr(plain, name)(*given)
        if source.random() < 0.25 and name not in ("write", "put", "push", "delete"):
            result = source.choice([True, False] if isinstance(result, bool) else [None, *range(arguments)])
        operations[i] = Operation(name, given, f"client {i}", bars[i][0], result, bars[i][1])
        if source.random() < 0.15:
            operations[i] = Operation(name, given, f"client {i}", bars[i][0])
    return [one for one in operations if one is not None]


@pytest.mark.parametrize(("model", "make", "names", "arguments"), CASES, ids=lambda case: type(case).__name__)
def test_the_checker_agrees_with_brute_force(
    model: Model[Any], make: Callable[[], Any], names: list[tuple[str, int]], arguments: int
) -> None:
    source = random.Random(f"{type(model).__name__} 7")
    verdicts = {"ok": 0, "illegal": 0}
    for _ in range(1000):
        operations = random_history(source, make, names, arguments, source.randint(1, 5))
        found = linearizable(model, operations, timeout=None)
        expected = by_brute_force(make, operations)
        assert bool(found) == expected, timeline(operations)
        verdicts[found.verdict] += 1
        if expected:
            for order in found.orders.values():
                assert respects_time(order)
                assert is_legal(make, order)
            ordered = [one for order in found.orders.values() for one in order]
            assert {one for one in operations if one.returned is not None} <= set(ordered)
        else:
            # What is shown is illegal by itself, and nothing more can be dropped but what explains a result.
            assert not by_brute_force(make, found.illegal), timeline(found.illegal)
            assert len(found.illegal) <= len(operations)
    assert min(verdicts.values()) > 40  # neither answer can be had by always giving the other


def a_long_register_history(clients: int, operations: int, seed: int) -> list[Operation]:
    source = random.Random(seed)
    history = History()
    going_on: dict[int, Any] = {}
    content: Any = None
    effects: dict[int, Any] = {}
    while len(history) < operations or going_on:
        client = source.randrange(clients)
        if client not in going_on:
            if len(history) < operations:
                name = source.choice(["write", "read"])
                arguments = (len(history),) if name == "write" else ()
                going_on[client] = history.call(name, *arguments, process=f"client {client}").operation
        elif client not in effects:
            operation = going_on[client]
            if operation.name == "write":
                content = operation.arguments[0]
            effects[client] = content if operation.name == "read" else None
        else:
            history.returned(going_on.pop(client), effects.pop(client))
    return history.operations


def test_a_register_history_of_a_thousand_operations_is_checked_within_the_default_time() -> None:
    operations = a_long_register_history(10, 1000, 1)
    assert linearizable(Register(), operations).verdict == "ok"


def test_a_stale_read_among_a_thousand_operations_is_found_and_shrunk_to_what_shows_it() -> None:
    operations = a_long_register_history(10, 1000, 2)
    reads = [one for one in operations if one.name == "read" and one.result is not None]
    reads[-3].result = reads[4].result  # long overwritten
    found = linearizable(Register(), operations, timeout=None)
    assert found.verdict == "illegal"
    assert [one.name for one in found.illegal] == ["write", "write", "read"]
    assert found.illegal[0].arguments == (found.illegal[2].result,)


def test_results_say_what_is_wrong_in_a_picture() -> None:
    events = [
        ("a", "call", "write", 1),
        ("b", "call", "read"),
        ("a", "return"),
        ("c", "call", "write", 2),
        ("c", "return"),
        ("b", "return", 1),
        ("a", "call", "read"),
        ("a", "return", 1),
    ]
    found = linearizable(Register(), History.of(events))
    assert str(found) == "\n".join(
        [
            "not linearizable: 3 of 4 operations have no legal order",
            "  a  |--write(1)--|              |--read() → 1--|",
            "  c                |--write(2)--|",
            "  after write(1), write(2) there is no place left for read() → 1 by a",
        ]
    )
    with pytest.raises(NotLinearizableError, match="no legal order") as raised:
        found.raise_on_failure()
    assert raised.value.linearizability is found


def test_what_is_wrong_is_found_among_hundreds_of_operations_of_many_processes() -> None:
    """Ten clients at a time: to see that the whole has no order takes as long as everything after it."""
    log: list[tuple[Any, ...]] = []
    for turn in range(20):
        log += [(client, "call", "write", (turn + client) % 3) for client in range(10)]
        log += [(client, "return") for client in range(10)]
    log += [("late", "call", "write", 5), ("late", "return"), ("reader", "call", "read"), ("reader", "return", 1)]
    found = linearizable(Register(0), History.of(log), timeout=None)
    assert found.verdict == "illegal"
    # Some write of a 1, the late write, and the read that missed it.
    assert [(one.name, one.result if one.name == "read" else one.arguments[0]) for one in found.illegal] == [
        ("write", 1),
        ("write", 5),
        ("read", 1),
    ]


def test_processes_may_be_numbers() -> None:
    log = [(1, "call", "write", 1), (1, "return"), (2, "call", "read"), (2, "return", 0)]
    found = linearizable(Register(0), History.of(log))
    assert found.verdict == "illegal"
    assert "2  " in str(found)


def test_a_wide_picture_becomes_a_list() -> None:
    history = History.of(
        event
        for i in range(20)
        for event in [("a client with a name", "call", "write", i), ("a client with a name", "return")]
    )
    lines = str(history).splitlines()
    assert len(lines) == 40
    assert lines[0].split() == ["a", "client", "with", "a", "name", "call", "write(0)"]


def test_a_pending_write_may_have_happened_or_not() -> None:
    crashed = [("a", "call", "write", 1), ("b", "call", "read"), ("b", "return", None), ("b", "call", "read")]
    assert linearizable(Register(), History.of([*crashed, ("b", "return", 1)]))
    assert linearizable(Register(), History.of([*crashed, ("b", "return", None)]))
    once = [*crashed, ("b", "return", 1), ("b", "call", "read"), ("b", "return", None)]
    assert linearizable(Register(), History.of(once)).verdict == "illegal"


def test_a_lock_may_be_held_by_one_client_at_a_time() -> None:
    apart = [("a", "call", "acquire"), ("a", "return"), ("a", "call", "release"), ("b", "call", "acquire")]
    assert linearizable(Mutex(), History.of([*apart, ("b", "return"), ("a", "return")]))
    both = [("a", "call", "acquire"), ("a", "return"), ("b", "call", "acquire"), ("b", "return")]
    assert linearizable(Mutex(), History.of(both)).verdict == "illegal"
    stolen = [("a", "call", "acquire"), ("a", "return"), ("b", "call", "release"), ("b", "return")]
    assert linearizable(Mutex(), History.of(stolen)).verdict == "illegal"


def test_keys_are_searched_apart_and_the_illegal_one_is_named() -> None:
    history = History()
    for key in "xyz":
        with history.call("put", key, 1, process="a"):
            pass
        with history.call("get", key, process="b") as call:
            call.result(2 if key == "y" else 1)
    found = linearizable(KeyValueMap(), history)
    assert (found.verdict, found.partition) == ("illegal", "y")


def test_a_search_that_is_too_long_is_given_up_and_says_so() -> None:
    # Twelve writes at once and a value that was never written: every order of the writes has to be tried.
    events = [(f"w{i}", "call", "write", i) for i in range(18)]
    events += [(f"w{i}", "return") for i in range(18)]
    events += [("r", "call", "read"), ("r", "return", 99)]
    found = linearizable(Register(), History.of(events), limit=1000)
    assert found.verdict == "unknown"
    assert not found
    assert "limit of 1,000 steps" in str(found)
    with pytest.raises(InconclusiveError):
        found.raise_on_failure()
    assert linearizable(Register(), History.of(events), timeout=0.05).verdict == "unknown"
    with pytest.raises(detrun.UsageError, match="timeout=0"):
        linearizable(Register(), History.of(events), timeout=0)


def test_contents_that_cannot_be_hashed_are_allowed() -> None:
    events = [("a", "call", "write", [1]), ("a", "return"), ("b", "call", "read"), ("b", "return", [1])]
    assert linearizable(Register(), History.of(events))
    events[-1] = ("b", "return", [2])
    assert linearizable(Register(), History.of(events)).verdict == "illegal"


def test_wrong_use_is_refused_with_the_way_out() -> None:
    with pytest.raises(detrun.UsageError, match="it has read, write"):
        linearizable(Register(), History.of([("a", "call", "increment"), ("a", "return")]))
    with pytest.raises(detrun.UsageError, match="cannot follow read"):
        linearizable(Register(), History.of([("a", "call", "read", 1), ("a", "return")]))
    with pytest.raises(detrun.UsageError, match="not returned"):
        History.of([("a", "call", "read"), ("a", "call", "read")])
    history = History()
    with history.call("read") as call:
        pass
    with pytest.raises(detrun.UsageError, match="returned already"):
        history.returned(call.operation, 1)


# Histories of runs.


async def two_clients(register: detrun.Shared[int], history: History, crash: bool) -> None:
    async def client(value: int) -> None:
        with history.call("write", value):
            await trio.lowlevel.checkpoint()
            if crash:
                await trio.sleep_forever()
            register.value = value
        with history.call("read") as call:
            await trio.lowlevel.checkpoint()
            call.result(register.value)

    with trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client, 1)
            nursery.start_soon(client, 2)


def test_a_history_of_tasks_is_the_same_in_every_replay() -> None:
    histories = []

    async def main() -> None:
        history = History()
        histories.append(history)
        await two_clients(detrun.Shared(0), history, False)
        linearizable(Register(0), history).raise_on_failure()

    run = detrun.record(main, seed=3)
    detrun.replay(main, recording=run.recording)
    shown = [[(str(one), one.process, one.called, one.returned, one.step_called) for one in h] for h in histories]
    assert shown[0] == shown[1]
    assert {one.process for one in histories[0]} == {"main/client", "main/client[1]"}


def test_operations_of_cancelled_clients_are_pending() -> None:
    history = History()

    async def main() -> None:
        await two_clients(detrun.Shared(0), history, True)

    for _ in range(2):  # a history that outlives a run begins anew
        detrun.record(main, seed=3)
        assert [one.result for one in history] == [PENDING, PENDING]


def test_an_operation_that_did_nothing_leaves_the_history() -> None:
    history = History()
    with history.call("write", 1) as call:
        call.did_nothing()
    assert len(history) == 0


def test_exploring_a_register_with_a_stale_cache_finds_the_history_that_shows_it() -> None:
    async def main() -> None:
        history = History()
        content, cache = detrun.Shared(0), detrun.Shared(0)

        async def writer() -> None:
            with history.call("write", 1):
                content.value = 1
                await trio.lowlevel.checkpoint()
            with history.call("read") as call:
                call.result(content.value)
            await trio.lowlevel.checkpoint()
            cache.value = 1

        async def reader() -> None:
            for _ in range(2):
                with history.call("read") as call:
                    await trio.lowlevel.checkpoint()
                    call.result(cache.value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer)
            nursery.start_soon(reader)
        linearizable(Register(0), history).raise_on_failure()

    exploration = detrun.explore(main, schedules=500, directory=None)
    assert exploration.failed
    assert isinstance(exploration.failure.exception, NotLinearizableError)  # type: ignore[union-attr]


def test_histories_of_real_threads_outside_a_run() -> None:
    import threading

    history = History()
    lock = threading.Lock()
    content = [0]

    def client() -> None:
        for _ in range(20):
            with history.call("fetch_add", 1) as call, lock:
                call.result(content[0])
                content[0] += 1

    threads = [threading.Thread(target=client) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert linearizable(Counter(), history)


def one_by_one(*calls: tuple[str, tuple[object, ...], object]) -> list[Operation]:
    """Operations of one process."""
    return [
        Operation(name, arguments, "p", 2 * at, result, 2 * at + 1)
        for at, (name, arguments, result) in enumerate(calls)
    ]


def test_an_operation_does_not_explain_itself_nor_does_what_returned_something_else() -> None:
    """Without the first, the second and the fourth would be wrong, and they are not what was wrong."""
    history = one_by_one(
        ("fetch_add", (1,), 0),
        ("fetch_add", (1,), 1),
        ("add", (6998,), None),
        ("fetch_add", (1,), 7000),
        ("read", (), 2),
    )
    assert list(linearizable(Counter(), history).illegal) == [*history[:3], history[4]]


def test_what_only_explained_what_is_left_out_is_left_out_too() -> None:
    chain = [("compare_and_swap", (number, number + 1), True) for number in (3, 4, 5, 6)]
    history = one_by_one(*chain, ("write", (10,), None), ("write", (11,), None), ("read", (), 10))
    assert list(linearizable(CompareAndSwapRegister(3), history).illegal) == history[4:]


def test_results_after_a_wrong_one_are_explained_by_what_should_have_been_returned() -> None:
    history = one_by_one(("fetch_add", (1,), 7), ("fetch_add", (1,), 1), ("read", (), 2))
    assert list(linearizable(Counter(), history).illegal) == history[:1]
