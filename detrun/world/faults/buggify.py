"""`buggify`: rare branches that a program offers, taken on purpose in some runs.

``if detrun.buggify("small batch"): batch = 1`` stands in the program itself, where its author knows what is rare and
legal. Two levels decide: once for each run and site whether the site is *enabled*, with one probability, and then each
time whether it *fires*, with another. So a run has few sites that are often taken, and another run has others, which
reaches states that sites taken evenly never would.

Outside a run it is always False: production code is as if the branch were not there. Inside, draws are keyed by site
and, for firing, by task, so that a schedule changes neither which sites are enabled nor how often a task meets them.
Every time a site fires is counted and written to the run's journal.

Source: FoundationDB's BUGGIFY (flow/flow.h), whose two probabilities are a quarter each, as here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from detrun.primitives import draws
from detrun.world.fault_counts import FaultCounts
from detrun.world.services import process_here
from detrun_scheduler import current
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import BegunFault

ENABLED_PROBABILITY = 0.25
FIRES_PROBABILITY = 0.25


@dataclass(slots=True)
class Site:
    """One place that calls `buggify`, in one run."""

    name: str
    enabled: bool
    asked: int = 0
    fired: int = 0


class Sites:
    """The sites of one run, and the two probabilities."""

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self.enabled = ENABLED_PROBABILITY
        self.fires: float | None = None  # overrides what the sites say
        self.silenced = False
        self.by_name: dict[str, Site] = {}
        self.counts = FaultCounts()

    def site(self, name: str) -> Site:
        """The site called ``name``; whether it is enabled is drawn when it is first asked."""
        site = self.by_name.get(name)
        if site is None:
            enabled = draws.bernoulli(self.enabled, key=f"buggify {name} enabled")
            left_out = current.require("buggify").fault_shares.get(f"buggify {name}") == 0.0
            site = self.by_name[name] = Site(name, enabled and not left_out)
        return site


_sites: Sites | None = None


def buggify_sites() -> Sites:
    """The sites of the active run.

    Raises:
        UsageError: no run is active.
    """
    global _sites
    serial = current.require("detrun.world.buggify_sites").serial
    if _sites is None or _sites.serial != serial:
        _sites = Sites(serial)
    return _sites


def buggify(site: str | None = None, *, probability: Any = None) -> bool:
    """Whether the program shall take its rare branch here, this time.

    Args:
        site: names the branch; the calling line by default, which is another name after an edit above it.
        probability: that an enabled site fires, each time it is asked; a quarter by default. A `Value` makes it a
            discontinuity site.

    Raises:
        UsageError: not a probability.
    """
    if probability is not None:
        primal = primal_of(probability)
        if not isinstance(primal, int | float) or not 0.0 <= primal <= 1.0:
            raise UsageError(f"buggify: probability={primal!r} is not one; give a number from 0 to 1")
    run = current.run
    if run is None:
        return False
    if site is None:
        caller = sys._getframe(1)
        site = f"{caller.f_globals.get('__name__', '?')}:{caller.f_lineno}"
    sites = buggify_sites()
    if sites.silenced:
        return False
    found = sites.site(site)
    found.asked += 1
    if not found.enabled:
        return False
    chance = sites.fires if sites.fires is not None else FIRES_PROBABILITY if probability is None else probability
    fires: bool = draws.bernoulli(chance, key=("buggify", site, run.paths.get(run.current, "")))
    if fires:
        found.fired += 1
        if run.fault_began is not None:
            run.fault_began(BegunFault(f"buggify {site}", "buggify"))
        _count(sites, f"buggify {site}")
    return fires


def _count(sites: Sites, name: str) -> None:
    # In a world its counts are the ones that people look at; one of the two writes to the journal, not both.
    process = process_here.get(None)
    (sites.counts if process is None else process.services.faults).count(name)
