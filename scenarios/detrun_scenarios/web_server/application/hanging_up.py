"""`unless_hung_up`: work for a client ends when the client hangs up, and what is no longer wanted takes no turn.

ASGI tells an application of a client that is gone by an event of type ``http.disconnect``, and leaves it to the
application to stop (ASGI specification, HTTP, "Disconnect").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

Found = TypeVar("Found")


async def unless_hung_up(receive: Any, work: Callable[[], Awaitable[Found]]) -> Found | None:
    """What the work returns; None if the client hung up before.

    Args:
        receive: of the ASGI request, whose body has been read.
        work: raises nothing.
    """
    found = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hang_up, receive, nursery.cancel_scope)
        found = await work()
        nursery.cancel_scope.cancel()
    return found


async def _hang_up(receive: Any, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
