"""What a run costs: each loss a number of a machine whose processes have ended.

- ``mean_response``: mean seconds from a user's request to its answer.
- ``p95_response``: the 95th percentile of the same in a run.
- ``feedback_response``: the mean again, with feedback queues in place of fair ones.
- ``unfairness``: 1 less Jain's index of how much slower than alone each process was (Jain, Chiu and Hawe 1984).
- ``faults``: page faults that had to read, for each second of computing. A count.
- ``read_time``: mean seconds until a page of a file that is read in order is there.
- ``sync_time``: mean seconds until what was written to a log is on the disk.
- ``energy``: joules of the cores for each second of computing.
"""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun_scenarios.frame.measured import mean, quantile
from detrun_scenarios.operating_system.machine import Machine
from detrun_scenarios.operating_system.workload.programs import Observed


def losses_of(machine: Machine, observed: Observed) -> dict[str, Any]:
    """All losses of a run; 0 for one that nothing was measured for."""
    asked = detrun.sum(process.asked for process in machine.processes)
    response = mean(observed.responses)
    return {
        "mean_response": response,
        "p95_response": quantile(observed.responses, 0.95),
        "feedback_response": response,
        "unfairness": unfairness(machine, observed),
        "faults": machine.memory.major_faults / asked if asked else 0.0,
        "read_time": mean(observed.reads),
        "sync_time": mean(observed.syncs),
        "energy": joules(machine) / asked if asked else 0.0,
    }


def joules(machine: Machine) -> Any:
    """Of all cores until now: idle power all the time, and what is more while they run."""
    settings = machine.settings.cpu
    found = settings.idle_power * trio.current_time() * settings.cores
    for core in machine.scheduler.cores:
        found = found + settings.power * core.busy
    return found


def unfairness(machine: Machine, observed: Observed) -> Any:
    """Of the slowdowns of batches, and that of the users' requests together."""
    slowdowns = [
        (process.ended - process.began) / process.asked
        for process in machine.processes
        if process.owner.startswith("batch")
    ]
    if observed.responses:
        slowdowns.append(detrun.sum(observed.responses) / detrun.sum(observed.services))
    if not slowdowns:
        return 0.0
    return 1.0 - detrun.sum(slowdowns) ** 2 / (len(slowdowns) * detrun.sum(one * one for one in slowdowns))
