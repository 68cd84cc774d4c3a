"""Hidden state: each way out of a run is refused by name in the run's thread, and open everywhere else."""

from __future__ import annotations

import _thread
import asyncio
import builtins
import concurrent.futures
import gc
import io
import multiprocessing
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detrun_scheduler.environment import hidden_state
from detrun_scheduler.environment.hidden_state import allowed, guard
from detrun_scheduler.errors import HiddenStateError, UsageError

HOST_NAME = socket.gethostname()  # so that a call that was let through would change nothing
UNBOUND = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
POOL = concurrent.futures.ThreadPoolExecutor(1)
start_new_thread = _thread.start_new_thread  # a name imported before the run


def in_other_thread(call: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


async def nothing() -> None:
    pass


def start_process(method: str) -> None:
    multiprocessing.get_context(method).Process(target=int).start()


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "socket": (lambda: socket.socket(), "socket.socket inside"),
    "socket pair": (lambda: socket.socketpair(), "socket.socket inside"),
    "connect": (lambda: UNBOUND.connect(("127.0.0.1", 80)), "socket.connect to ('127.0.0.1', 80) inside"),
    "bind": (lambda: UNBOUND.bind(("127.0.0.1", 0)), "socket.bind to ('127.0.0.1', 0) inside"),
    "sendto": (lambda: UNBOUND.sendto(b"", ("127.0.0.1", 9)), "socket.sendto ('127.0.0.1', 9) inside"),
    "resolve": (lambda: socket.getaddrinfo("localhost", 1), "socket.getaddrinfo of 'localhost' inside"),
    "name of the machine": (lambda: socket.sethostname(HOST_NAME), "socket.sethostname to"),
    "url": (lambda: urllib.request.urlopen("http://127.0.0.1:9"), "(in urllib.request.urlopen)"),
    "asyncio": (lambda: asyncio.new_event_loop(), "(in asyncio.events.new_event_loop)"),
    "asyncio's words": (
        lambda: asyncio.new_event_loop(),
        "this event loop is none of the run's; import asyncio before",
    ),
    "subprocess": (lambda: subprocess.run(["true", "x"]), "subprocess.Popen of ['true', 'x'] inside"),
    "long command": (lambda: subprocess.run(["x" * 1000]), "xxx... inside"),
    "os.popen": (lambda: os.popen("true"), "(in os.popen)"),
    "system": (lambda: os.system("true"), "os.system of b'true'"),
    "exec": (lambda: os.execv("/bin/true", ["true"]), "os.exec of '/bin/true'"),
    "posix_spawn": (lambda: os.posix_spawn("/bin/true", ["true"], {}), "os.posix_spawn of '/bin/true'"),
    "fork": (lambda: os.fork(), "os.fork inside"),
    "fork's words": (lambda: os.fork(), "a pool of threads (ThreadPoolExecutor, multiprocessing.pool.ThreadPool); at"),
    "forkpty": (lambda: os.forkpty(), "os.forkpty inside"),
    "multiprocessing fork": (lambda: start_process("fork"), "os.fork (in multiprocessing."),
    "multiprocessing spawn": (lambda: start_process("spawn"), "starting a process (in multiprocessing."),
    "thread": (lambda: threading.Thread(target=int).start(), "starting a thread (in threading.Thread.start)"),
    "timer": (lambda: threading.Timer(1, int).start(), "starting a thread (in threading.Thread.start)"),
    "raw thread": (lambda: _thread.start_new_thread(int, ()), "starting a thread inside"),
    "pool": (lambda: POOL.submit(int), "ThreadPoolExecutor.submit)"),
    "prompt": (lambda: input("name? "), "input 'name? ' inside"),
    "no prompt": (input, "input inside"),
    "alarm": (lambda: signal.alarm(0), "signal.alarm inside"),
    "interval timer": (lambda: signal.setitimer(signal.ITIMER_REAL, 0), "signal.setitimer inside"),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_a_call_that_leaves_the_run_is_refused_and_named(name: str) -> None:
    call, expected = REFUSED[name]
    threads = threading.active_count()
    with guard(), pytest.raises(HiddenStateError) as caught:
        call()
    message = str(caught.value)
    assert expected in message
    assert "\n" not in message
    assert len(message) < 400
    assert "test_hidden_state.py:" in message.rpartition("; at ")[2]
    assert threading.active_count() == threads
    if "asyncio" in name:
        del caught
        gc.collect()  # its half-made loop complains when collected: here, where that is expected


def test_the_location_is_the_innermost_line_of_user_code() -> None:
    with guard(), pytest.raises(HiddenStateError) as caught:
        subprocess.run(["true"])
    line = caught.traceback[0].lineno + 1  # pytest counts from 0
    assert str(caught.value).endswith(f"test_hidden_state.py:{line}")


def test_a_library_between_the_user_and_detrun_is_the_location_only_if_there_is_no_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "site-packages" / "somelibrary.py"
    library.parent.mkdir()
    library.write_text("import socket\ndef connect():\n    return socket.socket()\n")
    monkeypatch.syspath_prepend(str(library.parent))
    import somelibrary

    with (
        guard(),
        pytest.raises(HiddenStateError, match=r"\(in somelibrary.connect\).*; at .*_state.py:\d+$"),
    ):
        somelibrary.connect()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="starting a thread has no audit event before Python 3.12")
def test_a_thread_started_by_a_name_imported_before_the_run_is_refused() -> None:
    with guard(), pytest.raises(HiddenStateError, match="starting a thread"):
        start_new_thread(int, ())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="time.sleep has no audit event before Python 3.13")
def test_the_real_sleep_imported_before_the_run_is_refused() -> None:
    with guard(), pytest.raises(HiddenStateError, match=r"time.sleep of 0.*real sleep"):
        time.sleep(0)


def test_everything_refused_works_outside_runs() -> None:
    """The negative twin: the guard leaves nothing behind."""
    with guard():
        pass
    socket.socket().close()
    assert subprocess.run(["true"]).returncode == 0
    assert POOL.submit(int).result() == 0
    assert in_other_thread(int) == 0
    signal.setitimer(signal.ITIMER_REAL, 0)
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_files_databases_and_imports_are_let_through(tmp_path: Path) -> None:
    sys.modules.pop("this", None)
    with guard():
        (tmp_path / "file").write_text("x")
        assert (tmp_path / "file").read_text() == "x"
        assert os.listdir(tmp_path) == ["file"]
        sqlite3.connect(tmp_path / "db").close()
        exec(compile("import colorsys", "<test>", "exec"))
        print("printed", file=io.StringIO())


def test_another_thread_is_free_to_do_all_of_it() -> None:
    go, done = threading.Event(), []

    def work() -> None:
        go.wait()
        socket.socket().close()
        subprocess.run(["true"])
        done.append(in_other_thread(int))
        lock = threading.Lock()
        lock.acquire()
        done.append(lock.acquire(timeout=0.001))

    thread = threading.Thread(target=work)
    thread.start()
    with guard():
        go.set()
        while thread.is_alive():
            pass
        with pytest.raises(HiddenStateError):
            socket.socket()
    assert done == [0, False]


def test_detrun_itself_may_do_what_the_program_may_not() -> None:
    with guard():
        with allowed(), allowed():
            socket.socket().close()
            assert in_other_thread(int) == 0
        with pytest.raises(HiddenStateError):
            socket.socket()
        try:
            with allowed():
                raise KeyError
        except KeyError:
            pass
        with pytest.raises(HiddenStateError):
            socket.socket()
    with allowed():
        socket.socket().close()


def test_an_allowance_that_outlives_its_run_does_not_bring_the_guard_back() -> None:
    allowance = allowed()
    with guard():
        allowance.__enter__()
    allowance.__exit__(None, None, None)
    socket.socket().close()


@pytest.mark.parametrize("fails", [False, True])
def test_every_name_is_the_identical_object_after_a_run(fails: bool) -> None:
    modules = [threading, _thread, signal, sys.modules["_posixsubprocess"], builtins, socket, os, subprocess]
    before = [vars(module).copy() for module in modules]
    try:
        with guard():
            assert _thread.start_new_thread is not start_new_thread
            if fails:
                raise RuntimeError
    except RuntimeError:
        pass
    for module, originals in zip(modules, before, strict=True):
        after = vars(module)
        assert after.keys() == originals.keys()
        assert [name for name in originals if after[name] is not originals[name]] == []


def test_guards_neither_nest_nor_overlap() -> None:
    with guard():
        with pytest.raises(UsageError, match="already active"):
            guard().enter()
        with pytest.raises(HiddenStateError):
            socket.socket()
    socket.socket().close()


def test_a_host_names_a_call_of_its_own() -> None:
    with pytest.raises(HiddenStateError, match=r"^trio.to_thread inside a run: start a task; at .*_state.py:\d+$"):
        hidden_state.refuse("trio.to_thread", "start a task")


def test_the_audit_hook_is_added_once_for_the_process() -> None:
    added = []
    with guard():
        pass
    sys.addaudithook(lambda event, arguments: added.append(event) if event == "sys.addaudithook" else None)
    with guard():
        pass
    assert added == []
