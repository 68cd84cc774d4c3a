"""Random concurrent programs: nested nurseries, channels, locks, timeouts, cancellations, draws and shared memory,
generators left open, context variables, callbacks, tasks that wait until all others are blocked.

A program is plain data (nested lists of numbers and text), so that it prints, shrinks and travels to other processes;
`interpret` runs it. Its result is the log of what its tasks saw, in the order in which they saw it, and the final
content of its memory: two runs with equal results took the same interleaving as far as any task can tell.

Programs are allowed to deadlock, to fail, and to be cancelled while cleaning up. Times come from a short list, so that
ties are common. Draw them with ``programs()``.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextvars import ContextVar
from typing import Any, TypeAlias

import trio
import trio.testing
from hypothesis import strategies as st

import detrun

Action: TypeAlias = list[Any]
Body: TypeAlias = list[Action]

STEPS_MAX = 3_000
SECONDS = (0.0, 0.25, 0.5, 1.0)
FAULTS = (ValueError, KeyError, trio.BrokenResourceError)
ATOMIC_OPERATIONS = ("exchange", "fetch_add", "fetch_sub", "fetch_mul", "fetch_max", "fetch_min")

_pair = st.integers(0, 1)
_number = st.sampled_from((-2.0, 0.5, 1.0, 3.0))
_seconds = st.sampled_from(SECONDS)


def _action(*parts: Any) -> st.SearchStrategy[Action]:
    return st.tuples(*(part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts)).map(list)


SIMPLE = st.one_of(
    _action("checkpoint"),
    _action("sleep", _seconds),
    _action("detrun sleep", _seconds),
    _action("set", _pair),
    _action("wait", _pair),
    _action("send", _pair, st.integers(0, 9)),
    _action("receive", _pair),
    _action("notify", st.booleans()),
    _action("wait for notice"),
    _action("draw"),
    _action("python draw"),
    _action("atomic", _pair, st.sampled_from(ATOMIC_OPERATIONS), _number),
    _action("compare exchange", _pair, _number, _number),
    _action("racy add", _number),
    _action("cancel"),
    _action("deadline", _seconds),
    _action("raise", st.integers(0, len(FAULTS) - 1)),
    _action("clone", _pair),
    _action("close", _pair, st.booleans()),
    _action("drain", _pair),
    _action("wait until all are blocked", _seconds),
    _action("call back", _pair),
    _action("context"),
    _action("leave a generator", _seconds, st.booleans()),
    _action("start in time", _seconds, _seconds),
)


def _compound(body: st.SearchStrategy[Body]) -> st.SearchStrategy[Action]:
    return st.one_of(
        _action("nursery", st.lists(body, min_size=1, max_size=3)),
        _action("start", body),
        _action("move on after", _seconds, body),
        _action("shield", body),
        _action("lock", _pair, body),
        _action("semaphore", body),
        _action("limiter", body),
        _action("catch", body),
        _action("finally", body, body),
    )


def programs() -> st.SearchStrategy[Body]:
    """Programs for `interpret`."""
    return st.recursive(
        st.lists(SIMPLE, max_size=4),
        lambda body: st.lists(SIMPLE | _compound(body) | _compound(body), min_size=1, max_size=4),
        max_leaves=8,
    )


_context: ContextVar[int] = ContextVar("_context", default=-1)


class _World:
    """The objects that all tasks of a program share."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.tasks = 0
        self.events = [trio.Event(), trio.Event()]
        self.locks = [trio.Lock(), trio.Lock()]
        self.semaphore = trio.Semaphore(1)
        self.limiter = trio.CapacityLimiter(1)
        self.condition = trio.Condition()
        self.channels = [trio.open_memory_channel[int](size) for size in (0, 2)]
        self.generators: list[AsyncGenerator[int, None]] = []
        self.atomics = [detrun.Atomic(1.0), detrun.Atomic(2.0)]
        self.shared = detrun.Shared(0.0)


async def interpret(program: Body) -> list[Any]:
    """Run a program as the main task; return its log and its memory."""
    world = _World()
    with trio.CancelScope() as scope:
        await _run(world, program, scope, world.tasks)
    return [world.log, scope.cancelled_caught, [repr(cell) for cell in (*world.atomics, world.shared)]]


async def _run(world: _World, body: Body, scope: trio.CancelScope, task: int) -> None:
    for action in body:
        seen = await _ACTIONS[action[0]](world, scope, task, *action[1:])
        world.log.append([task, action[0], seen])


async def _child(world: _World, body: Body, scope: trio.CancelScope) -> None:
    world.tasks += 1
    await _run(world, body, scope, world.tasks)


async def _checkpoint(world: _World, scope: trio.CancelScope, task: int) -> float:
    await trio.lowlevel.checkpoint()
    return trio.current_time()


async def _sleep(world: _World, scope: trio.CancelScope, task: int, seconds: float) -> float:
    await trio.sleep(seconds)
    return trio.current_time()


async def _detrun_sleep(world: _World, scope: trio.CancelScope, task: int, seconds: float) -> float:
    await detrun.sleep(seconds)
    return trio.current_time()


async def _set(world: _World, scope: trio.CancelScope, task: int, index: int) -> None:
    world.events[index].set()


async def _wait(world: _World, scope: trio.CancelScope, task: int, index: int) -> None:
    await world.events[index].wait()


async def _send(world: _World, scope: trio.CancelScope, task: int, index: int, message: int) -> None:
    await world.channels[index][0].send(message)


async def _receive(world: _World, scope: trio.CancelScope, task: int, index: int) -> int:
    return await world.channels[index][1].receive()


async def _notify(world: _World, scope: trio.CancelScope, task: int, everyone: bool) -> None:
    async with world.condition:
        if everyone:
            world.condition.notify_all()
        else:
            world.condition.notify()


async def _wait_for_notice(world: _World, scope: trio.CancelScope, task: int) -> None:
    async with world.condition:
        await world.condition.wait()


async def _draw(world: _World, scope: trio.CancelScope, task: int) -> list[Any]:
    return [detrun.uniform(), detrun.choice(5), detrun.exponential(2.0, key=("key", task % 2))]


async def _python_draw(world: _World, scope: trio.CancelScope, task: int) -> float:
    return random.random()


async def _atomic(
    world: _World, scope: trio.CancelScope, task: int, index: int, operation: str, number: float
) -> float:
    old: float = getattr(world.atomics[index], operation)(number)
    return old


async def _compare_exchange(
    world: _World, scope: trio.CancelScope, task: int, index: int, expected: float, desired: float
) -> Any:
    return list(world.atomics[index].compare_exchange(expected, desired))


async def _racy_add(world: _World, scope: trio.CancelScope, task: int, number: float) -> float:
    old = world.shared.value
    await trio.lowlevel.checkpoint()
    world.shared.value = old + number
    return old


async def _cancel(world: _World, scope: trio.CancelScope, task: int) -> None:
    scope.cancel()


async def _deadline(world: _World, scope: trio.CancelScope, task: int, seconds: float) -> None:
    scope.deadline = trio.current_time() + seconds


async def _raise(world: _World, scope: trio.CancelScope, task: int, index: int) -> None:
    raise FAULTS[index](f"from task {task}")


async def _clone(world: _World, scope: trio.CancelScope, task: int, index: int) -> None:
    send, receive = world.channels[index]
    world.channels[index] = send.clone(), receive.clone()


async def _close(world: _World, scope: trio.CancelScope, task: int, index: int, receiving: bool) -> None:
    await world.channels[index][receiving].aclose()


async def _drain(world: _World, scope: trio.CancelScope, task: int, index: int) -> list[int]:
    return [message async for message in world.channels[index][1]]


async def _wait_until_all_are_blocked(world: _World, scope: trio.CancelScope, task: int, cushion: float) -> float:
    await trio.testing.wait_all_tasks_blocked(cushion)
    return trio.current_time()


async def _call_back(world: _World, scope: trio.CancelScope, task: int, index: int) -> None:
    trio.lowlevel.current_trio_token().run_sync_soon(world.events[index].set, idempotent=True)


async def _context_variable(world: _World, scope: trio.CancelScope, task: int) -> int:
    found = _context.get()
    _context.set(task)
    return found


async def _leave_a_generator(world: _World, scope: trio.CancelScope, task: int, seconds: float, keep: bool) -> None:
    async def generator() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            world.log.append([task, "closing", trio.current_time()])
            await trio.sleep(seconds)
            world.log.append([task, "closed", trio.current_time()])

    iterating = generator()
    await anext(iterating)
    if keep:
        world.generators.append(iterating)


async def _start_in_time(
    world: _World, scope: trio.CancelScope, task: int, patience: float, seconds: float
) -> list[Any]:
    async def starting(task_status: trio.TaskStatus[int]) -> None:
        await trio.sleep(seconds)
        task_status.started(task)
        await detrun.sleep(seconds)

    async with trio.open_nursery() as nursery:
        started = None
        with trio.move_on_after(patience) as bounded:
            started = await nursery.start(starting)
    return [started, bounded.cancelled_caught, trio.current_time()]


async def _nursery(world: _World, scope: trio.CancelScope, task: int, bodies: list[Body]) -> None:
    async with trio.open_nursery() as nursery:
        for body in bodies:
            nursery.start_soon(_child, world, body, nursery.cancel_scope)


async def _start(world: _World, scope: trio.CancelScope, task: int, body: Body) -> int:
    async def starting(task_status: trio.TaskStatus[int]) -> None:
        await trio.lowlevel.checkpoint()
        task_status.started(world.tasks)
        await _child(world, body, nursery.cancel_scope)

    async with trio.open_nursery() as nursery:
        return await nursery.start(starting)


async def _move_on_after(world: _World, scope: trio.CancelScope, task: int, seconds: float, body: Body) -> bool:
    with trio.move_on_after(seconds) as inner:
        await _run(world, body, inner, task)
    return inner.cancelled_caught


async def _shield(world: _World, scope: trio.CancelScope, task: int, body: Body) -> bool:
    with trio.CancelScope(shield=True) as inner:
        await _run(world, body, inner, task)
    return inner.cancelled_caught


async def _lock(world: _World, scope: trio.CancelScope, task: int, index: int, body: Body) -> None:
    async with world.locks[index]:
        await _run(world, body, scope, task)


async def _semaphore(world: _World, scope: trio.CancelScope, task: int, body: Body) -> None:
    async with world.semaphore:
        await _run(world, body, scope, task)


async def _limiter(world: _World, scope: trio.CancelScope, task: int, body: Body) -> None:
    async with world.limiter:
        await _run(world, body, scope, task)


async def _catch(world: _World, scope: trio.CancelScope, task: int, body: Body) -> str | None:
    try:
        await _run(world, body, scope, task)
    except Exception as error:
        return type(error).__name__
    return None


async def _finally(world: _World, scope: trio.CancelScope, task: int, body: Body, last: Body) -> None:
    try:
        await _run(world, body, scope, task)
    finally:
        await _run(world, last, scope, task)


_ACTIONS: dict[str, Any] = {
    "checkpoint": _checkpoint,
    "sleep": _sleep,
    "detrun sleep": _detrun_sleep,
    "set": _set,
    "wait": _wait,
    "send": _send,
    "receive": _receive,
    "notify": _notify,
    "wait for notice": _wait_for_notice,
    "draw": _draw,
    "python draw": _python_draw,
    "atomic": _atomic,
    "compare exchange": _compare_exchange,
    "racy add": _racy_add,
    "cancel": _cancel,
    "deadline": _deadline,
    "raise": _raise,
    "clone": _clone,
    "close": _close,
    "drain": _drain,
    "wait until all are blocked": _wait_until_all_are_blocked,
    "call back": _call_back,
    "context": _context_variable,
    "leave a generator": _leave_a_generator,
    "start in time": _start_in_time,
    "nursery": _nursery,
    "start": _start,
    "move on after": _move_on_after,
    "shield": _shield,
    "lock": _lock,
    "semaphore": _semaphore,
    "limiter": _limiter,
    "catch": _catch,
    "finally": _finally,
}
