"""Selectors, the cascade, events, promises, observers, shifts: the parts of a page, each by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio

import detrun
from detrun_scenarios.browser.dom.document import Document, Mutation
from detrun_scenarios.browser.dom.events import Dispatcher, Event, Phase
from detrun_scenarios.browser.dom.nodes import Element
from detrun_scenarios.browser.dom.observers import Observers
from detrun_scenarios.browser.invariants import Monitor
from detrun_scenarios.browser.layout.geometry import Rect
from detrun_scenarios.browser.loop.event_loop import EventLoop, Source
from detrun_scenarios.browser.losses import shift_score
from detrun_scenarios.browser.scripting.promises import Promise, Scripts
from detrun_scenarios.browser.style.selectors import matches
from tests.scenarios.browser.test_layout import shown

pytestmark = pytest.mark.one_python
for package in ("html5lib", "tinycss2", "cssselect"):
    pytest.importorskip(package)

import cssselect  # noqa: E402  after it is known to be there

BODY = """<div id="a" class="x y"><p id="b" class="x" lang="en-GB">1</p><p id="c">2</p>
<span id="d"><i id="e" title="t u">3</i></span></div><ul id="f"><li id="g" class="y">4</li><li id="h">5</li></ul>"""


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("p", "bc"),
        (".x", "ab"),
        ("#a", "a"),
        ("p.x", "b"),
        ("div i", "e"),
        ("div > p", "bc"),
        ("div > i", ""),
        ("p + p", "c"),
        ("p ~ span", "d"),
        ("li + li", "h"),
        ("ul > li:first-child", "g"),
        ("li:last-child, p:first-child", "bh"),
        ("[lang]", "b"),
        ("[title~=u]", "e"),
        ("[lang^=en]", "b"),
        ("[lang$=GB]", "b"),
        ("[title*='t u']", "e"),
        ("[lang=en]", ""),
        ("p:not(.x)", "c"),
        ("div.x.y > span > *", "e"),
        ("body > :not(div)", "f"),
        (".y .x", "b"),
        ("p:hover", ""),
    ],
)
def test_selectors_match_what_they_should(selector: str, expected: str) -> None:
    """Each element is named by a letter."""
    page = shown(BODY)
    parsed = [one.parsed_tree for one in cssselect.parse(selector)]
    found = [one.name for one in page.document.root.elements() if any(matches(one, tree) for tree in parsed)]
    assert "".join(sorted(found)) == expected


def test_the_cascade_goes_by_importance_specificity_and_order() -> None:
    css = """p { color: #000001 !important; width: 1px } #a p { width: 2px } .x { width: 3px; height: 4px }
    p { height: 5px } p { margin: 1px 2px } div { color: #00000a; font-size: 20px } p { font-size: 1.5em }
    p { line-height: var(--tall); padding: 1em }"""
    page = shown('<div id="a"><p id="p" class="x" style="height: 6px; color: red">t</p></div>', css, tall=1.7)
    page.update()
    element = page.document.find("p")
    assert element is not None
    style = page.cascade.styles[element]
    assert (style["color"], style["width"], style["height"]) == ("#000001", 2.0, 6.0)
    assert (style["margin-top"], style["margin-left"], style["font-size"]) == (1.0, 2.0, 30.0)
    assert (style["line-height"], style["padding-top"]) == (1.7, 30.0)


async def no_microtasks() -> None:
    """Runs none."""


def told(order: list[str], name: str, document: Document, moves: bool) -> None:
    element = document.find(name)
    assert element is not None
    for capture in (True, False):

        def handler(event: Event, capture: bool = capture) -> None:
            order.append(f"{'capture' if capture else 'bubble'} {name}")
            if moves and name == "a" and capture:
                document.insert(document.root, event.target)

        element.listeners.setdefault("click", []).append((capture, handler))


def test_an_event_goes_down_and_up_the_path_it_had_when_its_dispatch_began() -> None:
    """A listener moves the target away, and the path stays."""

    async def main() -> list[str]:
        page = shown('<div id="a"><div id="b"><p id="c">t</p></div></div>')
        order: list[str] = []
        for name in "abc":
            told(order, name, page.document, moves=True)
        monitor = Monitor()
        dispatcher = Dispatcher(monitor.dispatch_begins, monitor.dispatch_reaches, no_microtasks)
        target = page.document.find("c")
        assert target is not None
        await dispatcher.dispatch(Event("click", target))
        return order

    assert detrun.record(main).result == [
        *("capture a", "capture b", "capture c", "bubble c", "bubble b", "bubble a"),
    ]


def test_an_event_that_is_stopped_goes_no_further() -> None:
    async def main() -> list[Phase]:
        page = shown('<div id="a"><p id="c">t</p></div>')
        phases: list[Phase] = []
        dispatcher = Dispatcher(lambda event: None, lambda event, element, phase: phases.append(phase), no_microtasks)
        target, above = page.document.find("c"), page.document.find("a")
        assert target is not None
        assert above is not None
        above.listeners["click"] = [(True, lambda event: event.stop())]
        await dispatcher.dispatch(Event("click", target))
        return phases

    assert set(detrun.record(main).result) == {"capture"}


def test_microtasks_run_before_the_next_task_and_background_work_comes_last() -> None:
    """What a microtask queues runs as well."""

    async def main() -> list[str]:
        order: list[str] = []
        loop = EventLoop(Monitor(), 0.0)

        async def go_on(name: str) -> None:
            order.append(f"{name} begins")
            await Promise.resolved(loop.queue_microtask)
            order.append(f"{name} goes on")
            await Promise.resolved(loop.queue_microtask)
            order.append(f"{name} ends")

        scripts = Scripts(loop.compute)
        loop.queue(Source.BACKGROUND, lambda: order.append("background"))
        loop.queue(Source.TIMER, lambda: scripts.start(go_on("script")))
        loop.queue(Source.NETWORK, lambda: order.append("network"))
        with trio.move_on_after(0.1):
            await loop.run()
        return order

    assert detrun.record(main).result == ["script begins", "script goes on", "script ends", "network", "background"]


def test_observers_are_told_once_of_all_that_has_changed() -> None:
    queued = []
    observers = Observers(queued.append)
    document = Document(changed=observers.changed)
    seen: list[Sequence[Mutation]] = []
    inside = Element("div")
    document.insert(document.root, inside)
    observers.observe(inside, seen.append)
    document.insert(inside, Element("p"))
    document.set_attribute(inside, "class", "x")
    document.set_attribute(document.root, "class", "y")
    assert len(queued) == 1
    queued.pop()()
    assert [[one.kind for one in records] for records in seen] == [["children", "attributes"]]


def test_a_shift_is_the_area_that_moved_times_how_far() -> None:
    """Layout Instability: half of the viewport's width, 150 px, by 60 px of 800."""
    one, other = Element("p"), Element("p")
    before = {one: Rect(0.0, 100.0, 400.0, 90.0), other: Rect(0.0, 0.0, 400.0, 50.0)}
    now = {one: Rect(0.0, 160.0, 400.0, 90.0), other: Rect(0.0, 2.0, 400.0, 50.0)}
    assert shift_score(before, now) == pytest.approx((400 * 150) / (800 * 600) * 60 / 800)
    assert shift_score(before, before) == 0.0
