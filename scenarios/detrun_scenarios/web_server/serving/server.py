"""`WebServer`: the application under unmodified hypercorn, as the program of a node.

A SIGTERM (`terminate`) begins the drain; when that is over hypercorn stops listening, closes idle connections, and
cancels what is still there. A crash of the node runs none of this, and clients find their connections reset.
"""

from __future__ import annotations

from collections import defaultdict

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from detrun.world import Node
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.web_server.addresses import WEB_PORT
from detrun_scenarios.web_server.invariants import ACCEPTED
from detrun_scenarios.web_server.parts import Parts
from detrun_scenarios.web_server.serving.stack import Stack
from detrun_scenarios.web_server.settings import Settings

LAST_WORDS_SECONDS = 0.01  # for refusals that are on their way when the drain is over; hypercorn's graceful_timeout


class WebServer:
    """See the module.

    Args:
        node: on which it runs.

    Attributes:
        stack: of the present start, or of the last; None before the first.
        stacks: of all starts.
    """

    def __init__(self, settings: Settings, parts: Parts, node: Node) -> None:
        self.settings = settings
        self.parts = parts
        self.node = node
        self.stacks: list[Stack] = []
        # By the number of a start: a signal is for the process that runs, also where that has not taken a step yet.
        self._terminated: defaultdict[int, trio.Event] = defaultdict(trio.Event)

    @property
    def stack(self) -> Stack | None:
        """See the class."""
        return self.stacks[-1] if self.stacks else None

    def terminate(self) -> None:
        """What SIGTERM does: the server drains and stops."""
        self._terminated[self.node.starts].set()

    async def run(self) -> None:
        """The program of the node: serve until terminated."""
        terminated = self._terminated[self.node.starts]
        async with trio.open_nursery() as background:
            stack = Stack(self.settings, self.parts, background)
            self.stacks.append(stack)

            async def drained() -> None:
                await terminated.wait()
                await stack.drain.wait()

            await serve(stack.application, self._config(), shutdown_trigger=drained, mode="asgi")
            dropped = stack.application.dropped
            require(stack.drain.was_late or not dropped, ACCEPTED, f"{dropped} accepted requests got no answer")
            background.cancel_scope.cancel()
            await stack.close()

    def _config(self) -> Config:
        config = Config()
        config.bind = [f"0.0.0.0:{WEB_PORT}"]
        config.accesslog = config.errorlog = None
        config.keep_alive_timeout = plain(self.settings.keep_alive)
        config.graceful_timeout = LAST_WORDS_SECONDS
        return config
