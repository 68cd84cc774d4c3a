"""Further ways past a run, as in `test_escapes`: identity, logging, mail, SQL, what the standard library opens in C.

What is controlled is compared between two fresh processes, too, under different hash seeds, with all that
`test_escapes` has: two runs of one process cannot tell what the process brought along, such as the moment of an import.
"""

from __future__ import annotations

import concurrent.futures
import cProfile
import dbm.dumb
import email.utils
import gc
import http.cookies
import json
import logging
import logging.handlers
import mailbox
import mmap
import multiprocessing
import multiprocessing.connection
import os
import posix
import pstats
import readline
import select
import shelve
import socket
import sqlite3
import ssl
import subprocess
import sys
import sysconfig
import threading
import time
import tracemalloc
import types
import uuid
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

import detrun

sys.path.insert(0, str(Path(__file__).parent))
import test_escapes as first
from test_escapes import (
    Probes,
    assert_controlled,
    assert_documented,
    assert_refused,
    error_of,
    from_a_thread,
    in_two_runs,
    outcomes,
)


def record_of_logging() -> logging.LogRecord:
    return logging.LogRecord("x", 10, "x", 1, "x", (), None)


def done_futures() -> list[concurrent.futures.Future[int]]:
    futures: list[concurrent.futures.Future[int]] = [concurrent.futures.Future() for _ in range(12)]
    for number, future in enumerate(futures):
        future.set_result(number)
    return futures


def names_of_threads() -> list[str]:
    event = threading.Event()
    threads = [threading.Thread(target=event.wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    names = [thread.name for thread in threading.enumerate()]
    event.set()
    return names


def expiring_cookie() -> str:
    cookies = http.cookies.SimpleCookie({"a": "b"})
    cookies["a"]["expires"] = 60
    return cookies.output()


def sql(text: str, path: str = ":memory:") -> Any:
    return sqlite3.connect(path).execute(text).fetchall()


def profiled() -> float:
    profile = cProfile.Profile()
    profile.runcall(sum, range(1000))
    return float(pstats.Stats(profile).total_tt)  # type: ignore[attr-defined]  # left out of the stubs


def traced() -> int:
    tracemalloc.start()
    try:
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def message_of_a_pipe() -> Any:
    reading, writing = multiprocessing.connection.Pipe(duplex=False)
    writing.send("x")
    return reading.recv()


def copied(copy: Callable[[int, int], int]) -> bytes:
    Path("/from").write_bytes(b"abc")
    reading, writing = os.open("/from", os.O_RDONLY), os.open("/to", os.O_RDWR | os.O_CREAT)
    return os.pread(writing, copy(reading, writing), 0)


def shelved() -> Any:
    with shelve.Shelf(dbm.dumb.open("/shelf", "c")) as shelf:
        shelf["a"] = 1
    with shelve.Shelf(dbm.dumb.open("/shelf", "r")) as shelf:
        return shelf["a"]


def keys_are_logged() -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).keylog_filename = "/keys"


def spliced() -> int:
    return os.splice(os.open("/from", os.O_RDWR | os.O_CREAT), os.pipe()[1], 3, offset_src=0)


CONTROLLED: Probes = {
    "logging's relativeCreated": lambda: record_of_logging().relativeCreated,
    "logging's msecs": lambda: record_of_logging().msecs,
    "logging's thread": lambda: [record_of_logging().thread, *from_a_thread(lambda: record_of_logging().thread)],
    "logging's threadName": lambda: from_a_thread(lambda: record_of_logging().threadName),
    "TimedRotatingFileHandler": lambda: logging.handlers.TimedRotatingFileHandler("x", "S", delay=True).rolloverAt,
    "http.cookies": expiring_cookie,
    "as_completed of done futures": lambda: [
        one.result() for one in concurrent.futures.as_completed(tuple(done_futures()))
    ],
    "wait for done futures": lambda: [one.result() for one in concurrent.futures.wait(tuple(done_futures())).done],
    "threading.enumerate": names_of_threads,
    "threading.main_thread": lambda: (threading.main_thread().ident, threading.main_thread().native_id),
    "socket.getnameinfo": lambda: socket.getnameinfo(("127.0.0.1", 80), 0),
    "socket.gethostbyname_ex": lambda: socket.gethostbyname_ex("localhost"),
    "numbers of sockets": lambda: socket.socket().fileno() > 1 << 20,
    "time.clock_gettime of MONOTONIC_RAW": lambda: time.clock_gettime(time.CLOCK_MONOTONIC_RAW),
    "time.clock_gettime of THREAD_CPUTIME_ID": lambda: time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID),
    "numpy.random.MT19937": lambda: numpy.random.Generator(numpy.random.MT19937()).random(),
    "numpy.random.Philox": lambda: numpy.random.Generator(numpy.random.Philox()).random(),
    "numpy.random.SFC64": lambda: numpy.random.Generator(numpy.random.SFC64()).random(),
    "SQL's randomblob()": lambda: sql("SELECT hex(randomblob(8))"),
    "uuid.uuid6": lambda: getattr(uuid, "uuid6", uuid.uuid1)(),
    "uuid.uuid7": lambda: getattr(uuid, "uuid7", uuid.uuid4)(),
    "multiprocessing.Pipe": message_of_a_pipe,
    "multiprocessing.connection.Listener": lambda: multiprocessing.connection.Listener(("localhost", 0)).address,
    "select.epoll of nothing": lambda: select.epoll().poll(0.1),
    "hash of bytes of the run": lambda: os.urandom(4) == os.urandom(4),
}
REFUSED: Probes = {
    "socket.sethostname": lambda: socket.sethostname(os.uname().nodename),
    "the kernel's uuid": lambda: Path("/proc/sys/kernel/random/uuid").read_text(),
    "os.timerfd_create": lambda: getattr(os, "timerfd_create", os.eventfd)(1),
}
ESCAPES: dict[str, tuple[Callable[[], Any], str]] = {
    "email.utils.make_msgid": (lambda: email.utils.make_msgid(), "email.utils.make_msgid"),
    "logging's process": (lambda: record_of_logging().process, "process id"),
    "multiprocessing's authkey": (lambda: bytes(multiprocessing.current_process().authkey), "authkey"),
    "a set of threads": (lambda: [one.name for one in {threading.Thread() for _ in range(9)}], "sets of threads"),
    "SQL's julianday": (lambda: sql("SELECT julianday('now')"), "julianday"),
    "cProfile": (profiled, "`cProfile`"),
    "tracemalloc": (traced, "`tracemalloc`"),
    "sys.getallocatedblocks": (sys.getallocatedblocks, "sys.getallocatedblocks"),
    "gc.get_objects": (lambda: len(gc.get_objects()), "gc.get_objects"),
    "numpy.empty": (lambda: numpy.empty(5), "numpy.empty"),
    "text of an object": (lambda: repr(object()), "`id()`"),
    "/proc": (lambda: Path("/proc/uptime").read_text(), "`/proc`"),
    "time.tzset": (lambda: time.tzset() or time.tzname, "time.tzset"),
    "zoneinfo": (lambda: zoneinfo.ZoneInfo("UTC").key, "`zoneinfo`"),
    "mmap of nothing": (lambda: mmap.mmap(-1, 10)[:2], "mmap.mmap(-1"),
    "sysconfig": (sysconfig.get_platform, "host name"),
}
ON_NODES_CONTROLLED: Probes = {
    "email.utils.make_msgid on a node": lambda: email.utils.make_msgid(),
    "logging's process on a node": lambda: record_of_logging().process,
    "multiprocessing.current_process on a node": lambda: multiprocessing.current_process().pid,
    "SQL's julianday on a node": lambda: sql("SELECT julianday('now'), datetime('now', 'localtime')", "/db"),
    "SQLite by its own file system": lambda: sql("CREATE TABLE IF NOT EXISTS t(n)", "/own") or os.path.exists("/own"),
    "VACUUM INTO": lambda: sql("VACUUM INTO '/vacuumed'", "/own") or os.path.exists("/vacuumed"),
    "ATTACH": lambda: sql("ATTACH '/attached' AS other") or os.path.exists("/attached"),
    "mailbox.Maildir on a node": lambda: mailbox.Maildir("/mail").add("From: a\n\nb").partition("Q")[0],
    "dbm.dumb and shelve": shelved,
    "os.sendfile": lambda: copied(lambda reading, writing: os.sendfile(writing, reading, 0, 3)),
    "os.copy_file_range": lambda: copied(lambda reading, writing: os.copy_file_range(reading, writing, 3)),
    "os.splice": lambda: error_of(spliced, OSError),
    "/proc on a node": lambda: error_of(lambda: Path("/proc/uptime").read_text(), FileNotFoundError),
    "descriptors under /proc": lambda: error_of(lambda: Path("/proc/self/fd/1").write_text("x"), FileNotFoundError),
    "cProfile.dump_stats": lambda: cProfile.Profile().dump_stats("/profile") or os.stat("/profile").st_size > 0,
}
ON_NODES_REFUSED: Probes = {
    "readline.write_history_file": lambda: readline.write_history_file("/history"),
    "readline.read_history_file": lambda: readline.read_history_file("/history"),
    "readline.append_history_file": lambda: readline.append_history_file(0, "/history"),
    "readline.read_init_file": lambda: readline.read_init_file("/history"),
    "keylog_filename of ssl": keys_are_logged,
    "load_dh_params of ssl": lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_dh_params("/params"),
    "posix.open": lambda: posix.open("/x", os.O_CREAT | os.O_WRONLY),
    "posix.listdir": lambda: posix.listdir("/etc"),
    "posix.unlink": lambda: posix.unlink("/etc/nothing"),
}
ON_NODES_ESCAPES: dict[str, tuple[Callable[[], Any], str]] = {
    "posix.stat": (lambda: posix.stat("/").st_size, "module `posix`"),
    "posix.getcwd": (lambda: posix.getcwd(), "module `posix`"),
}


def in_a_process(hash_seed: str) -> dict[str, str]:
    """What all that is controlled gives in a run of a fresh process."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", __file__]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, str] = json.loads(done.stdout.rpartition("\n{")[2].join(("{", "")))
    return found


@pytest.mark.parametrize("on_node", [False, True])
def test_what_is_controlled_gives_the_same_in_two_runs(on_node: bool) -> None:
    assert_controlled(ON_NODES_CONTROLLED if on_node else CONTROLLED, on_node=on_node)


def test_what_is_controlled_gives_the_same_in_two_processes() -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        one, other = pool.map(in_a_process, ("1", "77"))
    assert len(one) > 100
    assert {name: (text, other[name]) for name, text in one.items() if other[name] != text} == {}


@pytest.mark.parametrize("on_node", [False, True])
def test_what_is_refused_is_refused_by_name(on_node: bool) -> None:
    assert_refused(ON_NODES_REFUSED if on_node else REFUSED, on_node=on_node)


@pytest.mark.parametrize("on_node", [False, True])
def test_what_escapes_is_documented(on_node: bool) -> None:
    assert_documented(ON_NODES_ESCAPES if on_node else ESCAPES, on_node=on_node)


@pytest.mark.parametrize("module", ["dbm.gnu", "dbm.ndbm"])
def test_databases_of_c_are_refused_on_nodes_by_name(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library: Any = types.ModuleType(module)  # few builds of Python have either
    library.open = lambda path, flag="r", mode=0o666: f"the real {path}"
    monkeypatch.setitem(sys.modules, module, library)
    opens: Probes = {module: lambda: library.open("/x", "c")}
    assert in_two_runs(opens, on_node=True)[0] == {module: "refused"}
    assert in_two_runs(opens, on_node=False)[0] == {module: "'the real /x'"}


def test_real_threads_count_logging_from_its_import_during_a_run() -> None:
    created: list[float] = []

    def real() -> None:
        created.append(record_of_logging().relativeCreated)

    def main() -> float:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: record_of_logging().relativeCreated).result()

    before = record_of_logging().relativeCreated
    assert detrun.record(main).result == 0.0
    real()
    assert created[0] >= before > 0.0


if __name__ == "__main__":
    found = detrun.record(lambda: outcomes({**first.CONTROLLED, **CONTROLLED}), seed=7).result
    print("\n" + json.dumps(found))
