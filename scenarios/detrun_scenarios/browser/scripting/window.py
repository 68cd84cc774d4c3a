"""`Window`: what scripts see of a browser: the document, timers, fetch, observers, background time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import trio

import detrun
from detrun_scenarios.browser.dom.document import Document, Mutation
from detrun_scenarios.browser.dom.nodes import Element, Handler
from detrun_scenarios.browser.dom.observers import Observers
from detrun_scenarios.browser.invariants import Monitor
from detrun_scenarios.browser.loop.event_loop import EventLoop, Source
from detrun_scenarios.browser.scripting.promises import Promise, Script, Scripts
from detrun_scenarios.frame.plain import plain

POLL_SECONDS = 0.004  # browsers clamp nested timers to this


class Deadline:
    """Of a stretch of background work: how much of its time is left."""

    def __init__(self, loop: EventLoop, budget: Any) -> None:
        self._loop = loop
        self.left = budget

    def spend(self, seconds: Any) -> Any:
        """Compute for that long or for what is left, and say how long it was."""
        taken = detrun.minimum(seconds, self.left)
        self._loop.compute(taken)
        self.left = self.left - taken
        return taken

    @property
    def has_time(self) -> bool:
        """Whether there is some."""
        return plain(self.left) > 0.0


class State(dict[str, Any]):
    """What the scripts of a page share.

    Attributes:
        looked_at: the entry that was read last.
    """

    looked_at = ""

    def __getitem__(self, name: str) -> Any:
        self.looked_at = name
        return super().__getitem__(name)


class Window:
    """Of one page.

    Args:
        tasks: in which timers and fetches wait.
        get: fetches a resource by address.
        work_budget: seconds of one stretch of background work.

    Attributes:
        state: what the scripts of a page share.
    """

    def __init__(
        self,
        document: Document,
        loop: EventLoop,
        observers: Observers,
        scripts: Scripts,
        tasks: trio.Nursery,
        get: Callable[[str], Any],
        work_budget: Any,
        monitor: Monitor,
    ) -> None:
        self.document = document
        self.state = State()
        self._monitor = monitor
        self._loop = loop
        self._observers = observers
        self._scripts = scripts
        self._tasks = tasks
        self._get = get
        self._work_budget = work_budget

    def start(self, script: Script) -> None:
        """Run another script, beside this one."""
        self._scripts.start(script)

    def compute(self, seconds: Any) -> None:
        """What the script does takes so long."""
        self._loop.compute(seconds)

    def listen(self, element: Element, event_type: str, handler: Handler, capture: bool = False) -> None:
        """Be told of events at an element or below."""
        element.listeners.setdefault(event_type, []).append((capture, handler))

    def observe(self, target: Element, callback: Callable[[Sequence[Mutation]], None]) -> None:
        """Be told of changes at an element or below, in a microtask."""
        self._observers.observe(target, callback)

    def microtask(self) -> Promise:
        """Go on in the next microtask."""
        return Promise.resolved(self._loop.queue_microtask)

    def timeout(self, seconds: Any) -> Promise:
        """Go on after that time, in a task."""
        promise = self._promise()

        async def wait() -> None:
            await trio.sleep(seconds)
            self._loop.queue(Source.TIMER, promise.resolve)

        self._tasks.start_soon(wait)
        return promise

    def pause(self) -> Promise:
        """Let others go on before a condition is looked at again: until a later task."""
        return self.timeout(POLL_SECONDS)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a condition on the state."""
        while not holds():
            promise = self.pause()
            self._monitor.script_looks_again(self.state.looked_at)
            await promise
        self._monitor.condition_holds(self.state.looked_at)

    def background(self) -> Promise:
        """Go on when there is nothing else to do, with a `Deadline`."""
        promise = self._promise()
        self._loop.queue(Source.BACKGROUND, lambda: promise.resolve(Deadline(self._loop, self._work_budget)))
        return promise

    def fetch(self, address: str) -> Promise:
        """Go on with the text of a resource, in a task."""
        promise = self._promise()

        async def wait() -> None:
            body = await self._get(address)
            self._loop.queue(Source.NETWORK, lambda: promise.resolve(body.decode()))

        self._tasks.start_soon(wait)
        return promise

    def _promise(self) -> Promise:
        return Promise(self._loop.queue_microtask)
