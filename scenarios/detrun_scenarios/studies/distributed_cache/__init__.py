"""A distributed cache whose memory is divided among classes, and whose times to live are learned.

Read `tenants` and `ring` first, then `memory` and `node`, which do the work; `front` sends the requests, and `che` is
the theory behind.
"""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.studies.distributed_cache.front import ANSWERED
from detrun_scenarios.studies.distributed_cache.memory import WITHIN_SHARE
from detrun_scenarios.studies.distributed_cache.node import FETCHED_ONCE, YOUNG_ENOUGH
from detrun_scenarios.studies.distributed_cache.pictures import draw
from detrun_scenarios.studies.distributed_cache.workload import program

_ROOMS = ("pages_weight", "images_weight", "queries_weight")
_TTLS = ("pages_ttl", "images_ttl", "queries_ttl")
_DISTANCE = (
    "a request is a hit if its object stands high enough in the order of last use, which does not depend on the room: "
    "only the threshold jumps"
)
_RENEWED = "a miss begins a new life of the object, so that hits of later requests flip as well"
_BY_ROOM = Meaning("relaxed", _ROOMS, _DISTANCE, {"samples": 12, "temperature": 0.5}, share=0.3)
_BY_TTL = Meaning("finite", _TTLS, _RENEWED, {"samples": 12}, share=0.4)


def _weight(tenant: str, traffic: float) -> Parameter:
    return Parameter(
        f"{tenant}_weight",
        traffic,
        (0.1, 10.0),
        "",
        f"share of the memory for {tenant}, beside the others'",
        "in proportion to traffic",
        log_scale=True,
    )


def _ttl(tenant: str) -> Parameter:
    return Parameter(
        f"{tenant}_ttl",
        10.0,
        (0.5, 100.0),
        "s",
        f"time to live of {tenant}",
        "Varnish and nginx: seconds to minutes",
        log_scale=True,
    )


SCENARIO = Scenario(
    name="distributed_cache",
    about="Cache nodes on a ring: memory divided among three classes of objects, and times to live.",
    parameters=(
        _weight("pages", 3.0),
        _weight("images", 2.0),
        _weight("queries", 1.0),
        _ttl("pages"),
        _ttl("images"),
        _ttl("queries"),
    ),
    losses=(
        Loss("latency", "mean time of a request", "s", (_BY_ROOM, _BY_TTL)),
        Loss("misses", "share of the requests that were fetched or waited for a fetch", "", (_BY_ROOM, _BY_TTL)),
        Loss(
            "staleness",
            "share of the answers that were out of date",
            "",
            (Meaning("finite", (*_TTLS, *_ROOMS), "what is out of date is counted", {"samples": 12}, share=0.4),),
        ),
        Loss(
            "cost",
            "latency, and 30 ms for each answer that is out of date",
            "s",
            (Meaning("finite", (*_ROOMS, *_TTLS), "what is out of date is counted", {"samples": 12}, share=0.4),),
        ),
    ),
    invariants=(
        Invariant(ANSWERED, "although nodes leave and come"),
        Invariant(FETCHED_ONCE, "who asks meanwhile waits for the same fetch"),
        Invariant(WITHIN_SHARE, "the rest of the memory belongs to other classes"),
        Invariant(YOUNG_ENOUGH, "no version is served that was replaced longer ago than the time to live"),
    ),
    program=program,
    draw=draw,
)
