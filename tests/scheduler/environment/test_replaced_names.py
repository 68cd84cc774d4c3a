"""Names that stay replaced between the runs of a campaign act as the originals there, and are restored after it."""

from __future__ import annotations

import datetime
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from types import ModuleType

import pytest

import detrun
from detrun_scheduler.environment import process_names
from detrun_scheduler.environment.hidden_state import guard
from detrun_scheduler.environment.names_at_import import ReplacedAtImport
from detrun_scheduler.environment.replaced_names import (
    ReplacedMethods,
    ReplacedNames,
    ReplacedTogether,
)
from detrun_scheduler.environment.staying import StayingReplaced


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

    class Heir(Owner):
        pass

    groups = ReplacedTogether(
        ReplacedNames(module, {"stays": 2}, may_stay=True),
        ReplacedNames(module, {"goes": 2}),
        ReplacedMethods(Owner, {"method": lambda self: 2}),
        ReplacedMethods(Heir, {"method": lambda self: 3}),
    )

    def values() -> tuple[int, int, int, int]:
        return module.stays, module.goes, Owner().method(), Heir().method()

    with StayingReplaced():
        for _ in range(2):
            groups.install()
            assert values() == (2, 2, 2, 3)
            module.stays = 4  # type: ignore[attr-defined]
            Owner.method = lambda self: 4  # type: ignore[method-assign]
            del Heir.method
            with StayingReplaced():
                groups.restore()
            assert values() == (2, 1, 2, 3)
    assert values() == (1, 1, 1, 1)
    assert "method" not in vars(Heir)


def test_of_a_name_that_two_groups_replace_the_upper_ones_stays_and_the_original_comes_back() -> None:
    module = ModuleType("module")
    module.name = "original"  # type: ignore[attr-defined]
    lower = ReplacedTogether(ReplacedNames(module, {"name": "lower"}, may_stay=True))
    upper = ReplacedTogether(ReplacedNames(module, {"name": "upper"}, may_stay=True))
    with StayingReplaced():
        lower.install()
        lower.restore()
        assert module.name == "lower"
        for assigned in ("upper", "program's", None, "lower"):
            lower.install()
            upper.install()
            assert module.name == "upper"
            if assigned is None:
                del module.name
            else:
                module.name = assigned  # type: ignore[attr-defined]
            upper.restore()
            lower.restore()
            assert module.name == "upper"
    assert module.name == "original"


def test_names_of_one_run_are_put_back_between_runs_of_a_campaign_and_their_originals_found_anew() -> None:
    module = ModuleType("module")
    module.count, module.hook = "real", "first"  # type: ignore[attr-defined]
    made = iter(range(10))
    names = ReplacedNames(module, {}, fresh={"count": made.__next__}, also=("hook", "missing"))
    together = ReplacedTogether(names)
    with StayingReplaced():
        for run, hook in enumerate(("first", "second")):
            module.hook = hook  # type: ignore[attr-defined]
            together.install()
            assert (module.count, module.hook) == (run, hook)
            module.hook = "program's"  # type: ignore[attr-defined]
            together.restore()
            assert (module.count, module.hook) == ("real", hook)
    assert not hasattr(module, "missing")


@pytest.mark.parametrize("is_within", [True, False])
def test_a_module_that_comes_in_the_course_of_a_campaign_is_replaced_from_then_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_within: bool
) -> None:
    """Whether a run imports it or what lies between two runs."""
    (tmp_path / "comes_late.py").write_text("name = 'original'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "comes_late", raising=False)
    group = ReplacedTogether(ReplacedAtImport("comes_late", {"name": "replaced"}))
    found: list[str] = []

    def one_run(looks: bool) -> None:
        with guard():
            group.install()
            if looks:
                found.append(__import__("comes_late").name)
            group.restore()

    with StayingReplaced():
        one_run(False)
        one_run(False)
        if not is_within:
            assert __import__("comes_late").name == "original"
        for _ in range(3):
            one_run(True)
            assert sys.modules["comes_late"].name == "original"
    assert found == ["replaced"] * 3
    monkeypatch.delitem(sys.modules, "comes_late")


def test_groups_are_replaced_in_order_and_put_back_in_reverse() -> None:
    calls: list[str] = []

    class Group:
        stays = False

        def __init__(self, name: str) -> None:
            self.name = name

        def install(self) -> None:
            calls.append(f"install {self.name}")

        def restore(self) -> None:
            calls.append(f"restore {self.name}")

    module = ModuleType("replaced")
    module.counter, module.constant = 0, 1  # type: ignore[attr-defined]
    names = ReplacedNames(module, {"constant": 2}, fresh={"counter": lambda: 7})
    together = ReplacedTogether(Group("first"), ReplacedTogether(names, Group("last")))
    together.install()
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


IMPORTS_LATE = """
import detrun


def main():
    import importlib

    importlib.import_module("multiprocessing.synchronize")


found = detrun.explore(main, schedules=3, strategy="random", directory=None)
assert found.failure is None, found
"""


def test_what_waits_for_an_import_waits_no_longer_when_it_imports() -> None:
    subprocess.run([sys.executable, "-c", IMPORTS_LATE], check=True, timeout=60)
