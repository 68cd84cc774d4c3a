"""The modules of trio's suite that run under detrun's loop, and the tests that are left out, each with its reason.

The modules are those on running, cancelling, synchronizing, telling time, instrumenting and testing. The rest of trio's
suite is about files, sockets, threads, processes, signals and guest mode, which a run refuses or leaves alone.
"""

from __future__ import annotations

MODULES = (
    "_core._tests.test_asyncgen",
    "_core._tests.test_cancelled",
    "_core._tests.test_exceptiongroup_gc",
    "_core._tests.test_instrumentation",
    "_core._tests.test_ki",
    "_core._tests.test_local",
    "_core._tests.test_mock_clock",
    "_core._tests.test_parking_lot",
    "_core._tests.test_run",
    "_core._tests.test_tutil",
    "_core._tests.test_unbounded_queue",
    "_tests.test_abc",
    "_tests.test_channel",
    "_tests.test_contextvars",
    "_tests.test_deprecate",
    "_tests.test_deprecate_strict_exception_groups_false",
    "_tests.test_highlevel_generic",
    "_tests.test_highlevel_serve_listeners",
    "_tests.test_scheduler_determinism",
    "_tests.test_sync",
    "_tests.test_testing",
    "_tests.test_testing_raisesgroup",
    "_tests.test_timeouts",
    "_tests.test_tracing",
    "_tests.test_trio",
    "_tests.test_util",
)

THREAD = "starts an operating-system thread"
SOCKET = "opens a real socket"
REAL_TIME = "expects time to pass by itself; a run's time moves only when nothing can run"
ORDER = "asserts that the order of tasks differs from run to run"

# "module::test" without the leading "trio." and without parameters.
_ALWAYS: dict[str, str] = {
    "_core._tests.test_run::test_cancel_scope_repr": THREAD,
    "_core._tests.test_run::test_trio_context_detection": THREAD,
    "_core._tests.test_run::test_TrioToken_run_sync_soon_threaded_stress_test": THREAD,
    "_core._tests.test_run::test_current_time": REAL_TIME,
    "_tests.test_scheduler_determinism::test_the_trio_scheduler_is_not_deterministic": ORDER,
    "_tests.test_testing::test_open_stream_to_socket_listener": SOCKET,
    "_tests.test_util::test_is_main_thread": THREAD,
}

_UNDER_FIFO: dict[str, str] = {
    "_core._tests.test_asyncgen::test_last_minute_gc_edge_case": (
        "retries until the scheduler's coin shows a certain order at shutdown; fifo has no coin"
    ),
}

PASSES = "asserts that each runnable task is stepped once before any is stepped twice; this strategy is not fair"

_UNDER_UNFAIR: dict[str, str] = {
    "_core._tests.test_instrumentation::test_instruments_interleave": PASSES,
    "_core._tests.test_run::test_basic_interleave": PASSES,
    "_core._tests.test_run::test_asyncexitstack_nursery_misnest_cleanup": PASSES,
    "_core._tests.test_run::test_reschedule": PASSES,
    "_core._tests.test_run::test_TrioToken_run_sync_soon_starvation_resistance": PASSES,
    "_tests.test_channel::test_as_safe_channel_multi_cancel": PASSES,
    "_tests.test_sync::test_generic_lock_fifo_fairness": PASSES,
    "_tests.test_testing::test_MemorySendStream": PASSES,
    "_tests.test_testing::test_memory_streams_with_generic_tests": PASSES,
}


def exclusions(strategy: str) -> dict[str, str]:
    """The tests left out under ``strategy``, with their reasons; ``plain`` is trio's own loop."""
    special = {"plain": {}, "fifo": _UNDER_FIFO}.get(strategy, _UNDER_UNFAIR)
    return {**_ALWAYS, **special}
