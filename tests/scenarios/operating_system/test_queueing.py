"""Cores against queueing theory: the same arrivals through an exact model, and means against closed forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import trio

import detrun
from detrun_scenarios.operating_system.cpu.scheduler import Scheduler
from detrun_scenarios.operating_system.cpu.settings import CpuSettings
from tests.scenarios.operating_system.cores import FREE, cores


@dataclass(frozen=True)
class Job:
    """Of an open queue with one server; seconds."""

    arrives: float
    size: float
    priority: int = 0


def poisson(count: int, load: float, sizes: Callable[[Any], Any], seed: int, urgent: float = 0.0) -> list[Job]:
    """Jobs of mean size 1 that arrive at random; a share of them is urgent."""
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(1.0 / load, count))
    return [Job(float(at), float(sizes(random)), int(random.random() < urgent)) for at in arrivals]


def served(jobs: Sequence[Job], **settings: Any) -> list[float]:
    """The response time of each job on a core of ours."""
    found = [0.0] * len(jobs)

    async def one(scheduler: Scheduler, number: int, job: Job) -> None:
        thread = scheduler.new_thread(f"job{number}", priority=job.priority)
        await scheduler.compute(thread, job.size)
        scheduler.end(thread)
        found[number] = float(trio.current_time()) - job.arrives

    async def main() -> None:
        async with cores(CpuSettings(cores=1, **FREE, **settings)) as (scheduler, users):
            for number, job in enumerate(jobs):
                await trio.sleep_until(job.arrives)
                users.start_soon(one, scheduler, number, job)

    detrun.record(main)
    return found


def shared_exactly(jobs: Sequence[Job]) -> list[float]:
    """Response times where the server is shared equally at each moment: from one arrival or end to the next."""
    left: dict[int, float] = {}
    found, now, coming = [0.0] * len(jobs), 0.0, 0
    while coming < len(jobs) or left:
        next_end = now + min(left.values()) * len(left) if left else np.inf
        next_arrival = jobs[coming].arrives if coming < len(jobs) else np.inf
        until = min(next_end, next_arrival)
        left = {number: rest - (until - now) / len(left) for number, rest in left.items()}
        now = until
        if next_arrival <= next_end:
            left[coming] = jobs[coming].size
            coming += 1
        else:
            ends = min(left, key=lambda number: left[number])
            found[ends] = now - jobs[ends].arrives
            del left[ends]
    return found


def preempted_exactly(jobs: Sequence[Job]) -> list[float]:
    """Response times of preemptive priorities, first come first served among equals, second by second."""
    left: dict[int, float] = {}
    found, now, coming = [0.0] * len(jobs), 0.0, 0
    while coming < len(jobs) or left:
        runs = min(left, key=lambda number: (-jobs[number].priority, number), default=None)
        next_end = np.inf if runs is None else now + left[runs]
        next_arrival = jobs[coming].arrives if coming < len(jobs) else np.inf
        until = min(next_end, next_arrival)
        if runs is not None:
            left[runs] -= until - now
        now = until
        if next_arrival < next_end:
            left[coming] = jobs[coming].size
            coming += 1
        elif runs is not None:
            found[runs] = now - jobs[runs].arrives
            del left[runs]
    return found


def exponential(random: Any) -> Any:
    return random.exponential(1.0)


def uneven(random: Any) -> Any:
    """Of mean 1: one of ten is 5.5 on average."""
    return random.exponential(5.5 if random.random() < 0.1 else 0.5)


@pytest.mark.one_python
def test_small_slices_share_a_core_as_processor_sharing_does() -> None:
    """Two threads that are there at once are apart by one slice each at most."""
    jobs = poisson(60, 0.7, uneven, 1)
    ours = served(jobs, latency=0.08, min_granularity=0.02, wakeup_granularity=0.0)
    exact = shared_exactly(jobs)
    assert np.mean(ours) == pytest.approx(np.mean(exact), rel=0.02)
    assert max(abs(one - other) for one, other in zip(ours, exact, strict=True)) < 0.3
    assert max(exact) > 10.0


@pytest.mark.one_python
def test_fixed_priorities_are_served_as_the_exact_model_serves_them() -> None:
    jobs = poisson(150, 0.8, exponential, 2, urgent=0.5)
    assert served(jobs, policy="fixed") == pytest.approx(preempted_exactly(jobs), abs=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("sizes", [exponential, uneven])
def test_the_mean_under_processor_sharing_depends_on_the_mean_size_alone(sizes: Callable[[Any], Any]) -> None:
    """M/G/1-PS: E[S] / (1 - load), whatever the sizes are (Kleinrock 1976, volume 2, 4.4). Within five errors.

    Errors by batches of 500 jobs, which are long beside a busy period.
    """
    means = []
    for seed in range(8):
        ours = served(poisson(600, 0.5, sizes, seed), latency=0.2, min_granularity=0.05, wakeup_granularity=0.0)
        means.append(np.mean(ours[100:]))
    assert np.mean(means) == pytest.approx(2.0, abs=5.0 * np.std(means, ddof=1) / 8**0.5)


@pytest.mark.slow
def test_the_means_of_two_priorities_are_those_of_the_closed_form_and_littles_law_holds() -> None:
    """M/M/1, preemptive: 1 / (1 - r1) for the urgent, 1 / ((1 - r1)(1 - r)) for the others (Kleinrock, 3.6)."""
    urgent, others, present = [], [], []
    for seed in range(10):
        jobs = poisson(1_200, 0.6, exponential, seed, urgent=0.5)
        ours = served(jobs, policy="fixed")
        late = list(zip(jobs, ours, strict=True))[100:]
        urgent.append(np.mean([time for job, time in late if job.priority]))
        others.append(np.mean([time for job, time in late if not job.priority]))
        moments = np.linspace(jobs[100].arrives, jobs[-1].arrives, 2_000)
        present.append(np.mean([sum(j.arrives <= at < j.arrives + t for j, t in late) for at in moments]))
    for found, wanted in ((urgent, 1 / 0.7), (others, 1 / 0.7 / 0.4), (present, 0.6 * (0.5 / 0.7 + 0.5 / 0.7 / 0.4))):
        assert np.mean(found) == pytest.approx(wanted, abs=5.0 * np.std(found, ddof=1) / 10**0.5)
