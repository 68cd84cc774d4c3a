"""Strict replay by itself: recorded choices are handed out, and each part of a step is compared, on runs told in full.

Whole programs that are edited and replayed are in `tests/execution/test_divergence.py`.
"""

from __future__ import annotations

import math
from array import array
from types import SimpleNamespace
from typing import Any

import outcome
import pytest

import detrun
from detrun_recorder.contents import End
from detrun_recorder.divergence import Divergence
from detrun_recorder.format import pack_varints
from detrun_recorder.strict_replay import StrictReplay
from detrun_scheduler.choices import ATTENDS, COLLECT, COLLECTS, FIRE, NO_ACTION, action_number
from detrun_scheduler.journal import CHECKPOINT, DONE, FAILED, FIRST_WAIT, HAS_EVENTS, OPERATION, SPAWN, WAKE, Chunk

DIGEST = bytes(range(16))
WOKE_1, WOKE_2 = bytes((WAKE, 1, 0)), bytes((WAKE, 2, 0))


def chunk(outcomes: bytes = b"", first_step: int = 0, **columns: Any) -> Chunk:
    empty: dict[str, Any] = dict.fromkeys(("tasks", "kinds", "objects", "names", "payloads"), ())
    empty |= {"choices": b"", "events": b"", "times": array("d"), "start_time": 0.0, "digest": DIGEST}
    return Chunk(first_step=first_step, outcomes=outcomes, **(empty | columns))


class Recorded:
    """A recording of these chunks; task 1 takes each step, at a time that is the step's number."""

    def __init__(
        self, *chunks: Chunk, truncated: bool = False, end: End | None = None, path: str | None = None
    ) -> None:
        self.whole = list(chunks)
        self.steps = sum(one.steps for one in chunks)
        self.truncated = truncated
        self.end = end
        self.path = path
        self.target = "bank.py:main"
        self.header: dict[str, Any] = {}
        self.time_quantum = 0.25
        self.virtual_time = 99.0
        self.asked: list[int] = []

    def chunks(self) -> Any:
        return iter(self.whole)

    def step(self, index: int) -> Any:
        assert index < self.steps
        self.asked.append(index)
        return SimpleNamespace(task=1, path="main", time=float(index))


class Strategy:
    """Answers 7, and tells of arrivals if it is to."""

    def __init__(self, arrivals: list[int] | None = None) -> None:
        self.begun: list[Any] = []
        self.asked: list[Any] = []
        if arrivals is not None:
            self.arrivals = lambda: arrivals

    def new_run(self, run: Any) -> None:
        self.begun.append(run)

    def next_task(self, runnable: Any, current: int) -> int:
        self.asked.append((list(runnable), current))
        return 7


def replay(*chunks: Chunk, strategy: Any = None, **recorded: Any) -> StrictReplay:
    return StrictReplay(Recorded(*chunks, **recorded), strategy or Strategy())  # type: ignore[arg-type]  # it stands for a recording


def run(paths: dict[int, str] | None = None, **journal: Any) -> Any:
    """A run with this content of the journal's open chunk."""
    empty: dict[str, Any] = {name: [] for name in ("tasks", "kinds", "objects", "names", "times")}
    tables: dict[str, Any] = {"kind_numbers": {}, "name_numbers": {}}
    paths = {1: "main", 2: "main/a"} if paths is None else paths
    return SimpleNamespace(
        journal=SimpleNamespace(**(empty | tables | journal)),
        host=SimpleNamespace(by_number={}, main_task=object()),
        paths=paths,
        path_of=lambda task: paths.get(task, "?"),
        object_labels=["cell"],
    )


def left(replay: StrictReplay, now: Any, task: int, byte: int, record: bytes = b"") -> Divergence:
    """The difference that a step shows."""
    with pytest.raises(detrun.DivergenceError) as caught:
        replay.step_closed(now, task, byte, record)
    assert replay.diverged
    divergence = caught.value.divergence
    assert isinstance(divergence, Divergence)
    return divergence


# --- choices, actions, effects ---------------------------------------------------------------------------------------


def test_choices_are_the_recorded_ones_and_the_strategy_answers_after_the_last() -> None:
    strategy = Strategy()
    replayed = replay(chunk(choices=pack_varints([1, 0, 2, 200, 3])), strategy=strategy)
    replayed.new_run("the run")  # type: ignore[arg-type]  # it is handed on unread
    runnable = [4, 5, 6]
    # 200 and 3 are no index of three tasks: what differs will show when the step is compared.
    assert [replayed.next_task(runnable, 5) for _ in range(6)] == [1, 0, 2, 0, 0, 7]
    assert strategy.begun == ["the run"]
    assert strategy.asked == [(runnable, 5)] * 6
    assert replay(chunk(b"\0"), strategy=Strategy()).next_task([4, 5], 4) == 7
    assert replay().next_task([4, 5], 4) == 7


def test_actions_among_the_choices_are_no_choices() -> None:
    numbers = [action_number(0, FIRE), action_number(3, COLLECT), 1, action_number(5, FIRE), 0]
    replayed = replay(chunk(choices=pack_varints(numbers)))
    assert [replayed.next_task([4, 5, 6], 5) for _ in range(3)] == [1, 0, 7]


def test_actions_come_before_their_steps_and_some_hold_for_the_whole_run() -> None:
    first = chunk(bytes(10), choices=pack_varints([action_number(0, ATTENDS), action_number(5, FIRE), 1]))
    replayed = replay(first)
    assert (replayed.decides_actions, replayed.attends, replayed.collects) == (True, True, False)
    assert replay(chunk(choices=pack_varints([action_number(0, COLLECTS)]))).collects
    assert replayed.next_action(2) == 5
    assert replayed.action(4, True) == NO_ACTION
    assert replayed.action(5, True) == FIRE
    assert replayed.action(5, True) == NO_ACTION
    assert (replayed.next_action(6), replayed.next_action(10), replayed.next_action(12)) == (11, 11, 13)
    late = replay(chunk(bytes(10), first_step=20, choices=b"\1"))
    assert late.next_action(22) == 31
    assert replay().next_action(3) == math.inf


def test_results_of_effects_are_given_in_order() -> None:
    replayed = replay(chunk(payloads=[b"a", b"b"]))
    assert [replayed.recorded_effect("x") for _ in range(4)] == [b"a", b"b", None, None]
    assert replay().recorded_effect("x") is None


def test_what_a_strategy_wants_to_be_told_it_is_told() -> None:
    assert replay().arrivals() is None
    assert replay(strategy=Strategy([3])).arrivals() == [3]
    assert replay().step_taken is None
    strategy: Any = Strategy()
    strategy.step_taken = print
    assert replay(strategy=strategy).step_taken is print


# --- steps -----------------------------------------------------------------------------------------------------------


def test_steps_that_agree_are_passed_one_after_the_other_through_the_chunks() -> None:
    events = WOKE_2 + WOKE_1
    one = chunk(bytes((HAS_EVENTS, CHECKPOINT, HAS_EVENTS)), events=events, tasks=[(1, -1, "main")], kinds=["sleep"])
    two = chunk(bytes((DONE,)), 3, tasks=[(2, 1, "main/a")])
    replayed = replay(one, two)
    now = run(tasks=[(1, -1, "main")], kinds=["sleep"])
    for task, byte, record in ((1, HAS_EVENTS, WOKE_2), (2, CHECKPOINT, b""), (1, HAS_EVENTS, WOKE_1)):
        replayed.step_closed(now, task, byte, record)
        assert replayed.last_task == task
    replayed.chunk_closed(one)
    replayed.step_closed(run(tasks=[(2, 1, "main/a")]), 2, DONE, b"")
    replayed.chunk_closed(two)
    assert replayed.expected.chunk is None
    assert not replayed.diverged


def test_another_outcome_or_other_events_are_a_difference() -> None:
    recorded = chunk(bytes((HAS_EVENTS, CHECKPOINT)), events=WOKE_2)
    by_outcome = left(replay(recorded), run(), 1, HAS_EVENTS | DONE, WOKE_2)
    assert by_outcome.detail == "the same task, but its step ended otherwise"
    assert (by_outcome.expected.ended, by_outcome.actual.ended) == ("checkpoint", "done")
    by_events = left(replay(recorded), run(), 1, HAS_EVENTS, WOKE_1)
    assert by_events.detail == "the same task, but it did something else"
    assert by_events.actual.events == ("woke task 1 (main)",)
    quiet = left(replay(chunk(bytes((DONE, HAS_EVENTS)), events=WOKE_2)), run(), 1, CHECKPOINT)
    assert (quiet.expected.events, quiet.actual.events) == ((), ())  # what follows is of the next step
    other = left(replay(recorded), run(), 2, DONE)
    assert other.detail == "another task ran"
    assert (other.expected.task, other.actual.task) == ("task 1 (main)", "task 2 (main/a)")
    assert (other.step, other.steps_recorded, other.time, other.last_agreement) == (0, 2, 0.0, "none")


def test_a_difference_is_told_with_the_names_of_both_sides() -> None:
    events = bytes((SPAWN, 2, 0)) + bytes((OPERATION, 0, 0, 0))
    recorded = chunk(
        bytes((HAS_EVENTS, HAS_EVENTS | FIRST_WAIT)),
        40,
        events=events,
        kinds=["lock"],
        objects=["total"],
        tasks=[(1, -1, "main"), (2, 1, "main/b")],
    )
    replayed = replay(chunk(bytes(40)), recorded, path="a.detrun")
    replayed.chunk_closed(chunk(bytes(40)))
    same = {"tasks": recorded.tasks, "kinds": ["lock"], "objects": ["total"]}
    now = run(kind_numbers={"queue": 0}, **same)
    replayed.step_closed(now, 2, HAS_EVENTS, events[:3])
    found = left(replayed, now, 1, HAS_EVENTS | FIRST_WAIT, bytes((OPERATION, 0, 1, 0)))
    assert (found.step, found.time) == (41, 41.0)
    assert set(replayed.recording.asked) == {41}  # type: ignore[attr-defined]  # of the stand-in
    assert found.last_agreement == "step 40, task 2 (main/a)"
    assert (found.expected.ended, found.actual.ended) == ("lock", "queue")
    assert [one.split(" on ")[1] for one in (*found.expected.events, *found.actual.events)] == ["total", "cell"]
    assert (found.recording, found.target) == ("a.detrun", "bank.py:main")
    gone = left(replayed, run({1: "main"}, **same), 1, DONE)
    assert gone.last_agreement == "step 40, task 2 (ended)"


def test_what_the_program_raised_is_told_where_its_step_failed_and_else_where_the_task_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("detrun_recorder.strict_replay.user_stack", lambda task: (f"stack of {task}",))
    for byte, main_task, raised, stack in (
        (FAILED, object(), "ValueError: bad news", True),
        (HAS_EVENTS | FAILED, object(), "ValueError: bad news", True),
        (DONE, object(), "", False),
        (DONE, None, "ValueError: bad news", True),  # the program could not start
    ):
        replayed = replay(chunk(bytes((FIRST_WAIT,))))
        replayed.failure_seen(ExceptionGroup("", [ExceptionGroup("", [failure("bad news\nand more"), KeyError()])]))
        now = run()
        now.host.main_task = main_task
        now.host.by_number[1] = "the task"
        found = left(replayed, now, 1, byte)
        assert found.actual.raised == raised
        assert found.stack == (replayed.raised[1] if stack else ("stack of the task",))
        assert "in failure" in replayed.raised[1][-1]
    assert left(replay(chunk(b"\0")), run(), 1, DONE).stack == ()


def failure(text: str) -> Exception:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_a_failure_is_told_in_one_line_of_bounded_length() -> None:
    replayed = replay()
    replayed.failure_seen(ValueError("x" * 500))
    assert replayed.raised[0] == "ValueError: " + "x" * 200
    replayed.failure_seen(ValueError())
    assert replayed.raised[0] == "ValueError"


@pytest.mark.parametrize(
    ("table", "what"), [("tasks", "task"), ("kinds", "wait"), ("objects", "object"), ("names", "name")]
)
def test_each_table_of_names_is_compared_as_it_grows(table: str, what: str) -> None:
    def entry(name: str) -> Any:
        return (1, -1, name) if table == "tasks" else name

    names = [entry(name) for name in ("a", "b")]
    replayed = replay(chunk(bytes(3), **{table: names}))
    replayed.step_closed(run(**{table: names[:1]}), 1, CHECKPOINT, b"")
    replayed.step_closed(run(**{table: names}), 1, CHECKPOINT, b"")
    assert left(replayed, run(**{table: [*names, entry("c")]}), 1, CHECKPOINT).detail == (
        f"{what} 'c' where the recording has 'nothing new'"
    )
    other = left(replay(chunk(bytes(3), **{table: names})), run(**{table: [names[0], entry("x")]}), 1, CHECKPOINT)
    assert other.detail == f"{what} 'x' where the recording has 'b'"


def test_times_are_compared_as_they_come_up_to_the_resolution_of_recorded_ones() -> None:
    replayed = replay(chunk(bytes(3), times=array("d", [1.0, 2.0])))
    replayed.step_closed(run(times=[1.25]), 1, CHECKPOINT, b"")
    replayed.step_closed(run(times=[1.25, 1.75]), 1, CHECKPOINT, b"")
    assert left(replayed, run(times=[1.25, 1.75, 3.0]), 1, CHECKPOINT).detail == (
        "time moved to 3 s where the recording has no time"
    )
    for time in (2.3, 1.7):
        replayed = replay(chunk(bytes(3), times=array("d", [1.0, 2.0])))
        detail = left(replayed, run(times=[1.0, time]), 1, CHECKPOINT).detail
        assert detail == f"time moved to {time} s where the recording has 2 s"


# --- chunks and the end ----------------------------------------------------------------------------------------------


def test_a_chunk_whose_digest_differs_has_another_value_somewhere() -> None:
    replayed = replay(chunk(bytes(5)), chunk(bytes(20), 5))
    replayed.chunk_closed(chunk(bytes(5)))
    with pytest.raises(detrun.DivergenceError) as caught:
        replayed.chunk_closed(chunk(bytes(20), 5, digest=bytes(16), times=array("d", [1.0, 7.0, 3.0])))
    found: Any = caught.value.divergence
    assert "some value in steps 5 to 24 does not" in found.detail
    assert (found.step, found.steps_recorded, found.time, found.last_agreement) == (24, 25, 3.0, "step 5")
    assert (found.recording, found.target, replayed.diverged) == ("", "bank.py:main", True)
    replayed.chunk_closed(chunk(bytes(20), 5, digest=bytes(16)))  # of the run as it unwinds: said already
    without_times = replay(chunk(bytes(5)), path="a.detrun")
    with pytest.raises(detrun.DivergenceError) as caught:
        without_times.chunk_closed(chunk(bytes(5), digest=bytes(16), start_time=4.0))
    assert (caught.value.divergence.time, caught.value.divergence.recording) == (4.0, "a.detrun")  # type: ignore[attr-defined]  # an attribute that the error is given


def test_names_and_times_of_the_next_chunk_are_compared_from_its_first() -> None:
    columns: dict[str, Any] = {"tasks": [(1, -1, "a")], "kinds": ["b"], "objects": ["c"], "names": ["d"]}
    columns["times"] = array("d", [1.0])
    for table, name in (("tasks", (1, -1, "x")), ("kinds", "x"), ("objects", "x"), ("names", "x"), ("times", 2.0)):
        replayed = replay(*(chunk(b"\0", at, **columns) for at in range(2)))
        replayed.step_closed(run(**columns), 1, CHECKPOINT, b"")
        replayed.chunk_closed(chunk(b"\0"))
        left(replayed, run(**columns | {table: [name]}), 1, CHECKPOINT)
        replayed = replay(*(chunk(b"\0", at, **columns) for at in range(2)))
        left(replayed, run(**columns | {table: [name]}), 1, CHECKPOINT)


def test_a_last_chunk_that_is_shorter_than_the_runs_own_is_not_left() -> None:
    replayed = replay(chunk(bytes(5)))
    replayed.chunk_closed(chunk(bytes(7), digest=bytes(16)))
    assert replayed.expected.chunk is not None
    replay().chunk_closed(chunk(bytes(7)))


def test_a_run_that_goes_on_where_its_recording_ends_has_left_it() -> None:
    for end, how in (
        (End(1, 0.0, DIGEST), ""),
        (End(1, 0.0, DIGEST, "error", "ValueError"), " with ValueError"),
        (None, ""),
    ):
        replayed = replay(chunk(b"\0"), end=end)
        replayed.step_closed(run(), 1, CHECKPOINT, b"")
        found = left(replayed, run(), 2, CHECKPOINT)
        assert found.detail == f"the recording ends here{how}, but the program goes on"
        assert (found.step, found.time, str(found.expected)) == (1, 99.0, "the run had ended")
        assert found.last_agreement == "step 0, task 1 (main)"


def test_after_the_end_of_a_recording_that_was_cut_short_nothing_is_compared() -> None:
    replayed = replay(chunk(b"\0"), truncated=True)
    replayed.step_closed(run(), 1, CHECKPOINT, b"")
    for _ in range(2):
        replayed.step_closed(run(), 2, DONE, WOKE_1)
    assert replayed.expected.chunk is None
    assert left(replay(chunk(b"\0"), truncated=True), run(), 1, DONE).steps_recorded is None


def ended(replayed: StrictReplay, digest: bytes = DIGEST, error: BaseException | None = None) -> Divergence:
    result: Any = outcome.Value(None) if error is None else outcome.Error(error)
    with pytest.raises(detrun.DivergenceError) as caught:
        replayed.check_ended(run(), digest, result)
    assert caught.value.__cause__ is (error if replayed.expected.chunk is not None else None)
    divergence = caught.value.divergence
    assert isinstance(divergence, Divergence)
    return divergence


def test_a_program_that_ends_before_its_recording_has_left_it() -> None:
    found = ended(replay(chunk(bytes((FIRST_WAIT,)), kinds=["lock"])))
    assert found.detail == "the program has ended, but the recording goes on"
    assert (found.expected.ended, str(found.actual), found.step) == ("lock", "the run had ended", 0)
    with_error = ended(replay(chunk(b"\0")), error=ValueError("x"))
    assert with_error.detail == "the program has ended with ValueError, but the recording goes on"
    assert str(with_error.actual) == "the run had ended with ValueError"


@pytest.mark.parametrize(
    ("end", "error", "was", "now"),
    [
        (End(0, 0.0, DIGEST), None, "ok", "ok"),
        (End(0, 0.0, DIGEST, "error", "KeyError"), ValueError("x"), "KeyError", "ValueError"),
    ],
)
def test_a_program_whose_result_differs_has_left_its_recording(end: End, error: Any, was: str, now: str) -> None:
    found = ended(replay(end=end), bytes(16), error)
    assert found.detail == "every step agrees, but the program's result does not"
    assert (found.expected.ended, found.actual.ended) == (
        f"{was} (digest {DIGEST.hex()})",
        f"{now} (digest {'00' * 16})",
    )


def test_a_program_that_ends_as_recorded_and_one_that_has_left_already_are_well() -> None:
    for end in (End(0, 0.0, DIGEST), None):
        replay(end=end, truncated=end is None).check_ended(run(), DIGEST, outcome.Value(None))
    replayed = replay(chunk(b"\0"))
    left(replayed, run(), 1, DONE)
    replayed.check_ended(run(), bytes(16), outcome.Value(None))
