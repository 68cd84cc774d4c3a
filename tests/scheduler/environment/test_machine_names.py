"""What ``platform`` says in a run does not depend on what the process has asked before."""

from __future__ import annotations

import platform
from typing import Any

import detrun


def _asked() -> list[Any]:
    return [platform.processor(), tuple(platform.uname()), platform.node()]


def test_the_first_run_that_asks_for_the_processor_is_like_the_next_one_and_starts_no_program():
    vars(platform.uname()).pop("processor", None)  # as in a fresh process
    first = detrun.record(_asked)
    outside = platform.processor()  # from now on the module keeps it
    second = detrun.record(_asked)
    assert (first.steps, first.digest) == (second.steps, second.digest)
    assert (first.result[0], first.result[2]) == ("", platform.node())
    assert first.result[1] == (*platform.uname()[:5], "")
    assert platform.processor() == outside


def test_the_name_of_a_node_is_kept_neither_for_another_node_nor_for_code_outside():
    real = platform.uname()

    async def main() -> list[Any]:
        seen: list[Any] = []
        async with detrun.World() as world:

            def ask() -> None:
                seen.append((platform.node(), platform.uname().node))

            for name in ("a", "b"):
                world.node(name).start(ask)
                await world.node(name).ended()
        return [*seen, platform.node()]

    assert detrun.record(main).result == [("a", "a"), ("b", "b"), real.node]
    assert platform.uname() == real
