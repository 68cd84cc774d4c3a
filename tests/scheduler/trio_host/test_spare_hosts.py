"""A host serves one run after another, and nothing of a run passes into a later one by it."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from detrun_scheduler import current
from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.errors import DeadlockError, StepLimitError
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies import make
from detrun_scheduler.trio_host import root_task, spare_hosts
from detrun_scheduler.trio_host.host import Host

Program = Callable[[], Awaitable[Any]]


@pytest.fixture(autouse=True)
def spares(monkeypatch: pytest.MonkeyPatch) -> deque[Host]:
    """The spare hosts, none at first."""
    none: deque[Host] = deque()
    monkeypatch.setattr(spare_hosts, "_spares", none)
    return none


def run(program: Program, **options: Any) -> Any:
    return RunLoop(make("fifo"), **options).run(program).unwrap()


async def small() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 1)
        nursery.start_soon(trio.sleep, 2)


def test_the_host_of_a_run_that_nothing_refers_to_serves_the_next(spares: deque[Host]) -> None:
    run(small)
    assert len(spares) == 1
    loop = RunLoop(make("fifo"))
    assert not spares  # it has been taken
    loop.host._check()
    loop.run(small).unwrap()
    assert list(spares) == [loop.host]


def test_runs_on_a_host_that_has_served_before_are_written_down_alike(spares: deque[Host]) -> None:
    def digest() -> bytes:
        loop = RunLoop(make("random"), seed=3)
        loop.run(small).unwrap()
        return bytes(loop.journal.hasher.digest())

    first = digest()
    for _ in range(3):
        assert len(spares) == 1
        assert digest() == first


@pytest.mark.parametrize("kept", ["loop", "host", "weakly", "task", "handler"])
def test_a_host_that_something_else_knows_serves_no_other_run(spares: deque[Host], kept: str) -> None:
    seen: list[Any] = []

    async def program() -> None:
        run: Any = current.run
        known = {
            "loop": run,
            "host": run.host,
            "weakly": weakref.ref(run.host),
            "task": trio.lowlevel.current_task(),
            "handler": run.host.reschedule,
        }
        seen.append(known[kept])
        await small()

    run(program)
    assert len(spares) == 1
    loop = RunLoop(make("fifo"))
    assert len(spares) == 1
    assert loop.host is not spares[0]
    seen.clear()
    del loop
    RunLoop(make("fifo"))
    assert not spares


def test_few_hosts_are_kept(spares: deque[Host]) -> None:
    loops = [RunLoop(make("fifo")) for _ in range(10)]
    for loop in loops:
        loop.run(small).unwrap()
    assert len(spares) == spare_hosts.SPARES_MAX


def test_a_host_with_an_instrument_serves_no_other_run(spares: deque[Host]) -> None:
    async def program() -> None:
        trio.lowlevel.add_instrument(trio.abc.Instrument())

    run(program)
    assert not spares


def test_what_stands_in_the_place_of_methods_does_so_in_one_run(spares: deque[Host]) -> None:
    told: list[str] = []

    def within(task: Any, step: Callable[[Any], int]) -> int:
        told.append("step")
        return step(task)

    async def program() -> None:
        run: Any = current.run
        run.surround_steps(within)
        run.host.put_in_place(wake_idle=lambda: told.append("idle"))
        await small()

    run(program)
    assert told
    told.clear()
    assert len(spares) == 1
    run(small)
    run(trio.testing.wait_all_tasks_blocked)
    assert not told


def test_a_host_has_forgotten_the_run_that_it_served(spares: deque[Host]) -> None:
    """What the program had in a task, a timer, a `RunVar` or a waiting list is gone with the run."""
    variable: trio.lowlevel.RunVar[Any] = trio.lowlevel.RunVar("variable")
    gone: list[weakref.ref[Any]] = []

    class Thing:
        def fire(self) -> None: ...

    async def program() -> None:
        held, timed, in_run = Thing(), Thing(), Thing()
        gone.extend(map(weakref.ref, (held, timed, in_run)))
        run: Any = current.run
        run.timers.add(5.0, timed)
        variable.set(in_run)
        await small()

    async def asking() -> Any:
        return variable.get(None)

    run(program)
    (host,) = spares if spares else [None]
    del host
    assert [one() for one in gone] == [None] * 3
    assert run(asking) is None


def test_a_token_of_an_earlier_run_is_of_no_use_in_the_next(spares: deque[Host]) -> None:
    tokens: list[trio.lowlevel.TrioToken] = []
    called: list[int] = []

    async def first() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        tokens[0].run_sync_soon(called.append, 1)
        await trio.sleep(1)

    async def second() -> None:
        assert trio.lowlevel.current_trio_token() is not tokens[0]
        with pytest.raises(trio.RunFinishedError):
            tokens[0].run_sync_soon(called.append, 2)
        trio.lowlevel.current_trio_token().run_sync_soon(called.append, 3)
        await trio.sleep(1)

    run(first)
    assert len(spares) == 1
    run(second)
    assert called == [1, 3]


@pytest.fixture
def nurseries(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The spare nurseries, none at first."""
    none: list[Any] = []
    monkeypatch.setattr(root_task, "_spares", none)
    return none


def test_the_nurseries_of_the_root_task_serve_later_runs(nurseries: list[Any]) -> None:
    run(small)
    assert len(nurseries) == root_task.SPARES_MAX
    known = {address_of(one) for one in nurseries}
    run(small)
    assert known == {address_of(one) for one in nurseries}


@pytest.mark.parametrize("kept", ["nursery", "scope", "weakly", "task"])
def test_a_nursery_that_something_else_knows_serves_no_other_run(nurseries: list[Any], kept: str) -> None:
    seen: list[Any] = []

    async def program() -> None:
        task = trio.lowlevel.current_task()
        nursery: Any = task.parent_nursery
        known = {"nursery": nursery, "scope": nursery.cancel_scope, "weakly": weakref.ref(nursery), "task": task}
        seen.append(known[kept])
        seen.append(address_of(nursery))

    run(program)
    before = seen.pop()
    run(program)
    assert seen.pop() != before


@pytest.mark.parametrize("change", ["cancelled", "shielded", "deadline", "marked"])
def test_a_nursery_that_a_program_has_changed_serves_no_other_run(nurseries: list[Any], change: str) -> None:
    seen: list[bool] = []

    async def program() -> None:
        root: Any = trio.lowlevel.current_root_task()
        for nursery in root.child_nurseries:
            scope = nursery.cancel_scope
            seen.append(scope.cancel_called or scope.shield or scope.deadline < 1e9 or hasattr(nursery, "mark"))
            if change == "cancelled":
                scope.cancel()
            elif change == "shielded":
                scope.shield = True
            elif change == "marked":
                nursery.mark = 1
            else:
                scope.deadline = 1e6
        with trio.CancelScope(shield=True):
            await small()

    for _ in range(3):
        run(program)
    assert seen == [False] * 6


def test_a_run_that_is_given_up_in_its_last_step_leaves_nothing_cancelled(nurseries: list[Any]) -> None:
    whole = RunLoop(make("fifo"))
    whole.run(small).unwrap()
    steps = whole.steps_at_end
    del whole
    for _ in range(2):
        for fewer in range(1, 4):
            with pytest.raises(StepLimitError):
                run(small, max_steps=steps - fewer)
            run(small)


def test_after_a_run_that_failed_the_next_one_is_as_ever(spares: deque[Host]) -> None:
    async def stuck() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(trio.testing.wait_all_tasks_blocked, 3)

    async def generating() -> Any:
        async def numbers() -> Any:
            try:
                yield 1
            finally:
                ended.append("finally")

        async for _ in numbers():
            break
        raise ValueError

    ended: list[str] = []
    for _ in range(2):
        with pytest.raises(DeadlockError):
            run(stuck)
        with pytest.raises(ValueError):
            run(generating)
    assert ended == ["finally"] * 2
    seen = SimpleNamespace(points=[])

    async def counting() -> None:
        root: Any = trio.lowlevel.current_root_task()
        seen.points.append((root._schedule_points, root._counter, trio.current_time()))
        await small()

    for _ in range(3):
        run(counting)
    assert len(set(seen.points)) == 1
