"""CPython's own tests of asyncio that are left out under detrun, each with its reason."""

from __future__ import annotations

SAME = "the same test with another selector, which no simulated loop has"
SAME_WATCHER = "the same test with another watcher of children, which needs signals of the real process"
PTY = "terminals of the operating system, refused by name"
PROCESS = "starts a process of multiprocessing, refused by name"
FLAG = "starts Python with -E, a flag that a child shares with its parent; refused by name"
SHELL = "starts a shell or another program, for which there is no stand-in"
SIGNALS = "signals of the real process; those of a run reach the processes of nodes"
STOCK = "looks at private parts of asyncio's own loop or policy, or brings a loop of its own"
CLOCK = "counts on the clock of the test's own loop, which moves once more when the loop stops"

EXCLUSIONS: dict[str, str] = {
    "*.SelectEventLoopTests.*": SAME,
    "*.PollEventLoopTests.*": SAME,
    "test_subprocess.SubprocessSafeWatcherTests.*": SAME_WATCHER,
    "test_subprocess.SubprocessFastWatcherTests.*": SAME_WATCHER,
    "test_subprocess.SubprocessPidfdWatcherTests.*": SAME_WATCHER,
    "test_subprocess.SubprocessMultiLoopWatcherTests.*": SAME_WATCHER,
    "*_pty*": PTY,
    "test_events.*new_process*": PROCESS,
    "test_tasks.*env_var_debug": FLAG,
    "test_eager_task_factory.*issue105987": FLAG,
    "test_events.*subprocess_close_after_finish": SHELL,
    "test_events.*subprocess_exitcode": SHELL,
    "test_events.*subprocess_shell": SHELL,
    "test_events.*subprocess_wait_no_same_group": SHELL,
    "test_subprocess.*test_shell": SHELL,
    "test_subprocess.*env_shell": SHELL,
    "test_subprocess.*send_signal_race": SHELL,
    "test_subprocess.*test_kill_issue43884": SHELL,
    "test_subprocess.*test_start_new_session": SHELL,
    "test_subprocess.GenericWatcherTests.*": STOCK,
    "test_events.*signal*": SIGNALS,
    "test_tasks.*issue46672": STOCK,
    "test_runners.*interrupt*": SIGNALS,
    "test_runners.*without_uncancel*": SIGNALS,
    "test_events.*internal_fds": STOCK,
    "test_events.PolicyTests.test_get_event_loop": STOCK,
    "test_events.TestPyGetEventLoop.test_get_event_loop_returns_running_loop*": STOCK,
    "test_runners.*custom_factory": STOCK,
    "test_selector_events.*accept_connection_multiple": STOCK,
    "test_selector_events.*resolve_using_socket_params": STOCK,
    "test_tasks.*log_destroyed_pending_task": STOCK,
    "test_tasks.*stop_while_run_in_complete": CLOCK,
}
