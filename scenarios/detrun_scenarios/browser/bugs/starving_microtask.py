"""A script that waits for another looks again in a microtask: no task runs, and what it waits for never comes."""

from __future__ import annotations

from detrun_scenarios.browser.scripting.promises import Promise
from detrun_scenarios.browser.scripting.window import Window


class StarvingMicrotask(Window):
    """Lets nothing but microtasks go on meanwhile."""

    def pause(self) -> Promise:
        """See `Window.pause`."""
        return self.microtask()  # right: a later task
