"""Starting a child: what ``fork_exec``, on which ``subprocess`` stands, is in the code of a run.

The arguments are those of ``_posixsubprocess.fork_exec``. An error that ``subprocess`` would read off a pipe from the
child is raised at once.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from detrun.world.files.files_of_code import files_here
from detrun.world.files.given_paths import name_as_given
from detrun.world.processes import steps
from detrun.world.processes.child import ChildProcess
from detrun.world.processes.end_calls import PipeCalls
from detrun.world.processes.ends import FileCallsOfStream, calls_of, ends_of
from detrun.world.processes.globals import environment_of
from detrun.world.processes.programs import StartedProgram, program_of
from detrun.world.processes.shared_streams import NAMES, ClosedStream, RealCallsOfStream, SharedStream
from detrun.world.processes.socket_calls import SocketCalls, SocketCallsOfStream, give_socket
from detrun.world.services import process_here
from detrun_scheduler.environment import file_names
from detrun_scheduler.environment.hidden_state import refuse

_UNBUFFERED = b"PYTHONUNBUFFERED"
_NO_PREEXEC = "a child is not forked in a run; do it in the script that is started"


def start_child(
    parent: Any,
    args: Any,
    executables: Any,
    close_fds: Any,
    fds_to_keep: Any,
    cwd: Any,
    env: Any,
    *rest: Any,
) -> int:
    """Start a process; its number.

    Raises:
        HiddenStateError: the program is one that a run cannot have.
        OSError: the working directory cannot be one.
    """
    p2cread, _, _, c2pwrite, _, errwrite, _, errpipe, _, session, group = rest[:11]
    preexec_fn = rest[15]
    words = [os.fsdecode(one) for one in args]
    if preexec_fn is not None:
        refuse("subprocess.Popen with preexec_fn", _NO_PREEXEC)
    environment = environment_of(env)
    program = program_of(words, os.fsdecode(executables[0]), parent.node.world.programs)
    child = ChildProcess(parent, program)
    child.has_session = bool(session) or group == 0
    try:
        _take_directory(child, parent, cwd, rest[14])
        for number in fds_to_keep:
            calls = calls_of(parent, number)
            if isinstance(calls, SocketCalls):
                give_socket(child, calls.simulated)
            end = None if parent.ends is None else parent.ends.get(number)
            if end is not None and number != errpipe:
                ends_of(child).inherit(number, end)
        for place, number in enumerate((p2cread, c2pwrite, errwrite)):
            child.standard[place] = _stream(child, parent, place, number)
    except BaseException:
        child.reaped()
        child.end()
        raise
    run = parent.services.run
    if run.threads.inherited is None:
        run.threads.inherit(process_here)  # where no world is open
    if parent.is_driver and parent.leave_children not in run.threads.at_standstill:
        run.threads.at_standstill.append(parent.leave_children)
    steps.surround(run)
    child.launch(_of_sys(child, program, environment), environment)
    return child.pid


def _take_directory(child: ChildProcess, parent: Any, cwd: Any, umask: int) -> None:
    """The working directory of the child: the parent's, or ``cwd`` from there; and its mask, the parent's where -1."""
    files = files_here()
    if files is None:
        if cwd is not None and os.path.realpath(cwd) != os.getcwd():
            refuse(f"subprocess.Popen with cwd={os.fspath(cwd)!r}", "outside nodes all code of a run has one directory")
        return
    own = child.context.run(files_here)
    assert own is not None
    own.working_directory, own.mask = files.working_directory, files.mask if umask == -1 else umask & 0o777
    if cwd is not None:
        try:
            own.chdir(cwd)
        except OSError as error:
            name_as_given(error, "chdir", (cwd,), {})
            raise


def _stream(child: ChildProcess, parent: Any, place: int, number: int) -> Any:
    """What a standard stream of the child is."""
    calls = calls_of(parent, place if number == -1 else number)
    if isinstance(calls, SharedStream):
        return SharedStream(child, calls.number, place, calls.stream)
    if isinstance(calls, PipeCalls):
        return PipeCalls(child, ends_of(child).add(calls.end), calls.end)
    if isinstance(calls, SocketCalls):
        return SocketCallsOfStream(child, calls.simulated)
    if isinstance(calls, FileCallsOfStream):
        number = calls.number
    elif isinstance(calls, RealCallsOfStream):
        return RealCallsOfStream(child, file_names.original("dup")(calls.number))
    if isinstance(calls, ClosedStream):
        return ClosedStream(child, place)
    if number < 3:
        return SharedStream.of_run(child, place if number == -1 else number, place)
    files = parent.files
    if files is not None and number in files.descriptors:
        return FileCallsOfStream(child, child.files.descriptors.add(files.descriptors.opened(number)))
    return RealCallsOfStream(child, file_names.original("dup")(number))


def _of_sys(child: ChildProcess, program: StartedProgram, environment: dict[bytes, bytes]) -> dict[str, Any]:
    """What ``sys`` has for the child."""
    added = os.fsdecode(environment.get(b"PYTHONPATH", b"")).split(os.pathsep)
    path = ["", *sys.path] if program.begins_here else list(sys.path)
    at = int(program.begins_here)
    path[at:at] = [one for one in added if one]
    found: dict[str, Any] = {"argv": program.argv, "path": path, "excepthook": sys.__excepthook__}
    is_unbuffered = program.is_unbuffered or bool(environment.get(_UNBUFFERED))
    for place, name in enumerate(NAMES):
        calls = child.standard[place]
        stream = None  # where it is closed
        if calls.is_open():
            stream = child.context.run(_text_stream, calls, place, is_unbuffered)
        found[name] = found[f"__{name}__"] = stream
    return found


def _text_stream(calls: Any, place: int, is_unbuffered: bool) -> Any:
    """A standard stream as the interpreter makes it: ``sys.stderr`` hands on each line, ``sys.stdout`` whole blocks."""
    if isinstance(calls, SharedStream):
        stream = calls.object_of_child()
    elif place == 0:
        stream = calls.opened(0, "r", -1, "utf-8", "strict")
    else:
        errors = "backslashreplace" if place == 2 else "strict"
        stream = calls.opened(place, "w", 1 if place == 2 else -1, "utf-8", errors)
    if place and is_unbuffered and isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(write_through=True, line_buffering=True)
    return stream
