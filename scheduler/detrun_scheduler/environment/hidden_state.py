"""Hidden state: calls that would let the outside into a run are refused by name.

In the thread of a run, and there only, starting a real thread or a process, touching a real socket, asking at the
terminal and arming a signal timer raise `HiddenStateError` (threads by the usual ways, and locks, are simulated: see
`threads`). The rule is to watch the primitive and not the library on top: what leaves the run is the socket, and the
same library may one day stand on a simulated one. Files and databases are let through: with the same content they give
the same answers; and an error that a program catches is still an error every time, so the run stays deterministic. Code
of a node has a disk of its own (`file_names`): what goes past it is refused, unless nodes can read it.

Most calls announce themselves as audit events (PEP 578), which reach us whatever name the program imported. An audit
hook can never be removed, so there is one per process, added by the first run, that returns at once outside runs.
Some calls have no event (threads before 3.12, the raw fork-exec, signal timers); those are replaced by name.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from _thread import get_ident
from collections.abc import Callable
from os import getcwd, getpid  # the real ones, also in the code of a node
from types import FrameType, ModuleType, TracebackType
from typing import Any, NoReturn

import outcome

from detrun_scheduler.environment import file_names, process_names
from detrun_scheduler.environment.replaced_names import ReplacedNames, ReplacedTogether
from detrun_scheduler.errors import HiddenStateError, UsageError

# This module is there before any run, in which these names stand for something else.
_real_start_new_thread, _real_allocate_lock = _thread.start_new_thread, _thread.allocate_lock

_SOCKET = (
    "real sockets are not deterministic; run it on the nodes of a detrun.World, whose network is simulated, connect "
    "tasks by memory channels, or do the I/O outside the run"
)
_HOST_NAME = "it would name the real machine; a node has the name that World.node gave it"
PROCESS = "other processes are not deterministic; start it outside the run and pass in what it printed"
_FORK = (
    "copies of a process are not simulated; use subprocess with a script of Python's, threads, or a pool of threads "
    "(ThreadPoolExecutor, multiprocessing.pool.ThreadPool)"
)
_THREAD = (
    "this is the real function, imported by name before the run, and real threads are not deterministic; "
    "use threading.Thread, or call _thread.start_new_thread by its full name"
)
_PROMPT = "what a person types is not deterministic; ask outside the run and pass the answer in"
SIGNAL_TIMER = "signal timers follow real time; use trio.move_on_after or trio.fail_after, which follow virtual time"
SIGNAL_FROM_OUTSIDE = "signals come from outside the run, in real time; let tasks and threads wait for an event"
_FOREIGN = "it is a process outside the run; send signals to processes that the run has started"
_IDENT = (
    "C code takes the number of a thread for an address, and the threads of a run are numbered 1, 2, 3, ...; ask "
    "time.thread_time, or end a thread by telling it to"
)
_EVENT = "a read of it waits in real time; use os.pipe, or threading.Event"
_TERMINAL = "terminals of the operating system wait in real time; let the other side read and write a pipe"
_ASYNCIO = (
    "this event loop is none of the run's; import asyncio before the run, make loops in it by asyncio.run or "
    "asyncio.new_event_loop, and streams and sockets on the nodes of a detrun.World"
)
_FILE = (
    "code of a node reaches its simulated disk by open, os and pathlib; this call goes past them, by io.FileIO, "
    "a function that was kept before the run, or C code"
)
_LOCKED = "a simulated disk has no mapped memory, and C code does not know its descriptors; read the file"
DEVICE = "it gives other bytes every time; os.urandom reads a stream of the run"
_SLEEP = "this is the real sleep, imported by name before the run; call time.sleep or, in a task, await trio.sleep"

_REAL_PROCESS = "it changes the real process, and goes on after the run; do it before the run"
_REAL_CLOCK = "it would set the clock of the machine; a node's clock is stepped by node.clock"
_SHARED_MEMORY = "it is memory of the operating system, which outlives the run; threads of a run share all memory"
_SYSTEM_LOG = "it writes to the log of the machine; use logging with a file or a stream"

# Audit event -> (what to call it, which argument to show, the way out). A negative index shows no argument.
_WATCHED: dict[str, tuple[str, int, str]] = {
    "socket.__new__": ("socket.socket", -1, _SOCKET),
    "socket.connect": ("socket.connect to", 1, _SOCKET),
    "socket.bind": ("socket.bind to", 1, _SOCKET),
    "socket.sendto": ("socket.sendto", 1, _SOCKET),
    "socket.sendmsg": ("socket.sendmsg", -1, _SOCKET),
    "socket.getaddrinfo": ("socket.getaddrinfo of", 0, _SOCKET),
    "socket.getnameinfo": ("socket.getnameinfo of", 0, _SOCKET),
    "socket.gethostbyname": ("socket.gethostbyname of", 0, _SOCKET),
    "socket.gethostbyaddr": ("socket.gethostbyaddr of", 0, _SOCKET),
    "socket.sethostname": ("socket.sethostname to", 0, _HOST_NAME),
    "subprocess.Popen": ("subprocess.Popen of", 1, PROCESS),
    "os.system": ("os.system of", 0, PROCESS),
    "os.exec": ("os.exec of", 0, PROCESS),
    "os.posix_spawn": ("os.posix_spawn of", 0, PROCESS),
    "os.spawn": ("os.spawn of", 1, PROCESS),
    "os.startfile": ("os.startfile of", 0, PROCESS),
    "os.fork": ("os.fork", -1, _FORK),
    "os.forkpty": ("os.forkpty", -1, _FORK),
    "pty.spawn": ("pty.spawn of", 0, PROCESS),
    "os.kill": ("os.kill of", 0, _FOREIGN),
    "os.killpg": ("os.killpg of", 0, _FOREIGN),
    "webbrowser.open": ("webbrowser.open of", 0, PROCESS),
    "syslog.syslog": ("syslog.syslog", -1, _SYSTEM_LOG),
    "_thread.start_new_thread": ("starting a thread", -1, _THREAD),
    "_thread.start_joinable_thread": ("starting a thread", -1, _THREAD),
    "builtins.input": ("input", 0, _PROMPT),
    "time.sleep": ("time.sleep of", 0, _SLEEP),
}
# Event -> the simulated call that sees to it where there is one.
_NEEDED = {"subprocess.Popen": "fork_exec", "builtins.input": "input"}
# Events of real files, which code of a node has no business with, and what to call them.
_FILE_EVENTS = {
    "open": "opening",
    "sqlite3.connect": "sqlite3.connect to",
    **{
        f"os.{name}": f"os.{name} of"
        for name in ("chmod", "chown", "link", "listdir", "mkdir", "remove", "rename", "rmdir", "scandir", "symlink")
    },
    **{f"os.{name}": f"os.{name} of" for name in ("truncate", "utime", "setxattr", "removexattr")},
}
# Events of calls in C that take a descriptor, which files of a simulated disk only seem to have.
_DESCRIPTOR_EVENTS = frozenset(("fcntl.flock", "fcntl.lockf", "fcntl.fcntl", "fcntl.ioctl", "mmap.__new__"))
_EVENTS = frozenset((*_WATCHED, *_FILE_EVENTS, *_DESCRIPTOR_EVENTS, "import"))
at_import: dict[str, Callable[[], None]] = {}  # what to do when a module is about to be imported in the run
RANDOM_DEVICES = ("/dev/urandom", "/dev/random", "/dev/hwrng", "/proc/sys/kernel/random/uuid")
_SHOWN_CHARACTERS_MAX = 80

# Frames of these are never the user's; nor are those of the standard library.
_INTERNAL_PACKAGES = frozenset({"detrun", "detrun_scheduler", "detrun_recorder", "trio", "outcome", "greenlet"})

_run_thread = 0  # the OS thread of the active run, or 0 where there is none or it is inside `allowed`
_guarding = False
_hooked = False


def refuse(call: str, way_out: str, in_asyncio: str = "") -> NoReturn:
    """Raise the `HiddenStateError` for a call that a run cannot have, naming the user's line and the library between.

    For hosts that find such calls by means of their own: ``refuse("trio.to_thread.run_sync", "...")``.

    Args:
        in_asyncio: the way out where asyncio made the call on behalf of the user.
    """
    location, library = _nearest_user_frame(sys._getframe(1))
    # "socket.socket (in asyncio.runners.run)": the user called the second and would not know the first.
    if in_asyncio and library.startswith("asyncio."):
        way_out = in_asyncio  # its own event loop opens sockets, which the user has not asked for
    within = f" (in {library})" if library and library.partition(".")[0] != call.partition(".")[0] else ""
    raise HiddenStateError(f"{call}{within} inside a run: {way_out}{location}")


def _nearest_user_frame(frame: FrameType | None) -> tuple[str, str]:
    """``; at app.py:12`` of the innermost line of user code, and the library function that it called, if any."""
    best = ("", "")
    library = ""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        package = module.partition(".")[0]
        if package in sys.stdlib_module_names or package in _INTERNAL_PACKAGES:
            if package not in ("detrun", "detrun_scheduler"):
                library = f"{module}.{frame.f_code.co_qualname}"
        else:
            path = frame.f_code.co_filename
            found = (f"; at {_shown_path(path)}:{frame.f_lineno}", library)
            if "site-packages" not in path:
                return found
            # A third-party package: good enough if the program has no frame of its own below.
            best = best if best[0] else found
            library = f"{module}.{frame.f_code.co_qualname}"
        frame = frame.f_back
    return best


def _shown_path(path: str) -> str:
    here = getcwd() + os.sep
    return path[len(here) :] if path.startswith(here) else path


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    # Called for every audit event of the process from the first run on, so the common case is one comparison.
    if _run_thread and event in _EVENTS and get_ident() == _run_thread:
        if event == "import":
            if arguments[0] in at_import:
                at_import[arguments[0]]()
            return
        if event not in _WATCHED:
            (_look_at_file if event in _FILE_EVENTS else _look_at_descriptor)(event, *arguments)
            return
        call, shown, way_out = _WATCHED[event]
        if event == "os.kill" and arguments[0] in (0, getpid()):
            return  # the process of the run itself
        needed = _NEEDED.get(event)
        if needed is not None and process_names.simulated(needed) is not None:
            return
        if 0 <= shown < len(arguments) and arguments[shown] is not None:
            text = repr(arguments[shown])
            if len(text) > _SHOWN_CHARACTERS_MAX:
                text = text[: _SHOWN_CHARACTERS_MAX - 3] + "..."
            call = f"{call} {text}"
        refuse(call, way_out, _ASYNCIO if event.startswith("socket.") else "")


def _files_here() -> Any:
    return None if file_names.files_here is None else file_names.files_here()


def _look_at_file(event: str, path: Any, *rest: Any) -> None:
    """Refuse real files to the code of nodes, but for what nodes can read; and to all code what is entropy."""
    if path in RANDOM_DEVICES:
        refuse(f"{_FILE_EVENTS[event]} {path!r}", DEVICE)
    files = _files_here()
    if files is not None and not isinstance(path, int) and not files.may_be_real(event, path, *rest):
        refuse(f"{_FILE_EVENTS[event]} {path!r}", _FILE)


def _look_at_descriptor(event: str, number: Any, *rest: Any) -> None:
    files = _files_here()
    if files is not None and files.descriptors.has_given(number):
        refuse(f"{event.removesuffix('.__new__')} of a file of a node", _LOCKED)


# Functions that no audit event announces.
_REFUSED: dict[ModuleType, dict[str, tuple[str, str]]] = {
    threading: dict.fromkeys(("_start_new_thread", "_start_joinable_thread"), ("starting a thread", _THREAD)),
    _thread: dict.fromkeys(("start_new_thread", "start_joinable_thread"), ("starting a thread", _THREAD)),
    signal: {
        **{name: (f"signal.{name}", SIGNAL_TIMER) for name in ("alarm", "setitimer")},
        **{
            name: (f"signal.{name}", SIGNAL_FROM_OUTSIDE)
            for name in ("pause", "sigwait", "sigwaitinfo", "sigtimedwait")
        },
        "pthread_kill": ("signal.pthread_kill", _IDENT),
    },
    time: {
        "pthread_getcpuclockid": ("time.pthread_getcpuclockid", _IDENT),
        **{name: (f"time.{name}", _REAL_CLOCK) for name in ("clock_settime", "clock_settime_ns")},
    },
    os: {
        "eventfd": ("os.eventfd", _EVENT),
        "timerfd_create": ("os.timerfd_create", SIGNAL_TIMER),
        **{name: (f"os.{name}", _TERMINAL) for name in ("openpty", "posix_openpt")},
        **{
            name: (f"os.{name}", _REAL_PROCESS)
            for name in (
                *("chroot", "initgroups", "login_tty", "sched_setaffinity", "sched_setparam", "sched_setscheduler"),
                *("setegid", "seteuid", "setgid", "setgroups", "setns", "setpriority", "setregid", "setresgid"),
                *("setresuid", "setreuid", "setuid", "tcsetpgrp", "unshare"),
            )
        },
    },
}
try:
    import _posixshmem  # type: ignore[import-not-found]  # private, and known to no stubs
    import resource
except ImportError:  # Windows
    pass
else:
    _REFUSED[resource] = {name: (f"resource.{name}", _REAL_PROCESS) for name in ("setrlimit", "prlimit")}
    _REFUSED[_posixshmem] = dict.fromkeys(("shm_open", "shm_unlink"), ("shared memory", _SHARED_MEMORY))
try:
    import _posixsubprocess
except ImportError:  # Windows
    pass
else:
    # multiprocessing's spawn and forkserver methods call it without any audit event.
    _REFUSED[_posixsubprocess] = {"fork_exec": ("starting a process", PROCESS)}

REFUSED_NAMES = {module: tuple(names) for module, names in _REFUSED.items()}


def _replaced(module: ModuleType) -> ReplacedNames:
    def refusing(name: str, call: str, way_out: str) -> Callable[..., Any]:
        def refused(*arguments: Any, **named: Any) -> Any:
            if get_ident() == _run_thread:
                simulated = process_names.simulated(name)
                if simulated is not None:
                    return simulated(*arguments, **named)
                refuse(call, way_out)
            return group.originals[name](*arguments, **named)

        refused.__name__ = refused.__qualname__ = name
        return refused

    refused = {name: refusing(name, *words) for name, words in _REFUSED[module].items()}
    group = ReplacedNames(module, refused, may_stay=True)
    return group


_REFUSALS = ReplacedTogether(*map(_replaced, _REFUSED))


class Guard:
    """Refuses hidden state for one run: `enter`, run, `exit`. May be entered again; 5 µs together."""

    __slots__ = ()

    def enter(self) -> None:
        """Refuse from now on, in this thread.

        Raises:
            UsageError: if a run is guarded already in this process.
        """
        global _run_thread, _hooked, _guarding
        if _guarding:
            raise UsageError("a run is already active in this process; runs neither nest nor overlap between threads")
        if not _hooked:
            sys.addaudithook(_audit)
            _hooked = True
        _REFUSALS.install()
        _guarding = True
        _run_thread = get_ident()

    def exit(self) -> None:
        """Put everything back."""
        global _run_thread, _guarding
        _run_thread = 0
        _guarding = False
        _REFUSALS.restore()

    def __enter__(self) -> Guard:
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.exit()


def guard() -> Guard:
    """``with guard(): ...``"""
    return Guard()


class allowed:
    """Detrun's own needs inside a run: a forked snapshot, a wake-up socket pair. No effect outside runs. May nest."""

    __slots__ = ("_suspended",)

    def __enter__(self) -> None:
        global _run_thread
        # Another thread must not switch the guard of the run's thread off.
        self._suspended = _run_thread if get_ident() == _run_thread else 0
        if self._suspended:
            _run_thread = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _run_thread
        if self._suspended and _guarding:
            _run_thread = self._suspended


def in_real_thread(call: Callable[[], Any]) -> Any:
    """Return ``call()``, or raise what it raises, from a thread of the operating system, while the run stands still.

    In a run ``threading`` stands for simulated threads, whose every lock is a step of the schedule; in another thread
    its names fall through to the real ones. So code that runs here leaves no trace in the journal: an external effect
    that drives an event loop of its own, or the first import of a large library, which takes hundreds of locks, once.
    """
    results: list[outcome.Outcome[Any]] = []
    done = _real_allocate_lock()  # below by its old names, which go past `escaped_locks`

    def body() -> None:
        try:
            results.append(outcome.capture(call))
        finally:
            done.release_lock()

    done.acquire_lock()
    with allowed():
        _real_start_new_thread(body, ())
        done.acquire_lock()
    return results[0].unwrap()
