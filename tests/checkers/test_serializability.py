"""The cycle search against all serial orders, and Adya's anomalies by name."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Sequence

import pytest
import trio

import detrun
from detrun.checkers.serializability import NotSerializableError, Serializability, serializable
from detrun.checkers.transactions import Transaction, Transactions


def history_of(*programs: str, aborted: Sequence[str] = (), undecided: Sequence[str] = ()) -> Transactions:
    """``"A: r x 0, w x 1"``: versions are numbers, 0 is the unwritten one. All transactions run at the same time."""
    history = Transactions()
    begun = [(history.transaction(program.partition(":")[0]), program) for program in programs]
    for one, program in begun:
        for operation in program.partition(":")[2].split(","):
            kind, key, version = operation.split()
            if kind == "r":
                one.read(key, int(version) or None)
            else:
                one.write(key, int(version))
    for one, _ in begun:
        if one.name in aborted:
            one.abort()
        elif one.name in undecided:
            one.undecided()
        else:
            one.__exit__(None, None, None)
    return history


def one_by_one(history: Sequence[Transaction], strict: bool) -> bool:
    """True if some order of the committed transactions explains every read, with versions in their order."""
    committed = [one for one in history if one.outcome == "committed"]
    return any(is_serial(order, strict) for order in itertools.permutations(committed))


def is_serial(order: Sequence[Transaction], strict: bool) -> bool:
    for index, one in enumerate(order):
        if strict and any(later.ended < one.began for later in order[index + 1 :]):  # type: ignore[operator]
            return False
    newest: dict[object, int] = {}
    for one in order:
        for kind, key, version in one.operations:
            if kind == "read" and version != newest.get(key):
                return False
            if kind == "write":
                if version < newest.get(key, 0):  # type: ignore[operator]
                    return False
                newest[key] = version  # type: ignore[assignment]
    return True


def random_transactions(source: random.Random) -> list[Transaction]:
    """Up to four transactions over two keys, mostly sensible: they run in turns against one store."""
    history = Transactions()
    store: dict[str, int | None] = {"x": None, "y": None}
    made = {"x": 0, "y": 0}
    waiting = [f"T{i}" for i in range(source.randint(2, 4))]
    running: list[tuple[Transaction, list[str]]] = []
    while waiting or running:
        if waiting and source.random() < 0.5:
            running.append((history.transaction(waiting.pop()), [source.choice("rrw") for _ in range(3)]))
        elif running:
            one, left = source.choice(running)
            if not left:
                running.remove((one, left))
                one.abort() if source.random() < 0.1 else one.__exit__(None, None, None)
                continue
            key = source.choice("xy")
            if left.pop() == "r":
                stale = source.random() < 0.15
                one.read(key, source.choice([None, *range(1, made[key] + 1)]) if stale else store[key])
            else:
                made[key] += 1
                store[key] = made[key]
                one.write(key, made[key])
    return history.transactions


@pytest.mark.parametrize("strict", [False, True])
def test_the_cycle_search_agrees_with_trying_all_serial_orders(strict: bool) -> None:
    source = random.Random(11)
    found: dict[str | None, int] = {}
    for _ in range(1500):
        transactions = random_transactions(source)
        result = serializable(transactions, strict=strict)
        assert bool(result) == one_by_one(transactions, strict), str(result)
        found[result.anomaly] = found.get(result.anomaly, 0) + 1
        if result:
            assert is_serial(result.order, strict)
        for first, second in zip(result.cycle, [*result.cycle[1:], *result.cycle[:1]], strict=True):
            assert first.after is second.before
    assert {None, "G0", "G1a", "G1b", "internal", "G1c", "G-single", "G2"} <= set(found)
    assert any(name is not None and name.endswith("-realtime") for name in found) == strict


@pytest.mark.parametrize(
    ("anomaly", "programs", "aborted"),
    [
        ("G0", ["A: w x 1, w y 2", "B: w x 2, w y 1"], []),
        ("G1a", ["A: w x 1", "B: r x 1"], ["A"]),
        ("G1b", ["A: w x 1, w x 2", "B: r x 1"], []),
        ("internal", ["A: w x 1, w x 2, r x 1"], []),
        ("G1c", ["A: w x 1, r y 1", "B: r x 1, w y 1"], []),
        ("G-single", ["A: r x 0, r y 1", "B: w x 1, w y 1"], []),  # read skew
        ("G2", ["A: r x 0, w y 1", "B: r y 0, w x 1"], []),  # write skew
        (None, ["A: r x 0, w y 1", "B: r y 1, w x 1"], []),
        (None, ["A: w x 1", "B: r x 0"], ["A"]),
    ],
)
def test_anomalies_have_the_names_of_the_literature(
    anomaly: str | None, programs: list[str], aborted: list[str]
) -> None:
    result = serializable(history_of(*programs, aborted=aborted))
    assert result.anomaly == anomaly
    if anomaly is not None:
        with pytest.raises(NotSerializableError, match=anomaly):
            result.raise_on_failure()


def test_a_lost_update_is_told_as_a_cycle() -> None:
    result = serializable(history_of("A: r x 0, w x 1", "B: r x 0, w x 2"))
    assert str(result) == "\n".join(
        [
            "not serializable: G-single, 2 dependencies contradict each other (2 transactions)",
            "  B → A (rw): B read 'x' before there was any, which A replaced by version 1",
            "  A → B (ww): A wrote 'x' version 1, which B replaced by version 2",
        ]
    )


def test_a_stale_read_is_serializable_but_not_strictly() -> None:
    history = Transactions()
    with history.transaction("writer") as writer:
        writer.write("x", 1)
    with history.transaction("reader") as reader:
        reader.read("x", None)
    assert serializable(history)
    strictly = serializable(history, strict=True)
    assert strictly.anomaly == "G-single-realtime"
    assert "writer ended before reader began" in str(strictly)
    assert str(strictly).startswith("not strictly serializable")


def test_an_undecided_transaction_counts_once_a_committed_one_has_read_from_it() -> None:
    unseen = history_of("A: w x 1, w y 1", "B: r x 0, r y 0", undecided=["A"])
    assert serializable(unseen)
    half_seen = history_of("A: w x 1, w y 1", "B: r x 1, r y 0", undecided=["A"])
    assert serializable(half_seen).anomaly == "G-single"
    through_another = history_of("A: w x 1, w z 1", "C: r x 1, w y 1", "B: r y 1, r z 0", undecided=["A", "C"])
    assert serializable(through_another).anomaly == "G-single"


def test_the_order_of_versions_can_be_given() -> None:
    history = Transactions()
    for name, seen, made in (("A", None, "blue"), ("B", "blue", "azure")):
        with history.transaction(name) as one:
            one.read("colour", seen)
            one.write("colour", made)
    assert not serializable(history)  # azure sorts before blue
    assert serializable(history, version_order={"colour": ["blue", "azure"]})
    with pytest.raises(detrun.UsageError, match="no place for version 'azure'"):
        serializable(history, version_order={"colour": ["blue"]})


def test_histories_that_cannot_be_judged_are_refused() -> None:
    with pytest.raises(detrun.UsageError, match="was written by A and by B"):
        serializable(history_of("A: w x 1", "B: w x 1"))
    with pytest.raises(detrun.UsageError, match="read version 7 of 'x', which was never written"):
        serializable(history_of("A: r x 7"))
    mixed = Transactions()
    with mixed.transaction() as one:
        one.write("x", 1)
        one.write("x", "two")
    with pytest.raises(detrun.UsageError, match="have no order"):
        serializable(mixed)


def test_how_a_block_ends_decides_how_its_transaction_ends() -> None:
    history = Transactions()

    async def main() -> None:
        with history.transaction():
            pass
        try:
            with history.transaction():
                raise ValueError
        except ValueError:
            pass
        with trio.move_on_after(1):
            with history.transaction():
                await trio.sleep_forever()
        with history.transaction() as one:
            one.abort()

    for _ in range(2):  # begins anew in each run
        detrun.record(main)
        assert [one.outcome for one in history] == ["committed", "aborted", "undecided", "aborted"]
        assert history.transactions[0].name == "T1 (main)"


async def transfers(locked: bool) -> Serializability:
    """Two transactions over a store with versions, with or without a lock around each."""
    store: dict[str, tuple[int, int | None]] = {"a": (10, None), "b": (10, None)}
    history = Transactions()
    lock = trio.Lock()

    async def withdraw(key: str) -> None:
        if locked:
            await lock.acquire()
        with history.transaction() as one:
            total = 0
            for other in "ab":
                await trio.lowlevel.checkpoint()
                amount, version = store[other]
                one.read(other, version)
                total += amount
            await trio.lowlevel.checkpoint()
            if total >= 15:
                amount, version = store[key]
                store[key] = (amount - 15, (version or 0) + 1)
                one.write(key, (version or 0) + 1)
        if locked:
            lock.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(withdraw, "a")
        nursery.start_soon(withdraw, "b")
    return serializable(history, strict=True).raise_on_failure()


def test_exploring_finds_the_write_skew_and_not_with_a_lock() -> None:
    exploration = detrun.explore(transfers, False, schedules=200, directory=None)
    assert exploration.failure is not None
    error = exploration.failure.exception
    assert isinstance(error, NotSerializableError)
    assert error.serializability.anomaly == "G2"
    assert detrun.explore(transfers, True, schedules=200, directory=None).verdict == "passed"


def test_importing_does_not_import_networkx() -> None:
    program = "import sys, detrun.checkers.serializability; print('networkx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


def test_without_networkx_there_is_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(detrun.UsageError, match="pip install networkx"):
        serializable(Transactions())
