"""The script of the site: coroutines that listen, fetch, move and remove while the page is used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from detrun_scenarios.browser.dom.document import Mutation
from detrun_scenarios.browser.dom.events import Event
from detrun_scenarios.browser.dom.nodes import Element, Text
from detrun_scenarios.browser.dom.parsing import parsed_fragment
from detrun_scenarios.browser.scripting.window import Window
from detrun_scenarios.browser.workload.site import html_of, image_address
from detrun_scenarios.frame.plain import plain

BANNER_AFTER, BANNER_SECONDS = 0.25, 0.12
MOVE_EVERY, DROP_EVERY = 0.045, 0.3
CARD_SECONDS = 1e-3
INDEX_SECONDS = 0.25  # of a search index, made in the background


@dataclass(slots=True)
class App:
    """The script of one page.

    Attributes:
        page: number of the page, by which its feeds are named.
        feeds: how many there are.
        is_lively: whether cards are moved and removed all the time.
    """

    window: Window
    page: int
    feeds: int
    is_lively: bool

    async def run(self) -> None:
        """Set up the page; other scripts go on beside."""
        window = self.window
        document = window.document
        window.state.update(is_busy=False, asked=0, indexed=0.0)
        for name, handler in (("menu", self.toggle), ("more", self.more), ("feed", self.see)):
            if (element := document.find(name)) is not None:
                window.listen(element, "click", handler)
        if (feed := document.find("feed")) is not None:
            window.observe(feed, self.count)
        window.listen(document.root, "click", self.note, capture=True)
        for script in (self.banner, self.index, *((self.move, self.drop) if self.is_lively else ())):
            window.start(script())
        self.ask()

    # What users do.

    def note(self, event: Event) -> None:
        """Count clicks, before anything else is told of them."""
        self.window.state["clicks"] = self.window.state.get("clicks", 0) + 1

    def toggle(self, event: Event) -> None:
        """Open or close the menu."""
        nav = self.window.document.find("nav")
        if nav is not None:
            self.window.document.set_attribute(nav, "class", "" if "open" in nav.classes else "open")

    def see(self, event: Event) -> None:
        """Mark the card that was clicked."""
        for element in event.target.ancestors():
            if "card" in element.classes:
                self.window.document.set_attribute(element, "class", "card seen")

    def more(self, event: Event) -> None:
        """Ask for more cards."""
        self.ask()

    # What goes on meanwhile.

    def ask(self) -> None:
        """Have the next feed fetched, if there is one."""
        if self.window.state["asked"] < self.feeds:
            self.window.state["asked"] += 1
            self.window.start(self.fetch_feed(self.window.state["asked"] - 1))

    async def fetch_feed(self, number: int) -> None:
        """Bring cards, one feed after the other."""
        state = self.window.state
        await self.window.until(lambda: not state["is_busy"])
        state["is_busy"] = True
        cards = json.loads(await self.window.fetch(f"/feed/{self.page}/{number}"))
        for card in cards:
            deadline = await self.window.background()
            deadline.spend(CARD_SECONDS)
            columns = self.window.document.all_of("column")
            if columns:
                shortest = min(columns, key=lambda one: len(one.children))
                for node in parsed_fragment(html_of(card)):
                    self.window.document.insert(shortest, node)
        state["is_busy"] = False

    async def banner(self) -> None:
        """Show a banner above everything, and take it away."""
        document = self.window.document
        await self.window.timeout(BANNER_AFTER)
        image = image_address(self.page, 7)
        (banner,) = parsed_fragment(f'<div class="banner" id="banner"><img src="{image}"><p>news for you</p></div>')
        main = document.find("content")
        if main is not None and main.parent is not None:
            document.insert(main.parent, banner, before=main)
        await self.window.timeout(BANNER_SECONDS)
        document.remove(banner)

    async def move(self) -> None:
        """Move the last card to the end of the other column, now and then."""
        document = self.window.document
        turn = 0
        while True:
            await self.window.timeout(MOVE_EVERY)
            columns = document.all_of("column")
            if len(columns) == 2 and columns[turn % 2].children:
                document.insert(columns[(turn + 1) % 2], columns[turn % 2].children[-1])
            turn += 1

    async def drop(self) -> None:
        """Remove the last card of the longer column, now and then."""
        document = self.window.document
        while True:
            await self.window.timeout(DROP_EVERY)
            columns = document.all_of("column")
            longest = max(columns, key=lambda one: len(one.children), default=None)
            if longest is not None and len(longest.children) > 1:
                document.remove(longest.children[-1])

    async def index(self) -> None:
        """Make an index for the search, whenever there is nothing else to do."""
        while plain(self.window.state["indexed"]) < INDEX_SECONDS - 1e-9:
            deadline = await self.window.background()
            self.window.state["indexed"] += deadline.spend(INDEX_SECONDS - self.window.state["indexed"])

    def count(self, changes: Sequence[Mutation]) -> None:
        """Say how many cards there are, whenever that has changed."""
        if any(_is_card(one.added) or _is_card(one.removed) for one in changes):
            text = self.window.document.find("count")
            if text is not None:
                self.window.document.set_text(text, f"{len(self.window.document.all_of('card'))} cards")


def _is_card(node: Element | Text | None) -> bool:
    return isinstance(node, Element) and "card" in node.classes
