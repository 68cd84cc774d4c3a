"""`Settings`: every number of the system. Those that parameters set are named as they are. Times are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Numbers of all rooms; parameters of the scenario first.

    Attributes:
        pool_size: connections to the database; as a Value, relaxed.
        pool_seconds: for which a borrower waits for a connection.
        database_timeout: of one question to the database, without the wait for a connection.
        upstream_timeout: of one attempt.
        retry_budget: retries for each request, in the long run.
        retry_reserve: retries for each second that are always allowed.
        attempts_max: of one call, the first included.
        backoff: before the first retry at most; twice as long before each further one.
        hedge_delay: after which a second attempt is made.
        ttl: of what the cache keeps.
        stale_seconds: beyond ``ttl``, in which the old answer is given while a new one is fetched.
        cache_size: entries.
        admission_rate, admission_burst: of the token bucket, requests a second and requests.
        queue_length: requests that wait for admission at most.
        limit_initial, limit_least: requests that are inside at once, to begin with, and however they fare.
        slow_seconds: from which on an answer counts as too slow, and the limit of admission shrinks.
        breaker_threshold: failures in a row that open the breaker.
        breaker_seconds: for which it stays open.
        keep_alive: for which the server keeps an idle connection.
        drain_seconds: for which a server that shuts down waits for those inside.
        database_seconds, upstream_seconds: mean service times of the backends.
        database_workers: questions that the database serves at once.
        upstream_workers: requests that the upstream service serves at once.
    """

    pool_size: Any = 10
    pool_seconds: Any = 1.0
    database_timeout: Any = 0.5
    upstream_timeout: Any = 0.25
    retry_budget: Any = 0.2
    retry_reserve: Any = 1.0
    attempts_max: int = 3
    backoff: Any = 0.025
    hedge_delay: Any = 0.1
    ttl: Any = 1.0
    stale_seconds: Any = 0.0
    cache_size: Any = 128
    admission_rate: Any = 500.0
    admission_burst: Any = 50.0
    queue_length: int = 64
    limit_initial: float = 20.0
    limit_least: float = 1.0
    slow_seconds: Any = 0.5
    breaker_threshold: Any = 5
    breaker_seconds: Any = 1.0
    keep_alive: Any = 5.0
    drain_seconds: Any = 3.0
    database_seconds: Any = 0.004
    upstream_seconds: Any = 0.02
    database_workers: int = 2
    upstream_workers: int = 8
