"""Events: each travels from the root down to its target and up again, along the path of the moment of its dispatch.

The path is found when the dispatch begins, and stays although listeners change the tree. Between the press of a user
and the dispatch of a click time passes, in which what it was aimed at may have been moved.

Source: WHATWG, DOM standard, 2.9 (dispatching events).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from detrun_scenarios.browser.dom.nodes import Element

Phase: TypeAlias = Literal["capture", "target", "bubble"]


@dataclass(slots=True, eq=False)
class Event:
    """An event.

    Attributes:
        aimed: the path from the target outwards when the user pressed.
        is_stopped: no other element is told of it.
    """

    type: str
    target: Element
    aimed: list[Element] = field(default_factory=list)
    is_stopped: bool = False
    current: Element | None = None

    def stop(self) -> None:
        """Tell no other element."""
        self.is_stopped = True


class Dispatcher:
    """See the module.

    Args:
        began: told of an event when its path has been found.
        reached: told of an event and the phase before each element's listeners are called.
        after_listener: awaited after each listener, where no script runs: microtasks.
    """

    def __init__(
        self,
        began: Callable[[Event], None],
        reached: Callable[[Event, Element, Phase], None],
        after_listener: Callable[[], Awaitable[None]],
    ) -> None:
        self._began = began
        self._reached = reached
        self._after_listener = after_listener

    def path_of(self, event: Event) -> list[Element]:
        """The path from the target outwards, now."""
        return event.target.ancestors()

    async def dispatch(self, event: Event) -> None:
        """Tell all listeners on the path."""
        path = self.path_of(event)
        self._began(event)
        down: list[tuple[Element, Phase]] = [(one, "capture") for one in reversed(path[1:])]
        up: list[tuple[Element, Phase]] = [(one, "bubble") for one in path[1:]]
        for element, phase in [*down, (path[0], "target"), *up]:
            if event.is_stopped:
                return
            self._reached(event, element, phase)
            event.current = element
            for wants_capture, handler in list(element.listeners.get(event.type, ())):
                if phase == "target" or wants_capture is (phase == "capture"):
                    handler(event)
                    await self._after_listener()
