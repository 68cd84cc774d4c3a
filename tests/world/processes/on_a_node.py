"""Running an ordinary function as the program of a node, and the same again on replay."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import detrun

PYTHON = sys.executable


def on_a_node(program: Callable[[], Any], seed: int = 0, **world: Any) -> Any:
    """What ``program`` returns on a node; a replay has the same digest."""

    async def main() -> list[Any]:
        returned: list[Any] = []

        def called() -> None:
            returned.append(program())

        async with detrun.World(**world) as one:
            one.node("a").start(called)
            await one.node("a").ended()
        return returned

    run = detrun.record(main, seed=seed)
    assert detrun.replay(main, recording=run.recording).digest == run.digest
    assert len(run.result) == 1, "the program has not returned"
    return run.result[0]
