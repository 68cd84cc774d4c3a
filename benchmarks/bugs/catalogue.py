"""The bugs by name: where each comes from, what it needs to show, and how it fails.

Importing this needs trio, but nothing of detrun, so that other tools can run the very same functions. `detrun_main` in
`campaigns.py` is how detrun runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import trio

from benchmarks.bugs.programs import (
    account,
    bluetooth,
    cancelled_between,
    cargill_buffer,
    check_then_await,
    circular_buffer,
    double_checked_locking,
    lazy_init,
    lock_and_event_loop,
    lock_order,
    lost_notify,
    missed_signal,
    nursery_exit,
    philosophers,
    progress_after_close,
    read_write_lock,
    reorder,
    shared_iterator,
    string_buffer,
    thread_and_task_counter,
    ticket_lock,
    token_ring,
    treiber_stack,
    twostage,
    work_stealing,
    wronglock,
)
from benchmarks.bugs.thread_program import ThreadProgram, main_of

Kind = Literal["threads", "tasks", "tasks and threads"]
Preemption = Literal["sync", "line", "opcode"]
Program = ThreadProgram | Callable[[], Any]


class Deadlock(Exception):
    """Stands in `Bug.expected` for each tool's report that nothing can go on; it is never raised."""


@dataclass(frozen=True, slots=True)
class Bug:
    """One program with a bug.

    Attributes:
        name: as published, where it was.
        source: the benchmark or paper, in short; the program's module has the whole story.
        kind: what runs concurrently.
        preemption: the coarsest interruption of threads at which the bug can show. Tasks are interrupted at
            checkpoints only, whatever this says.
        expected: the type of the failure, in a group if tasks raise it; `Deadlock` for a deadlock.
        module: where the program is.
        size: what the module's functions ``buggy`` and ``fixed`` take, if it is a family.
        declared: whether all that the bug depends on lies in trio's and threading's own objects, or is accessed by
            threads alone. Plain attributes that tasks share are invisible to partial-order reduction.
    """

    name: str
    source: str
    kind: Kind
    preemption: Preemption
    expected: type[BaseException]
    module: ModuleType
    size: tuple[int, ...] = ()
    declared: bool = True

    @property
    def buggy(self) -> Program:
        """A `ThreadProgram`, or an async function without arguments."""
        program: Program = self.module.buggy(*self.size) if self.size else self.module.BUGGY
        return program

    @property
    def fixed(self) -> Program:
        """The same without the bug: no schedule of it fails."""
        program: Program = self.module.fixed(*self.size) if self.size else self.module.FIXED
        return program

    @property
    def file(self) -> Path:
        """The program's source: what threads are to be interrupted in."""
        assert self.module.__file__ is not None
        return Path(self.module.__file__)

    @property
    def main(self) -> Callable[[], Any]:
        """The buggy program as one function, async or not."""
        return _main_of(self.buggy)

    @property
    def fixed_main(self) -> Callable[[], Any]:
        """The repaired program as one function."""
        return _main_of(self.fixed)


def _main_of(program: Program) -> Callable[[], Any]:
    return main_of(program) if isinstance(program, ThreadProgram) else program


def _threads(
    name: str,
    source: str,
    preemption: Preemption,
    expected: type[BaseException],
    module: Any,
    *size: int,
) -> Bug:
    return Bug(name, source, "threads", preemption, expected, module, size)


def _tasks(
    name: str, expected: type[BaseException], module: Any, kind: Kind = "tasks", *, declared: bool = True
) -> Bug:
    return Bug(name, "this benchmark", kind, "sync", expected, module, declared=declared)


WITH_THREADS: Kind = "tasks and threads"

BUGS: tuple[Bug, ...] = (
    _threads("reorder_3", "SCTBench", "opcode", AssertionError, reorder, 2, 1),
    _threads("reorder_10", "SCTBench", "opcode", AssertionError, reorder, 9, 1),
    _threads("reorder_20", "SCTBench", "opcode", AssertionError, reorder, 10, 10),
    _threads("reorder_100", "after SCTBench", "opcode", AssertionError, reorder, 99, 1),
    _threads("twostage_2", "SCTBench", "sync", AssertionError, twostage, 1),
    _threads("twostage_100", "SCTBench", "sync", AssertionError, twostage, 99),
    _threads("wronglock", "SCTBench", "opcode", AssertionError, wronglock),
    _threads("bluetooth_driver", "KISS, SCTBench", "opcode", AssertionError, bluetooth),
    _threads("account", "SCTBench", "sync", AssertionError, account),
    _threads("circular_buffer", "SCTBench", "sync", AssertionError, circular_buffer),
    _threads("lock_order", "SCTBench", "sync", Deadlock, lock_order),
    _threads("philosophers_5", "Dijkstra", "sync", Deadlock, philosophers, 5),
    _threads("philosophers_7", "Dijkstra", "sync", Deadlock, philosophers, 7),
    _threads("string_buffer", "JDK 1.4, SCTBench", "sync", IndexError, string_buffer),
    _threads("work_stealing", "CHESS, SCTBench", "opcode", AssertionError, work_stealing),
    _threads("treiber_stack", "Treiber", "opcode", AssertionError, treiber_stack),
    _threads("double_checked_locking", "Bacon et al.", "opcode", AssertionError, double_checked_locking),
    _threads("cargill_buffer", "Cargill", "sync", Deadlock, cargill_buffer),
    _threads("missed_signal", "Farchi et al.", "sync", Deadlock, missed_signal),
    _threads("ticket_lock", "Mellor-Crummey, Scott", "opcode", AssertionError, ticket_lock),
    _threads("read_write_lock", "Goetz et al.", "sync", AssertionError, read_write_lock),
    _threads("lazy_init", "Goetz et al.", "opcode", AssertionError, lazy_init),
    _threads("token_ring", "SCTBench", "sync", AssertionError, token_ring),
    _tasks("cancelled_between", Deadlock, cancelled_between),
    _tasks("nursery_exit", AssertionError, nursery_exit),
    _tasks("lost_notify", Deadlock, lost_notify, declared=False),
    _tasks("shared_iterator", RuntimeError, shared_iterator, declared=False),
    _tasks("check_then_await", AssertionError, check_then_await, declared=False),
    _tasks("thread_and_task_counter", AssertionError, thread_and_task_counter, WITH_THREADS, declared=False),
    _tasks("progress_after_close", trio.BrokenResourceError, progress_after_close, WITH_THREADS),
    _tasks("lock_and_event_loop", Deadlock, lock_and_event_loop, WITH_THREADS),
)


def bug(name: str) -> Bug:
    """The bug called ``name``.

    Raises:
        KeyError: there is none.
    """
    return {one.name: one for one in BUGS}[name]
