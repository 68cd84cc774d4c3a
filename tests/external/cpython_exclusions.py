"""CPython's own tests that are left out under detrun, each with its reason."""

from __future__ import annotations

PROCESS = "starts a process or forks, which a run refuses"
C_LEVEL = "looks at something written in C that is not simulated"
INTERNAL = "tests private parts of threading.Thread that a simulated thread does without"
UNFAIR = "counts on a worker to be idle soon, which no schedule promises"
SPINS = "spins until another thread's time.sleep ends, but virtual time passes only when nothing can run"
SLOW = "polls every 10 µs of virtual time, for a million steps"

EXCLUSIONS: dict[str, str] = {
    "test.test_threading.ThreadingExceptionTests.test_print_exception*": PROCESS,
    "test.test_threading.ThreadingExceptionTests.test_recursion_limit": PROCESS,
    "test.test_threading.ThreadTests.test_PyThreadState_SetAsyncExc": C_LEVEL,
    "test.test_threading.ThreadTests.test_*fork*": PROCESS,
    "test.test_threading.ThreadTests.test_*shutdown": PROCESS,
    "test.test_threading.ThreadTests.test_finaliz*": PROCESS,
    "test.test_threading.ThreadTests.test_import_from_another_thread": PROCESS,
    "test.test_threading.ThreadTests.test_locals_at_exit": PROCESS,
    "test.test_threading.ThreadTests.test_debug_deprecation": PROCESS,
    "test.test_threading.ThreadTests.test_disallow_instantiation": C_LEVEL,
    "test.test_threading.ThreadTests.test_limbo_cleanup": INTERNAL,
    "test.test_threading.ThreadTests.test_tstate_lock": INTERNAL,
    "test.test_threading.ThreadTests.test_shutdown_locks": INTERNAL,
    "test.test_threading.ExceptHookTests.test_excepthook_thread_None": C_LEVEL,
    "test.test_threading.ThreadTests.test_lock_no_subclass": C_LEVEL,
    "test.test_threading.ThreadTests.test_start_new_thread_at_*": PROCESS,
    "test.test_concurrent_futures.*.test_hang_global_shutdown_lock": PROCESS,
    "test.test_concurrent_futures.*.test_idle_thread_reuse": UNFAIR,
    "test.test_queue.*_all_methods_in_many_threads": SPINS,
    "test.test_queue.*SimpleQueueTest.test_many_threads*": SLOW,
}
