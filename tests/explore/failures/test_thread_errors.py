"""Uncaught exceptions in threads are failures of a schedule."""

import _thread
import queue
import sys
import threading

import pytest

import detrun
from detrun.testing import schedules
from detrun_scheduler.errors import DeadlockError

BOTH = {"x": 1, "y": 2}


def _iterates_while_it_grows() -> None:
    table = dict(BOTH)
    step = threading.Event()

    def reader() -> None:
        for _ in table:
            step.is_set()

    def writer() -> None:
        step.is_set()
        table["z"] = 3

    threads = [threading.Thread(target=reader), threading.Thread(target=writer)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_thread_that_dies_fails_the_schedule_and_nothing_is_printed(capfd):
    exploration = detrun.explore(_iterates_while_it_grows, directory=None)
    assert exploration.failed
    error = exploration.failure.exception
    assert type(error) is RuntimeError
    assert "changed size" in str(error)
    assert error.__notes__ == ["came out of thread main/reader, where it was not caught"]
    assert capfd.readouterr().err == ""


def test_the_recording_of_such_a_failure_fails_in_the_same_way(tmp_path):
    exploration = detrun.explore(_iterates_while_it_grows, directory=tmp_path, confirm=False)
    for source in (exploration.failure.recording, exploration.failure.path):
        with pytest.raises(RuntimeError, match="changed size"):
            detrun.replay(_iterates_while_it_grows, recording=source)
    with pytest.raises(RuntimeError, match="changed size"):
        detrun.replay(_iterates_while_it_grows, recording=exploration.failure.token, thread_errors=True)
    again = detrun.explore(_iterates_while_it_grows, directory=tmp_path, schedules=1, confirm=False)
    assert again.failure.index == -1


@pytest.fixture
def hooked(monkeypatch):
    """The exceptions that reach the hook; pytest's own would warn of them."""
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda caught: seen.append(caught.exc_type))
    return seen


def test_asked_to_they_go_to_the_hook_as_in_life(hooked):
    exploration = detrun.explore(_iterates_while_it_grows, directory=None, thread_errors=False, schedules=100)
    assert exploration.verdict == "passed"
    assert set(hooked) == {RuntimeError}


def test_a_thread_that_ends_by_system_exit_has_not_failed(hooked):
    def program() -> None:
        thread = threading.Thread(target=sys.exit)
        thread.start()
        thread.join()

    assert detrun.explore(program, directory=None, schedules=20).verdict == "passed"


def test_a_hook_that_the_program_puts_in_during_the_run_looks_after_exceptions():
    def program() -> list[str]:
        seen: list[str] = []
        before, threading.excepthook = threading.excepthook, lambda caught: seen.append(str(caught.exc_value))
        try:
            thread = threading.Thread(target=lambda: int("none"))
            thread.start()
            thread.join()
        finally:
            threading.excepthook = before
        return seen

    assert detrun.record(program, thread_errors=True).result == ["invalid literal for int() with base 10: 'none'"]


def test_a_hook_from_before_the_run_does_not(hooked):
    """pytest has one, and an application may log what comes to its own."""
    with pytest.raises(RuntimeError):
        detrun.explore(_iterates_while_it_grows, directory=None).raise_on_failure()
    assert not hooked


def test_threads_without_a_thread_object_count_too():
    def program() -> None:
        done = threading.Event()

        def body() -> None:
            done.set()
            raise KeyError("low")

        _thread.start_new_thread(body, ())
        done.wait()
        threading.Event().wait(1)

    with pytest.raises(KeyError, match="low"):
        detrun.record(program, thread_errors=True)


def test_a_deadlock_names_the_thread_that_died_and_where(hooked):
    def program() -> None:
        work: queue.Queue[int] = queue.Queue()

        def worker() -> None:
            work.get()
            raise ValueError("bad item")

        threading.Thread(target=worker, name="worker").start()
        work.put(1)
        work.join()

    for thread_errors in (False, True):
        with pytest.raises(DeadlockError) as caught:
            detrun.record(program, thread_errors=thread_errors)
        lines = str(caught.value).splitlines()
        at = lines.index("  thread main/worker has ended by ValueError: bad item, which was not caught")
        assert f"{__file__}:" in lines[at + 1]
        assert lines[at + 1].endswith("program.<locals>.worker")
        assert not getattr(caught.value, "__notes__", ())


def test_a_failure_of_main_has_a_note_of_the_thread_that_died():
    def program() -> None:
        result: list[int] = []
        thread = threading.Thread(target=lambda: result.append(int("none")), name="parser")
        thread.start()
        thread.join()
        assert result

    with pytest.raises(AssertionError) as caught:
        detrun.record(program, thread_errors=True)
    (note,) = caught.value.__notes__
    assert note.startswith("thread main/parser has ended by ValueError: invalid literal")


def test_what_a_killed_thread_raises_is_no_failure(hooked):
    """A daemon that is killed while it takes a condition's lock back gives back in its ``with`` what it has not."""

    def program() -> None:
        condition = threading.Condition()

        def daemon() -> None:
            with condition:
                condition.wait()

        threading.Thread(target=daemon, daemon=True).start()
        _thread.start_new_thread(daemon, ())
        with condition:
            condition.notify_all()

    for thread_errors in (False, True):
        found = detrun.explore(program, strategy="random", thread_errors=thread_errors, schedules=200, directory=None)
        assert found.verdict == "passed", found.reason
    assert not hooked


def test_a_drawn_schedule_raises_what_comes_out_of_a_thread():
    from hypothesis import find

    found = find(schedules(), lambda schedule: _fails(schedule))
    assert found is not None


def _fails(schedule) -> bool:
    try:
        schedule.run(_iterates_while_it_grows)
    except RuntimeError:
        return True
    return False
