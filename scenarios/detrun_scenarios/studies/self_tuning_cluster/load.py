"""The load: a rate that goes up and down like a day, and a flash crowd at a random moment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import trio

import detrun
from detrun_scenarios.studies.self_tuning_cluster.cluster import Cluster, Request


@dataclass(frozen=True, slots=True)
class Load:
    """Requests for each second, as a function of time.

    Attributes:
        mean: of a day.
        swing: of the day, as a share of the mean.
        day: seconds.
        flash: by which the rate is multiplied in a flash crowd; 1: there is none.
        flash_seconds: for which it lasts, once a day.
    """

    mean: float = 12.0
    swing: float = 0.7
    day: float = 240.0
    flash: float = 2.0
    flash_seconds: float = 15.0

    def rate(self, at: float, flash_at: float) -> float:
        """At a time, if the flash crowd of the day comes so many seconds after its begin."""
        found = self.mean * (1.0 - self.swing * math.cos(2.0 * math.pi * at / self.day))
        return found * self.flash if flash_at <= at % self.day < flash_at + self.flash_seconds else found


async def send(load: Load, cluster: Cluster, seconds: float) -> int:
    """Requests until the time is over; how many there were. The rate between two is that behind the first."""
    number, day, flash_at = 0, -1, 0.0
    while True:
        at: Any = trio.current_time()
        if int(at / load.day) != day:
            day = int(at / load.day)
            flash_at = detrun.uniform(0.0, load.day, key=("flash", day))
        await trio.sleep(detrun.exponential(1.0 / load.rate(at, flash_at), key=("arrival", number)))
        if trio.current_time() > seconds:
            return number
        cluster.submit(Request(number, trio.current_time()))
        number += 1
