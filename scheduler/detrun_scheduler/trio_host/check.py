"""The self-check of this room: every private name of trio that it uses, looked up when the room is imported.

`NAMES` lists them by the module or class that has them; a method is written with its parentheses. A name with an
underscore counts as private wherever it is, a name without one where it belongs to a class or module that trio does not
document. ``tests/scheduler/trio_host/test_private_names.py`` reads the room's code and fails for a name missing here.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

import trio

OLDEST_TRIO, NEWEST_TRIO = (0, 30), (0, 35)

NAMES: dict[str, tuple[str, ...]] = {
    "trio._channel": ("MemoryChannelState",),
    "trio._channel.MemoryChannelState": ("data", "receive_tasks", "send_tasks"),
    "trio._channel.MemorySendChannel": ("_state",),
    "trio._channel.MemoryReceiveChannel": ("_state",),
    "trio._core._asyncgens": ("AsyncGenerators",),
    "trio._core._asyncgens.AsyncGenerators": (
        *("alive", "foreign", "prev_hooks", "trailing_needs_finalize"),
        *("install_hooks()", "finalize_remaining()", "_finalize_one()", "close()"),
    ),
    "trio._core._entry_queue": ("EntryQueue",),
    "trio._core._entry_queue.EntryQueue": (
        *("wakeup", "queue", "idempotent_queue", "done", "lock"),
        *("task()", "run_sync_soon()", "size()", "close()"),
    ),
    "trio._core._instrumentation": ("Instruments",),
    "trio._core._instrumentation.Instruments": ("add_instrument()", "call()"),
    "trio._core._ki": ("ki_protection_enabled()",),
    "trio._core._parking_lot": ("GLOBAL_PARKING_LOT_BREAKER",),
    "trio._core._run": ("GLOBAL_RUN_CONTEXT", "CancelReason", "CancelStatus", "NurseryManager", "Runner", "_NO_SEND"),
    "trio._core._run_context.RunContext": ("runner", "task"),
    "trio._core._run.CancelScope": (
        *("_cancel()", "_cancel_called", "_cancel_status", "_close()", "_deadline", "_has_been_entered"),
        *("_registered_deadline", "_shield"),
    ),
    "trio._core._run.CancelStatus": (
        *("_children", "_parent", "_scope", "_tasks", "abandoned_by_misnesting", "children", "effectively_cancelled"),
        *("parent", "recalculate()", "tasks"),
    ),
    "trio._core._run.Nursery": (
        *(
            "_cancel_status",
            "_children",
            "_closed",
            "_nested_child_running",
            "_parent_task",
            "_parent_waiting_in_aexit",
            "_pending_starts",
            "_strict_exception_groups",
        ),
        *("_pending_excs", "cancel_scope"),
        *("_check_nursery_closed()", "_child_finished()", "_nested_child_finished()"),
    ),
    "trio._core._run.NurseryManager": ("_nursery", "_scope"),
    "trio._core._run.Runner": (
        *("asyncgens", "clock", "clock_autojump_threshold", "deadlines", "entry_queue", "init_task", "instruments"),
        *("_locals", "io_manager", "ki_manager", "ki_pending", "main_task", "main_task_outcome", "runq"),
        *("strict_exception_groups", "system_context", "system_nursery", "tasks", "trio_token", "waiting_for_idle"),
        *("close()", "current_statistics()", "current_time()", "deliver_ki()", "init()", "reschedule()"),
        *("spawn_impl()", "task_exited()", "_deliver_ki_cb()"),
    ),
    "trio._core._run.Task": (
        *("_abort_func", "_cancel_points", "_cancel_status", "_child_nurseries", "_counter", "_next_send"),
        *("_next_send_fn", "_parent_nursery", "_runner", "_schedule_points"),
        *("_activate_cancel_status()", "_attempt_delivery_of_any_pending_cancel()"),
        *("_attempt_delivery_of_pending_ki()", "_create()"),
    ),
    "trio._core._traps": (
        *("CancelShieldedCheckpoint", "PermanentlyDetachCoroutineObject", "WaitTaskRescheduled"),
        *("_async_yield()", "_real_async_yield()"),
    ),
    "trio._core._traps.WaitTaskRescheduled": ("abort_func",),
    "trio._core._traps.PermanentlyDetachCoroutineObject": ("final_outcome",),
    "trio._sync": ("_LockImpl",),
    "trio._subprocess": ("wait_child_exiting()",),
    "trio._threads": ("PARENT_TASK_DATA", "Run", "RunSync", "_thread_counter", "start_thread_soon()"),
    "trio._util": ("name_asyncgen()",),
    "trio._core._mock_clock.MockClock": ("_autojump()",),
}
# Names that trio has had from a version on; before it the room does without.
SINCE = {"trio._core._run.CancelReason": (0, 31), "trio._core._run.CancelScope._cancel()": (0, 31)}
# Properties whose setters are wrapped. They must turn what is assigned into a number by the global name `float`.
PROPERTIES = {"trio._core._run.CancelScope": ("deadline", "relative_deadline")}


def owner_of(dotted: str) -> Any:
    """The module or class that ``dotted`` names, None if this trio has none.

    Looks at what ``import trio`` has imported; `trio.testing` for one would import pytest into every program.
    """
    module, _, name = dotted.rpartition(".")
    if dotted in sys.modules:
        return sys.modules[dotted]
    return getattr(sys.modules.get(module), name, None)


def members_of(owner: Any) -> set[str]:
    """The names that a module has, or a class and its instances: declared, in a slot, or assigned as one begins."""
    members = {*dir(owner), *dir(type(owner))}
    for base in getattr(owner, "__mro__", ()):
        members.update(inspect.get_annotations(base))
        for name in ("__init__", "__aenter__"):
            initializer = vars(base).get(name)
            if inspect.isfunction(initializer):
                members.update(initializer.__code__.co_names)
    return members


def missing_names(version: tuple[int, ...]) -> list[str]:
    """What this trio, being of ``version``, lacks: ``Runner.reschedule()``, ``_traps.WaitTaskRescheduled``, …"""
    missing = []
    for dotted, names in NAMES.items():
        owner = owner_of(dotted)
        short = dotted.rpartition(".")[2]
        if owner is None:
            missing.append(short)
            continue
        members = members_of(owner)
        for name in names:
            if version < SINCE.get(f"{dotted}.{name}", OLDEST_TRIO):
                continue
            plain = name.removesuffix("()")
            if plain not in members or (plain != name and not callable(getattr(owner, plain, None))):
                missing.append(f"{short}.{name}")
    for dotted, names in PROPERTIES.items():
        owner = owner_of(dotted)
        for name in names:
            setter: Any = inspect.unwrap(getattr(getattr(owner, name, None), "fset", None))  # type: ignore[arg-type]
            if setter is None or "float" not in setter.__code__.co_names:
                missing.append(f"{dotted.rpartition('.')[2]}.{name}")
    return sorted(missing)


def check_trio() -> None:
    """Fail at import, with the way out, if this trio lacks a private name that we use.

    Raises:
        ImportError: it does, or it is older than `OLDEST_TRIO`.
    """
    version = tuple(int(part) for part in trio.__version__.split(".")[:2])
    missing = missing_names(version)
    if missing or version < OLDEST_TRIO:
        lowest, highest = (".".join(map(str, pair)) for pair in (OLDEST_TRIO, NEWEST_TRIO))
        reason = f"these private names changed: {', '.join(missing)}" if missing else "it is too old"
        raise ImportError(
            f"detrun cannot host trio {trio.__version__}: {reason}. "
            f"Install a trio from {lowest} to {highest} (pip install 'trio>={lowest},<={highest}.*') or a newer detrun."
        )
