"""Random programs of simulated threads are deterministic and replay exactly, wherever threads are interrupted.

A program is plain data, as in `random_programs`: threads and thread pools in each other, locks, queues, events,
conditions, semaphores, barriers and timers, most waits under a time limit, so that ties of time-outs are common. Its
result is the log of what its threads saw. The oracle is the second run, at other addresses.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, as_completed, wait
from typing import Any, TypeAlias

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from tests.examples import examples

Action: TypeAlias = list[Any]
Body: TypeAlias = list[Action]

STEPS_MAX = 20_000
WAIT_SECONDS = 0.5
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

SIMPLE = st.sampled_from(
    (
        *("lock", "nested lock", "racy add", "atomic", "sleep", "put", "get", "get at once", "set", "wait"),
        *("wait for notice", "notify", "semaphore", "barrier", "local", "timer", "raise"),
    )
)
index = st.integers(0, 2)


def programs() -> st.SearchStrategy[Body]:
    simple = st.tuples(SIMPLE, index).map(list)

    def deeper(body: st.SearchStrategy[Body]) -> st.SearchStrategy[Body]:
        bodies = st.lists(body, min_size=1, max_size=3)
        compound = st.tuples(st.sampled_from(("threads", "pool", "pool", "holding", "catch")), index, bodies).map(list)
        return st.lists(simple | compound, min_size=1, max_size=4)

    return st.recursive(st.lists(simple, max_size=4), deeper, max_leaves=6)


class _World:
    def __init__(self) -> None:
        self.log: list[Any] = []
        self.threads = 0
        self.number = 0
        self.locks = [threading.Lock() for _ in range(3)]
        self.nested = threading.RLock()
        self.queues: list[Any] = [queue.Queue(), queue.Queue(1), queue.SimpleQueue()]
        self.events = [threading.Event() for _ in range(3)]
        self.condition = threading.Condition()
        self.semaphore = threading.Semaphore(1)
        self.barrier = threading.Barrier(2)
        self.local = threading.local()
        self.atomic = detrun.Atomic(0.0)


def interpret(program: Body) -> list[Any]:
    """Run a program as the main thread."""
    world = _World()
    _run(world, program, 0)
    return [world.log, world.number]


def _run(world: _World, body: Body, thread: int) -> None:
    for name, which, *bodies in body:
        world.log.append([thread, name, _ACTIONS[name](world, thread, which, *bodies)])


def _child(world: _World, body: Body) -> int:
    world.threads += 1
    thread = world.threads
    try:
        _run(world, body, thread)
    except (ValueError, queue.Empty, queue.Full) as error:
        world.log.append([thread, "ended", type(error).__name__])
    return thread


def _lock(world: _World, thread: int, which: int) -> Any:
    if not world.locks[which].acquire(timeout=which * WAIT_SECONDS):
        return "timed out"
    world.locks[which].release()
    return None


def _nested_lock(world: _World, thread: int, which: int) -> int:
    with world.nested, world.nested:
        return world.number


def _racy_add(world: _World, thread: int, which: int) -> None:
    world.number += 1


def _sleep(world: _World, thread: int, which: int) -> float:
    time.sleep(which * WAIT_SECONDS)
    return time.monotonic()


def _put(world: _World, thread: int, which: int) -> None:
    world.queues[which].put(thread, timeout=WAIT_SECONDS)


def _notice(world: _World, thread: int, which: int) -> bool:
    with world.condition:
        return world.condition.wait(WAIT_SECONDS)


def _notify(world: _World, thread: int, which: int) -> None:
    with world.condition:
        world.condition.notify(which)


def _semaphore(world: _World, thread: int, which: int) -> None:
    with world.semaphore:
        time.sleep(0.1)


def _barrier(world: _World, thread: int, which: int) -> Any:
    try:
        return world.barrier.wait(WAIT_SECONDS)
    except threading.BrokenBarrierError:
        world.barrier.reset()
        return "broken"


def _local(world: _World, thread: int, which: int) -> Any:
    found = getattr(world.local, "thread", None)
    world.local.thread = thread
    return found


def _timer(world: _World, thread: int, which: int) -> None:
    timer = threading.Timer(which * WAIT_SECONDS, world.log.append, [[thread, "timer", which]])
    timer.start()
    if which == 1:
        timer.cancel()


def _raise(world: _World, thread: int, which: int) -> None:
    raise ValueError(which)


def _threads(world: _World, thread: int, which: int, bodies: list[Body]) -> list[bool]:
    started = [threading.Thread(target=_child, args=(world, body)) for body in bodies]
    for one in started:
        one.start()
    for one in started:
        one.join(WAIT_SECONDS if which == 2 else None)
    return [one.is_alive() for one in started]


def _pool(world: _World, thread: int, which: int, bodies: list[Body]) -> Any:
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(_child, world, body) for body in bodies]
        if which == 0:
            return [future.result() for future in futures]
        if which == 1:
            return [future.result() for future in as_completed(futures)]
        return len(wait(futures, return_when=FIRST_COMPLETED).done)


def _holding(world: _World, thread: int, which: int, bodies: list[Body]) -> None:
    if world.locks[which].acquire(timeout=WAIT_SECONDS):
        try:
            _run(world, bodies[0], thread)
        finally:
            world.locks[which].release()


def _catch(world: _World, thread: int, which: int, bodies: list[Body]) -> str | None:
    try:
        _run(world, bodies[0], thread)
    except (ValueError, queue.Empty, queue.Full) as error:
        return type(error).__name__
    return None


_ACTIONS: dict[str, Callable[..., Any]] = {
    "lock": _lock,
    "nested lock": _nested_lock,
    "racy add": _racy_add,
    "atomic": lambda world, thread, which: world.atomic.fetch_add(1.0),
    "sleep": _sleep,
    "put": _put,
    "get": lambda world, thread, which: world.queues[which].get(timeout=WAIT_SECONDS),
    "get at once": lambda world, thread, which: world.queues[which].get_nowait(),
    "set": lambda world, thread, which: world.events[which].set(),
    "wait": lambda world, thread, which: world.events[which].wait(WAIT_SECONDS),
    "wait for notice": _notice,
    "notify": _notify,
    "semaphore": _semaphore,
    "barrier": _barrier,
    "local": _local,
    "timer": _timer,
    "raise": _raise,
    "threads": _threads,
    "pool": _pool,
    "holding": _holding,
    "catch": _catch,
}


def recorded(program: Body, seed: int, strategy: str, preemption: str) -> detrun.Run:
    run = detrun.record(
        interpret,
        program,
        seed=seed,
        strategy=strategy,
        preemption=preemption,
        max_steps=STEPS_MAX,
        raise_errors=False,
    )
    # Such an error would be equal in every run and pass for the program's own.
    assert not isinstance(run.exception, trio.TrioInternalError), run.exception.__cause__
    return run


def how_it_ended(run: detrun.Run) -> str:
    if run.exception is None:
        return repr(run.result)
    return type(run.exception).__name__ if isinstance(run.exception, detrun.DetrunError) else repr(run.exception)


@given(
    program=programs(),
    seed=st.integers(0, 2**32 - 1),
    strategy=st.sampled_from(("random", "fifo", "pct", "pos")),
    preemption=st.sampled_from(("sync", "line", "opcode")),
    elsewhere=st.integers(0, 500),
)
@examples(25)
def test_one_seed_is_one_run_at_any_addresses_and_its_recording_replays_it(
    program: Body, seed: int, strategy: str, preemption: str, elsewhere: int
) -> None:
    first = recorded(program, seed, strategy, preemption)
    moves = [object() for _ in range(elsewhere)]
    second = recorded(program, seed, strategy, preemption)
    assert (second.digest, how_it_ended(second)) == (first.digest, how_it_ended(first))
    replayed = detrun.replay(interpret, program, recording=first.recording.to_bytes(), raise_errors=False)
    assert (replayed.digest, how_it_ended(replayed)) == (first.digest, how_it_ended(first))
    del moves


@pytest.mark.one_python
def test_the_random_programs_do_what_they_are_for() -> None:
    """The property above would hold for programs that do nothing; these race, time out, and fill pools."""
    seen: Counter[str] = Counter()

    @given(program=programs(), seed=st.integers(0, 2**32 - 1))
    @settings(max_examples=150)
    def look(program: Body, seed: int) -> None:
        run = recorded(program, seed, "random", "sync")
        seen["another seed, another run"] += run.digest != recorded(program, seed + 1, "random", "sync").digest
        seen["several threads"] += len(run.recording.tasks) > 4
        seen["time passed"] += run.virtual_time > 0
        seen["pools"] += sum("ThreadPoolExecutor" in path for _, path in run.recording.tasks.values()) > 1
        seen["failed"] += run.exception is not None

    look()
    assert min(seen.values()) >= 5, seen
    assert len(seen) == 5


IMPORTS_A_POOL_INSIDE = """
import detrun

def main():
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(abs, number) for number in range(6)]
        return [future.result() for future in concurrent.futures.as_completed(futures)]

print([detrun.record(main, seed=3).digest for _ in range(3)])
"""


def test_a_pool_first_imported_inside_a_run_is_the_same_in_the_first_run_of_every_process() -> None:
    def run() -> str:
        done = subprocess.run([sys.executable, "-c", IMPORTS_A_POOL_INSIDE], capture_output=True, text=True, check=True)
        return done.stdout

    first = run()
    assert len(set(first.strip("[]\n").split(", "))) == 1
    assert run() == first
