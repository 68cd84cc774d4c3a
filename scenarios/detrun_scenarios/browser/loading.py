"""`Parser`: puts a page that has come into the document, piece by piece, in tasks, as resources and scripts allow.

A preload scanner asks for style sheets, scripts and eager images at once. Elements come in batches. At a script the
parser stops until it has come and has run to its first wait; a style sheet holds back painting, and not the parser.

Source: WHATWG, HTML standard, 13.2.6.4.4 and 4.2.4; html5lib has built the tree before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import trio

from detrun_scenarios.browser.dom.document import Document
from detrun_scenarios.browser.dom.nodes import Element, Text
from detrun_scenarios.browser.dom.parsing import parsed
from detrun_scenarios.browser.loop.event_loop import EventLoop, Source
from detrun_scenarios.browser.loop.rendering import Rendering
from detrun_scenarios.browser.style.sheets import Sheets

BATCH = 12  # elements of one task
ELEMENT_SECONDS = 2e-5


class Parser:
    """Of one page.

    Args:
        get: fetches a resource: address and kind.
        run_script: runs a script by its text.
        style_has_come: told when a style sheet is there.
    """

    def __init__(
        self,
        document: Document,
        sheets: Sheets,
        rendering: Rendering,
        loop: EventLoop,
        tasks: trio.Nursery,
        get: Callable[[str, str], Any],
        run_script: Callable[[str], None],
        style_has_come: Callable[[], None],
    ) -> None:
        self._document = document
        self._sheets = sheets
        self._rendering = rendering
        self._loop = loop
        self._tasks = tasks
        self._get = get
        self._run_script = run_script
        self._style_has_come = style_has_come

    async def build(self, html: str) -> None:
        """Put a page into the document; return when its last element is there."""
        tree = parsed(html)
        for element in tree.elements():  # the preload scanner
            if element.tag == "link":
                self._rendering.blocking += 1
                self._tasks.start_soon(self._style, element.attributes["href"])
            elif element.tag == "script":
                self._tasks.start_soon(self._get, element.attributes["src"], "script")
            elif element.attributes.get("loading") == "eager":
                self._tasks.start_soon(self._get, element.attributes["src"], "image")
        elements = self._inserted(tree, self._document.root)
        is_done = False
        while not is_done:
            stopped: list[str] = []
            batch_done = trio.Event()

            def insert(stopped: list[str] = stopped, batch_done: trio.Event = batch_done) -> None:
                nonlocal is_done
                is_done = self._insert(elements, stopped)
                batch_done.set()

            self._loop.queue(Source.PARSER, insert)
            await batch_done.wait()
            for address in stopped:
                await self._script(address)

    def _insert(self, elements: Iterator[Element], stopped: list[str]) -> bool:
        """Insert a batch, or up to a script; whether that was all."""
        for _ in range(BATCH):
            element = next(elements, None)
            if element is None:
                return True
            self._loop.compute(ELEMENT_SECONDS)
            if element.tag == "script":
                stopped.append(element.attributes["src"])
                break
        self._loop.request_frame()
        return False

    def _inserted(self, source: Element, into: Element) -> Iterator[Element]:
        for child in source.children:
            if isinstance(child, Text):
                self._document.insert(into, Text(child.data))
            else:
                element = Element(child.tag, dict(child.attributes))
                self._document.insert(into, element)
                yield element
                yield from self._inserted(child, element)

    async def _script(self, address: str) -> None:
        text = (await self._get(address, "script")).decode()
        has_run = trio.Event()

        def run() -> None:
            self._run_script(text)
            has_run.set()

        self._loop.queue(Source.PARSER, run)
        await has_run.wait()

    async def _style(self, address: str) -> None:
        css = (await self._get(address, "style")).decode()
        self._style_has_come()

        def add() -> None:
            self._sheets.add(css)
            self._rendering.blocking -= 1
            self._loop.request_frame()

        self._loop.queue(Source.NETWORK, add)
