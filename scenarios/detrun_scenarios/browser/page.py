"""`Page`: one document with everything that belongs to it, from the navigation until it is left.

`Browser` is what pages share: the event loop, the connection, the cache, the decoders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import trio

from detrun_scenarios.browser.dom.document import Document, Mutation
from detrun_scenarios.browser.dom.events import Event
from detrun_scenarios.browser.dom.observers import Observers
from detrun_scenarios.browser.invariants import Monitor
from detrun_scenarios.browser.layout.geometry import element_at
from detrun_scenarios.browser.loading import Parser
from detrun_scenarios.browser.loop.event_loop import EventLoop, Source
from detrun_scenarios.browser.loop.rendering import Rendering
from detrun_scenarios.browser.losses import Meter
from detrun_scenarios.browser.network.cache import Cache
from detrun_scenarios.browser.network.connection import Connection
from detrun_scenarios.browser.network.images import Decoders
from detrun_scenarios.browser.network.priorities import HIGHEST, weight_of
from detrun_scenarios.browser.parts import Parts
from detrun_scenarios.browser.scripting.promises import Script, Scripts
from detrun_scenarios.browser.scripting.window import Window
from detrun_scenarios.browser.settings import Settings
from detrun_scenarios.browser.style.cascade import BROWSER
from detrun_scenarios.browser.style.sheets import Sheets

ScriptOf = Callable[[str, Window], Script]  # a script by its text


@dataclass(slots=True)
class Browser:
    """See the module.

    Args:
        script_of: makes a script of what came from the server.
        is_checked: asked at each frame whether its layout is compared with one from scratch.
    """

    settings: Settings
    parts: Parts
    monitor: Monitor
    meter: Meter
    loop: EventLoop
    connection: Connection
    cache: Cache
    decoders: Decoders
    script_of: ScriptOf
    is_checked: Callable[[], bool]

    async def get(self, address: str, kind: str) -> bytes:
        """The body of a resource."""
        return await self.cache.get(address, kind)


def browser_in(
    tasks: trio.Nursery,
    settings: Settings,
    parts: Parts,
    monitor: Monitor,
    phase: float,
    script_of: ScriptOf,
    is_checked: Callable[[], bool],
) -> Browser:
    """A browser whose loop and connection run.

    Args:
        phase: of the display's ticks, in seconds after a whole one.
    """
    connection = Connection()
    weights: Mapping[str, Any] = {
        "document": weight_of(HIGHEST),
        "style": weight_of(settings.style_priority),
        "script": weight_of(settings.script_priority),
        "data": weight_of(settings.script_priority),
        "image": weight_of(settings.image_priority),
    }

    async def fetch(address: str, kind: str) -> bytes:
        return await connection.fetch(address, kind, weights[kind])

    loop = EventLoop(monitor, phase)
    tasks.start_soon(connection.run)
    tasks.start_soon(loop.run)
    cache = parts.cache(tasks, fetch, monitor)
    return Browser(settings, parts, monitor, Meter(), loop, connection, cache, Decoders(), script_of, is_checked)


class Page:
    """See the module.

    Args:
        tasks: ends with the page.
    """

    def __init__(self, browser: Browser, tasks: trio.Nursery) -> None:
        loop, monitor, parts = browser.loop, browser.monitor, browser.parts
        self._browser = browser
        self.observers = Observers(loop.queue_microtask)
        self.document = Document(parts.dirt(), self._changed)
        self.scripts = Scripts(loop.compute)
        self.images = parts.images(
            self.document,
            loop,
            tasks,
            lambda address: browser.get(address, "image"),
            browser.decoders,
            monitor.resource_is_given,
            browser.meter.picture_has_come,
        )
        sheets = Sheets()
        sheets.add(BROWSER, origin=0)
        self.rendering = Rendering(
            self.document,
            sheets,
            browser.settings.variables(),
            browser.settings.prefetch_distance,
            loop,
            monitor,
            self.images,
            browser.meter.seen,
            browser.is_checked,
        )
        self.dispatcher = parts.dispatcher(monitor.dispatch_begins, monitor.dispatch_reaches, loop.checkpoint)
        self.window = parts.window(
            self.document,
            loop,
            self.observers,
            self.scripts,
            tasks,
            lambda address: browser.get(address, "data"),
            browser.settings.work_budget,
            monitor,
        )
        self.parser = Parser(
            self.document,
            sheets,
            self.rendering,
            loop,
            tasks,
            browser.get,
            self._run_script,
            browser.meter.style_has_come,
        )

    async def load(self, address: str) -> None:
        """Fetch the page and put it into the document."""
        self._browser.meter.navigates()
        self._browser.loop.show(self.rendering.frame, self.may_render)
        html = await self._browser.get(address, "document")
        await self.parser.build(html.decode())

    def leave(self) -> None:
        """Another page comes."""
        self.scripts.close()

    def may_render(self) -> bool:
        """Whether style sheets are there, and something to paint."""
        return not self.rendering.blocking and len(self.document.root.children) > 1  # head and body

    def press(self, x: float, y: float) -> Event | None:
        """The user presses at a point of the viewport: a click at what was there in the last layout."""
        rendering = self.rendering
        if rendering.root is None:
            return None
        target = element_at(rendering.root, x, y + rendering.scrolled)
        return Event("click", target, aimed=target.ancestors())

    def release(self, click: Event) -> None:
        """The user lets go: the click is queued."""
        self._browser.loop.queue(Source.USER, lambda: self.dispatcher.dispatch(click))

    def scroll(self, down: float) -> None:
        """The user scrolls, by so many pixels."""

        def scroll() -> None:
            before = self.rendering.scrolled
            self.rendering.scroll(down)
            self._browser.meter.scrolled_by(self.rendering.scrolled - before)

        self._browser.loop.queue(Source.USER, scroll)

    def _changed(self, change: Mutation) -> None:
        self._browser.monitor.document_changes(change)
        self.observers.changed(change)
        self._browser.loop.request_frame()

    def _run_script(self, text: str) -> None:
        self.scripts.start(self._browser.script_of(text, self.window))
