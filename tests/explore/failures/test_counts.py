"""Operations that only count conflict with what reads the sum, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from detrun.execution.options import Options
from detrun.explore.campaign.program import Program
from detrun.explore.failures.narration import narrate
from detrun.explore.failures.operations import pairs


class Store:
    def __init__(self) -> None:
        self.hits = 0
        self.bytes = 0
        self.value = 0


async def counted(store: Store) -> None:
    store.hits += 1


async def added_up(store: Store) -> None:
    store.bytes += len("value")


async def counted_and_looked_at(store: Store) -> None:
    store.hits += 1
    assert store.hits < 3


async def added_up_and_read(store: Store) -> None:
    store.bytes += len("value")
    assert store.bytes < 11


async def set_anew(store: Store) -> None:
    store.value = store.value + 1


def names_of_pairs(act: Callable[[Store], Any]) -> set[str]:
    async def program() -> None:
        store = Store()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(act, store)
            nursery.start_soon(act, store)

    narration = narrate(Program(program, (), Options()), 0, [])
    return {pair.resource.rpartition(".")[2] for pair in pairs(narration, None) if pair.resource.startswith("Store")}


@pytest.mark.one_python
def test_what_only_counts_is_in_no_pair() -> None:
    assert names_of_pairs(counted) == set()
    assert names_of_pairs(added_up) == set()
    assert names_of_pairs(counted_and_looked_at) == {"hits"}
    assert names_of_pairs(added_up_and_read) == {"bytes"}
    assert names_of_pairs(set_anew) == {"value"}
