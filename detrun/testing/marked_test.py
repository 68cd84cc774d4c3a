"""A marked test as a program: `detrun.explore` runs it in place of the test function.

It stands for the function in every respect that matters to a run: name, source file (kept failures are followed
exactly while the file is unchanged), and whether it is async. Its fixtures are made inside the run.

``pytest.skip``, ``pytest.xfail`` and ``pytest.exit`` say something about the test and not about a schedule. They end
the exploration, wrapped as `TestEnded`, and are raised again outside.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest

from detrun.testing.fresh_fixtures import Making
from detrun_scheduler.endings import exception_leaves
from detrun_scheduler.errors import UsageError

_ENDINGS = (pytest.skip.Exception, pytest.xfail.Exception, pytest.exit.Exception)


class TestEnded(UsageError):
    """The test itself said that it is over. A `UsageError`, since that ends an exploration without a failure."""

    __test__ = False

    def __init__(self, ending: BaseException) -> None:
        super().__init__(str(ending))
        self.ending = ending


class _Test:
    """What both kinds of tests have in common.

    Args:
        function: the test.
        arguments: what it is called with; recipes of fixtures among them are followed anew in each run.
        others: recipes that are followed for what they do, not for a value: autouse fixtures.
    """

    def __init__(self, function: Callable[..., Any], arguments: Mapping[str, Any], others: Sequence[Any] = ()) -> None:
        self.function = function
        self.arguments = arguments
        self.others = others
        self.__code__ = function.__code__
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__wrapped__ = function


class PlainTest(_Test):
    """A plain function."""

    def __call__(self) -> None:
        """Make the fixtures, run the test, and undo the fixtures."""
        __tracebackhide__ = True
        making = Making()
        try:
            with ExitStack() as stack:
                for fixture in self.others:
                    making.sync_value(fixture, stack)
                arguments = {name: making.sync_value(value, stack) for name, value in self.arguments.items()}
                self.function(**arguments)
        except BaseException as error:
            ended = _ended(error)
            if ended is None:
                raise
            raise ended from None


class AsyncTest(_Test):
    """An async function."""

    async def __call__(self) -> None:
        """Make the fixtures, run the test, and undo the fixtures."""
        __tracebackhide__ = True
        making = Making()
        try:
            async with AsyncExitStack() as stack:
                for fixture in self.others:
                    await making.async_value(fixture, stack)
                arguments = {name: await making.async_value(value, stack) for name, value in self.arguments.items()}
                await self.function(**arguments)
        except BaseException as error:
            ended = _ended(error)
            if ended is None:
                raise
            raise ended from None


AnyTest = PlainTest | AsyncTest


def marked_test(function: Callable[..., Any], arguments: Mapping[str, Any], others: Sequence[Any] = ()) -> AnyTest:
    """The program of a test function."""
    kind = AsyncTest if inspect.iscoroutinefunction(function) else PlainTest
    return kind(function, arguments, others)


def _ended(error: BaseException) -> TestEnded | None:
    endings = [leaf for leaf in exception_leaves(error) if isinstance(leaf, _ENDINGS)]
    return TestEnded(endings[0]) if endings else None
