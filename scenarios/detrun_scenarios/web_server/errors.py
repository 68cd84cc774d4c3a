"""Why a request is not served: what the parts raise and the routes turn into a status."""

from __future__ import annotations

from typing import Any


class ServiceError(Exception):
    """Base of the errors of this system. They are answers to a client, and end no run."""


class BackendError(ServiceError):
    """The backend refused, answered with an error, or the connection to it broke: 502."""


class BackendTimeoutError(ServiceError):
    """The backend did not answer in time: 504."""


class PoolTimeoutError(ServiceError):
    """No connection of the pool came free in time: 503."""


class BreakerOpenError(ServiceError):
    """The circuit breaker lets nothing through: 503."""


class OverloadedError(ServiceError):
    """Admission refuses: 503 with Retry-After.

    Attributes:
        retry_after: seconds after which the client may try again.
    """

    def __init__(self, retry_after: Any) -> None:
        super().__init__(f"try again after {retry_after} s")
        self.retry_after = retry_after
