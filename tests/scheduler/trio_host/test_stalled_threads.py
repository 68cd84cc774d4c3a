"""Threads of machines that crash or pause: what they were woken for goes to others that wait."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import detrun
from detrun_scheduler import current
from detrun_scheduler.run import WOKEN_MAX

MANY = 3 * WOKEN_MAX


@pytest.mark.parametrize("what", ["abandon", "hold"])
@pytest.mark.parametrize("made", [threading.Lock, queue.SimpleQueue])
def test_a_thread_that_is_woken_and_stands_still_hands_the_wake_up_on(what: str, made: Callable[[], Any]) -> None:
    def program() -> int:
        thing = made()
        done: list[int] = []

        def work(number: int) -> None:
            if isinstance(thing, queue.SimpleQueue):
                thing.get()
                done.append(number)
                thing.put(None)
            else:
                with thing:
                    done.append(number)

        if not isinstance(thing, queue.SimpleQueue):
            thing.acquire()
        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(MANY)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        if isinstance(thing, queue.SimpleQueue):
            thing.put(None)
        else:
            thing.release()
        run = current.run
        assert run is not None
        woken = [run.host.by_number[number] for number in run.host.queue.numbers]
        assert len(woken) == WOKEN_MAX
        if what == "abandon":
            run.host.abandon(woken)
        else:
            run.host.hold(woken, lambda task: task in woken)
        time.sleep(1)
        if what == "hold":
            run.host.release(woken, False)
        return len(done)

    assert detrun.record(program, seed=5).result == MANY - WOKEN_MAX
