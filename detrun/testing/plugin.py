"""Marked tests: each is explored, and one that fails ends its report with the explanation and a command.

`detrun_pytest`, which pytest always loads, hands over the items that have the mark. Their function is replaced by one
that explores it, so that to every other plugin a marked ``async def`` test is a plain test: pytest-trio's
``trio_mode`` and anyio leave it alone, and do not miss it. Tests without the mark are never looked at.

What a test shows, it shows in pytest's own way: the exception of the (shrunk) failing schedule is raised as if the
test had raised it, so that assertion introspection, ``xfail``, ``--pdb`` and reports of other plugins work.
"""

from __future__ import annotations

import functools
import inspect
import os
import unittest
from collections.abc import Callable, Generator
from pathlib import Path
from types import MethodType
from typing import Any

import pytest

import detrun
from detrun.testing.failure_page import page_written
from detrun.testing.failure_text import essence, failure_text, without_plumbing
from detrun.testing.fresh_fixtures import FreshFixture, bound_to_test, is_made_by_runs
from detrun.testing.marked_test import AnyTest, TestEnded, marked_test
from detrun.testing.progress import progress_of_test
from detrun.testing.replayed_failure import ReplayedFailure, replayed_failure
from detrun.testing.settings import settings_of
from detrun_scheduler.errors import UsageError
from detrun_scheduler.visible import visible

EXAMPLE_SCHEDULES = 20  # for each example of hypothesis, unless the test says otherwise

_FUNCTION = pytest.StashKey[Callable[..., Any]]()
_TEXT = pytest.StashKey[str]()
_REPLAYED = pytest.StashKey[ReplayedFailure]()


def take_over(item: pytest.Item) -> None:
    """Explore ``item``, which has the mark, when it is run."""
    if not isinstance(item, pytest.Function):
        return
    item.stash[_FUNCTION] = _by_hypothesis(item).inner_test if _by_hypothesis(item) else item.obj
    _replace_function(item)
    if _is_of_test_case(item):
        return  # what is wrong with it is said when it is run, as unittest's items are
    # pytest-asyncio makes items of a class of its own, which would await the function in an event loop of its own.
    for name in ("setup", "runtest"):
        if getattr(type(item), name) is not getattr(pytest.Function, name):
            setattr(item, name, MethodType(getattr(pytest.Function, name), item))


def _is_of_test_case(item: pytest.Function) -> bool:
    return isinstance(item.cls, type) and issubclass(item.cls, unittest.TestCase)


def _by_hypothesis(item: pytest.Function) -> Any:
    """The handle by which hypothesis lets others run the function that its ``given`` wraps; None without ``given``."""
    return getattr(item.obj, "hypothesis", None)


def _replace_function(item: pytest.Function) -> None:
    function = item.stash[_FUNCTION]

    @functools.wraps(function)
    def explored(*positional: Any, **arguments: Any) -> None:
        __tracebackhide__ = True
        if positional:  # hypothesis passes the test's instance
            arguments = inspect.signature(function).bind_partial(*positional, **arguments).arguments
        _run(item, function, arguments)

    # What pytest-trio, which refuses to run what is not async, sets on functions that it has replaced itself.
    explored._trio_test_runner_wrapped = True  # type: ignore[attr-defined]
    handle = _by_hypothesis(item)
    if handle is not None:
        handle.inner_test = explored
    else:
        item.obj = explored


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """With ``given`` one function serves all parameters of a test, so it is ours only while this item runs."""
    __tracebackhide__ = True
    if _FUNCTION in item.stash and isinstance(item, pytest.Function):
        _replace_function(item)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Leave function-scoped fixtures to the runs; outermost, so that no plugin sees an async one."""
    __tracebackhide__ = True
    test = request.node.stash.get(_FUNCTION, None)
    if test is None or not is_made_by_runs(fixturedef, test):
        return (yield)
    definition: Any = fixturedef  # its function is typed as final; anyio replaces it in this hook, too
    function = definition.func
    definition.func = functools.partial(FreshFixture, fixturedef.argname, bound_to_test(function, request.instance))
    try:
        return (yield)
    finally:
        definition.func = function


def _run(item: pytest.Function, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    __tracebackhide__ = True
    error = _failure_of(item, function, arguments)
    if isinstance(error, UsageError):
        pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)
    if error is not None:
        raise without_plumbing(essence(error))


def _failure_of(item: pytest.Function, function: Callable[..., Any], arguments: dict[str, Any]) -> BaseException | None:
    """What the test is to raise."""
    autouse = [value for value in item.funcargs.values() if isinstance(value, FreshFixture)]
    test = marked_test(function, arguments, autouse)
    if _is_of_test_case(item):
        return UsageError("pytest.mark.detrun: a method of a unittest.TestCase cannot be explored; use a function")
    replayed = item.session.stash.get(_REPLAYED, None)
    try:
        return _replay(item, test, replayed) if replayed is not None else _explore(item, test)
    except TestEnded as ended:
        return ended.ending
    except UsageError as wrong:
        return wrong


def _explore(item: pytest.Function, test: AnyTest) -> BaseException | None:
    settings = settings_of(item)
    directory: Path | None = item.config.rootpath / item.config.getini("detrun_directory")
    if _by_hypothesis(item) is not None:
        # Many examples, each of which is another program; hypothesis keeps and shrinks those that fail.
        directory = None
        settings = {"schedules": EXAMPLE_SCHEDULES, "shrink": False, "explain": False, **settings}
    with progress_of_test(item.config) as progress:
        exploration = detrun.explore(
            test, target=item.nodeid, directory=directory, confirm=False, progress=progress, **settings
        )
    if exploration.failure is not None:
        item.stash[_TEXT] = failure_text(item, exploration)
        directory_of_pages = item.config.getoption("detrun_html")
        if directory_of_pages is not None:
            item.stash[_TEXT] += f"\n{page_written(item, exploration, Path(directory_of_pages))}"
        return exploration.failure.exception
    if exploration.interrupted:
        raise KeyboardInterrupt
    exploration.raise_on_failure()  # without a failure: if there is no conclusion
    item.stash[_TEXT] = "\n".join([exploration.reason, str(exploration.coverage), *exploration.watched()])
    if exploration.interrupted_at.unmet:
        item.warn(pytest.PytestWarning(exploration.interrupted_at.unmet.removeprefix("warning: ")))
    return None


def _replay(item: pytest.Function, test: AnyTest, failure: ReplayedFailure) -> BaseException | None:
    if _by_hypothesis(item) is not None:
        raise UsageError(
            "--detrun-replay: a test of hypothesis has its own failing examples; run it without the option"
        )
    error, text = failure.run(test, settings_of(item))
    item.stash[_TEXT] = text
    if error is None:
        item.warn(pytest.PytestWarning(text))
    return error


def select_replayed(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect all tests but the one that ``--detrun-replay`` is about."""
    given = config.getoption("detrun_replay")
    try:
        failure = replayed_failure(given, config.invocation_params.dir)
    except detrun.DetrunError as error:
        raise pytest.UsageError(f"--detrun-replay: {error}") from None
    marked = [item for item in items if _FUNCTION in item.stash]
    chosen = [item for item in marked if item.nodeid == failure.target] or marked
    if len(chosen) != 1:
        which = f"it is of {failure.target}, which is not among them" if failure.target else "it does not say of which"
        raise pytest.UsageError(
            f"--detrun-replay {os.fspath(given)}: {len(marked)} tests marked detrun were collected, and {which}; "
            "select one test"
        )
    chosen[0].session.stash[_REPLAYED] = failure
    config.hook.pytest_deselected(items=[item for item in items if item is not chosen[0]])
    items[:] = chosen


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """End the report with what is known about the schedule."""
    report = yield
    text = item.stash.get(_TEXT, None) if call.when == "call" else None
    if text is not None:
        text = visible(text)
        add_section: Any = getattr(report.longrepr, "addsection", None)
        if item.config.option.showcapture != "all" and add_section is not None:
            add_section("detrun", text)  # sections of the report are shown as captured output is: not, then
        else:
            report.sections.append(("detrun", text))
    return report
