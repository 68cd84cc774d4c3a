"""twostage: two variables that belong together, each consistently guarded by a lock of its own.

Source: SCTBench, CS.twostage_bad (1 writer, 1 reader) and CS.twostage_100_bad (99, 1). A writer sets the first under
one lock and the second under another; the reader does the same with its reads. The bug: the reader runs between the two
stages of the first writer, before any other writer has come to its second stage.

Departures: none.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram, nothing_to_check


class TwoStages:
    """Two variables, two locks."""

    def __init__(self) -> None:
        self.first = 0
        self.second = 0
        self.first_lock = threading.Lock()
        self.second_lock = threading.Lock()


def write(stages: TwoStages) -> None:
    with stages.first_lock:
        stages.first = 1
    with stages.second_lock:
        stages.second = stages.first + 1


def read(stages: TwoStages) -> None:
    with stages.first_lock:
        if stages.first == 0:
            return
        first = stages.first
    with stages.second_lock:
        second = stages.second
    assert second == first + 1, "read the first stage of a write and not the second"


class OneLock:
    """The repair: one lock for what belongs together."""

    def __init__(self) -> None:
        self.first = 0
        self.second = 0
        self.lock = threading.Lock()


def write_at_once(stages: OneLock) -> None:
    with stages.lock:
        stages.first = 1
        stages.second = stages.first + 1


def read_at_once(stages: OneLock) -> None:
    with stages.lock:
        first, second = stages.first, stages.second
    assert first == 0 or second == first + 1, "read the first stage of a write and not the second"


def buggy(writers: int) -> ThreadProgram:
    return ThreadProgram(TwoStages, (write,) * writers + (read,), nothing_to_check)


def fixed(writers: int) -> ThreadProgram:
    return ThreadProgram(OneLock, (write_at_once,) * writers + (read_at_once,), nothing_to_check)
