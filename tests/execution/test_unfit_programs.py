"""Programs that cannot be run are refused in one line that says what detrun runs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

import detrun
from detrun.errors import HiddenStateError, UsageError


async def of_asyncio() -> None:
    await asyncio.sleep(1)


def runs_asyncio() -> None:
    asyncio.run(of_asyncio())


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


@pytest.mark.parametrize("verb", [VERBS[0], VERBS[2]])
@pytest.mark.parametrize(("program", "error"), [(of_asyncio, UsageError), (runs_asyncio, HiddenStateError)])
def test_a_program_of_asyncio_is_told_that_detrun_runs_trio(
    verb: Callable[[Any], Any], program: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="asyncio programs cannot run here yet; detrun runs trio programs, and threads"):
        verb(program)


def test_a_program_of_asyncio_leaves_no_noise() -> None:
    code = """
import asyncio, detrun
async def main(): await asyncio.sleep(1)
for program in (main, lambda: asyncio.run(main())):
    try:
        detrun.record(program)
    except detrun.DetrunError:
        print("told")
"""
    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("told\ntold\n", "")
