"""Requests that come by themselves: a Poisson stream whose rate is several times higher during a flash crowd.

An open stream does not slow down when the server does, which is what overload means (Schroeder, Wierman and
Harchol-Balter, "Open versus closed", NSDI 2006). Users who think between two requests are the closed one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import trio

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.web_server.workload.browsers import Browsers


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """An open stream.

    Attributes:
        rate: requests a second.
        seconds: for which they come.
        flash: from when to when the crowd is there, in seconds from the beginning.
        factor: of the rate then.
    """

    rate: float
    seconds: float
    flash: tuple[float, float] = (0.0, 0.0)
    factor: float = 1.0

    def rate_at(self, time: float) -> float:
        """The rate so many seconds from the beginning."""
        return self.rate * (self.factor if self.flash[0] <= time < self.flash[1] else 1.0)


async def arrive(browsers: Browsers, crowd: Crowd, mix: Mapping[str, float]) -> None:
    """Send the requests of a crowd, each in a task of its own, and return when all have ended.

    Times between arrivals are drawn at the highest rate and thinned (Lewis and Shedler, Naval Research Logistics 26,
    1979): a Poisson stream of exactly the rate that varies.
    """
    began = plain(trio.current_time())
    highest = crowd.rate * max(crowd.factor, 1.0)
    at, number = 0.0, 0
    async with browsers.client() as client, trio.open_nursery() as nursery:
        while True:
            at += float(detrun.exponential(1.0 / highest, key="between arrivals"))
            if at >= crowd.seconds:
                return
            if not detrun.bernoulli(crowd.rate_at(at) / highest, key="comes"):
                continue
            await trio.sleep_until(began + at)
            nursery.start_soon(browsers.ask, client, number, mix)
            number += 1
