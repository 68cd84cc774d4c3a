"""A server and its client on two nodes of a world, which a partition cuts off from each other for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import detrun


def replayed(main: Callable[..., Any], backend: str = "auto") -> Any:
    """What a program returns, whose replay is the same run."""
    run = detrun.record(main, backend=backend)
    assert detrun.replay(main, recording=run.recording).digest == run.digest
    return run.result


def through_a_partition(library: Any, server: Callable[..., Any], client: Callable[..., Any]) -> list[Any]:
    """What the client notes of three requests, a second apart, the second of which meets a partition.

    ``library``, trio or asyncio, is what the program beside them uses.
    """

    async def main() -> list[Any]:
        got: list[Any] = []
        async with detrun.World(latency=0.01, loss=0.01) as world:
            world.node("server").start(server)
            await library.sleep(0.5)
            world.node("client").start(client, got)
            await library.sleep(0.8)
            world.partition("server", "client")
            await library.sleep(1.5)
            world.heal()
            await world.node("client").ended()
        return got

    found: list[Any] = replayed(main, library.__name__)
    return found
