"""Fixtures that are set up for every schedule.

A test that is run a thousand times with one fixture value is not run under a thousand schedules: what the first leaves
in the value decides the second. So the project's own function-scoped fixtures are not set up by pytest but by the run,
before the test's body and on the run's clock, and torn down after it; which lets them be async, too. Everything else
(wider scopes, pytest's own ``tmp_path`` and ``monkeypatch``, fixtures of plugins unless they and the test are async) is
set up once, outside, by pytest.

pytest gets a `FreshFixture` in place of the value, a recipe whose arguments may be recipes in turn.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from detrun_scheduler.errors import UsageError
from detrun_scheduler.user_code import is_user_file


@dataclass(eq=False, frozen=True, slots=True)
class FreshFixture:
    """How to make a fixture's value."""

    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any]

    def __init__(self, name: str, function: Callable[..., Any], /, **arguments: Any) -> None:
        for attribute, value in (("name", name), ("function", function), ("arguments", arguments)):
            object.__setattr__(self, attribute, value)

    @property
    def is_async(self) -> bool:
        """Whether making it needs an async test."""
        return _is_async(self.function)


def is_made_by_runs(fixture: pytest.FixtureDef[Any], test: Callable[..., Any]) -> bool:
    """Whether it is function-scoped, and the project's own or an async one of a plugin for an async ``test``.

    An async fixture belongs to the event loop of its test, such as a client of pytest-aiohttp's.
    """
    function: Any = inspect.unwrap(fixture.func)
    code = getattr(function, "__code__", None)
    if fixture.scope != "function" or code is None or fixture.argname == "anyio_backend":
        return False
    if _is_async(function) and inspect.iscoroutinefunction(test):
        return True
    return is_user_file(code.co_filename) and "site-packages" not in code.co_filename


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def bound_to_test(function: Any, instance: object) -> Callable[..., Any]:
    """A fixture's function, as a method of the test's instance if it was defined in the test's class."""
    if instance is not None and isinstance(instance, type(getattr(function, "__self__", None))):
        return function.__func__.__get__(instance)  # type: ignore[no-any-return]
    return function  # type: ignore[no-any-return]


class Making:
    """Makes the values of one run; a recipe that several others need is followed once."""

    def __init__(self) -> None:
        self._made: dict[FreshFixture, Any] = {}

    def sync_value(self, value: Any, stack: ExitStack) -> Any:
        """``value`` itself, or what its recipe makes.

        Raises:
            UsageError: the recipe is async, or pytest-trio's.
        """
        if not isinstance(value, FreshFixture):
            return _given(value)
        if value not in self._made:
            if value.is_async:
                raise UsageError(
                    f"fixture {value.name!r} is async, but the test is a plain function; make the test 'async def'"
                )
            arguments = {name: self.sync_value(argument, stack) for name, argument in value.arguments.items()}
            self._made[value] = _make_sync(value, arguments, stack)
        return self._made[value]

    async def async_value(self, value: Any, stack: AsyncExitStack) -> Any:
        """``value`` itself, or what its recipe makes."""
        if not isinstance(value, FreshFixture):
            return _given(value)
        if value not in self._made:
            arguments = {name: await self.async_value(argument, stack) for name, argument in value.arguments.items()}
            if inspect.isasyncgenfunction(value.function):
                made = await stack.enter_async_context(asynccontextmanager(value.function)(**arguments))
            elif inspect.iscoroutinefunction(value.function):
                made = await value.function(**arguments)
            else:
                made = _make_sync(value, arguments, stack)
            self._made[value] = made
        return self._made[value]


def _given(value: Any) -> Any:
    """What pytest has made.

    Raises:
        UsageError: pytest-trio was to make it in a test of its own.
    """
    if type(value).__module__ == "pytest_trio.plugin":
        raise UsageError(
            f"{getattr(value, 'name', value)} is pytest-trio's, and works in its own tests only; in a test that detrun "
            "runs, open a nursery"
        )
    return value


def _make_sync(fixture: FreshFixture, arguments: dict[str, Any], stack: ExitStack | AsyncExitStack) -> Any:
    if inspect.isgeneratorfunction(fixture.function):
        return stack.enter_context(contextmanager(fixture.function)(**arguments))
    return fixture.function(**arguments)
