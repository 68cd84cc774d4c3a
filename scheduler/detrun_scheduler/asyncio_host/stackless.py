"""`Stackless`: what looks like a suspended coroutine to trio and has no stack, since each step is a call of its `send`.

Lanes and the main thread of an asyncio program are of this kind. This module does not import asyncio, so that the run
loop can know it.
"""

from __future__ import annotations

from types import FrameType

from detrun_scheduler.threads.simulated_thread import NO_FRAME


class Stackless:
    """What trio, the run loop and reports ask of a coroutine, apart from its steps.

    Attributes:
        has_begun: it has taken a step.
        has_ended: it takes none any more.
    """

    __slots__ = ("has_begun", "has_ended")

    has_begun: bool
    has_ended: bool

    cr_await = None
    ends_alone = True  # it always returns, and no nursery, scope or lock of trio's ends with it
    is_stackless = True  # it is never suspended in the midst of something

    @property
    def cr_suspended(self) -> bool:
        """Whether it has begun and not ended."""
        return self.has_begun and not self.has_ended

    @property
    def cr_frame(self) -> FrameType | None:
        """A frame while it lives, which has no callers; the run loop takes None for the end."""
        return None if self.has_ended else NO_FRAME
