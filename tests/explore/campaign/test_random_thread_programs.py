"""Random programs of threads: the results that a search finds are those of all interleavings, by brute force.

The oracle interprets the program in a few lines of its own: memory, locks, a queue, and every order of atomic actions.
One kind of program races on plain state at opcodes, the other synchronizes and may deadlock.
"""

from __future__ import annotations

import linecache
import queue
import random
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import pytest

from detrun import explore
from detrun_scheduler.errors import DeadlockError

PLACES = ("cell.a", "cell.b", "table['k']", "items[0]", "closed")
Action = tuple[Any, ...]
Programs = list[list[Action]]


class Cell:
    def __init__(self) -> None:
        self.a = self.b = 0


def all_results(start: Hashable, following: Callable[[Any], Iterator[Hashable]], result: Callable[[Any], Any]) -> Any:
    """The results of the states in which nothing more can happen."""
    found, seen, waiting = set(), {start}, [start]
    while waiting:
        state = waiting.pop()
        after = list(following(state))
        if not after:
            found.add(result(state))
        waiting += {one for one in after if one not in seen}
        seen.update(after)
    return found


def replaced(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*values[:index], value, *values[index + 1 :])


# Plain state.


def racing(generator: random.Random) -> Programs:
    """Statements of two or three threads."""
    threads = generator.choice([2, 2, 2, 3])
    kinds = ("set", "add", "if", "locked")
    return [
        [
            (generator.choice(kinds), generator.choice(PLACES), generator.choice(PLACES), generator.randint(1, 3))
            for _ in range(generator.randint(1, 2) if threads == 2 else 1)
        ]
        for _ in range(threads)
    ]


STATEMENTS = {
    "set": "{0} = {1} + {2}",
    "add": "{0} += {2}",
    "if": "if {0} == 0: {1} = {2}",
    "locked": "with lock: {0} += {2}",
}


def source_of(program: Programs) -> str:
    lines = ["def main():", "  cell, table, items, closed, lock = Cell(), {'k': 0}, [0], 0, threading.Lock()"]
    for number, statements in enumerate(program):
        lines += [f"  def body{number}():", "    nonlocal closed"]
        lines += [f"    {STATEMENTS[kind].format(*rest)}" for kind, *rest in statements]
    bodies = ", ".join(f"body{number}" for number in range(len(program)))
    lines += [
        f"  threads = [threading.Thread(target=body) for body in ({bodies})]",
        "  for thread in threads: thread.start()",
        "  for thread in threads: thread.join()",
        "  seen.add((cell.a, cell.b, table['k'], items[0], closed))",
    ]
    return "\n".join(lines)


def actions_of(statements: list[Action]) -> list[Action]:
    actions: list[Action] = []
    for kind, first, second, number in statements:
        match kind:
            case "set":
                actions += [("load", second), ("store", first, number)]
            case "add":
                actions += [("load", first), ("store", first, number)]
            case "if":
                actions += [("unless zero skip", first), ("store constant", second, number)]
            case "locked":
                actions += [("acquire",), ("load", first), ("store", first, number), ("release",)]
    return actions


def results_of_racing(program: Programs) -> Any:
    actions = [actions_of(statements) for statements in program]

    def following(state: Any) -> Iterator[Any]:
        counters, registers, memory, holder = state
        for thread, own in enumerate(actions):
            if counters[thread] == len(own):
                continue
            kind, *rest = own[counters[thread]]
            place = PLACES.index(rest[0]) if rest else -1
            loaded, stored, held, skipped = registers, memory, holder, 0
            match kind:
                case "load":
                    loaded = replaced(registers, thread, memory[place])
                case "store":
                    stored = replaced(memory, place, registers[thread] + rest[1])
                case "store constant":
                    stored = replaced(memory, place, rest[1])
                case "unless zero skip":
                    skipped = memory[place] != 0
                case "acquire":
                    if holder is not None:
                        continue
                    held = thread
                case "release":
                    held = None
            yield replaced(counters, thread, counters[thread] + 1 + skipped), loaded, stored, held

    none = (0,) * len(actions)
    return all_results((none, none, (0,) * len(PLACES), None), following, lambda state: state[2])


def compiled(text: str, name: str, seen: set[Any]) -> Callable[[], None]:
    linecache.cache[name] = len(text), None, text.splitlines(True), name
    namespace: dict[str, Any] = {"threading": threading, "Cell": Cell, "seen": seen}
    exec(compile(text, name, "exec"), namespace)
    return namespace["main"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_reduction_at_opcodes_finds_all_results_of_programs_that_race(seed: int, tmp_path: Any) -> None:
    generator = random.Random(seed)
    for number in range(25):
        program, seen = racing(generator), set[Any]()
        name = str(tmp_path / f"program_{seed}_{number}.py")
        main = compiled(source_of(program), name, seen)
        found = explore(main, strategy="dpor", schedules=5_000, preemption="opcode", include=[name], directory=None)
        assert found.verdict == "holds"
        assert seen == results_of_racing(program), program


def test_a_step_that_touches_what_earlier_steps_of_its_task_touched_has_the_clock_of_the_latest(tmp_path: Any) -> None:
    """A regression: the release of the lock was taken to happen before what its own thread did in between."""
    program: Programs = [[("locked", "cell.a", "", 2)], [("set", "cell.a", "items[0]", 1)]]
    seen, name = set[Any](), str(tmp_path / "program.py")
    main = compiled(source_of(program), name, seen)
    explore(main, strategy="dpor", preemption="opcode", include=[name], directory=None)
    assert {result[0] for result in seen} == {1, 2, 3}


# Synchronization.


def synchronizing(generator: random.Random) -> Programs:
    """Operations of two or three threads on two locks, a queue, an event and a semaphore."""
    threads = generator.choice([2, 2, 3])
    program: Programs = []
    for _ in range(threads):
        operations: list[Action] = []
        for _ in range(generator.randint(1, 3 if threads == 2 else 2)):
            kind = generator.choice(("lock", "lock", "put", "get", "set", "wait", "down", "up"))
            which = generator.randrange(2)
            if kind == "lock":
                operations.append(("acquire", which))
                if generator.random() < 0.8:
                    operations.append(("release", which))
            else:
                operations.append((kind, which))
        program.append(operations)
    return program


def run_synchronizing(program: Programs, kind: type[Any]) -> Any:
    locks, messages = (threading.Lock(), threading.Lock()), kind()
    event, semaphore = threading.Event(), threading.Semaphore(1)
    got: list[list[Any]] = [[] for _ in program]

    def body(thread: int) -> None:
        for operation, which in program[thread]:
            match operation:
                case "acquire":
                    locks[which].acquire()
                case "release":
                    locks[which].release()
                case "put":
                    messages.put((thread, which))
                case "get":
                    got[thread].append(messages.get())
                case "set":
                    event.set()
                case "wait":
                    event.wait()
                case "down":
                    semaphore.acquire()
                case "up":
                    semaphore.release()

    threads = [threading.Thread(target=body, args=(thread,)) for thread in range(len(program))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tuple(map(tuple, got))


def results_of_synchronizing(program: Programs) -> Any:
    def following(state: Any) -> Iterator[Any]:
        counters, locks, messages, is_set, places, got = state
        for thread, own in enumerate(program):
            if counters[thread] == len(own):
                continue
            operation, which = own[counters[thread]]
            next_locks, next_messages, next_set, next_places, next_got = locks, messages, is_set, places, got
            match operation:
                case "acquire":
                    if locks[which]:
                        continue
                    next_locks = replaced(locks, which, True)
                case "release":
                    next_locks = replaced(locks, which, False)
                case "put":
                    next_messages = (*messages, (thread, which))
                case "get":
                    if not messages:
                        continue
                    next_got, next_messages = replaced(got, thread, (*got[thread], messages[0])), messages[1:]
                case "set":
                    next_set = True
                case "wait":
                    if not is_set:
                        continue
                case "down":
                    if not places:
                        continue
                    next_places -= 1
                case "up":
                    next_places += 1
            moved = replaced(counters, thread, counters[thread] + 1)
            yield moved, next_locks, next_messages, next_set, next_places, next_got

    def result(state: Any) -> Any:
        over = all(count == len(own) for count, own in zip(state[0], program, strict=True))
        return state[5] if over else "deadlock"

    start = (0,) * len(program), (False, False), (), False, 1, ((),) * len(program)
    return all_results(start, following, result)


@pytest.mark.one_python
@pytest.mark.parametrize("kind", [queue.SimpleQueue, queue.Queue])
def test_reduction_finds_all_results_of_programs_that_synchronize_deadlocks_included(kind: type[Any]) -> None:
    generator = random.Random(kind.__name__)
    for _ in range(40):
        program, seen = synchronizing(generator), set[Any]()

        def main(program: Programs = program, seen: set[Any] = seen) -> None:
            seen.add(run_synchronizing(program, kind))

        expected = results_of_synchronizing(program)
        found = explore(main, strategy="dpor", schedules=5_000, shrink=False, explain=False, directory=None)
        if "deadlock" in expected:
            assert isinstance(found.failure.exception, DeadlockError), program  # type: ignore[union-attr]
            assert seen <= expected, program
        else:
            assert found.verdict == "holds", (program, found.reason)
            assert seen == expected, program
