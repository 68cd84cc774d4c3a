"""The primitives of trio that order tasks: the wrappers that `HappensBefore` puts around their methods.

Each wrapper takes the original method and gives one that does the same and says what was published or seen. Of
blocking calls the `…_nowait` parts are enough: a task that blocks goes on because it is woken, which counts by itself.
The exceptions are calls that need not block and look past these parts, `Event.wait` and the exit of a nursery.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

import outcome
import trio

from detrun.races.published import Published
from detrun_scheduler.trio_host.private import CHILD_FINISHED, JOIN, channel_state

Method: TypeAlias = Callable[..., Any]
Wrapper: TypeAlias = Callable[[Method], Method]


class TrioPrimitives:
    """The wrappers of one watched run."""

    def __init__(self, published: Published) -> None:
        self.published = published

    def wrappers(self) -> dict[type, dict[str, Wrapper]]:
        """By class and name of the method."""
        taking, giving_back = self._taking, self._giving_back
        lock: dict[str, Wrapper] = {"acquire_nowait": taking, "release": giving_back}
        return {
            trio.Event: {"set": self._setting, "is_set": self._looking, "wait": self._waiting},
            trio.Lock: lock,
            trio.StrictFIFOLock: lock,
            trio.Semaphore: lock,
            trio.CapacityLimiter: {
                "acquire_on_behalf_of_nowait": taking,
                "release_on_behalf_of": giving_back,
            },
            trio.MemorySendChannel: {"send_nowait": self._sending, "close": self._closing},
            trio.MemoryReceiveChannel: {"receive_nowait": self._receiving, "close": self._closing},
            trio.CancelScope: {"cancel": self._cancelling},
            trio.Nursery: {CHILD_FINISHED: self._child_ending, JOIN: self._joining},
            trio.lowlevel.TrioToken: {"run_sync_soon": self._handing_over},
        }

    def _key(self, thing: Any) -> Hashable:
        return "object", self.published.label(thing)

    def _setting(self, original: Method) -> Method:
        def set(event: Any) -> None:
            self.published.release(self._key(event), f"set {self.published.label(event)}")
            original(event)

        return set

    def _looking(self, original: Method) -> Method:
        def is_set(event: Any) -> bool:
            found: bool = original(event)
            if found:
                self.published.acquire(self._key(event))
            return found

        return is_set

    def _waiting(self, original: Method) -> Method:
        async def wait(event: Any) -> None:
            await original(event)
            self.published.acquire(self._key(event))

        return wait

    def _taking(self, original: Method) -> Method:
        def acquire_nowait(lock: Any, *borrower: Any) -> None:
            original(lock, *borrower)
            self.published.acquire(self._key(lock))
            if isinstance(lock, trio.Lock | trio.StrictFIFOLock):
                self.published.detector.took(self.published.run.current, self.published.label(lock))

        return acquire_nowait

    def _giving_back(self, original: Method) -> Method:
        def release(lock: Any, *borrower: Any) -> None:
            # Before the original, which hands the lock over to the next in line.
            label = self.published.label(lock)
            self.published.release(self._key(lock), f"released {label}")
            original(lock, *borrower)
            if isinstance(lock, trio.Lock | trio.StrictFIFOLock):
                self.published.detector.gave_back(label)
                owner = self.published.run.host.numbers.get(lock.statistics().owner)  # type: ignore[arg-type]
                if owner is not None:
                    self.published.detector.took(owner, label)

        return release

    def _sending(self, original: Method) -> Method:
        def send_nowait(channel: Any, value: Any) -> None:
            state = channel_state(channel)
            handed_over = bool(state.receive_tasks)  # which is a wake-up
            try:
                original(channel, value)
            except trio.BrokenResourceError:
                self.published.acquire(self._key(state))
                raise
            if not handed_over:
                clock = self.published.detector.release(self.published.run.current, None, "sent a message")
                self.published.messages.setdefault(self._key(state), deque()).append(clock)

        return send_nowait

    def _receiving(self, original: Method) -> Method:
        def receive_nowait(channel: Any) -> Any:
            state = channel_state(channel)
            # A sender that waits has done nothing since, so its clock is the message's.
            waiting = self.published.run.host.numbers.get(next(iter(state.send_tasks), None))  # type: ignore[arg-type]
            try:
                value = original(channel)
            except trio.EndOfChannel:
                self.published.acquire(self._key(state))
                raise
            messages = self.published.messages.setdefault(self._key(state), deque())
            if waiting is not None:
                messages.append(self.published.detector.release(waiting, None, "sent a message"))
            if messages:
                self.published.detector.acquire(self.published.run.current, messages.popleft())
            return value

        return receive_nowait

    def _closing(self, original: Method) -> Method:
        def close(channel: Any) -> None:
            self.published.release(self._key(channel_state(channel)), "closed a channel")
            original(channel)

        return close

    def _cancelling(self, original: Method) -> Method:
        def cancel(scope: Any, *reason: Any, **reasons: Any) -> None:
            if self.published.in_step():
                self.published.release("cancellation", "cancelled a scope")
            original(scope, *reason, **reasons)

        return cancel

    def _child_ending(self, original: Method) -> Method:
        def child_finished(nursery: Any, task: Any, result: outcome.Outcome[Any]) -> None:
            if isinstance(result, outcome.Error):
                self.published.release("cancellation", "failed")
            self.published.release(self._key(nursery), "ended")
            original(nursery, task, result)

        return child_finished

    def _joining(self, original: Method) -> Method:
        async def nested_child_finished(nursery: Any, error: BaseException | None) -> BaseException | None:
            if error is not None:
                self.published.release("cancellation", "failed inside a nursery")
            result: BaseException | None = await original(nursery, error)
            self.published.acquire(self._key(nursery))
            return result

        return nested_child_finished

    def _handing_over(self, original: Method) -> Method:
        def run_sync_soon(token: Any, function: Callable[..., Any], *args: Any, idempotent: bool = False) -> None:
            if idempotent or not self.published.in_step():
                original(token, function, *args, idempotent=idempotent)
                return
            clock = self.published.detector.release(self.published.run.current, None, "handed a callback to the run")

            def called(*given: Any) -> Any:
                self.published.detector.acquire(self.published.run.current, clock)
                return function(*given)

            original(token, called, *args)

        return run_sync_soon
