"""How many pages are visited, for how long, and what happens there.

A *small* run is for campaigns: one page that is used while it loads, in a network with faults, every layout compared
with one from scratch. A *medium* one is a sample of a loss: a page that loads and comes to rest. A *large* one visits
many pages, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import trio

import detrun
from detrun.world import Exponential, FaultPlan, inject
from detrun_scenarios.browser.bugs.table import BUGS
from detrun_scenarios.browser.invariants import Monitor
from detrun_scenarios.browser.loop.event_loop import TICK_SECONDS
from detrun_scenarios.browser.network.server import BROWSER, SERVER, Server
from detrun_scenarios.browser.page import Browser, Page, browser_in
from detrun_scenarios.browser.parts import RIGHT, Parts
from detrun_scenarios.browser.scripting.promises import Script
from detrun_scenarios.browser.scripting.window import Window
from detrun_scenarios.browser.settings import Settings, settings_of
from detrun_scenarios.browser.workload.design import DESIGN
from detrun_scenarios.browser.workload.images import images
from detrun_scenarios.browser.workload.scripts import App
from detrun_scenarios.browser.workload.site import site_of
from detrun_scenarios.browser.workload.user import Habits, use
from detrun_scenarios.frame.declaration import Faults, Losses, Program, Setting, Size

LATENCY_LEAST = 0.1  # of the mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One size.

    Attributes:
        seconds: on each page.
        cards: of a page when it comes.
        feeds: how often more can be asked for.
        is_lively: whether scripts move and remove cards all the time.
        checked_every: frames, of which one is compared with a layout from scratch.
    """

    pages: int
    seconds: float
    cards: int
    feeds: int
    is_lively: bool
    habits: Habits
    checked_every: int


WORKLOADS: Mapping[Size, Workload] = {
    "small": Workload(
        pages=1, seconds=0.9, cards=6, feeds=4, is_lively=True, habits=Habits(pause=0.03), checked_every=1
    ),
    "medium": Workload(
        pages=1, seconds=1.5, cards=6, feeds=1, is_lively=False, habits=Habits(pause=0.0), checked_every=40
    ),
    "large": Workload(
        pages=160, seconds=1.0, cards=6, feeds=3, is_lively=True, habits=Habits(pause=0.03), checked_every=50
    ),
}


def unseen(page: Page, number: int) -> None:
    """What `visit` calls if there is none to watch."""


async def visit(
    workload: Workload,
    settings: Settings,
    faults: Faults,
    pictures: Sequence[bytes],
    parts: Parts = RIGHT,
    watch: Callable[[Browser], None] = lambda browser: None,
    left: Callable[[Page, int], None] = unseen,
) -> Losses:
    """Visit a site in a world of its own.

    Args:
        pictures: bodies of images.
        watch: told of the browser before the first page.
        left: told of each page before it is left.
    """
    latency = Exponential(settings.latency * (1.0 - LATENCY_LEAST), minimum=settings.latency * LATENCY_LEAST)
    monitor = Monitor()
    site = site_of(workload.pages, workload.cards, workload.feeds, pictures)
    found: list[Browser] = []

    async def browse() -> None:
        async with trio.open_nursery() as tasks:
            page_number = 0
            frames = 0

            def script_of(text: str, window: Window) -> Script:
                return App(window, page_number, workload.feeds, workload.is_lively).run()

            def is_checked() -> bool:
                nonlocal frames
                frames += 1
                return frames % workload.checked_every == 0

            phase = TICK_SECONDS * float(detrun.uniform(key="phase"))
            browser = browser_in(tasks, settings, parts, monitor, phase, script_of, is_checked)
            found.append(browser)
            watch(browser)
            for page_number in range(workload.pages):
                await _visit_page(browser, page_number, workload, left)
            tasks.cancel_scope.cancel()

    async with detrun.World(latency=latency) as world, inject(faults, world, allow_no_effect=True):
        world.node(SERVER).start(Server(site, settings.bandwidth, monitor).serve)
        await trio.sleep(0.001)  # until it listens
        node = world.node(BROWSER)
        node.start(browse)
        await node.ended()
    (browser,) = found
    return browser.meter.losses(browser.loop.frames)


async def _visit_page(browser: Browser, number: int, workload: Workload, left: Callable[[Page, int], None]) -> None:
    async with trio.open_nursery() as tasks:
        page = Page(browser, tasks)
        tasks.start_soon(page.load, f"/page/{number}")
        tasks.start_soon(use, page, workload.habits, number)
        await trio.sleep(workload.seconds)
        browser.meter.rests(page.rendering.where, DESIGN)
        left(page, number)
        page.leave()
        tasks.cancel_scope.cancel()


def program(setting: Setting) -> Program:
    """The browser for a setting."""
    parts = RIGHT if setting.bug is None else BUGS[setting.bug]
    faults = FaultPlan() if setting.faults is None else setting.faults
    workload, pictures = WORKLOADS[setting.size], images()

    async def main(params: Mapping[str, Any]) -> Losses:
        return await visit(workload, settings_of(params), faults, pictures, parts)

    return main
