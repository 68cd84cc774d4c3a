"""Programs that cannot be run are refused in one line that says what detrun runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

import detrun
from detrun.errors import UsageError


async def async_generator() -> AsyncGenerator[int]:
    yield 1
    raise AssertionError("never reached")


def generator(argument: int = 0) -> Iterator[int]:
    yield argument
    raise AssertionError("never reached")


VERBS: tuple[Callable[[Any], Any], ...] = (
    detrun.record,
    detrun.check_determinism,
    lambda main: detrun.explore(main, schedules=2, directory=None).raise_on_failure(),
)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("program", "words"),
    [
        (async_generator, "async_generator is an async generator function: calling it runs none of it"),
        (generator, "generator is a generator function"),
        (partial(generator, 3), "generator is a generator function"),
    ],
)
def test_a_generator_as_program_is_refused(verb: Callable[[Any], Any], program: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        verb(program)
