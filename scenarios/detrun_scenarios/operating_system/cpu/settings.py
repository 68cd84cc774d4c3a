"""What the sharing of cores can be tuned by. Every number may be a `Value`, but for those that count.

The defaults are Linux's before 6.6, when CFS gave way to EEVDF (`kernel/sched/fair.c`), for one core: the latency is
not multiplied by the logarithm of the number of cores. Those of the feedback queue are of Arpaci-Dusseau, *Operating
Systems: Three Easy Pieces*, chapter 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from detrun.ad.value import primal_of
from detrun_scheduler.errors import UsageError

PolicyName = Literal["fair", "feedback", "fixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuSettings:
    """The numbers of one machine's cores; seconds where nothing else is said.

    Attributes:
        cores: how many there are.
        policy: fair by virtual runtime, feedback by levels, or fixed priorities.
        latency: in which every thread of a fair queue runs once, while they are few (`sched_latency_ns`).
        min_granularity: the least slice of a fair queue (`sched_min_granularity_ns`).
        wakeup_granularity: one who wakes takes the core if it lags by more than this (`sched_wakeup_granularity_ns`).
        quantum: of the highest level of a feedback queue; each level below has twice that of the one above.
        levels: of a feedback queue.
        boost_period: after which all threads of a feedback queue are at its highest level again.
        switch_seconds: of a core, for each thread that it takes up.
        migration_seconds: of a core, for a thread that ran on another one before and finds a cold cache.
        balance_interval: between two looks of a busy core at the queues of others.
        idle_seconds: a core takes so long to fall asleep, and to wake (`cpuidle`, exit latency of C1).
        frequency: of all cores, in parts of that at which a second of computing takes a second (cpufreq).
        active_power, idle_power: watts of a core that runs at frequency 1, and of one that does not.

    Raises:
        UsageError: a quantum or a boost period is not above 0, so that no time would ever pass.
    """

    cores: int = 2
    policy: PolicyName = "fair"
    latency: Any = 0.006
    min_granularity: Any = 0.00075
    wakeup_granularity: Any = 0.001
    quantum: Any = 0.01
    levels: int = 3
    boost_period: Any = 1.0
    switch_seconds: Any = 2e-6
    migration_seconds: Any = 3e-5
    balance_interval: Any = 0.004
    idle_seconds: Any = 2e-6
    frequency: Any = 1.0
    active_power: float = 10.0
    idle_power: float = 1.0

    def __post_init__(self) -> None:
        for name in ("quantum", "boost_period"):
            seconds = primal_of(getattr(self, name))
            if not seconds > 0.0:
                raise UsageError(f"{name} is {seconds:g} s; it has to be above 0")

    @property
    def power(self) -> Any:
        """Watts that a core takes more while it runs: the voltage goes with the frequency, so that it is its cube."""
        return (self.active_power - self.idle_power) * self.frequency**3
