"""The program of the scenario: a machine for some parameters, and processes that it starts.

A *small* run is for campaigns: a few of each kind of process on one to three cores, with policies drawn and as few
frames as they can work with. A *medium* one is a sample of a loss. A *large* one is the same for longer on four cores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import detrun
from detrun_scenarios.frame.declaration import Losses, Program, Setting
from detrun_scenarios.operating_system.bugs.table import BUGS
from detrun_scenarios.operating_system.cpu.settings import CpuSettings
from detrun_scenarios.operating_system.cpu.threads import weight_of
from detrun_scenarios.operating_system.ipc.pipe import Pipe
from detrun_scenarios.operating_system.losses import losses_of
from detrun_scenarios.operating_system.machine import Machine, machine
from detrun_scenarios.operating_system.memory.settings import MemorySettings
from detrun_scenarios.operating_system.parts import RIGHT
from detrun_scenarios.operating_system.settings import Settings
from detrun_scenarios.operating_system.storage.settings import StorageSettings
from detrun_scenarios.operating_system.workload import programs
from detrun_scenarios.operating_system.workload.programs import Observed
from detrun_scenarios.operating_system.workload.sizes import Workload, workload_of

LOG_PAGES = 4


def program(setting: Setting) -> Program:
    """The machine for a setting."""
    workload = workload_of(setting.size, setting.variant)
    if setting.loss == "feedback_response":
        workload = replace(workload, cpu={**workload.cpu, "policy": "feedback"})
    parts = RIGHT if setting.bug is None else BUGS[setting.bug]

    async def run(params: Mapping[str, Any]) -> Losses:
        observed = Observed()
        async with machine(settings_of(params, workload), parts) as found:
            start(found, workload, params, observed)
        return losses_of(found, observed)

    return run


def settings_of(params: Mapping[str, Any], workload: Workload) -> Settings:
    """The settings that parameters stand for. A run of a campaign draws the policies, and how many cores there are."""
    drawn: dict[str, dict[str, Any]] = {"cpu": {}, "memory": {}, "storage": {}}
    if workload.is_harsh:
        drawn["cpu"] = {
            "cores": detrun.choice([1, 2, 3], key="cores"),
            "policy": detrun.choice(["fair", "feedback", "fixed"], key="cpu policy"),
        }
        drawn["memory"] = {
            "policy": detrun.choice(["clock", "aging", "working_set"], key="memory policy"),
            "frames": detrun.choice([12, 16, 24, 48], key="frames"),
        }
        drawn["storage"] = {"elevator": detrun.choice(["deadline", "fair"], key="elevator")}
    return Settings(
        cpu=CpuSettings(
            latency=params["latency"],
            wakeup_granularity=params["wakeup_granularity"],
            quantum=params["quantum"],
            frequency=params["frequency"],
            boost_period=params["boost_period"],
            **{**drawn["cpu"], **workload.cpu},
        ),
        memory=MemorySettings(
            low_free=params["low_free"],
            high_free=params["high_free"],
            **{**drawn["memory"], **workload.memory},
        ),
        storage=StorageSettings(
            read_ahead=params["read_ahead"],
            dirty_background=params["dirty_background"],
            **{**drawn["storage"], **workload.storage},
        ),
    )


def start(found: Machine, work: Workload, params: Mapping[str, Any], observed: Observed) -> None:
    """All processes of a workload."""
    for number in range(work.users):
        run = programs.user(observed, work.requests, work.think, work.service, work.pages)
        found.start(f"user{number}", run, params["user_weight"], 3, work.pages)
    for number in range(work.batches):
        run = programs.batch(work.chunks, work.chunk, work.pages)
        found.start(f"batch{number}", run, params["batch_weight"], 1, work.pages)
    for number in range(work.scanners):
        found.files.create(f"data{number}", work.scanned)
        run = programs.reader(observed, f"data{number}", work.scanned, work.rounds, 0.0002)
        found.start(f"reader{number}", run, priority=2)
    for number in range(work.loggers):
        name = f"log{number % work.logs if work.logs else number}"
        run = programs.logger(observed, name, work.records, work.think, LOG_PAGES)
        found.start(f"logger{number}", run, priority=2)
    for number in range(work.writers):
        run = programs.writer(f"written{number}", work.writes, work.written, work.service)
        found.start(f"writer{number}", run, params["batch_weight"], 1)
    for number in range(work.pipelines):
        pipe = Pipe(4 * programs.CHUNK_BYTES)
        found.start(f"producer{number}", programs.producer(pipe, work.chunks_piped, work.piped_work), priority=2)
        found.start(f"consumer{number}", programs.consumer(pipe, work.piped_work), priority=2)
    start_sharers(found, work)
    for number in range(work.sleepers):
        run = programs.sleeper(work.nap, work.nap)
        found.start(f"sleeper{number}", run)


def start_sharers(found: Machine, work: Workload) -> None:
    """Those who share a mutex, and those who compute meanwhile, less urgent than one of them and more than another."""
    mutex = found.mutex("shared")
    for number in range(work.sharers):
        run = programs.sharer(mutex, work.rounds_shared, work.think, work.service)
        found.start(f"sharer{number}", run, weight_of(5.0 * (1 - number)), 1 + 3 * number)
    for number in range(work.hogs):
        found.start(f"hog{number}", programs.hog(work.chunks, work.think, work.chunk), priority=2)
