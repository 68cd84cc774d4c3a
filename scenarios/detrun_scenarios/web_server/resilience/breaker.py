"""`Breaker`: calls to a service that fails again and again are refused for a while, and then tried with one.

*Closed*: calls pass, and failures in a row are counted. At the threshold it opens. *Open*: calls are refused at once.
After a rest it is *half-open*: one call passes as a probe, and the others are refused. If the probe succeeds the
breaker closes, and if it fails it opens again. A probe that is cancelled says nothing, and the next call is the probe.

An outcome counts for the period in which its call was let in. An answer that comes after the breaker has opened changes
nothing.

Source: Nygard, *Release It!* (2007), 5.2; failures in a row and their number are those of Envoy's outlier detection
(`consecutive_5xx`, 5), the probe is that of Hystrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import trio

from detrun_scenarios.web_server.errors import BackendError, BackendTimeoutError, BreakerOpenError
from detrun_scenarios.web_server.settings import Settings

BreakerState: TypeAlias = Literal["closed", "open", "half-open"]


class Breaker:
    """See the module.

    Args:
        settings: `breaker_threshold` and `breaker_seconds`.

    Attributes:
        opened: how often it has opened.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.opened = 0
        self._state: BreakerState = "closed"
        self._period = 0  # between two changes of the state
        self._opened_at: Any = 0.0
        self._probing = False
        self._failures = 0

    @property
    def state(self) -> BreakerState:
        """The state now: a breaker that was opened is half-open once it has rested."""
        if self._state == "open" and trio.current_time() >= self._opened_at + self.settings.breaker_seconds:
            self._change("half-open")
        return self._state

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Let a call through, the block, and learn from its end.

        Raises:
            BreakerOpenError: it must not be made.
        """
        period = self._enter()
        try:
            yield
        except (BackendError, BackendTimeoutError):
            self._ended(period, "failed")
            raise
        except BaseException:
            self._ended(period, "given up")
            raise
        self._ended(period, "succeeded")

    def _enter(self) -> int:
        state = self.state
        if state == "open" or self._probing:
            raise BreakerOpenError("the service fails; calls rest for a while")
        self._probing = state == "half-open"
        return self._period

    def _ended(self, period: int, outcome: str) -> None:
        if period != self._period:
            return
        self._probing = False
        if outcome == "succeeded":
            self._failures = 0
            if self._state == "half-open":
                self._change("closed")
        elif outcome == "failed":
            self._failures += 1
            if self._state == "half-open" or self._failures >= self.settings.breaker_threshold:
                self._change("open")

    def _change(self, state: BreakerState) -> None:
        self._state = state
        self._period += 1
        self._probing = False
        self._failures = 0
        if state == "open":
            self.opened += 1
            self._opened_at = trio.current_time()
