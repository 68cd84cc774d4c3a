"""`travel`: a motion in virtual time, beside other tasks that may change what moves it.

The event lies ahead, at a time that is known; a task sleeps until then. If news comes earlier, such as a gust or the
decision of a controller, the motion is followed up to that moment only, and the caller goes on from there. Which of
both comes first is decided by the clock, and its margin is a site of the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from detrun_scenarios.physics.exact.flow import Flow, Guard
from detrun_scenarios.physics.exact.legs import Arrival, follow


async def travel(
    flow: Flow, state: Any, guards: Sequence[Guard], news: trio.MemoryReceiveChannel[Any]
) -> tuple[Arrival, Any]:
    """Move until an event, or until there is news; the news is None at an event.

    Raises:
        UsageError: there is no event to wait for.
    """
    began = trio.current_time()
    arrival = follow(flow, state, guards)
    with trio.move_on_after(arrival.elapsed):
        heard = await news.receive()
        return follow(flow, state, duration=trio.current_time() - began), heard
    return arrival, None
