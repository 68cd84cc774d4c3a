"""What is always true, checked by a `Monitor` that sees the page, the loop and the server at once.

- *layout is as from scratch*: boxes that were kept are those that would be computed;
- *microtasks run out first*: no task begins while a microtask waits;
- *microtasks come to an end*: one checkpoint runs fewer than `MICROTASKS_MAX`, since tasks wait meanwhile;
- *events follow the path of their dispatch*: each element that is told of one was on the path when the dispatch began,
  and comes in its turn;
- *a resource is fetched once*: the server is asked for each address once, whatever asks for it in the browser;
- *removed nodes are left alone*: nothing that was fetched is given to an element that is no longer in the document;
- *nothing is painted unstyled*: no frame is made before the style sheets that block it are there.

What was done to a node is noted when it happens, and a failure says so: all happens in one task, where the last step
before a failure touches everything.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Final

from detrun.checkers.transactions import Place, noted_place
from detrun_scenarios.browser.dom.document import Mutation
from detrun_scenarios.browser.dom.events import Event, Phase
from detrun_scenarios.browser.dom.nodes import Element, Node
from detrun_scenarios.frame.declaration import Invariant
from detrun_scenarios.frame.requirement import about, require

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
    Invariant(PATH, "each element that is told of one was on the path when the dispatch began"),
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
        self._noted = NotedChanges()
        self._dispatched: dict[Event, Place | None] = {}
        self._not_found: dict[str, Place | None] = {}
        self._started: dict[str, Place | None] = {}
        self._held: dict[str, Place | None] = {}
        self._waits_for = ""
        self._looks_again: Place | None = None

    def document_changes(self, change: Mutation) -> None:
        """A document has just changed; called by what the document tells of it."""
        self._noted.add(change, noted_place(sys._getframe(2)))

    def task_begins(self, microtasks: int) -> None:
        """A task begins while so many microtasks wait."""
        require(microtasks == 0, RUN_OUT, f"{microtasks} microtasks wait")

    def checkpoint_has_run(self, microtasks: int) -> None:
        """So many microtasks since the last task."""
        places = (("goes on", self._held.get(self._waits_for)), ("looks again", self._looks_again))
        require(about(microtasks < MICROTASKS_MAX, *places), END, f"{microtasks} microtasks, one after the other")

    def condition_holds(self, name: str) -> None:
        """A script goes on, since a condition on an entry of the state holds; called by what has looked."""
        self._held[name] = noted_place(sys._getframe(1))

    def script_looks_again(self, name: str) -> None:
        """A condition on an entry of the state does not hold, and is looked at again; called by what has looked."""
        self._looks_again = noted_place(sys._getframe(1))
        self._waits_for = name

    def dispatch_begins(self, event: Event) -> None:
        """An event is dispatched, now, along a path that has just been found."""
        self._dispatched[event] = noted_place(sys._getframe(1))
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
        places = () if is_next else (("moves", self._noted.parted(event.aimed)), ("travels", self._dispatched[event]))
        detail = f"{event.type} reaches {element} in {phase}, and {due[:1]} is next"
        require(about(is_next, *places), PATH, detail)
        due.pop(0)

    def server_is_asked(self, address: str) -> None:
        """A request has come to the server."""
        self.asked[address] = self.asked.get(address, 0) + 1
        places = (("looks", self._not_found.get(address)), ("starts", self._started.get(address)))
        require(about(self.asked[address] == 1, *places), ONCE, f"{address} is asked for again")

    def no_flight_is_found(self, address: str) -> None:
        """The cache has looked for a fetch of a resource in vain; called by what looks."""
        self._not_found[address] = noted_place(sys._getframe(2))

    def flight_starts(self, address: str) -> None:
        """The cache starts a fetch: the first of a resource counts."""
        self._started.setdefault(address, noted_place(sys._getframe(1)))

    def resource_is_given(self, element: Element) -> None:
        """What was fetched for an element is given to it."""
        above = element.ancestors()[-1]
        places = (("removes", self._noted.removed.get(above)), ("gives", noted_place(sys._getframe(1))))
        require(about(above.is_root, *places), REMOVED, f"{element} is no longer in the document: {element.attributes}")

    def frame_is_made(self, blocking: int) -> None:
        """A frame is painted while so many style sheets are on their way."""
        require(blocking == 0, STYLED, f"{blocking} style sheets are missing")

    def layout_is_made(self, difference: str) -> None:
        """A layout has been compared with one from scratch."""
        marks, moves = self._noted.unmarked or (None, None)
        require(about(not difference, ("marks", marks), ("moves", moves)), AS_FROM_SCRATCH, difference)
        self._noted.unmarked = None


class NotedChanges:
    """Where the changes of documents were made.

    Attributes:
        removed: of each node that was taken off its parent, to be moved or for good, the last time.
        marked: of each element, where its boxes were last said to be out of date.
        unmarked: of an element that was out of date when it moved, and no longer afterwards: where it was marked, and
            where it moved.
    """

    def __init__(self) -> None:
        self.removed: dict[Node, Place | None] = {}
        self.marked: dict[Element, Place | None] = {}
        self.unmarked: tuple[Place | None, Place | None] | None = None
        self._leaves: tuple[Element, Place | None] | None = None  # while it is out of date

    def add(self, change: Mutation, place: Place | None) -> None:
        """A change was made there."""
        if change.kind != "attributes":
            self.marked[change.target] = place
        if change.removed is not None:
            self.removed[change.removed] = place
            self._leaves = None
            if isinstance(change.removed, Element) and _is_marked(change.removed):
                self._leaves = change.removed, self._last_mark(change.removed)
        if change.added is not None:
            if self._leaves is not None and self._leaves[0] is change.added and not _is_marked(self._leaves[0]):
                self.unmarked = self._leaves[1], place
            self._leaves = None

    def parted(self, path: list[Element]) -> Place | None:
        """Where the last element was moved or removed whose parent on this path is no longer its own."""
        found = [self.removed.get(one) for one, above in pairwise(path) if one.parent is not above]
        return max((one for one in found if one is not None), key=lambda one: one.step, default=None)

    def _last_mark(self, above: Element) -> Place | None:
        found = [self.marked.get(one) for one in above.elements()]
        return max((one for one in found if one is not None), key=lambda one: one.step, default=None)


def _is_marked(element: Element) -> bool:
    return element.needs_layout or element.child_needs_layout
