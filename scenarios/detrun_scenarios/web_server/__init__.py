"""A web server and what it stands on: hypercorn with an ASGI application, a database, a cache and an upstream service.

Read from below: `backend` holds the database and the upstream service with their clients; `resilience` and `caching`
are the mechanisms in front of them; `application` has the routes, `serving` puts them under hypercorn on a node, `site`
puts all together, and `workload` sends requests by httpx.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun_scenarios.frame.declaration import Bug, Loss, Meaning, Parameter, Program, Scenario, Setting
from detrun_scenarios.web_server.faults import PAUSED, SWARM
from detrun_scenarios.web_server.invariants import INVARIANTS

_SCALED = "scaled to services of milliseconds"
_DECIDES = "it decides what is answered, repeated or refused, and only the mean of that is smooth"
_COUNTED = "counted up to"
_AS_A_FLUID = "all wait behind each other, and a pool of any size would serve in proportion to it"
_KEPT = "it decides what is asked for again, and questions are counted"
_OUTLASTED = "it is waited out, and where it only just decides who is first, nothing jumps"
_QUEUED = "many wait behind each other, and it decides as well which deadline strikes"
_SPENT = "it decides who is hedged and who comes too late, and a hedge takes the token of a retry"
_BUSY = ("pool_seconds", "database_timeout", "ttl", "admission_rate")
_REPEATED = ("upstream_timeout", "retry_budget", "breaker_threshold", "breaker_seconds")
_FEW: dict[str, Any] = {"samples": 16}


def _finite(why: str, *parameters: str, share: float = 0.3) -> Meaning:
    return Meaning("finite", parameters, why, _FEW, share)


_MEAN_LATENCY = (
    Meaning("local", ("hedge_delay", "backoff", "upstream_seconds"), _OUTLASTED, {"samples": 4}, share=0.3),
    _finite(_DECIDES, *_BUSY, *_REPEATED),
    _finite(_QUEUED, "database_seconds", share=0.1),
    _finite(_COUNTED, "pool_size", share=0.5),
)
_P99_LATENCY = (
    _finite(_DECIDES, "hedge_delay", "backoff", *_BUSY, *_REPEATED),
    _finite(_QUEUED, "database_seconds", "upstream_seconds", share=0.1),
    _finite(_COUNTED, "pool_size", share=0.5),
)
_QUOTE_LATENCY = (
    _finite(_SPENT, "hedge_delay", "upstream_timeout", "retry_budget"),
    Meaning("local", ("backoff", "upstream_seconds"), _OUTLASTED, {"samples": 8}, share=0.3),
)
_ORDER_LATENCY = (Meaning("relaxed", ("pool_size",), _AS_A_FLUID, {"samples": 8, "temperature": 0.5}, share=0.1),)
_LOST_GOODPUT = (
    _finite(_DECIDES, *_BUSY),
    _finite(_QUEUED, "database_seconds", share=0.1),
    _finite(_COUNTED, "pool_size", share=0.5),
)
_UPSTREAM_LOAD = (_finite(_DECIDES, *_REPEATED, "hedge_delay", "backoff"),)
_DATABASE_LOAD = (_finite(_KEPT, "ttl", "cache_size"),)


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
        Loss("p99_latency", "99th percentile of the same in a run", "s", _P99_LATENCY),
        Loss(
            "quote_latency",
            "the mean of quotes alone, while the upstream service leaves a quarter of them unanswered",
            "s",
            _QUOTE_LATENCY,
        ),
        Loss(
            "order_latency",
            "the mean of orders alone, while the database is eight times as slow and the pool is what limits",
            "s",
            _ORDER_LATENCY,
        ),
        Loss(
            "lost_goodput",
            "share of requests without a good answer, while the database is four times as slow",
            "",
            _LOST_GOODPUT,
        ),
        Loss(
            "upstream_load",
            "requests to the upstream service for each quote that was asked for, while it fails",
            "",
            _UPSTREAM_LOAD,
        ),
        Loss(
            "database_load",
            "questions to the database for each item or order that was asked for; of forty items",
            "",
            _DATABASE_LOAD,
        ),
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
            faults=PAUSED,
            variant="a pause under load",
        ),
    ),
    program=program,
    faults=SWARM,
    explore_options={"max_steps": 20_000},
    draw=draw,
)
