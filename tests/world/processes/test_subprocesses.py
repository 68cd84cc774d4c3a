"""`subprocess` on nodes: Python code runs as simulated processes, other programs by stand-ins or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes.util
import io
import multiprocessing
import os
import platform
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from detrun_scheduler import current
from tests.world.processes.on_a_node import PYTHON, on_a_node

SCRIPTS = Path(__file__).parent / "scripts"


def shown(*words: str, **options: Any) -> str:
    """What a command prints."""
    return subprocess.run([PYTHON, *words], check=True, capture_output=True, text=True, **options).stdout


def test_a_child_has_its_own_arguments_environment_directory_and_standard_streams() -> None:
    def program() -> list[Any]:
        os.mkdir("/d")
        code = "import os, sys; print(sys.argv, os.environ['WHO'], os.getcwd(), input()); os.environ['WHO'] = 'me'"
        env = {**os.environ, "WHO": "child"}
        return [shown("-c", code, "x", input="typed", env=env, cwd="/d"), os.environ.get("WHO"), sys.argv == before]

    before = list(sys.argv)
    assert on_a_node(program) == ["['-c', 'x'] child /d typed\n", None, True]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("", 0),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit('why')", 1),
        ("1 / 0", 1),
        ("raise KeyboardInterrupt", -2),
        ("import os; os._exit(4)", 4),
        ("import os; os.abort()", -6),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("import sys; sys.stdout.close(); sys.exit(5)", 5),
        ("import sys; sys.stderr = None; 1 / 0", 1),
        ("import sys; sys.excepthook = lambda *_: 1 / 0; raise ValueError('first')", 1),
    ],
)
def test_exit_codes_and_errors_are_those_of_the_real_interpreter(code: str, status: int) -> None:
    def run() -> tuple[int, str]:
        done = subprocess.run([PYTHON, "-c", code], check=False, capture_output=True, text=True)
        return done.returncode, done.stderr.splitlines()[-1] if done.stderr else ""

    found = on_a_node(run)
    assert found[0] == status
    assert found == run()  # outside a run: the real one


def test_the_error_of_a_child_is_shown_with_its_own_frames_only() -> None:
    code = "def f():\n    return 1 / 0\nf()"

    def run() -> list[str]:
        shown = subprocess.run([PYTHON, "-c", code], check=False, capture_output=True, text=True).stderr
        return [line for line in shown.splitlines() if not line.startswith("    ")]  # newer Pythons show the source

    assert on_a_node(run) == run()


def test_time_of_a_child_is_virtual_and_waiting_for_it_too() -> None:
    def program() -> list[Any]:
        with subprocess.Popen([PYTHON, "-c", "import time; time.sleep(100)"]) as child:
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(2)
            found = [child.poll(), time.monotonic()]
            child.terminate()
            return [*found, child.wait(), time.monotonic()]

    assert on_a_node(program) == [None, 2.0, -15, 2.0]


def test_a_pipeline_passes_more_than_a_pipe_holds() -> None:
    def program() -> list[Any]:
        upper = "import sys\nfor line in sys.stdin: print(line.upper(), end='')"
        first = subprocess.Popen([PYTHON, "-c", upper], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        count = "import sys; data = sys.stdin.read(); print(len(data), data.count('X'))"
        second = subprocess.Popen([PYTHON, "-c", count], stdin=first.stdout, stdout=subprocess.PIPE)
        assert first.stdout is not None
        assert first.stdin is not None
        first.stdout.close()
        first.stdin.write(b"x" * 200_000)
        first.stdin.close()
        return [second.communicate()[0], first.wait(), second.returncode]

    assert on_a_node(program) == [b"200000 200000\n", 0, 0]


def test_scripts_and_modules_run_as_main_and_share_no_module_of_the_program() -> None:
    def program() -> list[str]:
        script = str(SCRIPTS / "counter.py")
        Path("/on_disk.py").write_text("import sys; print(__name__, __file__, sys.argv)")
        return [
            *(shown(script, number) for number in ("1", "2")),
            shown("/on_disk.py", "y"),
            shown("-m", "json.tool", "--compact", input='{"a": 1}'),
        ]

    found = on_a_node(program, host_files=[SCRIPTS])
    assert found == ["1\n", "2\n", "__main__ /on_disk.py ['/on_disk.py', 'y']\n", '{"a":1}\n']
    assert "tally" not in sys.modules


def test_command_lines_of_python_mean_what_they_mean_to_the_interpreter(tmp_path: Path) -> None:
    def run() -> list[Any]:
        os.mkdir("package")
        Path("package/__main__.py").write_text("print('folder', __file__ == os.path.abspath(__file__))".join(IMPORTED))
        Path("script.py").write_text("print(os.path.isabs(__file__), sys.argv, __name__)".join(IMPORTED))
        lines = [
            ["-uBc", "print(1)"],
            ["-usc", "import sys; print(sys.argv)", "-c"],
            ["-um", "json.tool", "--compact"],
            ["-mjson.tool", "--compact"],
            ["-V"],
            ["-sW", "ignore", "-c", "print(2)"],
            ["package"],
            ["script.py", "x"],
            ["gone.py"],
        ]
        found = []
        for words in lines:
            done = subprocess.run([PYTHON, *words], input="[1]", check=False, capture_output=True, text=True)
            found.append((done.returncode, done.stdout))
        with pytest.raises(FileNotFoundError) as caught:
            subprocess.run([PYTHON, "-V"], check=True, cwd="nowhere")
        return [*found, str(caught.value)]

    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        real = run()
    finally:
        os.chdir(before)
    assert on_a_node(run) == real


IMPORTED = ("import os, sys\n", "\n")


def test_what_libraries_ask_the_machine_as_they_are_imported_ends_no_run() -> None:
    def program() -> list[Any]:
        return [
            subprocess.run(["uname", "-sn"], check=True, capture_output=True, text=True).stdout,
            platform.processor(),
            ctypes.util.find_library("of no such name"),
            multiprocessing.Value("i", 3).value,
            multiprocessing.Array("i", [1, 2])[:],
        ]

    assert on_a_node(program) == [f"{os.uname().sysname} a\n", "", None, 3, [1, 2]]


def test_signals_reach_the_group_and_all_others() -> None:
    def program() -> list[Any]:
        waiting = [subprocess.Popen([PYTHON, "-c", "import time; time.sleep(99)"]) for _ in range(3)]
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        os.kill(0, 0)
        os.kill(-os.getpgrp(), 0)
        os.kill(-1, signal.SIGUSR1)
        return [one.wait() for one in waiting]

    assert on_a_node(program) == [-signal.SIGUSR1] * 3


def test_wait3_and_wait4_tell_how_a_child_has_ended_and_of_no_use_of_a_processor() -> None:
    def program() -> list[Any]:
        found = []
        for wait in (lambda pid: os.wait4(pid, 0), lambda _: os.wait3(0)):
            child = subprocess.Popen([PYTHON, "-c", "raise SystemExit(3)"])
            pid, status, used = wait(child.pid)
            found.append((pid == child.pid, os.waitstatus_to_exitcode(status), used.ru_utime))
        return found

    assert on_a_node(program) == [(True, 3, 0.0)] * 2


def test_sessions_groups_and_niceness_are_those_of_the_simulated_process() -> None:
    def program() -> list[Any]:
        with pytest.raises(PermissionError):
            os.setsid()  # it leads one
        code = "import os; print(os.getpgrp(), os.setsid() == os.getpid() == os.getsid(0) == os.getpgrp(), os.nice(3))"
        return [os.nice(5), shown("-c", code), os.nice(0)]

    before = os.getsid(0), os.getpgrp(), os.nice(0)
    assert on_a_node(program) == [5, "1 True 8\n", 5]
    assert (os.getsid(0), os.getpgrp(), os.nice(0)) == before


def test_a_module_of_the_program_that_takes_the_place_of_another_stays_in_its_child() -> None:
    code = (
        f"import sys, time; sys.path.insert(0, {str(SCRIPTS)!r})\nimport tally; time.sleep(1)\n"
        "del sys.modules['tally']; import spare_tally\ntime.sleep(1); print('spare_tally' in sys.modules)"
    )
    assert on_a_node(lambda: shown("-c", code), host_files=[SCRIPTS]) == "True\n"
    assert "spare_tally" not in sys.modules


def test_threads_and_exit_handlers_of_a_child_run_to_their_ends() -> None:
    code = (
        "import atexit, threading, time\natexit.register(print, 'exit')\n"
        "threading.Thread(target=lambda: (time.sleep(1), print('thread'))).start()\nprint('main')"
    )
    assert on_a_node(lambda: shown("-c", code)) == "main\nthread\nexit\n"


def test_other_programs_have_stand_ins_or_are_refused_by_name() -> None:
    def git(words: list[str]) -> int:
        print("stand-in for", *words)
        return 7

    def program() -> list[Any]:
        done = subprocess.run(["git", "log"], check=False, capture_output=True, text=True)
        with pytest.raises(detrun.HiddenStateError, match=r"starting 'make'.*World\(programs="):
            subprocess.run(["make"], check=False)
        return [done.returncode, done.stdout]

    assert on_a_node(program, programs={"git": git}) == [7, "stand-in for log\n"]


def test_files_of_the_node_can_be_standard_streams() -> None:
    def program() -> str:
        with open("/out", "w") as file:
            code = "import sys; print('one', flush=True); print('two', file=sys.stderr)"
            subprocess.run([PYTHON, "-c", code], check=True, stdout=file, stderr=subprocess.STDOUT)
        return Path("/out").read_text()

    assert on_a_node(program) == "one\ntwo\n"


def test_sockets_can_be_standard_streams_as_a_super_server_hands_them_to_its_services() -> None:
    service = "import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)\nprint('end')"

    def program() -> list[bytes]:
        with socket.create_server(("", 7)) as listening:
            client = socket.create_connection(("localhost", 7))
            accepted, _ = listening.accept()
            with accepted:
                child = subprocess.Popen([PYTHON, "-c", service], stdin=accepted, stdout=accepted)
        with client, client.makefile("rwb") as file:
            file.write(b"one\ntwo\n")
            file.flush()
            found = [file.readline(), file.readline()]
            client.shutdown(socket.SHUT_WR)
            return [*found, file.readline(), file.read(), b"%d" % child.wait()]

    assert on_a_node(program) == [b"ONE\n", b"TWO\n", b"end\n", b"", b"0"]


def test_a_child_makes_socket_objects_of_its_standard_input_and_of_passed_descriptors() -> None:
    code = """
import socket, sys
by_stream, passed = socket.socket(fileno=0), socket.socket(fileno=int(sys.argv[1]))
with socket.fromfd(0, socket.AF_UNIX, socket.SOCK_STREAM) as copy:
    copy.sendall(b"copy ")
by_stream.sendall(by_stream.recv(9))
passed.sendall(b"passed")
"""

    def program() -> list[bytes]:
        (one, other), (two, given) = socket.socketpair(), socket.socketpair()
        with one, two:
            one.sendall(b"stream")
            with other, given:
                number = given.fileno()
                child = subprocess.Popen([PYTHON, "-c", code, str(number)], stdin=other, pass_fds=(number,))
            assert child.wait() == 0
            return [one.makefile("rb").read(), two.makefile("rb").read()]

    assert on_a_node(program) == [b"copy stream", b"passed"]


def test_a_socket_of_a_child_that_is_killed_is_closed_when_no_other_has_it() -> None:
    def program() -> list[Any]:
        one, other = socket.socketpair()
        with one:
            with other:
                child = subprocess.Popen([PYTHON, "-c", "import time; time.sleep(100)"], stdin=other, stdout=other)
            one.settimeout(1)
            with pytest.raises(TimeoutError):
                one.recv(1)
            child.kill()
            return [one.recv(1), child.wait()]

    assert on_a_node(program) == [b"", -9]


def test_a_crash_takes_children_along_and_a_pause_stops_them() -> None:
    async def main() -> list[Any]:
        found: list[Any] = []
        code = "import time\nwhile True:\n    open('/log', 'a').write(f'{time.monotonic()} ')\n    time.sleep(1)"

        def program() -> None:
            subprocess.Popen([PYTHON, "-c", code])
            time.sleep(100)

        async with detrun.World() as world:
            node = world.node("a")
            node.start(program)
            await trio.sleep(2.5)
            node.pause()
            await trio.sleep(5)
            node.resume()
            await trio.sleep(1)
            found.append(len(node.all_processes()))
            node.crash()
            await trio.sleep(5)
            found.append(len(node.all_processes()))
            node.start(lambda: found.append(Path("/log").read_text()) or trio.sleep(0))
            await node.ended()
        return found

    assert detrun.record(main).result == [2, 0, "0.0 1.0 2.0 7.5 "]


def test_asyncio_subprocesses_are_asyncios_code_over_simulated_ones() -> None:
    async def program() -> list[Any]:
        code = "import sys; print(sys.stdin.read().upper(), end=''); sys.exit(3)"
        pipe = asyncio.subprocess.PIPE
        one = await asyncio.create_subprocess_exec(PYTHON, "-c", code, stdin=pipe, stdout=pipe)
        found: list[Any] = [await one.communicate(b"abc"), one.returncode]
        waits = (
            "import asyncio\nasync def main():\n try: await asyncio.sleep(9)\n finally: print('bye')\n"
            "asyncio.run(main())"
        )
        other = await asyncio.create_subprocess_exec(
            PYTHON, "-c", waits, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
        )
        await asyncio.sleep(1)
        other.send_signal(signal.SIGINT)
        return [*found, await other.communicate(), other.returncode]

    expected = [(b"ABC", None), 3, (b"bye\n", None), -2]
    assert detrun.record(program).result == expected  # without a world
    assert on_a_node(lambda: asyncio.run(program())) == expected


def test_trio_processes_are_trios_code_over_simulated_ones() -> None:
    async def main() -> list[Any]:
        found: list[Any] = []

        async def program() -> None:
            done = await trio.run_process([PYTHON, "-c", "print(input() * 2)"], stdin=b"xy\n", capture_stdout=True)
            found.append(done.stdout)
            with trio.move_on_after(1):
                await trio.run_process([PYTHON, "-c", "import time; time.sleep(9)"])
            found.append(trio.current_time())

        async with detrun.World() as world:
            world.node("a").start(program)
            await world.node("a").ended()
        return found

    assert detrun.record(main).result == [b"xyxy\n", 1.0]


def test_without_a_world_children_are_processes_of_the_machine_by_itself() -> None:
    def program() -> tuple[str, float]:
        return shown("-c", "import time; time.sleep(5); print('late')"), time.monotonic()

    assert detrun.record(program).result == ("late\n", 5.0)


@pytest.mark.parametrize("is_node", [False, True])
def test_a_child_that_closes_what_it_inherits_leaves_the_run_its_streams(
    is_node: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    codes = (
        "import sys, os; print('a', 1); sys.stdin.close(); sys.stdout.close(); os.write(1, b'b\\n')",
        "import os, sys; os.close(1)\ntry: print('lost')\nexcept OSError as error: print(error, file=sys.stderr)",
        "import sys; below = sys.stdout.detach(); below.write(b'c\\xff\\n')",
        "import sys; sys.stdout.reconfigure(encoding='latin-1'); print(sys.stdout.encoding, sys.stdout.fileno())",
        "import sys, subprocess; sys.stderr.close(); subprocess.run([sys.executable, '-c', 'print(7)'])",
        "import sys; print('err', file=sys.stderr); print('out', file=sys.stderr); sys.stderr.close()",
    )

    def program() -> None:
        for code in codes:
            subprocess.run([PYTHON, "-c", code], check=True, stderr=subprocess.STDOUT)

    inherited = sys.stdin, sys.stdout, sys.stderr
    if is_node:
        on_a_node(program)
        times = 2
    else:
        detrun.record(program)
        times = 1
    assert (sys.stdin, sys.stdout, sys.stderr) == inherited
    assert not any(stream.closed for stream in inherited)
    written = "a 1\nb\n[Errno 9] Bad file descriptor\nc\ufffd\nlatin-1 1\n7\nerr\nout\n"
    assert capfd.readouterr() == (written * times, "")


def test_a_child_that_puts_a_file_in_the_place_of_its_output_leaves_the_run_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import os, sys\nfd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\nprint('shared', flush=True)\n"
        "os.dup2(fd, 1)\nos.close(fd)\nprint('own', flush=True)\nos.write(1, b'own, too')"
    )
    found = []
    for way in (lambda main: main(), detrun.record):
        file = tmp_path / way.__name__
        way(lambda file=file: subprocess.run([PYTHON, "-c", code, str(file)], check=True))
        os.write(1, b"of the run")
        found.append((file.read_text(), capfd.readouterr()))
    assert found[0] == found[1] == ("own\nown, too", ("shared\nof the run", ""))


def test_a_child_prints_where_the_run_prints() -> None:
    def program() -> None:
        print("before")
        subprocess.run([PYTHON, "-c", "print('child'); import sys; print('error', file=sys.stderr)"], check=True)
        print("after")

    printed, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        detrun.record(program)
    assert (printed.getvalue(), errors.getvalue()) == ("before\nchild\nafter\n", "error\n")


def test_a_child_that_outlives_the_main_function_finds_its_pipes_and_sockets_closed() -> None:
    kept: list[Any] = []

    def fails() -> None:
        near, far = socket.socketpair()
        number = far.fileno()
        kept.append(near)
        words = [PYTHON, "-c", "import sys, socket\nsys.stdin.read(), socket.socket(fileno=int(sys.argv[1])).recv(1)"]
        kept.append(subprocess.Popen([*words, str(number)], stdin=subprocess.PIPE, pass_fds=[number]))
        raise ValueError("of main")

    with pytest.raises(ValueError, match="of main"):
        detrun.record(fails)

    def blocks() -> None:
        kept.append(subprocess.Popen([PYTHON, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE))
        lock = threading.Lock()
        lock.acquire()
        threading.Thread(target=lock.acquire).start()

    with pytest.raises(detrun.DeadlockError, match="2 tasks blocked"):  # a thread of the parent keeps it alive
        detrun.record(blocks)
    kept.clear()


def test_processes_of_loky_are_refused_by_name_where_its_tracker_begins() -> None:
    code = "from joblib.externals.loky.backend.resource_tracker import main; main(3, False)"
    with pytest.raises(detrun.HiddenStateError, match="starting a process of multiprocessing"):
        detrun.record(lambda: subprocess.run([PYTHON, "-c", code], check=True))


def a_race() -> None:
    """A child adds to a file what it finds there, and so does its parent."""
    add = (
        "with open('/sum') as file: before = int(file.read())\n"
        "with open('/sum', 'w') as file: file.write(str(before + 1))"
    )
    Path("/sum").write_text("0")
    child = subprocess.Popen([PYTHON, "-c", add])
    exec(add)
    assert child.wait() == 0
    total = int(Path("/sum").read_text())
    assert total == 2, f"lost update: {total}"


async def races() -> None:
    async with detrun.World() as world:
        world.node("a").start(a_race)
        await world.node("a").ended()


def test_a_search_finds_what_parent_and_child_do_to_one_file() -> None:
    found = detrun.explore(races, schedules=200, shrink=False, explain=False, directory=None)
    assert found.failures
    assert "lost update" in str(found.failures[0]) or "invalid literal for int" in str(found.failures[0])


@pytest.mark.one_python
def test_a_fresh_process_replays_children_to_the_same_digest(tmp_path: Path) -> None:
    run = detrun.record(races, seed=_passing())
    path = tmp_path / "run.detrun"
    run.recording.save(path)
    code = (
        "import detrun; from tests.world.processes.test_subprocesses import races; "
        f"print(detrun.replay(races, recording={str(path)!r}).digest)"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [PYTHON, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": "9"},
    )
    assert done.stdout.strip() == str(run.digest)


def _fails(seed: int) -> bool:
    try:
        detrun.record(races, seed=seed)
    except (AssertionError, ValueError):
        return True
    return False


def _passing() -> int:
    return next(seed for seed in range(100) if not _fails(seed))


def test_nothing_stays_replaced_after_a_run() -> None:
    before = (sys.argv, sys.stdout, dict(os.environ), sys.modules["__main__"], sys.path[:])
    on_a_node(lambda: shown("-c", "import sys, os; sys.path.append('x'); os.environ['A'] = 'b'; print(1)"))
    assert current.run is None
    assert before == (sys.argv, sys.stdout, dict(os.environ), sys.modules["__main__"], sys.path)


def test_a_child_that_is_left_over_from_one_run_takes_no_status_in_another() -> None:
    kept: list[Any] = []

    def leaves() -> None:
        kept.append(subprocess.Popen([PYTHON, "-c", "import time; time.sleep(1)"]))

    def program() -> list[Any]:
        child = subprocess.Popen([PYTHON, "-c", "raise SystemExit(3)"])
        time.sleep(1)
        return [kept[-1].pid == child.pid, kept[-1].poll() == sys.maxsize, child.wait()]

    on_a_node(leaves)
    assert on_a_node(program) == [True, True, 3]


def test_a_script_may_run_trio_and_ctrl_c_cancels_it() -> None:
    code = (
        "import trio\nasync def main():\n    try:\n        await trio.sleep(1)\n        print('slept', flush=True)\n"
        "        await trio.sleep(100)\n    finally:\n        print('cleaned', flush=True)\ntrio.run(main)"
    )

    def program() -> list[Any]:
        child = subprocess.Popen([PYTHON, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert child.stdout is not None
        found: list[Any] = [child.stdout.readline(), time.monotonic()]
        child.send_signal(signal.SIGINT)
        return [*found, child.communicate()[0], child.returncode]

    assert on_a_node(program) == ["slept\n", 1.0, "cleaned\n", -2]


@pytest.mark.parametrize("is_node", [False, True])
def test_children_pipes_and_files_leave_no_cyclic_garbage(is_node: bool, garbage_of: Any) -> None:
    def program() -> None:
        code = "import threading; one = threading.Thread(target=print); one.start(); one.join()"
        assert shown("-c", code) == "\n"
        child = subprocess.Popen([PYTHON, "-c", "import time; time.sleep(9)"])
        time.sleep(1)
        child.kill()
        child.wait()
        reading, writing = os.pipe()
        os.write(writing, b"x")
        assert os.read(reading, 1) == b"x"
        os.close(reading)
        os.close(writing)
        if is_node:
            with open("/file", "w") as file:
                file.write("x")
            sqlite3.connect("/database").close()

    async def on_node() -> None:
        async with detrun.World() as world:
            world.node("a").start(program)
            await world.node("a").ended()

    main: Any = on_node if is_node else program
    assert garbage_of(lambda: detrun.record(main)) == 0


@pytest.mark.filterwarnings("error")  # Python 3.13 would tell of a flush that fails
def test_what_a_child_has_buffered_is_lost_where_it_ends_at_once() -> None:
    def program() -> Any:
        code = "import os, sys; sys.stdout.write('buffered'); os._exit(3)"
        done = subprocess.run([PYTHON, "-c", code], check=False, capture_output=True)
        return done.returncode, done.stdout

    assert on_a_node(program) == (3, b"")
