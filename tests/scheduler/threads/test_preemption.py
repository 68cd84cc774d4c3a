"""Preemption at lines and opcodes: the fine one finds a race that the coarse one misses; both restore the process."""

from __future__ import annotations

import dis
import os
import sys
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import detrun
from detrun_scheduler.errors import StepLimitError, UsageError
from detrun_scheduler.footprints.accesses import AccessObserver
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies import make
from detrun_scheduler.threads import instructions, preemption
from detrun_scheduler.threads.preemption import Preemption
from detrun_scheduler.threads.watched_code import WatchedCode, package_include, project_include

sys.path.insert(0, str(Path(__file__).parent))
import preempted_programs as programs

FILE = programs.__file__


def loop_of(main: Callable[[], Any], seed: int, granularity: str, watched: Preemption | None = None) -> RunLoop:
    where = watched or (Preemption(granularity, [FILE]) if granularity != "sync" else None)
    loop: Any = RunLoop(make("random"), seed=seed, preemption=where)
    loop.ended = loop.run(main, as_thread=True)
    return loop  # type: ignore[no-any-return]


def outcomes(main: Callable[[], Any], granularity: str, seeds: int = 100) -> set[Any]:
    """The results of ``main`` under all these seeds."""
    with nullcontext() if granularity == "sync" else Preemption(granularity, [FILE]) as watched:
        results = [loop_of(main, seed, granularity, watched).ended.unwrap() for seed in range(seeds)]  # type: ignore[attr-defined]
    return {tuple(result) if isinstance(result, list) else result for result in results}


# What is found. Under the random walk each of these races shows with probability of at least 0.1, so that 100 seeds
# miss it with probability below 3e-5, and the seeds are fixed.


def test_each_granularity_finds_what_the_coarser_one_cannot() -> None:
    assert outcomes(programs.two_lines, "sync") == {2}
    assert outcomes(programs.two_lines, "line") == {1, 2}
    assert outcomes(programs.one_line, "line") == {2}
    assert outcomes(programs.one_line, "opcode") == {1, 2}


def test_threads_are_still_preempted_when_another_has_ended() -> None:
    assert min(outcomes(programs.short_and_two_long, "opcode", 400)) <= 3


@pytest.mark.parametrize(
    "main", [programs.of_a_list, programs.of_a_global, programs.of_a_generator, programs.with_an_error]
)
def test_lists_globals_generators_and_handlers_are_preempted(main: Callable[[], Any]) -> None:
    """Without preemption only the order of whole threads varies."""
    assert len(outcomes(main, "opcode")) > len(outcomes(main, "sync"))


@pytest.mark.parametrize(
    "main", [programs.one_line, pytest.param(programs.of_a_list, marks=pytest.mark.slow), programs.of_a_global]
)
def test_leaving_out_instructions_that_touch_only_the_frame_loses_no_outcome(
    main: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reduced = outcomes(main, "opcode", 300)
    reduced_steps = loop_of(main, 0, "opcode").steps_at_end

    def every_instruction(code: Any, _: object) -> bytes:
        offsets = {instruction.offset for instruction in dis.get_instructions(code)}
        return bytes(offset in offsets for offset in range(len(code.co_code)))

    monkeypatch.setattr(preemption, "schedule_points", every_instruction)
    assert outcomes(main, "opcode", 300) == reduced
    assert loop_of(main, 0, "opcode").steps_at_end > 1.2 * reduced_steps


@pytest.mark.parametrize(
    ("main", "granularity"),
    [
        (programs.one_line, "line"),
        (programs.of_a_global, "opcode"),
        pytest.param(programs.of_a_global, "line", marks=pytest.mark.slow),
        pytest.param(programs.one_line, "opcode", marks=pytest.mark.slow),
    ],
)
def test_leaving_out_points_where_a_thread_is_alone_loses_no_interleaving(
    main: Callable[[], Any], granularity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def searched() -> tuple[Any, ...]:
        found = detrun.explore(main, strategy="bounded:2", preemption=granularity, include=[FILE], directory=None)
        return found.verdict, found.schedules, outcomes(main, granularity)

    reduced, steps = searched(), loop_of(main, 0, granularity).steps_at_end
    monkeypatch.setattr(preemption, "ALONE_MAX", 0)
    assert searched() == reduced
    assert reduced[0] == "holds"
    assert loop_of(main, 0, granularity).steps_at_end > steps


@pytest.mark.parametrize("granularity", ["line", "opcode"])
def test_a_thread_that_spins_alone_meets_the_step_limit(granularity: str) -> None:
    def spins() -> None:
        while programs.tally is not None:
            pass

    where = Preemption(granularity, [__file__])
    with pytest.raises(StepLimitError, match="max_steps=50"):
        RunLoop(make("random"), max_steps=50, preemption=where).run(spins, as_thread=True)


def test_every_instruction_of_this_python_is_known_to_be_local_or_counts() -> None:
    """A name with a typing error in the table would make a local instruction count, or hide nothing: that is harmless;
    but one that touches objects must never be in it.
    """
    parts = ("ATTR", "SUBSCR", "GLOBAL", "DEREF", "CALL", "METHOD", "ITER", "IMPORT", "BINARY", "COMPARE", "CONTAINS")
    harmless = {"PRECALL", "SET_FUNCTION_ATTRIBUTE"}  # of a function that no other thread has yet
    for name in dis.opmap:
        if any(part in name for part in parts) and name not in harmless and not name.startswith("INSTRUMENTED"):
            assert name not in instructions._LOCAL, name
            assert not name.startswith(instructions._LOCAL_PREFIXES), name


def test_a_run_repeats_itself_and_a_recording_replays_at_its_granularity() -> None:
    for granularity in ("line", "opcode"):
        first = detrun.record(programs.two_lines, seed=7, preemption=granularity)
        again = detrun.replay(programs.two_lines, recording=first.recording)
        assert (again.result, again.digest, again.steps) == (first.result, first.digest, first.steps)
        assert first.recording.header["extra"]["preemption"] == granularity
        with pytest.raises(detrun.DivergenceError):
            detrun.replay(programs.two_lines, recording=first.recording, preemption="sync")


# Where.


def test_only_what_is_included_and_not_excluded_is_preempted() -> None:
    directory = str(Path(FILE).parent)
    assert FILE in WatchedCode([FILE])
    assert FILE in WatchedCode(["*/preempted_programs.py"])
    assert FILE in WatchedCode(["preempted_programs"])
    assert FILE in WatchedCode([directory + "/*"])
    assert FILE not in WatchedCode([directory + "/*"], ["preempted_programs"])
    assert FILE not in WatchedCode(["threading"])
    assert threading.__file__ in WatchedCode(["threading"])
    assert preemption.__file__ not in WatchedCode(["*"])
    assert package_include(programs.one_line) == (FILE,)
    everything = detrun.record(programs.one_line, preemption="opcode").steps
    assert detrun.record(programs.one_line, preemption="opcode", include=["json"]).steps < everything
    assert detrun.record(programs.one_line, preemption="opcode", exclude=["preempted_programs"]).steps < everything


def _defined_in(path: Path) -> Any:
    """A function whose code says that it comes from ``path``."""
    names: dict[str, Any] = {}
    exec(compile("def main(): pass", str(path), "exec"), names)
    return names["main"]


def test_by_default_the_project_is_watched_and_not_what_is_installed_in_its_folder(tmp_path: Path) -> None:
    tests, app = tmp_path / "project" / "tests", tmp_path / "project" / "src" / "app"
    installed = tmp_path / "project" / ".venv" / "lib" / "site-packages"
    for folder in (tests, app, installed):
        folder.mkdir(parents=True)
    main = _defined_in(tests / "test_app.py")
    assert project_include(main) == (f"{tests}{os.sep}",)  # there is nothing that marks a project
    (tmp_path / "project" / "pyproject.toml").touch()
    watched = WatchedCode(project_include(main))
    assert str(app / "bank.py") in watched
    assert str(tests / "test_app.py") in watched
    assert str(installed / "lib.py") not in watched
    assert str(tmp_path / "elsewhere.py") not in watched
    assert threading.__file__ not in WatchedCode([os.path.join(sys.base_prefix, "")])
    assert project_include(_defined_in(installed / "tool" / "main.py")) == ("tool",)
    (tmp_path / "project" / "pyproject.toml").unlink()
    (app / "__init__.py").touch()
    assert project_include(_defined_in(app / "main.py")) == (os.path.join(app.parent, ""),)


def test_a_project_below_or_around_the_working_directory_is_named_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "pytest.ini").touch()
    main = _defined_in(tmp_path / "tests" / "test_app.py")
    monkeypatch.chdir(tmp_path)
    assert project_include(main) == ("./",)
    monkeypatch.chdir(tmp_path / "tests")
    assert project_include(main) == ("../",)
    assert str(tmp_path / "bank.py") in WatchedCode(["../"])


def test_wrong_choices_are_named() -> None:
    with pytest.raises(UsageError, match=r"'lines'.*sync, line, opcode"):
        detrun.record(programs.one_line, preemption="lines")
    with pytest.raises(UsageError, match="choose preemption='line'"):
        detrun.record(programs.one_line, include=["json"])
    with pytest.raises(UsageError, match="'nowhere_at_all'"):
        detrun.record(programs.one_line, preemption="line", include=["nowhere_at_all"])


def test_tasks_are_not_preempted() -> None:
    async def program() -> int:
        counter = programs.Counter()
        counter.increment_in_two_lines()
        return counter.value

    where = Preemption("opcode", [FILE, __file__])
    plain = RunLoop(make("random"))
    plain.run(program).unwrap()
    watched = RunLoop(make("random"), preemption=where)
    watched.run(program).unwrap()
    assert watched.steps_at_end == plain.steps_at_end


# Others who trace.


@pytest.fixture
def traced_lines() -> Iterator[list[str]]:
    """The functions whose lines another tool's trace function has seen."""
    seen: list[str] = []

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename in (__file__, FILE):
            seen.append(frame.f_code.co_name)
            return trace
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    yield seen
    sys.settrace(before)


def test_a_debugger_keeps_its_trace_function(traced_lines: list[str]) -> None:
    before = sys.gettrace()
    for granularity in ("sync", "line", "opcode"):
        loop_of(programs.one_line, 0, granularity)
        assert sys.gettrace() is before
    traced_lines.clear()
    programs.Counter().increment()
    assert "increment" in traced_lines


def test_nothing_is_left_of_preemption_after_a_run() -> None:
    if sys.version_info >= (3, 12):
        # hypothesis gives its tool back with its events still set (before 3.14 that does not clear them).
        for tool in (3, 4):
            sys.monitoring.use_tool_id(tool, "test")
            sys.monitoring.set_events(tool, 0)
            sys.monitoring.free_tool_id(tool)
    loop_of(programs.one_line, 0, "opcode")
    assert sys.gettrace() is None
    if sys.version_info >= (3, 12):
        monitoring: Any = sys.monitoring
        assert "detrun" not in [monitoring.get_tool(tool) for tool in range(6)]
        for tool in (3, 4):
            monitoring.use_tool_id(tool, "test")
            try:
                assert monitoring.get_local_events(tool, programs.Counter.increment.__code__) == 0
                assert monitoring.get_events(tool) == 0
            finally:
                monitoring.free_tool_id(tool)


def test_a_failed_run_leaves_nothing_either() -> None:
    def fails() -> None:
        programs.finished(programs.Counter().increment)
        raise KeyError

    with pytest.raises(KeyError):
        loop_of(fails, 0, "opcode").ended.unwrap()  # type: ignore[attr-defined]
    assert sys.gettrace() is None


# Accesses.


class Listener:
    def __init__(self) -> None:
        self.seen: list[tuple[str, bool, str]] = []
        self.keys: dict[Hashable, str] = {}

    def access(self, key: Hashable, label: str, is_write: bool, line: str) -> None:
        assert self.keys.setdefault(key, label) == label
        self.seen.append((label, is_write, line.rpartition(":")[0]))


def test_attributes_elements_globals_and_slots_are_seen_and_methods_are_not() -> None:
    listener = Listener()
    where = Preemption("opcode", [FILE], observer=AccessObserver(listener))
    loop_of(programs.touches_everything, 0, "opcode", where).ended.unwrap()  # type: ignore[attr-defined]
    assert {line for _, _, line in listener.seen} == {FILE}
    data = [
        (label, is_write)
        for label, is_write, _ in listener.seen
        if label.startswith(("Counter", "Box", "items", "table", "preempted_programs.tally"))
    ]
    start = data.index(("Counter[0].value", False))  # the constructor has written before
    assert data[start:] == [
        ("Counter[0].value", False),
        ("Counter[0].value", True),
        ("items[0]", False),
        ("Box[0].item", True),
        ("table['x']", False),
        ("items[1]", True),
        ("preempted_programs.tally", False),
        ("table['y']", True),
        ("preempted_programs.tally", True),
        ("Box[0].item", False),  # within the property
        ("Box[1].shared", False),  # the class
        ("Box[1].shared['z']", True),
        ("table['y']", True),
    ]


def test_accesses_need_opcodes() -> None:
    with pytest.raises(UsageError, match="observed at opcodes"):
        Preemption("line", [FILE], observer=AccessObserver(Listener()))
