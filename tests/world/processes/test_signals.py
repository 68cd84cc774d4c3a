"""Signals of simulated processes: handlers, defaults, timers in virtual time, and event loops."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import selectors
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import trio

import detrun
from tests.world.processes.on_a_node import PYTHON, on_a_node


def test_a_handler_interrupts_what_the_main_thread_waits_in_and_the_wait_goes_on() -> None:
    def program() -> list[Any]:
        found: list[Any] = []
        signal.signal(signal.SIGALRM, lambda number, frame: found.append((number, time.monotonic())))
        signal.alarm(2)
        time.sleep(5)
        found.append(time.monotonic())
        event = threading.Event()
        threading.Timer(1, event.set).start()
        signal.alarm(1)  # at the same moment
        found.append(event.wait(3))
        return [*found, time.monotonic()]

    alarm = int(signal.SIGALRM)
    for seed in range(10):
        assert on_a_node(program, seed) == [(alarm, 2.0), 5.0, (alarm, 6.0), True, 6.0]


def test_timers_repeat_and_pause_waits_for_the_next_signal() -> None:
    def program() -> list[Any]:
        found: list[float] = []
        signal.signal(signal.SIGALRM, lambda number, frame: found.append(time.monotonic()))
        signal.setitimer(signal.ITIMER_REAL, 0.5, 0.25)
        for _ in range(3):
            signal.pause()
        assert signal.getitimer(signal.ITIMER_REAL) == (0.25, 0.25)
        assert signal.setitimer(signal.ITIMER_REAL, 0) == (0.25, 0.25)
        time.sleep(2)
        return found

    assert on_a_node(program) == [0.5, 0.75, 1.0]


def test_a_handler_that_raises_ends_the_wait_and_what_it_raises_is_the_status() -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "try: print('ready', flush=True); time.sleep(100)\nfinally: print('cleaned')"
    )

    def program() -> list[Any]:
        child = subprocess.Popen([PYTHON, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        found: list[Any] = [child.stdout.readline()]
        child.terminate()
        return [*found, child.communicate()[0], child.returncode]

    expected = ["ready\n", "cleaned\n", 7]
    assert on_a_node(program) == expected
    assert program() == expected  # outside a run: the real ones


def test_a_signal_that_comes_before_the_handler_is_set_kills_and_a_search_finds_that() -> None:
    code = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\ntime.sleep(100)"

    def program() -> None:
        child = subprocess.Popen([PYTHON, "-c", code])
        child.terminate()
        assert child.wait() == 7, f"ended by {-child.returncode}"

    async def main() -> None:
        async with detrun.World() as world:
            world.node("a").start(program)
            await world.node("a").ended()

    found = detrun.explore(main, schedules=50, shrink=False, explain=False, directory=None)
    assert "ended by 15" in str(found.failures[0])


def test_stopping_and_continuing_a_child() -> None:
    def program() -> list[Any]:
        child = subprocess.Popen([PYTHON, "-c", "import time; time.sleep(2)"])
        child.send_signal(signal.SIGSTOP)
        time.sleep(5)
        found = [child.poll()]
        child.send_signal(signal.SIGCONT)
        return [*found, child.wait(), time.monotonic()]

    assert on_a_node(program) == [None, 0, 5.0]


def test_the_end_of_a_child_is_told_by_a_signal() -> None:
    def program() -> list[str]:
        found: list[str] = []
        signal.signal(signal.SIGCHLD, lambda *_: found.append("ended"))
        subprocess.run([PYTHON, "-c", ""], check=True)
        return found

    assert on_a_node(program) == ["ended"]


def test_a_signal_without_a_handler_ends_the_first_process_of_a_node() -> None:
    async def main() -> list[Any]:
        found: list[Any] = []

        def program() -> None:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                found.append("goes on")
            finally:
                found.append("cleans up")

        async with detrun.World() as world:
            world.node("a").start(program)
            await world.node("a").ended()
            return [*found, world.node("a").was_killed]

    assert detrun.record(main).result == [True]


def test_blocked_signals_wait() -> None:
    def program() -> list[str]:
        found: list[str] = []
        signal.signal(signal.SIGUSR1, lambda *_: found.append("handled"))
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(1)
        found.append("blocked")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        time.sleep(0)
        return found

    assert on_a_node(program) == ["blocked", "handled"]


def test_a_thread_waits_for_signals_without_a_handler() -> None:
    def program() -> list[Any]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM})
        found: list[Any] = [signal.sigtimedwait([signal.SIGUSR1], 2), time.monotonic() - start]
        os.kill(os.getpid(), signal.SIGUSR2)
        found += [signal.sigpending(), signal.sigwait([signal.SIGUSR1, signal.SIGUSR2]), signal.sigpending()]
        waiting = threading.Thread(target=lambda: found.append(signal.sigwaitinfo({signal.SIGTERM}).si_signo))
        waiting.start()
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        waiting.join()
        return found

    start = on_a_node(time.monotonic)
    usr2 = signal.SIGUSR2
    assert on_a_node(program) == [None, 2.0, {usr2}, usr2, set(), signal.SIGTERM]


def test_a_wait_for_a_signal_that_nothing_sends_is_a_deadlock_that_names_it() -> None:
    with pytest.raises(detrun.DeadlockError, match=r"signal\.sigwait: no SIGHUP, SIGUSR1 comes"):
        on_a_node(lambda: signal.sigwait([signal.SIGUSR1, signal.SIGHUP]))


def test_real_time_signals_have_numbers_where_they_have_no_names() -> None:
    unnamed = signal.SIGRTMIN + 1

    def program() -> list[Any]:
        signal.pthread_sigmask(signal.SIG_BLOCK, [unnamed, signal.SIGRTMIN])
        os.kill(os.getpid(), unnamed)
        found: list[Any] = [signal.sigpending(), signal.sigwait([unnamed, signal.SIGRTMIN])]
        return [*found, signal.sigtimedwait([unnamed], 0), signal.pthread_sigmask(signal.SIG_UNBLOCK, [unnamed])]

    expected = [{unnamed}, unnamed, None, {unnamed, signal.SIGRTMIN}]
    assert on_a_node(program) == expected
    with pytest.raises(detrun.DeadlockError, match=rf"signal\.sigwait: no SIGRTMIN, {unnamed} comes"):
        on_a_node(lambda: signal.sigwait([signal.SIGRTMIN, unnamed]))


def test_event_loops_and_trio_receive_signals_of_their_process() -> None:
    async def in_asyncio() -> int:
        came = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, came.set)
        os.kill(os.getpid(), signal.SIGTERM)
        await came.wait()
        return int(loop.remove_signal_handler(signal.SIGTERM)) + int(loop.remove_signal_handler(signal.SIGTERM))

    assert on_a_node(lambda: asyncio.run(in_asyncio())) == 1

    async def main() -> list[int]:
        found: list[int] = []

        async def in_trio() -> None:
            with trio.open_signal_receiver(signal.SIGUSR1) as signals:
                os.kill(os.getpid(), signal.SIGUSR1)
                async for number in signals:
                    found.append(int(number))
                    return

        async with detrun.World() as world:
            world.node("a").start(in_trio)
            await world.node("a").ended()
        return found

    assert detrun.record(main).result == [int(signal.SIGUSR1)]


def test_outside_nodes_signals_are_refused_by_name() -> None:
    def program() -> None:
        with pytest.raises(detrun.HiddenStateError, match=r"signal\.alarm inside a run"):
            signal.alarm(1)

    async def in_asyncio() -> None:
        with pytest.raises(NotImplementedError, match=r"a node of a detrun\.World"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)

    detrun.record(program)
    detrun.record(in_asyncio)


def test_after_a_handler_has_raised_the_thread_waits_and_is_woken_as_ever() -> None:
    def program() -> list[Any]:
        class Alarm(Exception):
            """Raised by the handler."""

        def ring(number: int, frame: Any) -> None:
            raise Alarm

        signal.signal(signal.SIGALRM, ring)
        event = threading.Event()
        signal.alarm(1)
        with pytest.raises(Alarm):
            event.wait()
        threading.Timer(1, event.set).start()
        return [event.wait(5), time.monotonic()]

    for seed in range(5):
        assert on_a_node(program, seed) == [True, 2.0]


def test_the_driver_sends_signals_to_nodes() -> None:
    async def main() -> list[Any]:
        found: list[Any] = []

        async def serve() -> None:
            asked = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
            await asked.wait()
            await asyncio.sleep(1)
            found.append("shut down")

        def waits() -> None:
            time.sleep(100)

        async with detrun.World() as world:
            world.node("a").start(serve)
            world.node("b").start(waits)
            await trio.sleep(1)
            for node in world.nodes:
                node.send_signal(signal.SIGTERM)
                await node.ended()
                found += [trio.current_time(), node.was_killed]
                node.send_signal(signal.SIGTERM)
        return found

    assert detrun.record(main).result == ["shut down", 2.0, False, 2.0, True]


def test_a_signal_to_a_group_comes_to_all_in_it_and_the_group_ends_at_a_new_session() -> None:
    waits = [PYTHON, "-c", "import time; time.sleep(100)"]
    leader = (
        "import os, signal, subprocess, sys, time\n"
        f"below = subprocess.Popen({waits!r})\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "assert os.getpgid(0) == os.getpgid(below.pid) == os.getpid()\n"
        "sys.exit(-below.wait())"
    )

    def program() -> list[Any]:
        came: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
        own, apart = subprocess.Popen(waits), subprocess.Popen([PYTHON, "-c", leader], start_new_session=True)
        time.sleep(1)
        os.killpg(os.getpid(), signal.SIGTERM)
        found: list[Any] = [own.wait(), list(came), apart.poll()]
        os.killpg(apart.pid, signal.SIGTERM)
        with pytest.raises(ProcessLookupError):
            os.getpgid(99)
        return [*found, apart.wait(), list(came), os.getpgid(0) == os.getpid()]

    assert on_a_node(program) == [-15, [15], None, 15, [15], True]


def with_one_thread(program: Callable[[], Any]) -> Any:
    """What a program gives in a real process with one thread: a signal may go to any thread that does not block it."""
    fork = multiprocessing.get_context("fork")
    receiving, sending = fork.Pipe(duplex=False)
    child = fork.Process(target=lambda: sending.send(program()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of other tests are not needed in it
        child.start()
    sending.close()
    found = receiving.recv()
    child.join()
    return found


def test_sigwaitinfo_names_the_sender_as_on_linux() -> None:
    chosen = {signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD, signal.SIGALRM}
    code = "import os, signal, sys; os.kill(os.getppid(), signal.SIGUSR1); sys.exit(3)"

    def program() -> list[Any]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, chosen)
        child = subprocess.Popen([PYTHON, "-c", code])
        signals: list[Any] = [signal.sigwaitinfo({one}) for one in (signal.SIGUSR1, signal.SIGCHLD)]
        signal.raise_signal(signal.SIGUSR2)
        signals.append(signal.sigtimedwait({signal.SIGUSR2}, 1))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        signals.append(signal.sigwaitinfo({signal.SIGALRM}))
        child.wait()
        who = {child.pid: "child", os.getpid(): "own", 0: "kernel"}
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        senders = [(one.si_signo, who[one.si_pid], one.si_uid) for one in signals]
        return [*senders, signals[0].si_code, signals[1].si_code, signals[1].si_status]

    assert on_a_node(program) == with_one_thread(program)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="a call of Linux")
def test_a_descriptor_of_a_process_is_ready_when_it_has_ended_as_on_linux() -> None:
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")

    def program() -> list[Any]:
        child = subprocess.Popen([PYTHON, "-c", "import time; time.sleep(100)"])
        number = os.pidfd_open(child.pid)
        copy, own = os.dup(number), os.pidfd_open(os.getpid())
        found: list[Any] = [select.select([number, own], [], [], 0.1)[0]]
        signal.pidfd_send_signal(number, signal.SIGTERM)
        with selectors.DefaultSelector() as selector:
            selector.register(copy, selectors.EVENT_READ)
            found.append([key.fd == copy for key, _ in selector.select()])
        os.close(number)
        found.append(os.waitid(os.P_PIDFD, copy, os.WEXITED | os.WNOWAIT).si_status)
        found += [child.wait(), os.get_blocking(copy), fcntl.fcntl(copy, fcntl.F_GETFL)]
        for wrong in (
            lambda: signal.pidfd_send_signal(copy, signal.SIGTERM),
            lambda: os.pidfd_open(child.pid),
            lambda: os.pidfd_open(0),
            lambda: os.read(copy, 1),
            lambda: fcntl.ioctl(copy, termios.FIONREAD, bytes(4)),
            lambda: os.close(number),
        ):
            with pytest.raises(OSError) as error:  # its number is compared
                wrong()
            found.append(error.value.errno)
        return found

    assert on_a_node(program) == program()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="a call of Linux")
def test_a_task_and_the_driver_wait_for_descriptors_of_processes() -> None:
    async def main() -> tuple[float, int]:
        async with detrun.World():
            child = subprocess.Popen([PYTHON, "-c", "import time; time.sleep(7)"])
            number = os.pidfd_open(child.pid, os.O_NONBLOCK)
            await trio.lowlevel.wait_readable(number)
            os.close(number)
            with pytest.raises(OSError, match="not implemented"):
                os.pidfd_open(os.getpid())
            return trio.current_time(), child.wait()

    assert detrun.record(main).result == (7, 0)


@pytest.mark.parametrize("end", [lambda: os._exit(3), lambda: os.abort()])
def test_a_program_that_ends_at_once_takes_its_node_with_it_and_not_the_run(end: Callable[[], object]) -> None:
    seen: list[str] = []

    def in_a_thread() -> None:
        threading.Thread(target=lambda: (time.sleep(2), seen.append("thread goes on"))).start()
        try:
            end()
        finally:
            seen.append("cleaned up")

    async def in_asyncio() -> None:
        await asyncio.sleep(1)
        end()
        seen.append("asyncio goes on")

    async def in_trio() -> None:
        await trio.sleep(1)
        end()
        seen.append("trio goes on")

    async def main() -> list[Any]:
        async with detrun.World() as world:
            for name, program in (("a", in_a_thread), ("b", in_asyncio), ("c", in_trio)):
                world.node(name).start(program)
            await trio.sleep(5)
            return [world.node(name).process for name in "abc"]

    assert detrun.record(main).result == [None] * 3
    assert seen == []
