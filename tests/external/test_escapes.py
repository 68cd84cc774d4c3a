"""Ways to touch the real clock, network, disk, entropy or identity: controlled, refused, or documented to escape.

Every probe is made in two runs with the same seed, all of one place in one run. *Controlled* is what gives the same in
both, where the world outside has moved on between them; *refused* is what raises `HiddenStateError`, or where a disk
has no such thing the error of its own that the probe names; what *escapes* has to be in docs/determinism.md or
docs/disks-and-clocks.md, in a row or sentence that says so. Nothing is left: a probe that does otherwise fails.
"""

from __future__ import annotations

import _socket
import _thread
import asyncio
import calendar
import concurrent.futures
import ctypes
import ctypes.util
import datetime
import email.generator
import email.utils
import faulthandler
import fcntl
import getpass
import glob
import gzip
import http.client
import http.cookiejar
import io
import json
import linecache
import locale
import logging
import mmap
import multiprocessing
import multiprocessing.pool
import multiprocessing.shared_memory
import multiprocessing.sharedctypes
import os
import pathlib
import pickle
import platform
import pty
import pwd
import queue
import random
import resource
import sched
import secrets
import select
import selectors
import shutil
import signal
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import sys
import syslog
import tarfile
import tempfile
import threading
import time
import timeit
import urllib.request
import uuid
import webbrowser
import xmlrpc.client
import zipfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic as kept_monotonic
from typing import Any

import numpy
import pytest
import trio

import detrun

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
FORK = multiprocessing.get_context("fork")
KEPT = {"open": open, "time": time.time}
Probes = dict[str, Callable[[], Any]]


def error_of(call: Callable[[], Any], *kinds: type[BaseException]) -> str:
    """The error that a probe is meant to meet, one of the simulated world's."""
    with pytest.raises(kinds) as caught:
        call()
    return repr(caught.value)


def first_of_queue(timeout: float) -> float:
    begin = time.monotonic()
    with pytest.raises(queue.Empty):
        queue.Queue().get(timeout=timeout)
    return time.monotonic() - begin


def slept(call: Callable[[], Any]) -> float:
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


def scheduled() -> list[float]:
    seen: list[float] = []
    scheduler = sched.scheduler()
    scheduler.enter(2, 1, lambda: seen.append(time.monotonic()))
    scheduler.run()
    return seen


def from_a_thread(call: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found


def logged() -> float:
    return logging.LogRecord("x", 10, "x", 1, "x", (), None).created


def waits_on_a_pipe() -> list[Any]:
    reading, writing = os.pipe()
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(reading, selectors.EVENT_READ)
            return selector.select(0.3)
    finally:
        os.close(reading)
        os.close(writing)


def child_says(code: str) -> str:
    words = [sys.executable, "-c", f"import os, random, sys, time\n{code}"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def child_waits(timeout: float) -> None:
    subprocess.run([sys.executable, "-c", "import time; time.sleep(9)"], check=True, timeout=timeout)


def pooled() -> list[float]:
    with multiprocessing.pool.ThreadPool(2) as pool:
        return pool.map(lambda _: time.monotonic(), range(3))


def executed() -> float:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return pool.submit(time.monotonic).result()


def round_trip() -> bytes:
    with socket.create_server(("localhost", 8000)) as server, socket.create_connection(("localhost", 8000)) as client:
        other, _ = server.accept()
        with other:
            client.sendall(b"x")
            return other.recv(1)


def numbers_of(source: Any) -> Any:
    return [source.random() for _ in range(2)]


CONTROLLED: Probes = {
    # Clocks.
    "time.time": lambda: time.time(),
    "time.time_ns": lambda: time.time_ns(),
    "time.monotonic": lambda: time.monotonic(),
    "time.monotonic_ns": lambda: time.monotonic_ns(),
    "time.perf_counter": lambda: time.perf_counter(),
    "time.perf_counter_ns": lambda: time.perf_counter_ns(),
    "time.process_time": lambda: time.process_time(),
    "time.process_time_ns": lambda: time.process_time_ns(),
    "time.thread_time": lambda: time.thread_time(),
    "time.thread_time_ns": lambda: time.thread_time_ns(),
    "time.clock_gettime of REALTIME": lambda: time.clock_gettime(time.CLOCK_REALTIME),
    "time.clock_gettime of MONOTONIC": lambda: time.clock_gettime(time.CLOCK_MONOTONIC),
    "time.clock_gettime of BOOTTIME": lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    "time.clock_gettime of PROCESS_CPUTIME_ID": lambda: time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID),
    "time.clock_gettime_ns": lambda: time.clock_gettime_ns(time.CLOCK_REALTIME),
    "from time import monotonic": lambda: kept_monotonic(),
    "time.gmtime": lambda: time.gmtime(),
    "time.localtime": lambda: time.localtime(),
    "time.ctime": lambda: time.ctime(),
    "time.asctime": lambda: time.asctime(),
    "time.strftime": lambda: time.strftime("%Y-%m-%d %H:%M:%S"),
    "time.sleep": lambda: slept(lambda: time.sleep(0.5)),
    "calendar.timegm": lambda: calendar.timegm(time.gmtime()),
    "datetime.now": lambda: datetime.datetime.now(),
    "datetime.now of UTC": lambda: datetime.datetime.now(datetime.UTC),
    "datetime.today": lambda: datetime.datetime.today(),
    "date.today": lambda: datetime.date.today(),
    "logging's time stamps": logged,
    "email.utils.formatdate": lambda: email.utils.formatdate(),
    "email.utils.localtime": lambda: email.utils.localtime(),
    "http.cookiejar.time2isoz": lambda: http.cookiejar.time2isoz(),
    "timeit.default_timer": lambda: timeit.default_timer(),
    "timeit.timeit": lambda: timeit.timeit(number=10),
    "sched.scheduler": scheduled,
    "threading.Event.wait": lambda: slept(lambda: threading.Event().wait(0.5)),
    "threading.Condition.wait": lambda: slept(lambda: from_a_thread(lambda: threading.Event().wait(0.25))),
    "threading.Timer": lambda: slept(lambda: (timer := threading.Timer(0.5, list)).start() or timer.join()),
    "queue.Queue.get": lambda: first_of_queue(0.5),
    "select.select of nothing": lambda: slept(lambda: select.select([], [], [], 0.3)),
    "select.poll of nothing": lambda: slept(lambda: select.poll().poll(300)),
    "selectors on a pipe": lambda: slept(waits_on_a_pipe),
    "subprocess of Python without a world": lambda: child_says("print(time.time(), os.urandom(4))"),
    "ThreadPoolExecutor": executed,
    "multiprocessing.pool.ThreadPool": pooled,
    # Entropy.
    "os.urandom": lambda: os.urandom(8),
    "os.getrandom": lambda: os.getrandom(8),
    "random.random": lambda: random.random(),
    "random.getrandbits": lambda: random.getrandbits(64),
    "random.randbytes": lambda: random.randbytes(8),
    "random.Random": lambda: numbers_of(random.Random()),
    "random.Random.seed": lambda: (one := random.Random(1)).seed() or one.random(),
    "random.SystemRandom": lambda: random.SystemRandom().random(),
    "random.seed": lambda: random.seed() or random.random(),
    "secrets.token_hex": lambda: secrets.token_hex(),
    "secrets.token_bytes": lambda: secrets.token_bytes(),
    "secrets.choice": lambda: secrets.choice(range(10**9)),
    "secrets.randbelow": lambda: secrets.randbelow(10**9),
    "uuid.uuid4": lambda: uuid.uuid4(),
    "uuid.uuid1": lambda: uuid.uuid1(),
    "uuid.getnode": lambda: uuid.getnode(),
    "email's boundaries": lambda: email.generator._make_boundary(),
    "numpy.random.rand": lambda: numpy.random.rand(),
    "numpy.random.seed": lambda: numpy.random.seed() or numpy.random.rand(),
    "numpy.random.default_rng": lambda: numpy.random.default_rng().random(),
    "numpy.random.SeedSequence": lambda: numpy.random.SeedSequence().entropy,
    "numpy.random.RandomState": lambda: numpy.random.RandomState().rand(),
    "numpy.random.PCG64": lambda: numpy.random.Generator(numpy.random.PCG64()).random(),
    "SQL's random()": lambda: sqlite3.connect(":memory:").execute("SELECT random()").fetchone(),
    # Identity.
    "threading.get_ident": lambda: threading.get_ident(),
    "_thread.get_ident": lambda: _thread.get_ident(),
    "threading.current_thread": lambda: threading.current_thread().name,
    "threading.active_count": lambda: threading.active_count(),
    "threading.get_native_id": lambda: from_a_thread(threading.get_native_id),
    "names of threads": lambda: from_a_thread(lambda: threading.current_thread().name),
    # The network of a machine by itself.
    "socket round trip": round_trip,
    "socket.connect to the outside": lambda: error_of(lambda: socket.create_connection(("192.0.2.1", 80), 1), OSError),
    "socket.getaddrinfo": lambda: error_of(lambda: socket.getaddrinfo("example.com", 80), socket.gaierror),
    "socket.getservbyname": lambda: socket.getservbyname("http"),
    "socket.getservbyport": lambda: socket.getservbyport(80),
    "socket.getprotobyname": lambda: socket.getprotobyname("tcp"),
    "socket.gethostbyname": lambda: error_of(lambda: socket.gethostbyname("example.com"), socket.gaierror),
    "_socket.gethostbyname": lambda: error_of(lambda: _socket.gethostbyname("example.com"), socket.gaierror),
    "multiprocessing.Lock": lambda: slept(lambda: (lock := FORK.Lock()).acquire() and lock.acquire(timeout=0.5)),
    "multiprocessing.Event": lambda: slept(lambda: FORK.Event().wait(0.5)),
    "socket.if_nameindex": lambda: [socket.if_indextoname(number) for number, _ in socket.if_nameindex()],
    "socket.if_nametoindex": lambda: socket.if_nametoindex("eth0"),
    "socket.socketpair": lambda: [one.close() for one in socket.socketpair()],
    "urllib.request.urlopen": lambda: error_of(lambda: urllib.request.urlopen("http://example.com"), OSError),
    "http.client": lambda: error_of(lambda: http.client.HTTPConnection("example.com").request("GET", "/"), OSError),
    "smtplib.SMTP": lambda: error_of(lambda: smtplib.SMTP("example.com"), OSError),
    "xmlrpc.client": lambda: error_of(lambda: xmlrpc.client.ServerProxy("http://example.com").f(), OSError),
    "ssl.get_server_certificate": lambda: error_of(lambda: ssl.get_server_certificate(("example.com", 443)), OSError),
    "socket.sendto": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
}
REFUSED: Probes = {
    "os.fork": lambda: os.fork(),
    "os.forkpty": lambda: os.forkpty(),
    "pty.spawn": lambda: pty.spawn("true"),
    "os.system": lambda: os.system("true"),
    "os.popen": lambda: os.popen("true"),
    "os.execv": lambda: os.execv("/bin/true", ["true"]),
    "os.spawnv": lambda: os.spawnv(os.P_WAIT, "/bin/true", ["true"]),
    "os.posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "subprocess.run": lambda: subprocess.run(["true"], check=True),
    "os.kill of a process outside": lambda: os.kill(1, 0),
    "subprocess.Popen": lambda: subprocess.Popen(["true"]),
    "subprocess.getoutput": lambda: subprocess.getoutput("true"),
    "multiprocessing.Process": lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
    "ProcessPoolExecutor": lambda: concurrent.futures.ProcessPoolExecutor(1).submit(print).result(),
    "webbrowser.open": lambda: webbrowser.GenericBrowser("true").open("http://example.com"),
    "input": lambda: input(),
    "os.eventfd": lambda: os.eventfd(0),
    "os.openpty": lambda: os.openpty(),
    "pty.openpty": lambda: pty.openpty(),
    "signal.alarm": lambda: signal.alarm(1),
    "signal.setitimer": lambda: signal.setitimer(signal.ITIMER_REAL, 1),
    "signal.pthread_kill": lambda: signal.pthread_kill(threading.get_ident(), 0),
    "signal.pause": lambda: signal.pause(),
    "signal.sigwait": lambda: signal.sigwait([signal.SIGUSR1]),
    "signal.sigwaitinfo": lambda: signal.sigwaitinfo([signal.SIGUSR1]),
    "signal.sigtimedwait": lambda: signal.sigtimedwait([signal.SIGUSR1], 0.1),
    "time.pthread_getcpuclockid": lambda: time.pthread_getcpuclockid(threading.get_ident()),
    "time.clock_settime": lambda: time.clock_settime(time.CLOCK_REALTIME, 0),
    "time.clock_settime_ns": lambda: time.clock_settime_ns(time.CLOCK_REALTIME, 0),
    "os.setuid": lambda: os.setuid(os.getuid()),
    "os.seteuid": lambda: os.seteuid(os.geteuid()),
    "os.setresgid": lambda: os.setresgid(-1, -1, -1),
    "os.setgroups": lambda: os.setgroups(os.getgroups()),
    "os.initgroups": lambda: os.initgroups("root", 0),
    "os.chroot": lambda: os.chroot("/"),
    "os.setpriority": lambda: os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0)),
    "os.sched_setaffinity": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
    "os.sched_setscheduler": lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)),
    "os.tcsetpgrp": lambda: os.tcsetpgrp(0, os.getpgrp()),
    "resource.setrlimit": lambda: resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE)),
    "resource.prlimit": lambda: resource.prlimit(0, resource.RLIMIT_CORE),
    "SharedMemory": lambda: multiprocessing.shared_memory.SharedMemory(create=True, size=8),
    "syslog.syslog": lambda: syslog.syslog(""),
    "multiprocessing.Manager": lambda: multiprocessing.get_context("spawn").Manager(),
    "multiprocessing.Pool": lambda: multiprocessing.get_context("spawn").Pool(1),
    "_socket.socket": lambda: _socket.socket(),
    "_socket.getaddrinfo": lambda: _socket.getaddrinfo("example.com", 80),
    "open of /dev/urandom": lambda: Path("/dev/urandom").read_bytes(),
    "os.open of /dev/random": lambda: os.open("/dev/random", os.O_RDONLY),
    "select.select of a file": lambda: select.select([], [], [os.open(__file__, os.O_RDONLY)]),
}
# Name -> the probe, and words of the row that documents it.
ESCAPES: dict[str, tuple[Callable[[], Any], str]] = {
    "os.getpid": (os.getpid, "process id"),
    "os.getppid": (os.getppid, "process id"),
    "os.environ": (lambda: dict(os.environ), "environment variables"),
    "sys.argv": (lambda: sys.argv, "command line"),
    "sys.executable": (lambda: sys.executable, "command line"),
    "os.cpu_count": (os.cpu_count, "processor count"),
    "os.sched_getaffinity": (lambda: os.sched_getaffinity(0), "processor count"),
    "os.getuid": (os.getuid, "user"),
    "getpass.getuser": (getpass.getuser, "user"),
    "os.uname": (os.uname, "host name"),
    "platform.node": (platform.node, "host name"),
    "platform.machine": (platform.machine, "host name"),
    "socket.gethostname": (_socket.gethostname, "host name"),
    "os.getcwd": (os.getcwd, "working directory"),
    "os.getloadavg": (os.getloadavg, "load"),
    "os.times": (os.times, "os.times"),
    "resource.getrusage": (lambda: resource.getrusage(resource.RUSAGE_SELF), "resource.getrusage"),
    "time.tzname": (lambda: time.tzname, "local time zone"),
    "numpy.datetime64 of now": (lambda: numpy.datetime64("now"), 'numpy.datetime64("now")'),
    "SQL's CURRENT_TIMESTAMP": (
        lambda: sqlite3.connect(":memory:").execute("SELECT CURRENT_TIMESTAMP").fetchone(),
        "CURRENT_TIMESTAMP",
    ),
    "time stamps of real files": (lambda: os.stat(__file__).st_mtime, "file time stamps"),
    "clocks by ctypes": (lambda: ctypes.CDLL(None).time(None), "clocks of C extensions"),
    "a clock in a dictionary": (lambda: KEPT["time"](), "a list or dictionary"),
    "ssl.RAND_bytes": (lambda: ssl.RAND_bytes(8), "ssl.RAND_bytes"),
    "tempfile": (lambda: tempfile.mktemp(), "tempfile"),
    "hash of text": (lambda: hash("text"), "`hash()` of strings"),
    "order of a set": (lambda: list({"a", "b", "c"}), "sets of strings"),
    "id": (lambda: id(object()), "`id()`"),
    "hash of an object": (lambda: hash(object()), "default `hash()`"),
    "real files": (lambda: Path(__file__).read_text(), "files, directories, databases"),
    "real directories": (lambda: os.listdir(DOCS), "os.listdir"),
    "the user's groups": (os.getgroups, "user"),
    "limits of the process": (lambda: resource.getrlimit(resource.RLIMIT_NOFILE), "resource.getrlimit"),
    "os.sysconf": (lambda: os.sysconf("SC_AVPHYS_PAGES"), "os.sysconf"),
    "os.memfd_create": (lambda: os.memfd_create("x"), "os.memfd_create"),
    "locale": (lambda: locale.setlocale(locale.LC_ALL), "locale.setlocale"),
    "faulthandler": (
        lambda: faulthandler.dump_traceback_later(1_000) or faulthandler.cancel_dump_traceback_later(),
        "faulthandler.dump_traceback_later",
    ),
    "pwd": (lambda: pwd.getpwuid(os.getuid()), "`pwd`"),
    "ssl's trusted certificates": (lambda: ssl.create_default_context().get_ca_certs(), "ssl.create_default_context"),
    "signals from outside": (lambda: signal.getsignal(signal.SIGTERM), "signals from other processes"),
    "sys.stdin": (lambda: sys.stdin, "sys.stdin"),
}
ON_NODES_CONTROLLED: Probes = {
    "open": lambda: Path("/a").write_text("x") and open("/a").read(),  # noqa: SIM115
    "os.open": lambda: os.write(os.open("/raw", os.O_WRONLY | os.O_CREAT), b"x"),
    "pathlib": lambda: sorted(map(str, pathlib.Path("/").iterdir())),
    "os.listdir": lambda: os.listdir("/"),
    "os.scandir": lambda: [one.name for one in os.scandir("/")],
    "os.walk": lambda: list(os.walk("/")),
    "os.stat": lambda: os.stat("/a"),
    "os.access": lambda: os.access("/etc/passwd", os.R_OK),
    "os.path.exists": lambda: os.path.exists("/etc/passwd"),
    "os.path.getmtime": lambda: os.path.getmtime("/a"),
    "os.utime": lambda: os.utime("/a") or os.stat("/a").st_mtime,
    "os.chmod": lambda: os.chmod("/a", 0o600) or os.stat("/a").st_mode,
    "os.truncate": lambda: os.truncate("/a", 5) or Path("/a").read_bytes(),
    "os.rename": lambda: os.rename("/a", "/b") or os.path.exists("/a"),
    "os.remove": lambda: os.remove("/b"),
    "os.makedirs": lambda: os.makedirs("/d/e"),
    "os.chdir": lambda: os.chdir("/d") or (os.getcwd(), os.chdir("/")),
    "os.statvfs": lambda: os.statvfs("/"),
    "os.sync": lambda: os.sync(),
    "shutil.disk_usage": lambda: shutil.disk_usage("/"),
    "shutil.copytree": lambda: shutil.copytree("/d", "/copy"),
    "shutil.rmtree": lambda: shutil.rmtree("/d"),
    "glob.glob": lambda: glob.glob("/*"),
    "tempfile.mkstemp": lambda: tempfile.mkstemp()[1],
    "tempfile.mkdtemp": lambda: tempfile.mkdtemp(),
    "tempfile.TemporaryFile": lambda: tempfile.TemporaryFile().write(b"x"),  # noqa: SIM115
    "logging.FileHandler": lambda: logging.FileHandler("/log").close() or os.stat("/log").st_size,
    "pickle.dump": lambda: pickle.dump(1, open("/pickle", "wb")),  # noqa: SIM115
    "json.dump": lambda: json.dump(1, open("/json", "w")),  # noqa: SIM115
    "gzip.open": lambda: gzip.open("/gz", "wb").close() or os.stat("/gz").st_mtime,
    "zipfile.ZipFile": lambda: zipfile.ZipFile("/zip", "w").close(),
    "tarfile.open": lambda: tarfile.open("/tar", "w").close(),
    "numpy.save": lambda: numpy.save("/array.npy", numpy.arange(3)),
    "numpy.load": lambda: numpy.load("/array.npy").tolist(),
    "numpy.loadtxt": lambda: numpy.savetxt("/text", numpy.ones(2)) or numpy.loadtxt("/text").tolist(),
    "linecache.getline": lambda: linecache.getline(__file__, 1),
    "sqlite3.connect": lambda: sqlite3.connect("/db").execute("CREATE TABLE t(n)").fetchall(),
    "SQL's CURRENT_TIMESTAMP on a node": lambda: sqlite3.connect("/db").execute("SELECT CURRENT_TIMESTAMP").fetchall(),
    "os.uname on a node": lambda: os.uname().nodename,
    "platform.node on a node": lambda: platform.node(),
    "socket.gethostname on a node": lambda: socket.gethostname(),
    "io.open_code": lambda: error_of(lambda: io.open_code("/etc/passwd"), FileNotFoundError),  # noqa: SIM115
    "os.setxattr": lambda: error_of(lambda: os.setxattr("/log", "user.x", b"x"), OSError),
    "os.umask": lambda: (os.umask(0o077), os.umask(0o022)),
    "os.setsid": lambda: error_of(lambda: os.setsid(), PermissionError),
    "os.getsid": lambda: (os.getsid(0), os.getpgrp(), os.getpgid(0)),
    "os.setpgrp": lambda: os.setpgrp() or os.setpgid(0, 0),
    "os.nice": lambda: os.nice(1),
    "os.kill of all others": lambda: os.kill(-1, 0),
    "os.kill of the group": lambda: os.kill(0, 0),
    "os.abort of a child": lambda: subprocess.run([sys.executable, "-c", "import os; os.abort()"]).returncode,
    "os._exit of a child": lambda: subprocess.run([sys.executable, "-c", "import os; os._exit(3)"]).returncode,
    "os.wait3": lambda: error_of(lambda: os.wait3(0), ChildProcessError),
    "os.wait4": lambda: error_of(lambda: os.wait4(-1, 0), ChildProcessError),
    "os.pathconf": lambda: os.pathconf("/", "PC_NAME_MAX"),
    "os.splice": lambda: error_of(lambda: os.splice(os.open("/log", os.O_RDONLY), os.pipe()[1], 5), OSError),
    "multiprocessing.Value": lambda: multiprocessing.get_context("spawn").Value("i", 3).value,
    "multiprocessing.RawArray": lambda: multiprocessing.sharedctypes.RawArray("i", 2)[:],
    "multiprocessing.Pipe": lambda: [one.close() for one in multiprocessing.Pipe()],
    "ctypes.util.find_library": lambda: ctypes.util.find_library("nothing of this name"),
    "platform.processor": lambda: platform.processor(),
    "a raw socket": lambda: error_of(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1), OSError),
    "a netlink socket": lambda: error_of(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW), OSError),
    "a packet socket": lambda: error_of(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW), OSError),
    "the clock of a process": lambda: time.clock_gettime((~os.getpid() << 3) | 2),
    "files of /proc": lambda: error_of(lambda: open("/proc/self/status"), FileNotFoundError),  # noqa: SIM115
    "files of /dev/shm": lambda: error_of(lambda: open("/dev/shm/x", "w"), FileNotFoundError),  # noqa: SIM115
    "os.link": lambda: os.link("/log", "/hard") or os.stat("/hard").st_nlink,
    "os.symlink": lambda: os.symlink("/log", "/soft") or os.readlink("/soft"),
    # Processes, pipes, signals, locks of files.
    "subprocess of Python": lambda: child_says("print(1, time.time())"),
    "entropy of a child": lambda: child_says("print(os.urandom(4), random.random())"),
    "files of a child": lambda: child_says("print(os.listdir('/'), os.getcwd(), os.path.exists('/etc/passwd'))"),
    "number of a process": lambda: (os.getpid(), os.getppid(), child_says("print(os.getpid(), os.getppid())")),
    "environment of a child": lambda: child_says("os.environ['A'] = 'b'; print(len(sys.argv))") and "A" in os.environ,
    "time-out of a child": lambda: slept(lambda: error_of(lambda: child_waits(0.5), subprocess.TimeoutExpired)),
    "os.pipe": lambda: os.pipe(),
    "select.poll of a pipe": lambda: slept(waits_on_a_pipe),
    "os.kill of a process that there is not": lambda: error_of(lambda: os.kill(99_999, 0), ProcessLookupError),
    "os.waitpid without children": lambda: error_of(lambda: os.waitpid(-1, 0), ChildProcessError),
    "os.pidfd_open": lambda: os.pidfd_open(os.getpid()),
    "os.closerange": lambda: os.closerange(3, 100_000) or child_says("print(1)"),
    "signal.pidfd_send_signal": lambda: signal.pidfd_send_signal(os.pidfd_open(os.getpid()), 0),
    "signal.signal": lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN) and os.kill(os.getpid(), signal.SIGUSR1),
    "signal.alarm on a node": lambda: signal.alarm(5) or signal.alarm(0),
    "signal.getitimer": lambda: signal.getitimer(signal.ITIMER_REAL),
    "fcntl.flock": lambda: fcntl.flock(os.open("/lock", os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX),
    "fcntl.lockf": lambda: fcntl.lockf(os.open("/lock", os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX),
    "os.lockf": lambda: os.lockf(os.open("/lock", os.O_RDWR | os.O_CREAT), os.F_LOCK, 1),
    "fcntl.fcntl": lambda: fcntl.fcntl(os.open("/lock", os.O_RDWR | os.O_CREAT), fcntl.F_SETLK, bytes(32)),
    "socket.send_fds": lambda: socket.send_fds(socket.socketpair()[0], [b"x"], [os.pipe()[0]]),
    "numpy.fromfile": lambda: error_of(lambda: numpy.fromfile("/log"), OSError),
    "ndarray.tofile": lambda: error_of(lambda: numpy.arange(3).tofile("/array"), OSError),
}
ON_NODES_REFUSED: Probes = {
    "io.FileIO": lambda: io.FileIO("/x", "w"),
    "a kept open": lambda: KEPT["open"]("/etc/passwd"),
    "sqlite3.Connection": lambda: sqlite3.Connection("/x"),
    "an unknown command of fcntl.fcntl": lambda: fcntl.fcntl(os.open("/lock", os.O_RDWR | os.O_CREAT), 1024),
    "fcntl.ioctl of a socket": lambda: fcntl.ioctl(socket.socketpair()[0], 0x5401),
    "another program": lambda: subprocess.run(["true"], check=True),
    "a shell": lambda: subprocess.run("true", shell=True, check=True),
    "os.system on a node": lambda: os.system("true"),
    "os.fork on a node": lambda: os.fork(),
    "os.posix_spawn on a node": lambda: os.posix_spawn(sys.executable, ["python", "-c", ""], {}),
    "multiprocessing.Process on a node": lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
    "Popen with preexec_fn": lambda: subprocess.Popen([sys.executable, "-c", ""], preexec_fn=print),
    "a timer of a processor's time": lambda: signal.setitimer(signal.ITIMER_PROF, 1),
    "signal.set_wakeup_fd": lambda: signal.set_wakeup_fd(0),
    "a real descriptor over a socket": lambda: socket.send_fds(socket.socketpair()[0], [b"x"], [0]),
    "mmap.mmap": lambda: mmap.mmap(os.open("/lock", os.O_RDWR | os.O_CREAT), 1),
    "numpy.memmap": lambda: numpy.memmap("/log", mode="w+", shape=1),
    "os.mkfifo": lambda: os.mkfifo("/fifo"),
    "os.mknod": lambda: os.mknod("/node"),
    "a package's file": lambda: Path(os.__file__).write_text(""),
    "open of /dev/urandom on a node": lambda: Path("/dev/urandom").read_bytes(),
}
ON_NODES_ESCAPES: dict[str, tuple[Callable[[], Any], str]] = {
    "files by ctypes": (lambda: ctypes.CDLL(None).access(b"/etc/passwd", 0), "C and C++ code that opens files itself"),
}


def outcomes(probes: Probes) -> dict[str, Any]:
    """What each gives, as text: ``refused``, or what it gave or raised."""
    found = {}
    for name, probe in probes.items():
        try:
            found[name] = repr(probe())
        except detrun.HiddenStateError:
            found[name] = "refused"
        except Exception as error:
            found[name] = f"raised {type(error).__name__}: {error}"
    return found


def in_two_runs(probes: Probes, *, on_node: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """What each gives in one run, and in another."""

    async def on_a_node() -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        async with detrun.World() as world:
            world.node("a").start(lambda: found.append(outcomes(probes)) or trio.sleep(0))
            await trio.sleep(60)
        return found[0]

    def outside() -> dict[str, Any]:
        return outcomes(probes)

    main = on_a_node if on_node else outside
    return detrun.record(main, seed=7).result, detrun.record(main, seed=7).result


def test_there_are_enough_ways():
    sections = (CONTROLLED, REFUSED, ESCAPES, ON_NODES_CONTROLLED, ON_NODES_REFUSED, ON_NODES_ESCAPES, IN_TASKS)
    assert sum(map(len, sections)) >= 130


def assert_controlled(probes: Probes, *, on_node: bool) -> None:
    one, other = in_two_runs(probes, on_node=on_node)
    assert one == other
    assert [name for name, text in one.items() if text == "refused" or text.startswith("raised ")] == []


def assert_refused(probes: Probes, *, on_node: bool) -> None:
    for found in in_two_runs(probes, on_node=on_node):
        assert {name: text for name, text in found.items() if text != "refused"} == {}


def assert_documented(escapes: dict[str, tuple[Callable[[], Any], str]], *, on_node: bool) -> None:
    """Each escapes, and a row of the documentation that speaks of it says so."""
    rows = [
        row for page in ("determinism", "disks-and-clocks") for row in (DOCS / f"{page}.md").read_text().split("\n")
    ]
    undocumented = [
        name for name, (_, words) in escapes.items() if not any(words in row and "escapes" in row for row in rows)
    ]
    assert undocumented == []
    one, _ = in_two_runs({name: probe for name, (probe, _) in escapes.items()}, on_node=on_node)
    assert [name for name, text in one.items() if text == "refused" or text.startswith("raised ")] == []


@pytest.mark.parametrize("on_node", [False, True])
def test_what_is_controlled_gives_the_same_in_two_runs(on_node):
    assert_controlled(ON_NODES_CONTROLLED if on_node else CONTROLLED, on_node=on_node)


@pytest.mark.parametrize("on_node", [False, True])
def test_what_is_refused_is_refused_by_name(on_node):
    assert_refused(ON_NODES_REFUSED if on_node else REFUSED, on_node=on_node)


@pytest.mark.parametrize("on_node", [False, True])
def test_what_escapes_is_documented(on_node):
    assert_documented(ON_NODES_ESCAPES if on_node else ESCAPES, on_node=on_node)


async def error_in(call: Callable[[], Any]) -> str:
    try:
        return repr(await call())
    except detrun.HiddenStateError:
        return "refused"
    except OSError as error:
        return repr(error)


async def asleep(sleep: Callable[[float], Any]) -> float:
    begin = time.monotonic()
    await sleep(0.5)
    return time.monotonic() - begin


IN_TASKS: dict[str, Callable[[], Any]] = {
    "asyncio.sleep": lambda: asleep(asyncio.sleep),
    "asyncio's loop.time": lambda: asyncio.sleep(0, asyncio.get_running_loop().time()),
    "asyncio.to_thread": lambda: asyncio.to_thread(threading.get_ident),
    "asyncio.open_connection": lambda: error_in(lambda: asyncio.open_connection("example.com", 80)),
    "asyncio's getaddrinfo": lambda: error_in(lambda: asyncio.get_running_loop().getaddrinfo("example.com", 80)),
    "asyncio.create_subprocess_exec": lambda: error_in(lambda: asyncio.create_subprocess_exec("true")),
    "asyncio.create_subprocess_shell": lambda: error_in(lambda: asyncio.create_subprocess_shell("true")),
}


def test_asyncio_touches_nothing_outside():
    async def main() -> dict[str, str]:
        return {name: repr(await probe()) for name, probe in IN_TASKS.items()}

    first, second = (detrun.record(main, seed=7, backend="asyncio").result for _ in range(2))
    assert first == second
    assert [name for name, text in first.items() if "refused" in text] == list(first)[-2:]


def test_torch_draws_from_the_run():
    torch = pytest.importorskip("torch")
    probes: Probes = {
        "torch.rand": lambda: torch.rand(1),
        "torch.randn": lambda: torch.randn(1),
        "torch.randint": lambda: torch.randint(10**9, (1,)),
        "torch.randperm": lambda: torch.randperm(20),
        "torch.bernoulli": lambda: torch.bernoulli(torch.full((20,), 0.5)),
        "torch.initial_seed": lambda: torch.initial_seed(),
        "torch.seed": lambda: (torch.seed(), torch.random.seed(), torch.rand(1)),
        "torch.utils.data.random_split": lambda: torch.utils.data.random_split(range(9), [4, 5])[0].indices,
        "torch.nn.init": lambda: torch.nn.Linear(2, 2).weight,
    }
    first, second = in_two_runs(probes, on_node=False)
    assert first == second
    assert [name for name, text in first.items() if text == "refused" or text.startswith("raised ")] == []
    assert "`torch.Generator().seed()`, CUDA generators | escapes" in (DOCS / "determinism.md").read_text()
