"""Resync by itself: which of the runnable tasks steps next, and what has no counterpart, on recordings of a few steps.

Edited programs are in `tests/execution/test_resync.py`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from detrun_recorder.resync_replay import ResyncReplay
from detrun_scheduler.journal import CHECKPOINT, DONE, FAILED, FIRST_WAIT, HAS_EVENTS

A, B, C = 1, 2, 3
PATHS = {A: "main/a", B: "main/b", C: "main/c"}


class Recorded:
    """A recording of steps ``(task, outcome)``, with the task of a step that never ended."""

    def __init__(self, *steps: tuple[int, str], unfinished: int | None = None, effects: Any = ()) -> None:
        self.taken = steps
        self.steps = len(steps)
        self.unfinished = unfinished
        self.effects = dict(effects)  # step -> [(name, result), ...]

    def iter_steps(self) -> Any:
        for index, (task, how) in enumerate(self.taken):
            events = [SimpleNamespace(label=name, payload=result) for name, result in self.effects.get(index, [])]
            yield SimpleNamespace(index=index, task=task, path=PATHS[task], outcome=how, events=events)

    def unfinished_step(self) -> tuple[int, str] | None:
        return None if self.unfinished is None else (self.unfinished, PATHS[self.unfinished])


class Last:
    """A fallback that chooses the last."""

    run: Any = None

    def new_run(self, run: Any) -> None:
        self.run = run

    def next_task(self, runnable: Any, current: int) -> int:
        return len(runnable) - 1


class Run:
    """A run in which tasks step as the replay says."""

    def __init__(self, *steps: tuple[int, str], **recorded: Any) -> None:
        self.fallback = Last()
        self.recorded: Any = Recorded(*steps, **recorded)
        self.replay = ResyncReplay(self.recorded, self.fallback)
        self.current = -1
        self.step_index = 0
        self.journal = SimpleNamespace(kind_numbers={"lock": 0})
        self.replay.new_run(self)  # type: ignore[arg-type]  # this stands for the run

    def path_of(self, task: int) -> str:
        return PATHS.get(task, f"main/new[{task}]")

    def chosen(self, *runnable: int) -> int:
        return runnable[self.replay.next_task(list(runnable), self.current)]

    def step(self, task: int, byte: int = CHECKPOINT) -> None:
        self.current = task
        self.step_index += 1
        self.replay.step_closed(self, task, byte, b"")  # type: ignore[arg-type]  # this stands for the run


def test_the_task_whose_next_step_comes_first_in_the_recording_steps_next() -> None:
    run = Run((B, "checkpoint"), (A, "checkpoint"), (A, "checkpoint"), (B, "done"), (A, "done"))
    assert (run.fallback.run, run.replay.recording) == (run, run.recorded)
    order = []
    for byte in (CHECKPOINT, CHECKPOINT, CHECKPOINT, DONE, DONE):
        runnable = [A, B] if B not in order[2:] else [A]
        order.append(run.chosen(*runnable))
        run.step(order[-1], byte)
    assert order == [B, A, A, B, A]
    report = run.replay.report
    assert (report.steps, report.unmatched, report.matched, report.places) == (5, 0, 5, [])


def test_of_tasks_that_the_recording_does_not_know_the_fallback_chooses_and_they_wait_for_those_it_knows() -> None:
    run = Run((A, "checkpoint"))
    assert run.chosen(8, A, 9) == A
    run.step(A)
    assert run.chosen(8, A, 9) == 9
    run.step(9)
    run.step(A)
    report = run.replay.report
    assert (report.steps, report.unmatched, report.matched) == (3, 2, 1)
    assert report.places == [(1, "main/new[9]", "start"), (2, "main/a", "checkpoint")]


def test_a_step_is_known_by_what_its_task_resumes_from_and_by_how_many_such_it_took() -> None:
    run = Run((A, "lock"), (B, "checkpoint"), (A, "lock"), (B, "checkpoint"), (B, "checkpoint"), (A, "done"))
    run.step(A, HAS_EVENTS | FIRST_WAIT)
    run.step(B)
    assert run.chosen(A, B) == A  # its second step, the first from a lock, is step 2; B's second is step 3
    run.step(A, FIRST_WAIT)
    assert run.chosen(A, B) == B  # B's is still step 3, and A's next from a lock is step 5
    run.step(B)
    run.step(B)
    run.step(B)  # the recording has no fourth
    assert run.replay.report.places == [(5, "main/b", "checkpoint")]


@pytest.mark.parametrize("ended", [DONE, HAS_EVENTS | FAILED])
def test_what_a_number_resumed_from_is_forgotten_when_its_task_ends(ended: int) -> None:
    run = Run((A, "checkpoint"), (A, "done"), (B, "done"))
    run.step(A)
    run.step(A, ended)
    assert run.replay.resumed_from == {}


def test_a_step_that_never_ended_comes_last() -> None:
    run = Run((A, "checkpoint"), (B, "checkpoint"), (A, "lock"), unfinished=B)
    for task in (A, B):
        run.step(task)
    assert run.chosen(A, B) == A
    run.step(A, FIRST_WAIT)
    assert run.chosen(A, B, 9) == B
    never_begun = Run((A, "checkpoint"), unfinished=C)
    assert never_begun.chosen(C, 9) == C
    assert Run((A, "checkpoint")).chosen(C, 9) == 9


def test_effects_are_those_of_the_task_by_name_and_order() -> None:
    effects = {0: [("read", b"1"), ("now", b"2"), ("fault", None)], 1: [("read", b"3")], 2: [("read", b"4")]}
    run = Run((A, "checkpoint"), (B, "checkpoint"), (A, "checkpoint"), effects=effects)
    run.current = A
    asked = [run.replay.recorded_effect(name) for name in ("read", "read", "now", "read", "fault", "unknown")]
    assert asked == [b"1", b"4", b"2", None, None, None]
    run.current = B
    assert run.replay.recorded_effect("read") == b"3"


def test_the_first_hundred_places_without_a_counterpart_are_kept() -> None:
    run = Run((A, "checkpoint"))
    for _ in range(102):
        run.step(B)
    report = run.replay.report
    assert (report.unmatched, len(report.places)) == (102, 100)
    assert report.places[0] == (0, "main/b", "start")
    assert report.places[-1] == (99, "main/b", "checkpoint")
