"""Promises, and scripts that await them: coroutines that the event loop steps, one microtask after each wait.

A script runs until it awaits a promise. When that is resolved, a microtask is queued in which the script goes on. So
between two awaits nothing else touches the page, as in JavaScript.

Source: ECMAScript 2024, 27.2 (promise jobs) and 27.7.5 (await).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeAlias

Script: TypeAlias = Coroutine["Promise", Any, None]
Microtasks: TypeAlias = Callable[[Callable[[], None]], None]  # queues one


class Promise:
    """A value that comes later, once."""

    __slots__ = ("_callbacks", "_is_resolved", "_microtasks", "_value")

    def __init__(self, microtasks: Microtasks) -> None:
        self._microtasks = microtasks
        self._callbacks: list[Callable[[Any], None]] = []
        self._is_resolved = False
        self._value: Any = None

    @classmethod
    def resolved(cls, microtasks: Microtasks) -> Promise:
        """One that lets a script go on in the next microtask."""
        promise = cls(microtasks)
        promise.resolve()
        return promise

    def resolve(self, value: Any = None) -> None:
        """Give the value; all but the first do nothing."""
        if self._is_resolved:
            return
        self._is_resolved, self._value = True, value
        for callback in self._callbacks:
            self._queue(callback)

    def then(self, callback: Callable[[Any], None]) -> None:
        """Call back, in a microtask, with the value."""
        if self._is_resolved:
            self._queue(callback)
        else:
            self._callbacks.append(callback)

    def _queue(self, callback: Callable[[Any], None]) -> None:
        self._microtasks(lambda: callback(self._value))

    def __await__(self) -> Generator[Promise, Any, Any]:
        return (yield self)


class Scripts:
    """The scripts of one page.

    Args:
        compute: told of the time that each stretch of a script takes.
    """

    SECONDS = 1e-4  # a stretch between two awaits, besides what it computes

    def __init__(self, compute: Callable[[Any], None]) -> None:
        self._compute = compute
        self._running: dict[Script, None] = {}

    def start(self, script: Script) -> None:
        """Run a script to its first wait."""
        self._running[script] = None
        self._go_on(script, None)

    def close(self) -> None:
        """The page is left: end all scripts where they wait."""
        for one in list(self._running):
            one.close()
        self._running.clear()

    def _go_on(self, script: Script, value: Any) -> None:
        if script not in self._running:
            return
        self._compute(self.SECONDS)
        try:
            promise = script.send(value)
        except StopIteration:
            del self._running[script]
        else:
            promise.then(lambda found: self._go_on(script, found))
