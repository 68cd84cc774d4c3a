"""How event loops begin in a run, what they refuse, and whose async function a program is."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio

import detrun
from detrun.errors import HiddenStateError, UsageError
from detrun_scheduler import current
from detrun_scheduler.asyncio_host.event_loop import SimulatedEventLoop
from detrun_scheduler.asyncio_host.private import ABSTRACT_POLICY
from detrun_scheduler.running_loop import running_loop
from tests.scheduler.asyncio_host.programs import (
    broad,
    three,
)

POLICY: Any = asyncio.DefaultEventLoopPolicy  # a class that a program has kept from before the run


def test_runners_policies_and_loop_classes_make_simulated_loops() -> None:
    async def loop_of_call() -> type:
        return type(asyncio.get_running_loop())

    def main() -> list[type]:
        found = []
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            found += [runner.run(loop_of_call()), runner.run(loop_of_call())]
        found.append(asyncio.new_event_loop().run_until_complete(loop_of_call()))
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        found.append(type(asyncio.get_event_loop_policy().get_event_loop()))
        loop.close()
        return found

    before = asyncio.get_event_loop_policy()
    assert detrun.record(main).result == [SimulatedEventLoop] * 4
    assert asyncio.get_event_loop_policy() is before


def test_a_loop_that_is_made_unasked_is_warned_of_as_in_life() -> None:
    def main() -> list[tuple[Any, str]]:
        policy: Any = asyncio.DefaultEventLoopPolicy()
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            policy.get_event_loop().close()
        return [(one.category, one.filename) for one in found]

    assert detrun.record(main).result == main()


def test_a_policy_set_in_a_run_makes_simulated_loops_and_does_not_outlive_it() -> None:
    async def loop_of_call() -> type:
        return type(asyncio.get_running_loop())

    class Derived(POLICY):
        """A policy that leaves the making of loops to asyncio's."""

    class OfUvloop(POLICY):
        """What uvloop.EventLoopPolicy does."""

        def _loop_factory(self) -> Any:
            raise AssertionError("made a loop of uvloop's")

    class OfNewUvloop(ABSTRACT_POLICY):
        """What it does since it derives from the abstract policy."""

        def new_event_loop(self) -> Any:
            raise AssertionError("made a loop of uvloop's")

    OfUvloop._loop_factory.__module__ = OfNewUvloop.__module__ = "uvloop"

    def main() -> list[type]:
        own = asyncio.get_event_loop_policy()
        found = []
        ours = (None, POLICY(), asyncio.DefaultEventLoopPolicy(), Derived(), own)
        for policy in (*ours, OfUvloop(), OfNewUvloop()):
            asyncio.set_event_loop_policy(policy)
            found.append(asyncio.run(loop_of_call()))
        return found

    before = asyncio.get_event_loop_policy()
    assert detrun.record(main).result == [SimulatedEventLoop] * 7
    assert asyncio.get_event_loop_policy() is before
    assert type(asyncio.DefaultEventLoopPolicy()) is POLICY


@pytest.mark.parametrize("is_of_policy", [False, True])
def test_a_loop_that_the_program_brings_is_refused_where_it_would_run(is_of_policy: bool) -> None:
    class Brought(asyncio.BaseEventLoop):
        """A loop that would wait in real time."""

    class Policy(POLICY):
        _loop_factory = Brought

    def main() -> None:
        if is_of_policy:
            asyncio.set_event_loop_policy(Policy())
        loop = asyncio.new_event_loop() if is_of_policy else Brought()
        loop.run_forever()

    words = r"an event loop of class .*\.Brought was to run inside a run, .*by asyncio\.run\(\) or asyncio\.new_event"
    with pytest.raises(UsageError, match=words):
        detrun.record(main)


def test_the_loop_classes_of_asyncio_stay_classes() -> None:
    def main() -> str:
        class Derived(asyncio.SelectorEventLoop):
            pass

        loop = asyncio.SelectorEventLoop()
        assert isinstance(loop, asyncio.SelectorEventLoop)
        assert not isinstance(loop, Derived)
        assert issubclass(type(loop), asyncio.SelectorEventLoop)
        assert issubclass(Derived, asyncio.SelectorEventLoop)
        return Derived.__name__

    assert detrun.record(main).result == "Derived"


def test_a_loop_that_stays_open_ends_with_the_run() -> None:
    closed = []

    def main() -> None:
        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                closed.append(current.run is not None)

        loop = asyncio.new_event_loop()
        waiting = loop.create_task(wait())
        loop.run_until_complete(asyncio.sleep(1))
        loop.close()
        assert not waiting.done()

    detrun.record(main)
    assert closed == [True]


def test_an_interrupt_in_a_task_leaves_the_loop_as_in_life() -> None:
    async def main() -> None:
        async def leave() -> None:
            raise SystemExit(3)

        task = asyncio.create_task(leave())
        try:
            await asyncio.sleep(1)
        finally:
            task.exception()

    with pytest.raises(SystemExit) as caught:
        detrun.record(main)
    assert caught.value.code == 3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: asyncio.create_subprocess_exec("true"),
            "starting 'true' .* inside a run: a run simulates Python code",
        ),
        (
            lambda: asyncio.create_subprocess_shell("true"),
            "starting 'sh' .* inside a run: a run simulates Python code",
        ),
    ],
)
def test_what_would_leave_the_run_is_refused_by_name(call: Callable[[], Awaitable[Any]], words: str) -> None:
    async def main() -> None:
        await call()

    with pytest.raises(HiddenStateError, match=words):
        detrun.record(main, backend="asyncio")


def test_uvloops_run_says_what_to_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async def program() -> None:
        """Never begun."""

    uvloop = ModuleType("uvloop")
    original = uvloop.run = lambda main: main.close()  # type: ignore[attr-defined]  # of an empty module
    monkeypatch.setitem(sys.modules, "uvloop", uvloop)
    with pytest.raises(UsageError, match=r"uvloop\.run inside a run.*call asyncio\.run, or use asyncio\.Runner"):
        detrun.record(lambda: uvloop.run(program()))
    assert uvloop.run is original
    uvloop.run(program())


def test_uvloop_is_found_where_the_run_is_the_first_to_import_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "uvloop.py").write_text("def new_event_loop():\n    return 1\ndef run(main):\n    return 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "uvloop", raising=False)

    def main() -> tuple[str, str]:
        from uvloop import new_event_loop, run  # type: ignore[import-not-found]  # it is made above

        with pytest.raises(UsageError) as refused:
            run(None)
        with contextlib.closing(new_event_loop()) as loop:
            return type(loop).__name__, str(refused.value)[:10]

    for _ in range(2):
        assert detrun.record(main).result == ("SimulatedEventLoop", "uvloop.run")
    assert sys.modules["uvloop"].run(None) == 2
    monkeypatch.delitem(sys.modules, "uvloop")


def test_uvloops_new_event_loop_makes_simulated_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    uvloop = ModuleType("uvloop")
    uvloop.new_event_loop = lambda: "uvloop's"  # type: ignore[attr-defined]  # of an empty module
    monkeypatch.setitem(sys.modules, "uvloop", uvloop)

    def main() -> int:
        return int(uvloop.new_event_loop().run_until_complete(asyncio.sleep(1, 3)))

    assert detrun.record(main).result == 3
    assert uvloop.new_event_loop() == "uvloop's"


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="Python 3.12 has eager tasks")
def test_eager_tasks_run_up_to_their_first_wait_as_in_life() -> None:
    order: list[Any] = []

    async def work(number: int, seconds: float) -> int:
        order.append(("begins", number))
        if seconds:
            await asyncio.sleep(seconds)
        order.append(("ends", number))
        return number

    async def main() -> tuple[list[Any], int]:
        order.clear()
        loop: Any = asyncio.get_running_loop()
        loop.set_task_factory(vars(asyncio)["eager_task_factory"])
        tasks = [loop.create_task(work(1, 0.1)), loop.create_task(work(2, 0.0))]
        order.append("main")
        async with asyncio.TaskGroup() as group:
            group.create_task(work(3, 0.05))
        return list(order), sum(await asyncio.gather(*tasks))

    life = asyncio.run(main())
    begun = [("begins", 1), ("begins", 2), ("ends", 2), "main", ("begins", 3), ("ends", 3)]
    assert life == (begun, 3)
    for seed in range(5):
        run = detrun.record(main, seed=seed)
        assert run.result == life
        assert detrun.replay(main, recording=run.recording).digest == run.digest


def loop() -> Any:
    return asyncio.get_running_loop()


def test_signals_are_refused_as_where_there_are_none() -> None:
    async def main() -> None:
        asyncio.get_running_loop().add_signal_handler(2, print)

    with pytest.raises(NotImplementedError, match="signals reach the processes of nodes only") as caught:
        detrun.record(main)
    assert isinstance(caught.value, HiddenStateError)


# Whose async function a program is.


async def neutral() -> float:
    await detrun.sleep(1)
    return 1.0


async def of_trio() -> None:
    await trio.sleep(1)


async def imports_it() -> str:
    import asyncio as loops

    await loops.sleep(1)
    return "done"


def test_the_backend_is_the_library_that_the_program_names() -> None:
    for program, extra in ((three, "asyncio"), (imports_it, "asyncio"), (of_trio, None), (neutral, None)):
        run = detrun.record(program)
        assert run.recording.header["extra"].get("backend") == extra
        assert detrun.replay(program, recording=run.recording).digest == run.digest
    assert detrun.record(neutral, backend="asyncio").recording.header["extra"]["backend"] == "asyncio"


def test_a_wrong_backend_names_the_option() -> None:
    with pytest.raises(UsageError, match="was run as one of trio; give backend='asyncio'"):
        detrun.record(three, backend="trio")
    with pytest.raises(UsageError, match="was run as one of asyncio; give backend='trio'"):
        detrun.record(of_trio, backend="asyncio")
    with pytest.raises(UsageError, match="unknown backend 'curio'; choose one of auto, trio, asyncio"):
        detrun.record(three, backend="curio")


def test_a_task_of_trio_cannot_run_a_loop() -> None:
    async def main() -> None:
        asyncio.run(three())  # type: ignore[arg-type]  # a coroutine

    with pytest.raises(UsageError, match="inside an async function of trio"):
        detrun.record(main, backend="trio")


def test_in_life_asyncio_is_as_it_was() -> None:
    detrun.record(broad)
    assert sorted(asyncio.run(three())) == [0, 1, 2]
    assert type(asyncio.new_event_loop()) is not SimulatedEventLoop


def test_the_loop_that_is_running_is_the_simulated_one_also_where_a_task_of_asyncio_starts_the_run() -> None:
    async def closes_late() -> AsyncIterator[int]:
        yield 1

    async def task() -> list[bool]:
        async for _ in closes_late():
            pass
        return [running_loop() is asyncio.get_running_loop()]

    def program() -> list[bool]:
        before = running_loop() is None
        loop = asyncio.new_event_loop()
        found = [before, *loop.run_until_complete(task()), running_loop() is None]
        loop.close()
        return found

    async def of_trio() -> bool:
        async for _ in closes_late():  # its hooks are trio's
            pass
        return running_loop() is None

    async def caller() -> list[Any]:
        return [running_loop(), detrun.record(program).result, detrun.record(of_trio, backend="trio").result]

    assert asyncio.run(caller()) == [None, [True, True, True], True]
