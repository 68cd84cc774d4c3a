"""How much is asked of the system, and what happens to it meanwhile.

A *small* run is for campaigns: some fifty requests in a second or two, with faults, a deploy, and settings that
are drawn. A *medium* one is a sample of a loss: a flash crowd that is more than the database can serve, and an outage
of the upstream service; some losses have one of their own. A *large* one is the same for longer, with a deploy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from detrun_scenarios.frame.declaration import Setting, Size
from detrun_scenarios.web_server.workload.arrivals import Crowd
from detrun_scenarios.web_server.workload.users import Habits

MIX = {"item": 0.6, "quote": 0.2, "order": 0.2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What a service is like for a while.

    Attributes:
        at, seconds: when it begins, from the beginning of the run, and how long it takes.
        slowness: factor of the service times of the upstream service.
        failure_share: of its answers.
        silent_share: of the requests to it, which are never answered.
        database_slowness: factor of the database's service times.
    """

    at: float
    seconds: float
    slowness: float = 1.0
    failure_share: float = 0.0
    silent_share: float = 0.0
    database_slowness: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One size or variant.

    Attributes:
        crowd: the open stream; None for none.
        users, habits: of the closed workload.
        mix: shares of the kinds of requests.
        items: that there are.
        patience: seconds for which a browser waits.
        outages: of what the server stands on.
        deploys: when the web server is terminated and started again, in seconds from the beginning.
        is_harsh: whether settings are drawn.
        latency: mean seconds of a message between two nodes.
        settings: that are fixed, by name.
        recovered_at: seconds from the beginning from which on quotes come again, whatever happened before.
    """

    crowd: Crowd | None = None
    users: int = 0
    habits: Habits = field(default_factory=lambda: Habits(pages=0))
    mix: Mapping[str, float] = field(default_factory=lambda: MIX)
    items: int = 500
    patience: float = 2.0
    outages: tuple[Outage, ...] = ()
    deploys: tuple[float, ...] = ()
    is_harsh: bool = False
    latency: float = 0.001
    settings: Mapping[str, Any] = field(default_factory=dict)
    recovered_at: float = float("inf")


WORKLOADS: Mapping[Size, Workload] = {
    "small": Workload(
        crowd=Crowd(rate=15.0, seconds=1.0, flash=(0.3, 0.5), factor=5.0),
        users=3,
        habits=Habits(pages=4, page=2),
        items=8,
        outages=(Outage(at=0.6, seconds=0.3, slowness=10.0, failure_share=0.5),),
        deploys=(0.8,),
        is_harsh=True,
    ),
    "medium": Workload(
        crowd=Crowd(rate=40.0, seconds=1.4, flash=(0.3, 0.6), factor=6.0),
        users=2,
        habits=Habits(pages=4),
        mix={"item": 0.5, "quote": 0.35, "order": 0.15},
        patience=1.0,
        outages=(Outage(at=0.8, seconds=0.4, slowness=10.0, failure_share=0.5),),
    ),
    "large": Workload(
        crowd=Crowd(rate=60.0, seconds=18.0, flash=(5.0, 7.0), factor=8.0),
        users=20,
        habits=Habits(pages=20, page=2, think=0.5),
        outages=(Outage(at=10.0, seconds=2.0, slowness=5.0, failure_share=1.0),),
        deploys=(15.0,),
    ),
}

_QUOTES = Workload(crowd=Crowd(rate=40.0, seconds=1.2), mix={"quote": 1.0}, patience=1.0)

OF_LOSSES: Mapping[str, Workload] = {
    "quote_latency": replace(_QUOTES, outages=(Outage(at=0.2, seconds=0.8, silent_share=0.25),)),
    "upstream_load": replace(_QUOTES, outages=(Outage(at=0.2, seconds=0.6, slowness=10.0, failure_share=0.5),)),
    "order_latency": Workload(
        crowd=Crowd(rate=150.0, seconds=1.2),
        mix={"order": 1.0},
        patience=5.0,
        outages=(Outage(at=0.0, seconds=10.0, database_slowness=8.0),),
        settings={
            "database_workers": 64,
            "database_timeout": 5.0,
            "pool_seconds": 5.0,
            "limit_initial": 200.0,
            "limit_least": 200.0,
        },
    ),
    "database_load": Workload(crowd=Crowd(rate=80.0, seconds=1.5), mix={"item": 1.0}, items=40),
    "lost_goodput": Workload(
        crowd=Crowd(rate=80.0, seconds=1.5),
        mix={"item": 1.0},
        items=2_000,
        patience=0.5,
        outages=(Outage(at=0.2, seconds=2.0, database_slowness=4.0),),
        settings={"admission_burst": 10.0},
    ),
}
"""Medium ones of losses that are about one thing going wrong, by the name of the loss."""

AT_ONCE: Mapping[str, Any] = {"database_seconds": 0.0, "database_timeout": 0.05}
"""Services that take no time, on links that take none: the schedule alone decides what comes first."""

VARIANTS: Mapping[str, Workload] = {
    "a deploy": Workload(
        users=2, habits=Habits(pages=2, think=0.0), items=4, deploys=(0.0,), mix={"item": 1.0}, latency=0.0
    ),
    "a few users": Workload(users=3, habits=Habits(pages=4, think=0.01), items=4, mix={"item": 0.5, "order": 0.5}),
    "users who leave": Workload(
        users=1,
        habits=Habits(pages=2, page=2, think=0.0),
        items=4,
        mix={"order": 1.0},
        latency=0.0,
        settings=AT_ONCE,
    ),
    "one connection": Workload(
        users=1,
        habits=Habits(pages=2, page=3, think=0.0),
        items=4,
        mix={"order": 1.0},
        latency=0.0,
        settings={"pool_size": 1},
    ),
    "one hot item": Workload(
        users=1, habits=Habits(pages=1, page=3, think=0.0), items=1, mix={"item": 1.0}, latency=0.0, settings=AT_ONCE
    ),
    "a pause under load": Workload(
        crowd=Crowd(rate=16.0, seconds=2.6),
        mix={"quote": 1.0},
        patience=1.0,
        settings={
            "upstream_workers": 2,
            "upstream_seconds": 0.04,
            "upstream_timeout": 0.2,
            "attempts_max": 5,
            "retry_reserve": 0.1,
            "hedge_delay": 1.0,
            "breaker_threshold": 1_000_000,
            "limit_initial": 200.0,
            "limit_least": 200.0,
        },
        recovered_at=2.0,
    ),
}
"""In which bugs are looked for, by the name that the bug declares; see `detrun_scenarios.frame.declaration.Bug`."""


def workload_of(setting: Setting) -> Workload:
    """The workload of a size; of a variant, where bugs are looked for; of a loss that has its own."""
    if setting.size == "small" and setting.variant:
        return VARIANTS[setting.variant]
    ordinary = WORKLOADS[setting.size]
    return OF_LOSSES.get(setting.loss or "", ordinary) if setting.size == "medium" else ordinary
