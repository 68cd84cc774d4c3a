"""Idleness and time: the loop's actions when nothing can run, and the firing of timers that are due."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import trio

from detrun_scheduler.clock import TimerHeap
from detrun_scheduler.trio_host.host import Host
from detrun_scheduler.trio_host.private import cancel


def idle_on_foreign_clock(host: Host, timers: TimerHeap) -> bool:
    """Nothing can run and trio's ``MockClock`` keeps the time: do what trio would; whether that was anything."""
    if host.wake_idle():
        return True
    before = timers.next_time()
    if before < math.inf and host.clock_autojump_threshold < math.inf:
        host.clock._autojump()  # type: ignore[attr-defined]
    fired = timers.pop_due(host.clock.current_time())
    fire(host, fired)
    return bool(fired)


def idle_cushion(host: Host) -> float:
    """Seconds that the most impatient ``wait_all_tasks_blocked`` wants to see idle, or infinity."""
    return host.waiting_for_idle.keys()[0][0] if host.waiting_for_idle else math.inf


def fire(host: Host, keys: Sequence[Any]) -> None:
    """Fire timers: cancel the scopes, resume the sleepers, let what is neither (a message that arrives) happen."""
    firing = None
    if len(keys) > 1:
        firing = host.timers.firing = dict.fromkeys(keys, True)
    for key in keys:
        if firing is not None and not firing.pop(key, False):
            continue  # one that fired before has taken it back
        if type(key) is trio.CancelScope:
            cancel(key, "deadline", None)
        elif type(key) is trio.lowlevel.Task:
            host.reschedule(key)
        else:
            key.fire()
