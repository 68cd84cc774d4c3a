"""Forked processes as snapshots of a live run, coroutine frames and all.

`in_fork` starts a chain: it runs a function in a forked child and returns what the child replies. `fork_here` goes on
with the chain from inside the run: it returns twice, in the child at once, where the run goes on, and in the caller
when the child has replied; until then the sleeping caller *is* the snapshot, the run as it was at that step, kept at
copy-on-write cost. Of a chain only the last process runs.

Rules: a chain has a process group of its own, unless it is asked to do without, which is ended however `in_fork` ends
(result, error, Ctrl-C), so no process stays behind; every child has one pipe, closed on all ways out; what comes back
is one msgpack value or an error, never a pickle. A child that dies without a word is a `SnapshotError` naming how.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import msgpack

from detrun_scheduler import current
from detrun_scheduler.environment.hidden_state import allowed
from detrun_scheduler.errors import DetrunError

IN_CHILD = object()
_RESULT, _ERROR = 0, 1
_reply_pipe = -1  # in a child: where its snapshot waits for the reply


class SnapshotError(DetrunError):
    """A forked snapshot failed or was killed; the child's own traceback, if it had one, is in the message."""


def can_fork() -> bool:
    """Whether this system has ``fork``."""
    return hasattr(os, "fork")


def in_fork(body: Callable[[], Any], *, own_group: bool = True) -> Any:
    """Run ``body()`` in a forked child, the first of a chain, and return its result or what it gave to `reply`.

    Args:
        own_group: the chain has a process group. Without, it may read from the terminal, and ends by its own replies.

    Raises:
        DetrunError: of the type that was raised in the chain, for errors of detrun.
        SnapshotError: something else was raised there, or a process was killed.
    """
    read_end, write_end = _fork_pipe()
    child = _fork()
    if child == 0:
        os.close(read_end)
        _lead_chain(body, write_end, own_group)
    os.close(write_end)
    if not own_group:
        return _await_reply(child, read_end)
    try:
        # Both sides set the group, so that it is set whichever runs first.
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        return _await_reply(child, read_end)
    finally:
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)


def fork_here(*, quiet: bool = False) -> Any:
    """Fork inside a chain: returns `IN_CHILD` in the child, and in the caller, later, what the child replied.

    Args:
        quiet: the child's standard output is thrown away; for code that has run, and printed, before.

    Raises: as `in_fork`, in the caller.
    """
    global _reply_pipe
    read_end, write_end = _fork_pipe()
    child = _fork()
    if child == 0:
        os.close(read_end)
        os.close(_reply_pipe)
        _reply_pipe = write_end
        if quiet:
            silence()
        return IN_CHILD
    os.close(write_end)
    return _await_reply(child, read_end)


def silence() -> None:
    """Throw away this process's standard output from here on; what it runs has been run, and printed, before."""
    sys.stdout = io.TextIOWrapper(open(os.devnull, "wb"))  # noqa: SIM115 (open as long as the process)


def _fork() -> int:
    # Python's own hooks around a fork take locks, which does not belong to the run. One of them seeds `random` anew in
    # the child, where the run has to go on with the numbers that it would have had.
    run, current.run = current.run, None
    drawn = random.getstate()
    try:
        with allowed():
            child = os.fork()
        if child == 0:
            random.setstate(drawn)
        return child
    finally:
        current.run = run


def _fork_pipe() -> tuple[int, int]:
    # What is buffered would be written by both processes.
    sys.stdout.flush()
    sys.stderr.flush()
    return os.pipe()


def _lead_chain(body: Callable[[], Any], write_end: int, own_group: bool) -> NoReturn:
    global _reply_pipe
    _reply_pipe = write_end
    try:
        if own_group:
            os.setpgid(0, 0)
        reply(body())
    except BaseException as error:
        # Also where the children of this chain end up when they fail: they were forked below this frame.
        fail(error)


def fail(error: BaseException) -> NoReturn:
    """In a child: tell the waiting snapshot of ``error`` and end this process at once."""
    name = type(error).__name__ if isinstance(error, DetrunError) else None
    text = str(error) if name is not None else "".join(traceback.format_exception(error))
    _send((_ERROR, name, text))
    os._exit(1)


def _await_reply(child: int, read_end: int) -> Any:
    try:
        with os.fdopen(read_end, "rb") as pipe:
            payload = pipe.read()
    except BaseException:
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    _, status = os.waitpid(child, 0)
    return _unpack(payload, os.waitstatus_to_exitcode(status))


def reply(result: Any) -> NoReturn:
    """In a child: send ``result`` to the waiting snapshot and end this process at once."""
    sys.stdout.flush()
    sys.stderr.flush()
    _send((_RESULT, result))
    os._exit(0)


def _send(message: tuple[Any, ...]) -> None:
    payload = memoryview(msgpack.packb(message))
    # The process that waits for the reply may be gone.
    with contextlib.suppress(BrokenPipeError):
        while payload:
            payload = payload[os.write(_reply_pipe, payload) :]


def _unpack(payload: bytes, status: int) -> Any:
    if not payload:
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise SnapshotError(
            f"a forked snapshot of the run ended with {how} before it answered; if it was killed for lack of memory, "
            "use smaller windows or fewer snapshots"
        )
    kind, *content = msgpack.unpackb(payload, strict_map_key=False)
    if kind == _RESULT:
        return content[0]
    name, text = content
    if name is None:
        raise SnapshotError(f"the program failed in a forked snapshot of the run:\n{text}")
    raise _error_class(name)(text)


def _error_class(name: str) -> type[DetrunError]:
    todo: list[type[DetrunError]] = [DetrunError]
    while todo:
        kind = todo.pop()
        if kind.__name__ == name:
            return kind
        todo.extend(kind.__subclasses__())
    return SnapshotError
