"""A web server and what it stands on: hypercorn with an ASGI application, a database, a cache and an upstream service.

Read from below: `backend` holds the database and the upstream service with their clients; `resilience` and `caching`
are the mechanisms in front of them; `application` has the routes, `serving` puts them under hypercorn on a node, `site`
puts all together, and `workload` sends requests by httpx.
"""

from __future__ import annotations

from collections.abc import Mapping

from detrun.world import FaultPlan
from detrun_scenarios.frame.declaration import Bug, Loss, Meaning, Parameter, Program, Scenario, Setting
from detrun_scenarios.web_server.faults import SWARM
from detrun_scenarios.web_server.invariants import INVARIANTS

_SCALED = "scaled to services of milliseconds"
_DECIDES = "a deadline decides what is answered, repeated or refused, and only the mean of that is smooth"
_DEADLINES = (
    "pool_seconds",
    "database_timeout",
    "upstream_timeout",
    "backoff",
    "hedge_delay",
    "ttl",
    "retry_budget",
    "admission_rate",
    "breaker_threshold",
    "breaker_seconds",
)
_WAITED = ("database_seconds", "upstream_seconds")
_LATENCY = (
    Meaning("finite", _DEADLINES, _DECIDES, {"samples": 16}, share=0.3),
    Meaning("finite", ("pool_size",), "counted up to", {"samples": 16}, share=0.5),
    Meaning("finite", _WAITED, "they are waited out, and decide as well which deadline strikes", {"samples": 16}),
)

_OUTLASTED = "it is waited out, and where it only just decides who is first, nothing jumps"
_MEAN_LATENCY = (
    Meaning("local", ("hedge_delay", "backoff", "upstream_seconds"), _OUTLASTED, {"samples": 4}, share=0.3),
    Meaning(
        "finite",
        tuple(one for one in _DEADLINES if one not in ("hedge_delay", "backoff")),
        _DECIDES,
        {"samples": 16},
        share=0.3,
    ),
    Meaning("finite", ("database_seconds",), "many wait behind each other", {"samples": 16}),
    Meaning("relaxed", ("pool_size",), "counted up to", {"samples": 8, "temperature": 0.25}, share=0.5),
)


def program(setting: Setting) -> Program:
    """The program for a setting; hypercorn and httpx are imported when it is made."""
    from detrun_scenarios.web_server.workload.runs import program as made

    return made(setting)


def draw(path: str, params: Mapping[str, float], seed: int) -> None:
    """The picture of a flash crowd."""
    from detrun_scenarios.web_server.pictures import draw as drawn

    drawn(path, params, seed)


SCENARIO = Scenario(
    name="web_server",
    about="A site under hypercorn, called by httpx: pools, a cache, retries, a breaker, admission, a flash crowd.",
    parameters=(
        Parameter(
            "pool_size",
            10.0,
            (1.0, 64.0),
            "connections",
            "to the database",
            "HikariCP, maximumPoolSize",
            log_scale=True,
        ),
        Parameter(
            "pool_seconds",
            1.0,
            (0.01, 5.0),
            "s",
            "for which a request waits for a connection",
            f"SQLAlchemy 2.0, pool_timeout 30 s, {_SCALED}",
            log_scale=True,
        ),
        Parameter(
            "database_timeout",
            0.5,
            (0.005, 5.0),
            "s",
            "of one question to the database",
            f"PgBouncer, query_timeout, {_SCALED}",
            log_scale=True,
        ),
        Parameter(
            "upstream_timeout",
            0.25,
            (0.01, 5.0),
            "s",
            "of one attempt at the upstream service",
            f"httpx 0.28, 5 s, {_SCALED}",
            log_scale=True,
        ),
        Parameter(
            "retry_budget", 0.2, (0.01, 2.0), "", "retries for each request", "Finagle, RetryBudget", log_scale=True
        ),
        Parameter(
            "backoff",
            0.025,
            (0.001, 1.0),
            "s",
            "before the first retry, at most",
            "Envoy 1.30, retry_back_off base_interval",
            log_scale=True,
        ),
        Parameter(
            "hedge_delay",
            0.1,
            (0.001, 2.0),
            "s",
            "after which a second attempt begins",
            "the 95th percentile, Dean and Barroso 2013",
            log_scale=True,
        ),
        Parameter(
            "ttl",
            1.0,
            (0.01, 60.0),
            "s",
            "of what the cache keeps",
            "nginx, microcaching",
            log_scale=True,
        ),
        Parameter(
            "cache_size", 128.0, (1.0, 1024.0), "entries", "of the cache", "Python, functools.lru_cache", log_scale=True
        ),
        Parameter(
            "admission_rate",
            500.0,
            (10.0, 5_000.0),
            "1/s",
            "of the token bucket",
            "a load test's capacity",
            log_scale=True,
        ),
        Parameter(
            "breaker_threshold",
            5.0,
            (1.0, 50.0),
            "failures",
            "in a row, that open the breaker",
            "Envoy 1.30, consecutive_5xx",
            log_scale=True,
        ),
        Parameter(
            "breaker_seconds",
            1.0,
            (0.02, 30.0),
            "s",
            "for which it stays open",
            f"Envoy 1.30, base_ejection_time 30 s, {_SCALED}",
            log_scale=True,
        ),
        Parameter(
            "database_seconds", 0.012, (0.001, 0.1), "s", "mean service time of the database", "", log_scale=True
        ),
        Parameter(
            "upstream_seconds", 0.02, (0.001, 0.2), "s", "mean service time of the upstream service", "", log_scale=True
        ),
    ),
    losses=(
        Loss(
            "mean_latency", "mean time until a good answer; none counts as the browser's patience", "s", _MEAN_LATENCY
        ),
        Loss("p99_latency", "99th percentile of the same in a run", "s", _LATENCY),
        Loss("lost_goodput", "share of requests without a good answer", "", _LATENCY),
        Loss("upstream_load", "requests to the upstream service for each quote that was asked for", "", _LATENCY),
    ),
    invariants=INVARIANTS,
    bugs=(
        Bug(
            "mixed_responses",
            "a connection is lent again on which an answer is due",
            ("MixedResponses.may_lend_again", "DatabaseConnection.ask"),
            variant="users who leave",
        ),
        Bug(
            "dropped_at_shutdown",
            "a server that is told to stop refuses requests only after the last is answered",
            ("DroppedAtShutdown.wait", "Application.__call__"),
            variant="a deploy",
        ),
        Bug(
            "inflight_drift",
            "the count of requests in flight is read, shown, and then written",
            ("InflightDrift.add", "InflightDrift.add"),
            variant="a few users",
        ),
        Bug(
            "leaked_connection",
            "one who is cancelled while waiting keeps the seat that was handed over meanwhile",
            ("LeakedConnection.give_up", "Seats.fill"),
            variant="one connection",
        ),
        Bug(
            "cache_stampede",
            "between the look for a fetch and its start others have a turn",
            ("CacheStampede.join", "SingleFlight.start"),
            variant="one hot item",
        ),
        Bug(
            "retry_storm",
            "retries without a budget, where neither breaker nor limit would end them",
            ("RetryStorm.may_retry", "UpstreamService._quote"),
            faults=FaultPlan(),
            variant="an outage under load",
            # Its schedules are too long to be run and told a hundred times.
            options={"max_steps": 40_000, "shrink": False, "explain": False},
        ),
    ),
    program=program,
    faults=SWARM,
    explore_options={"max_steps": 20_000},
    draw=draw,
)
