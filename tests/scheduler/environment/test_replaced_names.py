"""Names that stay replaced between the runs of a campaign act as the originals there, and are restored after it."""

from __future__ import annotations

import datetime
import os
import random
import signal
import sys
import threading
import time
import uuid
from types import ModuleType

import pytest

import detrun
from detrun_scheduler.environment import process_names
from detrun_scheduler.environment.replaced_names import (
    ReplacedMethods,
    ReplacedNames,
    ReplacedTogether,
    StayingReplaced,
)


def names_of_modules() -> dict[str, object]:
    """The current objects of all names that runs replace."""
    places: tuple[object, ...] = (os, random, uuid, time, datetime.datetime, signal, threading, sys.modules["_thread"])
    methods = {f"Thread.{name}": vars(threading.Thread)[name] for name in ("__init__", "start", "join", "is_alive")}
    return {
        **{f"{place!r}.{name}": value for place in places for name, value in vars(place).items()},  # type: ignore[arg-type]
        **methods,
        "Event.is_set": vars(threading.Event)["is_set"],
    }


def changed(before: dict[str, object]) -> set[str]:
    after = names_of_modules()
    return {name for name in before.keys() | after.keys() if before.get(name) is not after.get(name)}


def starts_a_thread() -> None:
    thread = threading.Thread(target=time.time)
    thread.start()
    thread.join()


def test_everything_is_back_after_a_campaign() -> None:
    detrun.explore(starts_a_thread, schedules=1, directory=None)  # what is imported late is not our matter
    before = names_of_modules()
    detrun.explore(starts_a_thread, schedules=3, directory=None)
    assert changed(before) == set()


def test_everything_is_back_after_a_campaign_that_failed() -> None:
    def fails() -> None:
        starts_a_thread()
        raise ValueError

    detrun.explore(starts_a_thread, schedules=1, directory=None)  # what is imported late is not our matter
    before = names_of_modules()
    assert detrun.explore(fails, schedules=3, directory=None).failure is not None
    with pytest.raises(detrun.HiddenStateError):
        detrun.explore(lambda: os.system("true"), schedules=3, directory=None)
    assert changed(before) == set()


def test_between_runs_clocks_threads_and_entropy_are_the_real_ones() -> None:
    seen: list[tuple[float, bytes, str, str]] = []

    def watch(_: object) -> None:
        def body() -> None:
            names.append(threading.current_thread().name)

        names: list[str] = []
        thread = threading.Thread(target=body, name="real")
        thread.start()
        thread.join()
        seen.append((time.time(), os.urandom(8), names[0], threading.current_thread().name))

    before = time.time()
    detrun.explore(starts_a_thread, schedules=3, directory=None, progress=watch)
    assert seen
    assert all(before <= one[0] <= time.time() for one in seen)
    assert {one[2:] for one in seen} == {("real", "MainThread")}


def test_a_run_between_the_runs_of_a_campaign_is_controlled_too() -> None:
    def clock() -> float:
        return time.time()

    alone = detrun.record(clock).result
    found: list[object] = []
    detrun.explore(
        starts_a_thread, schedules=3, directory=None, progress=lambda _: found.append(detrun.record(clock).result)
    )
    assert found
    assert set(found) == {alone}


def test_what_a_program_assigns_is_gone_in_the_next_run_and_after_the_campaign() -> None:
    real = time.sleep
    seen: list[object] = []

    def program() -> None:
        seen.append(time.monotonic)
        time.monotonic = time.sleep = lambda *_: 0.0  # type: ignore[assignment]
        threading.Thread.start = lambda _: None  # type: ignore[assignment]

    before = vars(threading.Thread)["start"]
    detrun.explore(program, schedules=4, directory=None)
    assert len(seen) == 4
    assert len(set(map(id, seen))) == 1
    assert time.sleep is real
    assert vars(threading.Thread)["start"] is before


def test_groups_stay_only_if_they_may_and_only_as_long_as_a_scope_wants_it() -> None:
    module = ModuleType("module")
    module.stays, module.goes = 1, 1  # type: ignore[attr-defined]

    class Owner:
        def method(self) -> int:
            return 1

    groups: tuple[ReplacedNames | ReplacedMethods, ...] = (
        ReplacedNames(module, {"stays": 2}, may_stay=True),
        ReplacedNames(module, {"goes": 2}),
        ReplacedMethods(Owner, {"method": lambda self: 2}),
    )

    def values() -> tuple[int, int, int]:
        return module.stays, module.goes, Owner().method()

    with StayingReplaced():
        for _ in range(2):
            for group in groups:
                group.install()
            assert values() == (2, 2, 2)
            module.stays = 3  # type: ignore[attr-defined]
            with StayingReplaced():
                for group in groups:
                    group.restore()
            assert values() == (2, 1, 2)
    assert values() == (1, 1, 1)


def test_groups_are_replaced_in_order_and_put_back_in_reverse() -> None:
    calls: list[str] = []

    class Group:
        def __init__(self, name: str) -> None:
            self.name = name

        def install(self) -> None:
            calls.append(f"install {self.name}")

        def restore(self) -> None:
            calls.append(f"restore {self.name}")

    module = ModuleType("replaced")
    module.counter, module.constant = 0, 1  # type: ignore[attr-defined]
    names = ReplacedNames(module, {"counter": None, "constant": 2})
    together = ReplacedTogether(Group("first"), names, Group("last"))
    together.install({names: {"counter": 7}})
    assert (module.counter, module.constant) == (7, 2)
    together.restore()
    assert (module.counter, module.constant) == (0, 1)
    assert calls == ["install first", "install last", "restore last", "restore first"]


def test_the_quicker_way_to_ask_for_a_signal_handler_gives_what_the_real_one_does() -> None:
    quicker = process_names.replacement(signal, "getsignal")
    assert quicker is not None
    for number in signal.valid_signals():
        found = signal.getsignal(number)
        assert quicker(number) is found, number
        assert type(quicker(number)) is type(found)
    with pytest.raises(ValueError, match="signal"):
        quicker(10_000)
