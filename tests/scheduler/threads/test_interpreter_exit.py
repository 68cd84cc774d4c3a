"""`import detrun` leaves nothing behind: locks, locals and queues work in finalizers as the interpreter exits."""

from __future__ import annotations

import subprocess
import sys

import pytest

CASES = {
    "import alone": "",
    "after a run": "detrun.record(lambda: None)",
    "after a campaign": "detrun.explore(lambda: None, schedules=2, directory=None)",
}
FINALIZERS = """
import os, queue, subprocess, threading
import detrun
from concurrent.futures import Future

class Resource:
    def __init__(self):
        self.lock, self.rlock, self.local = threading.Lock(), threading.RLock(), threading.local()
        self.queue, self.condition, self.event = queue.SimpleQueue(), threading.Condition(), threading.Event()
        self.write = os.write

    def __del__(self):
        with self.lock, self.rlock, self.rlock, self.condition:
            self.local.value = 1
            self.queue.put(self.local.value)
            self.queue.get()
            self.condition.notify_all()
            assert self.lock.locked() and not self.lock.acquire(False) and self.condition._is_owned()
        self.event.set()
        try:
            del self.local.value
            self.queue.get(timeout=0.001)
        except Exception as error:
            self.write(1, type(error).__name__.encode() + b" released ")

keep = Resource()
keep.me = keep
child = subprocess.Popen(["sleep", "0.2"])
"""


@pytest.mark.parametrize("case", CASES)
def test_finalizers_take_locks_at_interpreter_exit(case: str) -> None:
    code = FINALIZERS + CASES[case]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("Empty released ", "")
