"""Watchers of a run: the methods through which user code acts on it are wrapped, in that run only."""

from __future__ import annotations

from typing import Any

from detrun_scheduler.run import OperationWatcher, RunWatcher


def tell_operations(watcher: OperationWatcher, run: Any) -> None:
    """Have ``watcher`` told of operations on objects; runs without one pay nothing for it."""
    operation, operation_on = run.operation, run.operation_on

    def operating(number: int, code: int, value: float) -> None:
        operation(number, code, value)
        watcher.operated(number, code, value)

    def operating_on(number: int, code: int, value: bytes) -> None:
        operation_on(number, code, value)
        watcher.operated(number, code, value)

    run.operation, run.operation_on = operating, operating_on


def tell(watcher: RunWatcher, run: Any) -> None:
    """Have ``watcher`` told of everything that happens; runs without one pay nothing for it."""
    tell_operations(watcher, run)
    host = run.host
    register, reschedule, wake_idle = run.register, host.reschedule, host.wake_idle

    def registering(kind: str, name: str | None = None) -> int:
        number: int = register(kind, name)
        watcher.registered(number, kind)
        return number

    def rescheduling(task: Any, *next_send: Any) -> None:
        # A new task gets its number here.
        is_new = task not in host.numbers
        reschedule(task, *next_send)
        number = host.numbers.get(task)
        if number is not None:
            watcher.rescheduled(number, is_new, next_send[0] if next_send else None)

    def waking_idle() -> bool:
        watcher.idle_awaited([host.numbers[task] for task in host.waiting_for_idle.values()])
        woken: bool = wake_idle()
        return woken

    run.register, run.passed = registering, watcher.passed
    host.put_in_place(reschedule=rescheduling, wake_idle=waking_idle)
