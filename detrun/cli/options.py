"""Options that several commands share, and the settings that hold their values.

``--json`` and ``--debug`` change how a command speaks and not what it does, so they go to the `Settings` of the
invocation, where the failure handler finds them too, and not to the command's function. Both work before and after
the command's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from detrun_scheduler.strategies import STRATEGIES

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(slots=True)
class Settings:
    """How this invocation speaks."""

    json: bool = False
    debug: bool = False


def settings() -> Settings:
    """Those of the running command."""
    return click.get_current_context().find_root().ensure_object(Settings)


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and parameter.name is not None:
        setattr(context.find_root().ensure_object(Settings), parameter.name, True)


def speaking(function: Decorated) -> Decorated:
    """``--json`` and ``--debug``."""
    for name, text in (
        ("--json", "Print one JSON document on standard output."),
        ("--debug", "Show complete tracebacks."),
    ):
        function = click.option(name, is_flag=True, expose_value=False, is_eager=True, callback=_remember, help=text)(
            function
        )
    return function


def _complete_file(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    return [CompletionItem(typed, type="file")]


def target_argument(function: Decorated) -> Decorated:
    """TARGET."""
    return click.argument(
        "target",
        metavar="TARGET",
        shell_complete=_complete_file,
    )(function)


def parameter_option(function: Decorated) -> Decorated:
    """``--param``."""
    return click.option(
        "--param",
        "params",
        metavar="NAME=VALUE",
        multiple=True,
        help="A number for the program; it is called with one dict of all of them. May be repeated.",
    )(function)


def deciding(function: Decorated) -> Decorated:
    """``--seed`` and ``--strategy``."""
    function = click.option(
        "--strategy",
        default="random",
        show_default=True,
        metavar="NAME",
        shell_complete=lambda context, parameter, typed: [name for name in STRATEGIES if name.startswith(typed)],
        help=f"Strategy that chooses among runnable tasks: {', '.join(STRATEGIES)}.",
    )(function)
    return click.option(
        "--seed", type=int, default=0, show_default=True, help="Decides the schedule and every random draw."
    )(function)


SURROUNDINGS = (
    "max_steps",
    "preemption",
    "include",
    "exclude",
    "thread_errors",
    "early_timers",
    "collections",
    "step_timeout",
    "backend",
    "asyncio_order",
)


def surrounding(function: Callable[..., Any]) -> Callable[..., Any]:
    """What surrounds a run, for ``function`` as one argument ``surroundings``: keyword arguments of `detrun.record`."""

    @wraps(function)
    def gathered(**given: Any) -> Any:
        surroundings = {name: given.pop(name) for name in SURROUNDINGS}
        surroundings["thread_errors"] = surroundings["thread_errors"] or None  # else what a recording says
        for name in ("early_timers", "collections"):
            surroundings[name] = surroundings[name] or 0
        return function(surroundings=surroundings, **given)

    decorated = step_timeout_option(backend_options(acting_options(thread_errors_option(preempting(gathered)))))
    return max_steps_option(decorated)


def preempting(function: Decorated) -> Decorated:
    """``--preemption``, ``--include`` and ``--exclude``."""
    for name, text in (
        ("--exclude", "Code not to interrupt."),
        ("--include", "Code to interrupt; the project's own by default."),
    ):
        function = click.option(name, multiple=True, metavar="PATTERN", help=text)(function)
    return click.option(
        "--preemption",
        type=click.Choice(["sync", "line", "opcode"]),
        help="Points where threads can be interrupted: synchronization (the default), lines or opcodes.",
    )(function)


def thread_errors_option(function: Decorated) -> Decorated:
    """``--thread-errors``."""
    return click.option(
        "--thread-errors", is_flag=True, help="An exception that leaves a thread uncaught fails the run."
    )(function)


def acting_options(function: Decorated) -> Decorated:
    """``--early-timers`` and ``--collections``."""
    for name, text in (
        ("--collections", "Let the garbage collector run N times, and with it finalizers."),
        ("--early-timers", "Let the next timer fire N times although tasks can run, as if a step took so long."),
    ):
        function = click.option(name, type=click.IntRange(min=0), metavar="N", help=text)(function)
    return function


def backend_options(function: Decorated) -> Decorated:
    """``--backend`` and ``--asyncio-order``."""
    function = click.option(
        "--asyncio-order",
        type=click.Choice(["any", "fifo"]),
        help="Order in which tasks of asyncio go on: any (the default), or as in asyncio's own loop.",
    )(function)
    return click.option(
        "--backend",
        type=click.Choice(["auto", "trio", "asyncio"]),
        default="auto",
        show_default=True,
        help="Library that runs an async function; auto: the one that it names.",
    )(function)


def step_timeout_option(function: Decorated) -> Decorated:
    """``--step-timeout``."""
    return click.option(
        "--step-timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="Stop when one step waits so long in real time; finds waits in C code.",
    )(function)


def max_steps_option(function: Decorated) -> Decorated:
    """``--max-steps``."""
    return click.option(
        "--max-steps", type=click.IntRange(min=1), metavar="N", help="Stop after N steps; finds livelocks."
    )(function)
