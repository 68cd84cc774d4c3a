"""An event travels along the path of the moment when the user acted; its target has been moved or removed."""

from __future__ import annotations

from detrun_scenarios.browser.dom.events import Dispatcher, Event
from detrun_scenarios.browser.dom.nodes import Element


class StalePath(Dispatcher):
    """Takes the path that was found with the target."""

    def path_of(self, event: Event) -> list[Element]:
        """See `Dispatcher.path_of`."""
        return event.aimed  # right: that of now
