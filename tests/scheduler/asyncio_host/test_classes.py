"""Tasks and futures that a program makes by asyncio's classes, or by its own that are derived from those."""

from __future__ import annotations

import asyncio
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import pytest

import detrun
from detrun_scheduler.asyncio_host import classes


class OwnTask(asyncio.Task[Any]):
    """Of a program; derived before any run."""


class OwnFuture(asyncio.Future[Any]):
    """Likewise."""


def plain(loop: Any, coro: Any, **options: Any) -> Any:
    return asyncio.Task(coro, loop=loop, **options)


def own(loop: Any, coro: Any, **options: Any) -> Any:
    return OwnTask(coro, loop=loop, **options)


FACTORIES: list[Callable[[], Any]] = [lambda: plain, lambda: own]
if sys.version_info >= (3, 12):
    FACTORIES.append(lambda: asyncio.create_eager_task_factory(OwnTask))
    FACTORIES.append(lambda: asyncio.create_eager_task_factory(asyncio.Task))


@pytest.mark.parametrize("factory", FACTORIES)
def test_tasks_that_a_factory_makes_hash_by_the_order_in_which_they_were_made(factory: Any) -> None:
    async def main() -> list[int]:
        asyncio.get_running_loop().set_task_factory(factory())
        made = [asyncio.create_task(asyncio.sleep(number)) for number in range(8)]
        await asyncio.wait(made)
        return [hash(task) for task in made]

    found = detrun.record(main).result
    assert found == sorted(found)
    assert max(found) < 100


@pytest.mark.parametrize("kind", ["Future", "own", "made in the run"])
def test_sets_of_futures_made_by_their_class_likewise(kind: str) -> None:
    async def main() -> list[int]:
        class Made(asyncio.Future[Any]):
            pass

        made_by: Any = {"Future": asyncio.Future, "own": OwnFuture, "made in the run": Made}[kind]
        made = [made_by() for _ in range(12)]
        return [made.index(one) for one in set(made)]

    assert detrun.record(main).result == list(range(12))


def test_classes_of_asyncio_know_their_instances_in_a_run_and_out_of_it() -> None:
    class Abstract(ABC):
        @abstractmethod
        def name(self) -> str: ...

    async def main() -> list[Any]:
        class Mixed(asyncio.Future[Any], Abstract):
            def name(self) -> str:
                return "mixed"

        task, own_task = asyncio.Task(asyncio.sleep(1, 2), name="t"), OwnTask(asyncio.sleep(1, 3))
        future, mixed = asyncio.Future[Any](), Mixed()
        mixed.set_result(4)
        return [
            [isinstance(one, asyncio.Task) for one in (task, own_task, future, mixed, None)],
            [isinstance(one, asyncio.Future) for one in (task, own_task, future, mixed, None)],
            [issubclass(one, asyncio.Task) for one in (asyncio.Task, OwnTask, asyncio.Future, Mixed)],
            [issubclass(one, asyncio.Future) for one in (asyncio.Task, OwnTask, asyncio.Future, Mixed)],
            [type(task).__name__, type(own_task).__name__, type(future).__name__, mixed.name(), task.get_name()],
            [await task, await own_task, await mixed, repr(future)],
        ]

    assert detrun.record(main).result == asyncio.run(main())


def test_tasks_without_a_name_are_counted_once_each_whoever_makes_them() -> None:
    async def main() -> list[str]:
        first = asyncio.Task(asyncio.sleep(0))
        asyncio.get_running_loop().set_task_factory(plain)
        second, third = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(0), name="own")
        fourth = asyncio.create_task(asyncio.sleep(0))
        await asyncio.wait([first, second, third, fourth])
        return [first.get_name(), second.get_name(), third.get_name(), fourth.get_name()]

    assert detrun.record(main).result[:3] == ["Task-2", "Task-3", "own"]


def many_tasks() -> Any:
    async def main() -> list[str]:
        made = []
        for number in range(40):
            asyncio.get_running_loop().create_future()
            made.append(asyncio.create_task(asyncio.sleep(1), name=str(number)))
        for number in range(25):
            made[number * 7 % 40].cancel()
        await asyncio.sleep(0.1)
        return [task.get_name() for task in asyncio.all_tasks()]

    return main


async def thousands() -> None:
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(5000)))


@pytest.mark.parametrize("mended", [True, False])
def test_all_tasks_does_not_depend_on_what_the_process_did_before(
    monkeypatch: pytest.MonkeyPatch, mended: bool
) -> None:
    """asyncio's set of all tasks keeps its size when tasks end; the order of a set depends on that."""
    if sys.version_info >= (3, 14) and not mended:
        pytest.skip("asyncio keeps them in a list")
    if not mended:
        for names in (classes.OF_ASYNCIO, classes.OF_TASKS):
            monkeypatch.setitem(names, "all_tasks", asyncio.all_tasks)
    before = detrun.record(many_tasks()).result
    asyncio.run(thousands())
    assert detrun.record(many_tasks()).result == before
