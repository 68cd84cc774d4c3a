"""The private names of asyncio that detrun uses, in one place, looked up when this module is imported.

`NAMES` lists them by the module or class that has them; a method is written with its parentheses. A name without an
underscore is listed where asyncio does not document it. The types by which asyncio queues the steps of a task are found
by watching a task being made, since they have no names at all.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from asyncio import base_events, coroutines, events, futures, runners, tasks
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType
from typing import Any

CLIENTS = "_clients"  # of a server, from Python 3.13 on
NAMES: dict[str, tuple[str, ...]] = {
    "asyncio.events": (*("_event_loop_policy", "_get_running_loop()", "_set_running_loop()", "Handle", "TimerHandle"),),
    "asyncio.events.Handle": (
        "_run()",
        "_cancelled",
        "_callback",
        "_args",
        "_context",
        "_loop",
        "_repr",
        "_source_traceback",
    ),
    "asyncio.events.TimerHandle": ("_when", "_scheduled"),
    "asyncio.coroutines": ("_is_debug_mode()",),
    "asyncio.futures": ("_set_result_unless_cancelled()",),
    "asyncio.Future": ("_callbacks",),
    "asyncio.Task": ("_log_destroy_pending", "_fut_waiter", "_exception", "_log_traceback"),
    "asyncio.Condition": ("_waiters",),
    "asyncio.Queue": ("_get()", "_put()"),
    "asyncio.TaskGroup": ("_tasks",),
    "asyncio.tasks._GatheringFuture": ("_children",),
    "asyncio.events._BaseDefaultEventLoopPolicy"
    if hasattr(events, "_BaseDefaultEventLoopPolicy")
    else "asyncio.events.BaseDefaultEventLoopPolicy": ("new_event_loop()", "_loop_factory"),
    "asyncio.runners.Runner": ("_lazy_init()", "_loop_factory"),
    "asyncio.base_events": ("_run_until_complete_cb()", "_format_handle()"),
    "asyncio.base_events.BaseEventLoop": (
        *("_check_closed()", "_check_running()", "_check_callback()"),
        "_timer_handle_cancelled()",
        *("_asyncgen_firstiter_hook()", "_asyncgen_finalizer_hook()", "_set_coroutine_origin_tracking()"),
        *("_closed", "_stopping", "_thread_id", "_asyncgens", "_asyncgens_shutdown_called", "_debug"),
        *("_default_executor", "_executor_shutdown_called", "_task_factory", "_exception_handler"),
        "_coroutine_origin_tracking_enabled",
    ),
    "asyncio.selector_events.BaseSelectorEventLoop": (
        *("_make_self_pipe()", "_close_self_pipe()", "_write_to_self()", "_internal_fds", "_selector"),
        *("_transports", "_start_serving()"),
    ),
    **({"asyncio.base_events.Server": (CLIENTS,)} if sys.version_info >= (3, 13) else {}),
    "asyncio.selector_events._SelectorSocketTransport": ("_closing", "_protocol", "_sock"),
    "asyncio.base_subprocess.BaseSubprocessTransport": ("_closed", "_pipes", "_proc"),
    **(
        {"asyncio.unix_events._UnixSelectorEventLoop": ("_check_signal()", "_signal_handlers")}
        if hasattr(asyncio, "unix_events")
        else {}
    ),
    **({"asyncio.tasks": ("_swap_current_task()",)} if sys.version_info >= (3, 14) else {}),
}

get_running = events._get_running_loop
set_running = events._set_running_loop
_swap_task: Any = getattr(tasks, "_swap_current_task", None) if sys.version_info >= (3, 14) else None
# Type stubs leave out what these have.
COROUTINES: Any = coroutines
_FUTURES: Any = futures
_BASE_EVENTS: Any = base_events
ends_a_sleep = _FUTURES._set_result_unless_cancelled
ends_the_run = _BASE_EVENTS._run_until_complete_cb
format_handle = _BASE_EVENTS._format_handle
# By their names: asking a coroutine for its code is an audit event, which costs 1 µs.
SHUTDOWN_GENERATORS = base_events.BaseEventLoop.shutdown_asyncgens.__qualname__
SHUTDOWN_EXECUTOR = base_events.BaseEventLoop.shutdown_default_executor.__qualname__
EVENTS: Any = events
RUNNER: Any = runners.Runner
# Waits for each child process in a thread; underscored from Python 3.14, and absent on Windows.
THREADED_WATCHER: Any = getattr(asyncio, "ThreadedChildWatcher", None) or getattr(
    getattr(asyncio, "unix_events", None), "_ThreadedChildWatcher", None
)
# Python 3.14 has underscored the policies, and warns where the old names are used.
ABSTRACT_POLICY: Any = getattr(events, "_AbstractEventLoopPolicy", None) or events.AbstractEventLoopPolicy
DEFAULT_POLICY: Any = getattr(events, "_BaseDefaultEventLoopPolicy", None) or events.BaseDefaultEventLoopPolicy
BASE_LOOP: Any = base_events.BaseEventLoop
LOOP_FACTORY = "_loop_factory"  # of a policy: makes its event loops
CHECK_RUNNING = "_check_running"  # of a loop: called before it runs
TASKS: Any = tasks
LAZY_INIT = "_lazy_init"  # of a runner: makes its event loop
# Of transports and of asyncio's own protocols, what may lead back to them; of these, what is like them; and what a
# transport holds of the operating system's.
LEADING_BACK = (
    *("_app_protocol", "_app_transport", "_protocol", "_read_ready_cb", "_server", "_stream_writer", "_task"),
    *("_transport", "_write_ready", "stdin"),
)
PARTS = frozenset(("_app_protocol", "_app_transport", "_protocol"))
HELD = ("_sock", "_pipe")


def missing_names() -> list[str]:
    """What this asyncio lacks of `NAMES`: ``Handle._run()``, …"""
    missing = []
    for dotted, names in NAMES.items():
        module, _, last = dotted.rpartition(".")
        owner = sys.modules.get(dotted) or getattr(sys.modules.get(module), last, None)
        members = _members_of(owner)
        for name in names:
            plain = name.removesuffix("()")
            if plain not in members or (plain != name and not callable(getattr(owner, plain, None))):
                missing.append(f"{last}.{name}")
    return sorted(missing)


def _members_of(owner: Any) -> set[str]:
    """The names that a module has, or a class and its instances: declared, in a slot, or assigned in a method."""
    members = set(dir(owner))
    for base in getattr(owner, "__mro__", ()):
        for function in vars(base).values():
            if inspect.isfunction(function) and function.__name__ in ("__init__", "set_debug"):
                members.update(function.__code__.co_names)
    return members


def check_asyncio() -> None:
    """Fail at import, with the way out, if this asyncio lacks a private name that we use.

    Raises:
        ImportError: it does.
    """
    missing = missing_names()
    inside = [one for one in asyncio.gather.__code__.co_consts if isinstance(one, CodeType)]
    if not any(one.co_name == "_done_callback" and _GATHERS_IN in one.co_freevars for one in inside):
        missing.append("the callback of gather")
    if STEP is None:
        missing.append("the callback that steps a task")
    if missing:
        raise ImportError(
            f"detrun cannot run asyncio programs on Python {sys.version.split()[0]}: these private names of asyncio "
            f"changed: {', '.join(missing)}. Use Python 3.11 to 3.14, or a newer detrun."
        )


class _Watching:
    """Stands in for an event loop while one task is made, and sees how its first step is queued."""

    def __init__(self) -> None:
        self.callback: Any = None

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return False

    def call_soon(self, callback: Any, *arguments: Any, context: Any = None) -> None:
        self.callback = callback


async def _nothing() -> None:
    """The coroutine of a task that is never stepped."""


def _step_type() -> type | None:
    """The type of the callback by which a task of C steps itself."""
    loop: Any = _Watching()
    coroutine = _nothing()
    task: Any = asyncio.Task(coroutine, loop=loop)
    task._log_destroy_pending = False
    coroutine.close()
    found = type(loop.callback) if getattr(loop.callback, "__self__", None) is task else None
    loop.callback = None  # it knows the task: a cycle, in which that would count as living until a collection
    return found


STEP = _step_type()  # of what asyncio queues for each step but those by which a future wakes its task
WAKE_UP = "task_wakeup"  # the name of the method by which a future wakes a task of C
_PYTHON_TASK: Any = getattr(tasks, "_PyTask", asyncio.Task)
_PYTHON_STEPS = frozenset(
    vars(_PYTHON_TASK)[name]
    for name in ("_Task__step", "_PyTask__step", "_Task__wakeup", "_PyTask__wakeup")
    if name in vars(_PYTHON_TASK)
)


def task_of_step(callback: Any) -> Any:
    """The task of which ``callback`` is a step, as asyncio queues it, or None."""
    kind = type(callback)
    if kind is STEP:
        return callback.__self__
    if kind is BuiltinFunctionType:
        if callback.__name__ == WAKE_UP:
            return callback.__self__
    elif kind is MethodType and callback.__func__ in _PYTHON_STEPS:
        return callback.__self__
    return None


_COUNTS_FOR_GATHER = f"{asyncio.gather.__qualname__}.<locals>._done_callback"
_GATHERS_IN = "outer"  # its variable: the future that `asyncio.gather` returned


def is_of_gather(callback: FunctionType) -> bool:
    """Whether a function is what `asyncio.gather` is told by that one of its futures has ended."""
    return callback.__qualname__ == _COUNTS_FOR_GATHER and bool(callback.__module__ == tasks.__name__)


def has_retrieved(callback: FunctionType) -> bool:
    """Whether what `is_of_gather` names, which has just run, has asked for the exception of the future that ended.

    It asks once the result is known, and when it makes it known.
    """
    cells: Any = callback.__closure__
    outer = cells[callback.__code__.co_freevars.index(_GATHERS_IN)].cell_contents
    return outer is None or outer.done()


def begin_running(loop: Any) -> tuple[Any, Any]:
    """Let ``loop``, or no loop, be the running one of this thread of the operating system.

    Returns what was running, for `go_back`: the loop, and its task on Python 3.14 and later, which have one such task
    for each thread. Before, each loop has one.
    """
    outer = get_running()
    task = None if outer is None or _swap_task is None else _swap_task(outer, None)
    set_running(loop)
    return outer, task


def go_back(before: tuple[Any, Any]) -> None:
    """What was running before `begin_running` goes on."""
    loop, task = before
    set_running(loop)
    if task is not None:
        _swap_task(loop, task)


# Where Python keeps them in a set: all tasks that live, in 3.11 and in 3.12 and 3.13.
_LIVING: Any = (
    getattr(tasks, "_all_tasks" if sys.version_info < (3, 12) else "_scheduled_tasks")
    if sys.version_info < (3, 14)
    else None
)


def has_tasks(loop: Any) -> bool:
    """Whether a task of ``loop`` may live that has not ended."""
    return (_LIVING is None or len(_LIVING) > 0) and bool(tasks.all_tasks(loop))


_IS_DEBUG_MODE = COROUTINES._is_debug_mode
_DEBUG_KEY = os.environ.encodekey("PYTHONASYNCIODEBUG")


def is_debug_mode() -> bool:
    """What asyncio answers, which raises two exceptions where the variable is not set, as it hardly ever is."""
    ask, variables = COROUTINES._is_debug_mode, getattr(os.environ, "_data", None)
    if ask is _IS_DEBUG_MODE and type(variables) is dict and _DEBUG_KEY not in variables:
        return sys.flags.dev_mode
    return bool(ask())


def leave_out_frame(handle: Any) -> None:
    """Of a handle made in debug mode: its trace ends in the caller of the function that calls this."""
    del handle._source_traceback[-1]


def name_given_by(frame: FrameType) -> Any:
    """The name of the task that asyncio is making in ``frame``, where it tells the loop only later (`NAMES_LATER`)."""
    names, code_globals = NAMES_LATER, frame.f_globals
    if code_globals is not OF_TASKS and code_globals is not _OF_GROUPS:
        return None
    code = frame.f_code  # by identity: hashing code goes through all that it consists of
    return frame.f_locals.get("name") if names and (code is names[0] or code is names[1]) else None


# Functions of Python 3.11 that make a task and name it then; by its name the task is known in recordings.
NAMES_LATER = (tasks.create_task.__code__, asyncio.TaskGroup.create_task.__code__) if sys.version_info < (3, 12) else ()
OF_TASKS, _OF_GROUPS = vars(tasks), asyncio.TaskGroup.create_task.__globals__  # the globals of their modules
check_asyncio()
