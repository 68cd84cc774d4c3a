"""The program of the scenario: a site for some parameters, those who ask, and what happens to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

import detrun
from detrun.world import FaultPlan, inject
from detrun_scenarios.frame.declaration import Losses, Program, Setting
from detrun_scenarios.frame.requirement import about, require
from detrun_scenarios.web_server.bugs.table import BUGS
from detrun_scenarios.web_server.invariants import BOOKED, RECOVERED
from detrun_scenarios.web_server.losses import losses_of
from detrun_scenarios.web_server.parts import RIGHT
from detrun_scenarios.web_server.settings import Settings
from detrun_scenarios.web_server.site import Site, site
from detrun_scenarios.web_server.workload.arrivals import arrive
from detrun_scenarios.web_server.workload.browsers import Browsers
from detrun_scenarios.web_server.workload.operator import deploy, suffer
from detrun_scenarios.web_server.workload.sizes import Workload, workload_of
from detrun_scenarios.web_server.workload.users import browse


def program(setting: Setting) -> Program:
    """The site for a setting."""
    workload = workload_of(setting)
    parts = RIGHT if setting.bug is None else BUGS[setting.bug]
    faults = FaultPlan() if setting.faults is None else setting.faults

    async def run(params: Mapping[str, Any]) -> Losses:
        browsers = Browsers(workload.patience, workload.items)
        async with site(settings_of(params, workload), parts, workload.latency) as found:
            fill(found, workload.items)
            browsers.mixed = found.mixed
            async with inject(faults, found.world, allow_no_effect=True), trio.open_nursery() as operator:
                for outage in workload.outages:
                    operator.start_soon(suffer, found, outage)
                for at in workload.deploys:
                    operator.start_soon(deploy, found, at)
                found.client_node.start(ask, browsers, workload)
                await found.client_node.ended()
            await found.stop()
            check_orders(found, browsers)
            check_recovery(found, browsers, workload)
            return losses_of(found, browsers)

    return run


def settings_of(params: Mapping[str, Any], workload: Workload) -> Settings:
    """The settings that parameters stand for. A run of a campaign draws some, tighter than they should be."""
    drawn: dict[str, Any] = {}
    if workload.is_harsh:
        drawn = {
            "pool_size": detrun.choice([1, 2, 4], key="pool size"),
            "cache_size": detrun.choice([2, 4, 64], key="cache size"),
            "ttl": detrun.choice([0.02, 0.2], key="ttl"),
            "stale_seconds": detrun.choice([0.0, 0.1], key="stale seconds"),
            "database_timeout": detrun.choice([0.03, 0.3], key="database timeout"),
        }
    return Settings(**{**params, **drawn, **workload.settings})


def fill(found: Site, items: int) -> None:
    """Put the items into the database."""
    for item in range(items):
        found.database.rows[str(item)] = f"item {item} of {items}"


async def ask(browsers: Browsers, workload: Workload) -> None:
    """The program of the node of the clients: everyone who asks, until all have their answers."""
    async with trio.open_nursery() as nursery:
        if workload.crowd is not None:
            nursery.start_soon(arrive, browsers, workload.crowd, workload.mix)
        for user in range(workload.users):
            nursery.start_soon(browse, browsers, user, workload.habits, workload.mix)


def check_orders(found: Site, browsers: Browsers) -> None:
    """The invariant of orders: what is confirmed is booked as it was sent, and each order counts once."""
    booked = found.database.orders
    for order, content in browsers.confirmed.items():
        require(booked.get(order) == content, BOOKED, f"{order} for {content} is booked as {booked.get(order)}")
    sold: dict[str, int] = {}
    for order, (item, count) in booked.items():
        require(browsers.sent[order] == (item, count), BOOKED, f"{order} was sent as {browsers.sent[order]}")
        sold[item] = sold.get(item, 0) + count
    require(sold == found.database.sold, BOOKED, f"orders make {sold}, the database says {found.database.sold}")


def check_recovery(found: Site, browsers: Browsers, workload: Workload) -> None:
    """The invariant of outages: late enough after the last one, most quotes are answered."""
    late = [one for one in browsers.outcomes if one.kind == "quote" and one.began >= workload.recovered_at]
    good = sum(one.status == 200 for one in late)
    recovered = about(2 * good >= len(late), *found.repeated())
    require(recovered, RECOVERED, f"{good} of {len(late)} are answered")
