"""Each bug of the benchmark is found, fails as it should, replays, and is found again after an unrelated edit.

Everything is done to a copy of the program's file: it is explored, then edited, loaded anew, and replayed in resync
mode. Every bug has negative twins: a schedule of the buggy program that passes, and the repaired program, which passes
in all schedules sampled. Seeds are fixed; nothing here is a matter of luck.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import detrun
from benchmarks.bugs.campaigns import explored, is_expected, options_of
from benchmarks.bugs.catalogue import BUGS, Bug, bug
from benchmarks.bugs.thread_program import ThreadProgram
from detrun.explore.failures.failure import Failure
from detrun.explore.verdicts import Exploration
from detrun_scheduler.endings import exception_leaves

# With so many threads, as with few; and those that take longest to find, of whose kind others are left.
SLOW = {"reorder_10", "reorder_20", "reorder_100", "twostage_100", "philosophers_7", "ticket_lock", "wronglock"}
REPAIRED_SCHEDULES = 100 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 20
names = pytest.mark.parametrize(
    "name", [pytest.param(one.name, marks=pytest.mark.slow if one.name in SLOW else ()) for one in BUGS]
)

THREAD_EDIT = """

def bystander(state):
    counted = {}
    for number in range(3):
        with bystander_lock:
            counted[number] = number


bystander_lock = threading.Lock()
"""
TASK_EDIT = """

async def bystander():
    for _ in range(4):
        await trio.lowlevel.checkpoint()
"""


def loaded(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def edited(source: str, one: Bug) -> str:
    """The program with lines inserted above everything, and with a thread or task that was not there, started first."""
    edit = TASK_EDIT if not isinstance(one.buggy, ThreadProgram) else "\nimport threading\n" + THREAD_EDIT
    above, classes = re.split(r"^(?=class |async def |def |[A-Z]\w+, [A-Z]\w+ = )", source, maxsplit=1, flags=re.M)
    if not isinstance(one.buggy, ThreadProgram):
        opening = r"( +)async with trio\.open_nursery\(\) as nursery:\n"
        body = re.sub(opening, r"\g<0>\1    nursery.start_soon(bystander)\n", classes)
        assert body != classes
    else:
        body = re.sub(r"(ThreadProgram\([^(]*(?:\([^)]*\))?[^(]*, )(\(|workers)", r"\1(bystander,) + \2", classes)
        body = body.replace("(bystander,) + workers", "[bystander, *workers]")
        assert body.count("bystander") == 2, body
    return above + edit + "\n\n" + body


class Found:
    """A bug found in a copy of its program."""

    def __init__(self, name: str, folder: Path) -> None:
        original = bug(name)
        self.path = folder / original.file.name
        self.path.write_text(original.file.read_text())
        self.bug = replace(original, module=loaded(self.path))
        assert self.bug.file == self.path
        self.exploration: Exploration = explored(self.bug, shrink=True, explain=True)

    @property
    def failure(self) -> Failure:
        assert self.exploration.failure is not None, self.exploration.reason
        return self.exploration.failure


@pytest.fixture(scope="module")
def finds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Found]:
    """Each bug is found once for all tests."""
    known: dict[str, Found] = {}

    def find(name: str) -> Found:
        if name not in known:
            known[name] = Found(name, tmp_path_factory.mktemp(name))
        return known[name]

    return find


@names
def test_the_portfolio_finds_the_bug_within_5000_schedules_and_it_replays(
    name: str, finds: Callable[[str], Found]
) -> None:
    found = finds(name)
    assert found.exploration.schedules <= 5_000
    assert is_expected(found.bug, found.failure.exception), repr(found.failure.exception)
    again = detrun.replay(found.bug.main, recording=found.failure.recording, raise_errors=False)
    assert again.exception is not None
    assert list(map(repr, exception_leaves(again.exception))) == list(
        map(repr, exception_leaves(found.failure.exception))
    )
    assert again.digest == detrun.replay(found.bug.main, recording=found.failure.recording, raise_errors=False).digest


@names
def test_it_is_shrunk_and_explained(name: str, finds: Callable[[str], Found]) -> None:
    """At opcodes all accesses are seen, so there the explanation names the attribute that matters."""
    failure = finds(name).failure
    assert failure.shrunk is not None
    assert failure.explanation is not None
    assert failure.explanation.pair is not None
    assert failure.explanation.verified
    if bug(name).preemption == "opcode":
        assert failure.explanation.resource


@names
def test_some_schedule_of_the_buggy_program_passes(name: str) -> None:
    one = bug(name)
    runs = (detrun.record(one.main, seed=seed, raise_errors=False, **options_of(one)) for seed in range(200))
    assert any(run.exception is None for run in runs)


@names
def test_the_repaired_program_passes(name: str) -> None:
    one = bug(name)
    result = explored(one, main=one.fixed_main, schedules=REPAIRED_SCHEDULES)
    assert result.verdict == "passed", result.reason


@names
def test_resync_reproduces_the_bug_after_an_unrelated_edit(name: str, finds: Callable[[str], Found]) -> None:
    found = finds(name)
    before = found.path.read_text()
    after = edited(before, bug(name))
    found.path.write_text(after)
    try:
        changed = replace(found.bug, module=loaded(found.path))
        assert hasattr(changed.module, "bystander")
        for strategy in ("random", "fifo"):  # where the recording is silent
            recording = found.failure.recording
            run = detrun.replay(changed.main, recording=recording, mode="resync", strategy=strategy, raise_errors=False)
            assert run.exception is not None, run.resync
            assert is_expected(changed, run.exception), repr(run.exception)
    finally:
        found.path.write_text(before)


@pytest.mark.parametrize("name", ["lock_order", "missed_signal", "cancelled_between", "lock_and_event_loop"])
def test_partial_order_reduction_proves_the_repair_and_finds_the_bug(name: str) -> None:
    one = bug(name)
    assert explored(one, "dpor", main=one.fixed_main).verdict == "holds"
    assert explored(one, "dpor").verdict == "failed"


def test_names_are_unique() -> None:
    assert len({one.name for one in BUGS}) == len(BUGS) == 31
