"""The three controls come and go together."""

from __future__ import annotations

import os
import random
import socket
import time
import uuid
from typing import Any

import pytest

from detrun_scheduler.clock import VirtualClock
from detrun_scheduler.environment import environment
from detrun_scheduler.environment.environment import ControlledEnvironment
from detrun_scheduler.errors import HiddenStateError, UsageError

ORIGINALS = (os.urandom, time.time, time.sleep, uuid.getnode)


def assert_uncontrolled() -> None:
    assert (os.urandom, time.time, time.sleep, uuid.getnode) == ORIGINALS
    socket.socket().close()
    assert os.urandom(8) != os.urandom(8)


def observed(seed: int) -> list[Any]:
    with ControlledEnvironment(seed, VirtualClock()):
        time.sleep(random.random())
        with pytest.raises(HiddenStateError):
            socket.socket()
        return [time.time(), os.urandom(8), uuid.uuid1(), uuid.uuid4()]


def test_what_a_program_sees_is_a_function_of_the_seed() -> None:
    first = observed(1)
    assert_uncontrolled()
    assert observed(1) == first
    assert all(ours != theirs for ours, theirs in zip(first, observed(2), strict=True))


def test_one_environment_serves_many_runs() -> None:
    one = ControlledEnvironment(4, VirtualClock(), start_seconds=0.0)
    draws = []
    for _ in range(2):
        one.enter()
        draws.append((random.random(), os.urandom(4), time.time()))
        one.exit()
    assert draws[0] == draws[1]
    assert draws[0][2] == 0.0


def test_a_refused_second_run_leaves_the_first_in_control() -> None:
    with ControlledEnvironment(1, VirtualClock()):
        with pytest.raises(UsageError, match="already active"):
            ControlledEnvironment(2, VirtualClock()).enter()
        assert time.time() == 946684800.0
        with pytest.raises(HiddenStateError):
            socket.socket()
    assert_uncontrolled()


@pytest.mark.parametrize("part", ["RunSeeding", "VirtualTime", "Guard"])
def test_a_failure_to_enter_one_part_undoes_the_others(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise MemoryError

    controlled, state = ControlledEnvironment(1, VirtualClock()), random.getstate()
    with monkeypatch.context() as patch:
        patch.setattr(getattr(environment, part), "enter", fail)
        with pytest.raises(MemoryError):
            controlled.enter()
    assert_uncontrolled()
    assert random.getstate() == state
    assert observed(1) == observed(1)


@pytest.mark.parametrize("part", ["VirtualTime", "Guard"])
def test_a_failure_to_leave_one_part_does_not_keep_the_others(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = getattr(environment, part)
    leave = kind.exit

    def leave_and_fail(self: object) -> None:
        leave(self)
        raise MemoryError

    controlled = ControlledEnvironment(1, VirtualClock())
    controlled.enter()
    monkeypatch.setattr(kind, "exit", leave_and_fail)
    with pytest.raises(MemoryError):
        controlled.exit()
    assert_uncontrolled()
