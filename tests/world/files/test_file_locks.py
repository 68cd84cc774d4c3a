"""Locks by fcntl on files of a node: between open files, between processes, through a crash."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from tests.world.processes.on_a_node import PYTHON, on_a_node

NOW = fcntl.LOCK_NB


def taken(call: Any, *arguments: Any) -> bool:
    """Whether a lock that does not wait could be had."""
    try:
        call(*arguments)
    except (BlockingIOError, PermissionError):
        return False
    return True


def what_locks_do(path: str) -> list[bool]:
    """Locks by ``flock`` of three open files, one of them twice."""
    one, other, third = (os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(3))
    again = os.dup(one)
    found = [taken(fcntl.flock, one, fcntl.LOCK_SH | NOW), taken(fcntl.flock, other, fcntl.LOCK_SH | NOW)]
    found += [taken(fcntl.flock, third, fcntl.LOCK_EX | NOW), taken(fcntl.flock, one, fcntl.LOCK_EX | NOW)]
    fcntl.flock(other, fcntl.LOCK_UN)
    found += [taken(fcntl.flock, one, fcntl.LOCK_EX | NOW), taken(fcntl.flock, other, fcntl.LOCK_SH | NOW)]
    os.close(one)
    found.append(taken(fcntl.flock, other, fcntl.LOCK_SH | NOW))  # the second descriptor holds it
    os.close(again)
    found.append(taken(fcntl.flock, other, fcntl.LOCK_EX | NOW))
    found.append(taken(fcntl.lockf, third, fcntl.LOCK_EX | NOW))  # the other kind
    os.close(other)
    os.close(third)
    return found


OTHER = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
for begin, length in ((0, 5), (5, 5), (10, 0)):
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, begin)
        print(begin, 'taken')
    except OSError:
        print(begin, 'held')
"""


def what_ranges_do(path: str) -> list[str]:
    """What another process can lock while this one has bytes 0 to 12 but for 5 to 9, and when it has closed one."""
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.lockf(file, fcntl.LOCK_EX, 12)
    os.lseek(file, 5, 0)
    os.lockf(file, os.F_ULOCK, 5)
    ask = [PYTHON, "-c", OTHER, path]
    found = [subprocess.check_output(ask, text=True)]
    os.close(os.open(path, os.O_RDONLY))
    found.append(subprocess.check_output(ask, text=True))
    os.close(file)
    return found


def test_locks_are_had_and_held_as_on_linux(tmp_path: Path) -> None:
    assert on_a_node(lambda: what_locks_do("/x")) == what_locks_do(str(tmp_path / "x"))
    assert on_a_node(lambda: what_ranges_do("/x")) == what_ranges_do(str(tmp_path / "y"))


ASKING = """
import fcntl, os, struct, sys
file = os.open(sys.argv[1], os.O_RDWR)
for command in (fcntl.F_GETLK, fcntl.F_OFD_GETLK):
    kind, whence, begin, size, pid = struct.unpack("hhqqi4x", fcntl.fcntl(file, command, lock(fcntl.F_WRLCK, 0)))
    print(kind, whence, begin, size, pid == os.getppid())
for begin in (0, 5, 20):
    try:
        fcntl.fcntl(file, fcntl.F_SETLK, lock(fcntl.F_WRLCK, begin, 3))
        print(begin, "taken")
    except BlockingIOError:
        print(begin, "held")
"""
LOCK = """
def lock(kind, begin, size=0, whence=0):
    return struct.pack("hhqqi4x", kind, whence, begin, size, 0)
"""


def lock(kind: int, begin: int, size: int = 0, whence: int = 0) -> bytes:
    """``struct flock``."""
    return struct.pack("hhqqi4x", kind, whence, begin, size, 0)


def what_structures_do(path: str) -> list[Any]:
    """Locks by ``struct flock``, of this process and of an open file, as another process finds them."""
    file, other = (os.open(path, os.O_RDWR | os.O_CREAT | flag) for flag in (0, os.O_APPEND))
    os.write(file, bytes(30))
    found: list[Any] = [fcntl.fcntl(file, fcntl.F_SETLK, lock(fcntl.F_WRLCK, 4)) == lock(fcntl.F_WRLCK, 4)]
    fcntl.fcntl(file, fcntl.F_SETLK, lock(fcntl.F_UNLCK, -4, -6, os.SEEK_END))  # bytes 20 to 25
    ask = [PYTHON, "-c", LOCK + ASKING, path]
    found += [subprocess.check_output(ask, text=True) for _ in range(2)]
    fcntl.fcntl(other, fcntl.F_OFD_SETLK, lock(fcntl.F_RDLCK, 20, 1))
    for call, kind in ((fcntl.F_SETLK, fcntl.F_WRLCK), (fcntl.F_OFD_SETLK, fcntl.F_RDLCK)):
        found.append(taken(fcntl.fcntl, file, call, lock(kind, 20, 1)))  # of one process, and yet in the way
    found.append(fcntl.fcntl(other, fcntl.F_GETLK, lock(fcntl.F_RDLCK, 0)) == lock(fcntl.F_UNLCK, 0))
    os.close(file)  # what the process has locked goes, and stays with the other open file
    found += subprocess.check_output(ask, text=True).splitlines()[2:]
    again = fcntl.fcntl(other, fcntl.F_DUPFD, 0)
    found += [fcntl.fcntl(one, fcntl.F_GETFL) & (os.O_ACCMODE | os.O_APPEND) for one in (other, again)]
    fcntl.fcntl(again, fcntl.F_SETFL, 0)
    found += [fcntl.fcntl(other, fcntl.F_GETFL) & os.O_APPEND, fcntl.fcntl(other, fcntl.F_GETFD)]
    for wrong in (lock(7, 0), lock(fcntl.F_WRLCK, 2, -3), lock(fcntl.F_WRLCK, 0, 0, 9)):
        with pytest.raises(OSError, match="Invalid"):
            fcntl.fcntl(other, fcntl.F_SETLK, wrong)
    return found


@pytest.mark.skipif(not hasattr(fcntl, "F_OFD_SETLK"), reason="locks of open files are Linux's")
def test_locks_by_structures_are_had_and_held_as_on_linux(tmp_path: Path) -> None:
    assert on_a_node(lambda: what_structures_do("/x")) == what_structures_do(str(tmp_path / "x"))


def test_a_thread_waits_for_a_lock_in_virtual_time() -> None:
    def program() -> list[Any]:
        found: list[Any] = []

        def hold(seconds: float) -> None:
            with open("/lock", "w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                found.append(time.monotonic())
                time.sleep(seconds)

        threads = [threading.Thread(target=hold, args=(2.0,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    for seed in range(5):
        assert on_a_node(program, seed) == [0.0, 2.0, 4.0]


def test_a_killed_process_and_a_crashed_node_hold_no_locks() -> None:
    async def main() -> list[Any]:
        found: list[Any] = []
        code = "import fcntl, time\nfile = open('/lock', 'w')\nfcntl.lockf(file, fcntl.LOCK_EX)\ntime.sleep(100)"

        def first() -> None:
            child = subprocess.Popen([PYTHON, "-c", code])
            time.sleep(1)
            with open("/lock", "r+") as file:
                found.append(taken(fcntl.lockf, file, fcntl.LOCK_EX | NOW))
                child.kill()
                fcntl.lockf(file, fcntl.LOCK_EX)
                fcntl.flock(file, fcntl.LOCK_EX)
                found.append(time.monotonic())
                time.sleep(100)

        def second() -> None:
            with open("/lock", "r+") as file:
                found.append(taken(fcntl.lockf, file, fcntl.LOCK_EX | NOW))
                found.append(taken(fcntl.flock, file, fcntl.LOCK_EX | NOW))

        async with detrun.World() as world:
            node = world.node("a")
            node.start(first)
            await trio.sleep(5)
            node.crash()
            node.start(second)
            await node.ended()
        return found

    assert detrun.record(main).result == [False, 1.0, True, True]


def test_two_locks_in_two_orders_are_a_deadlock_that_names_the_files() -> None:
    def program() -> None:
        def take(first: str, second: str) -> None:
            with open(first, "w") as one, open(second, "w") as other:
                fcntl.flock(one, fcntl.LOCK_EX)
                time.sleep(1)
                fcntl.flock(other, fcntl.LOCK_EX)

        threads = [threading.Thread(target=take, args=names) for names in (("/a", "/b"), ("/b", "/a"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with pytest.raises(detrun.DeadlockError, match=r"fcntl\.flock: another has locked '/[ab]'"):
        on_a_node(program)


def test_a_lock_file_that_is_checked_before_it_is_locked_is_found_wanting() -> None:
    """The planted bug: both see that nothing has the lock, and both go on."""

    def program() -> None:
        code = (
            "import fcntl, os\nif not os.path.exists('/taken'):\n    open('/taken', 'w').close()\n"
            "    file = open('/log', 'a'); file.write('in\\n'); file.close()"
        )
        children = [subprocess.Popen([PYTHON, "-c", code]) for _ in range(2)]
        for child in children:
            child.wait()
        assert Path("/log").read_text() == "in\n", "two processes in one section"

    async def main() -> None:
        async with detrun.World() as world:
            world.node("a").start(program)
            await world.node("a").ended()

    found = detrun.explore(main, schedules=200, shrink=False, explain=False, directory=None)
    assert "two processes in one section" in str(found.failures[0])
