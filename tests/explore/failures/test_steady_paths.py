"""Threads whose names count in a variable of the process: turns and narrations of another run name the same threads."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field

from detrun.explore.campaign.steady_paths import SteadyPaths
from detrun.explore.explorer import explore

pools = itertools.count()


class Balance:
    """Two threads add to it; an update is lost between two locks."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.amount = 0

    def add(self) -> None:
        with self.lock:
            amount = self.amount
        with self.lock:
            self.amount = amount + 1


def main() -> None:
    balance, pool = Balance(), next(pools)
    threads = [threading.Thread(target=balance.add, name=f"pool-{pool}-worker-{number}") for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert balance.amount == 2


def test_a_failure_of_threads_that_have_other_names_in_each_run_is_shrunk_and_explained() -> None:
    failure = explore(main, preemption="sync", directory=None).failure
    assert failure is not None
    assert failure.shrunk is not None
    assert failure.shrunk.after[0] == 1
    explanation = failure.explanation
    assert explanation is not None
    assert explanation.verified
    assert explanation.resource == "Balance[0].amount"
    assert explanation.pair is not None
    assert {one.task.rpartition("-")[2] for one in explanation.pair} == {"0", "1"}


@dataclass
class Run:
    """Of the tasks with these paths."""

    paths: dict[int, str] = field(default_factory=dict)

    def path_of(self, task: int) -> str:
        return self.paths[task]


def test_paths_that_do_not_drift_are_the_programs_own() -> None:
    steady = SteadyPaths()
    once = steady.of_run(Run({0: "<init>", 1: "main", 2: "main/pool-1", 3: "main/job-3", 4: "main/pool-1/a-1"}))
    again = steady.of_run(Run({0: "<init>", 1: "main", 2: "main/pool-2", 3: "main/job-3", 4: "main/pool-2/a-1"}))
    assert [once.of(number) for number in (2, 3, 4)] == ["main/pool-1", "main/job-3", "main/pool-1/a-1"]
    again.of(4)
    steady.compare(once, again)
    # Another schedule: the job comes first, and its number stays its own.
    other = steady.of_run(Run({1: "main", 2: "main/job-7", 3: "main/pool-3", 4: "main/job-3", 5: "main/pool-3/a-1"}))
    assert [other.of(number) for number in (5, 2, 3, 4)] == [
        "main/pool-1/a-1",
        "main/job-7",
        "main/pool-1",
        "main/job-3",
    ]
    more = steady.of_run(Run({1: "main", 2: "main/pool-4", 3: "main/pool-5", 4: "main/pool-5/a-1"}))
    assert [more.of(number) for number in (2, 3, 4)] == ["main/pool-1", "main/pool-5", "main/pool-5/a-1"]
