"""What is always true, checked by a `Monitor` that sees the page, the loop and the server at once.

- *layout is as from scratch*: boxes that were kept are those that would be computed;
- *microtasks run out first*: no task begins while a microtask waits;
- *microtasks come to an end*: one checkpoint runs fewer than `MICROTASKS_MAX`, since tasks wait meanwhile;
- *events follow the path of their dispatch*: each element that is told of one was on the path when the dispatch began,
  and comes in its turn;
- *a resource is fetched once*: the server is asked for each address once, whatever asks for it in the browser;
- *removed nodes are left alone*: nothing that was fetched is given to an element that is no longer in the document;
- *nothing is painted unstyled*: no frame is made before the style sheets that block it are there.
"""

from __future__ import annotations

from typing import Final

from detrun_scenarios.browser.dom.events import Event, Phase
from detrun_scenarios.browser.dom.nodes import Element
from detrun_scenarios.frame.declaration import Invariant
from detrun_scenarios.frame.requirement import require

AS_FROM_SCRATCH: Final = "layout is as from scratch"
RUN_OUT: Final = "microtasks run out first"
END: Final = "microtasks come to an end"
PATH: Final = "events follow the path of their dispatch"
ONCE: Final = "a resource is fetched once"
REMOVED: Final = "removed nodes are left alone"
STYLED: Final = "nothing is painted unstyled"

MICROTASKS_MAX = 1_000

INVARIANTS = (
    Invariant(AS_FROM_SCRATCH, "boxes that were kept are those that would be computed"),
    Invariant(RUN_OUT, "no task begins while a microtask waits"),
    Invariant(END, "one checkpoint runs fewer than a thousand"),
    Invariant(PATH, "whoever is told of one was on it when the dispatch began"),
    Invariant(ONCE, "the server is asked for each address once"),
    Invariant(REMOVED, "nothing that was fetched is given to an element outside of the document"),
    Invariant(STYLED, "no frame is made before the style sheets are there"),
)


class Monitor:
    """Of one browser.

    Attributes:
        asked: how often the server was asked for each address.
    """

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}
        self._due: dict[Event, list[tuple[Element, Phase]]] = {}

    def task_begins(self, microtasks: int) -> None:
        """A task begins while so many microtasks wait."""
        require(microtasks == 0, RUN_OUT, f"{microtasks} microtasks wait")

    def checkpoint_has_run(self, microtasks: int) -> None:
        """So many microtasks since the last task."""
        require(microtasks < MICROTASKS_MAX, END, f"{microtasks} microtasks, one after the other")

    def dispatch_begins(self, event: Event) -> None:
        """An event is dispatched, now."""
        above = []
        element = event.target.parent
        while element is not None:
            above.append(element)
            element = element.parent
        down: list[tuple[Element, Phase]] = [(one, "capture") for one in reversed(above)]
        up: list[tuple[Element, Phase]] = [(one, "bubble") for one in above]
        self._due[event] = [*down, (event.target, "target"), *up]

    def dispatch_reaches(self, event: Event, element: Element, phase: Phase) -> None:
        """The listeners of an element are next."""
        due = self._due[event]
        is_next = bool(due) and due[0] == (element, phase)
        require(is_next, PATH, f"{event.type} reaches {element} in {phase}, and {due[:1]} is next")
        due.pop(0)

    def server_is_asked(self, address: str) -> None:
        """A request has come to the server."""
        self.asked[address] = self.asked.get(address, 0) + 1
        require(self.asked[address] == 1, ONCE, f"{address} is asked for again")

    def resource_is_given(self, element: Element) -> None:
        """What was fetched for an element is given to it."""
        require(element.is_connected, REMOVED, f"{element} is no longer in the document")

    def frame_is_made(self, blocking: int) -> None:
        """A frame is painted while so many style sheets are on their way."""
        require(blocking == 0, STYLED, f"{blocking} style sheets are missing")

    def layout_is_made(self, difference: str) -> None:
        """A layout has been compared with one from scratch."""
        require(not difference, AS_FROM_SCRATCH, difference)
