"""How a run acts between two steps, on a run that is nothing but what acting asks of it."""

from __future__ import annotations

import gc
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from greenlet import GreenletExit

from detrun_recorder.format import unpack_varints
from detrun_scheduler import acting, current
from detrun_scheduler.choices import ATTENDS, COLLECT, COLLECTS, FIRE, NO_ACTION, action_number


class Run:
    """Four steps were closed, the fifth is about to be."""

    def __init__(self, *script: tuple[int, float]) -> None:
        self.script = list(script)  # what the actor wants, and when it wants to be asked next
        self.told: list[Any] = []
        self.asked: list[int] = []  # after which steps the actor was asked when it acts next
        self.actor = self
        self.oracle = self
        self.attends = self.collects = self.acts = self.counts_anew = False
        self.preemption: Any = None
        self.arm_at = 0.0
        self.journal = SimpleNamespace(steps=4, choices=bytearray())
        self.host = SimpleNamespace(
            queue=SimpleNamespace(numbers=[1]), leave_task=lambda: self.told.append("left"), step=self.told.append
        )
        self.virtual_clock = SimpleNamespace(time=1.0)
        self.timers = SimpleNamespace(live={"key": 1}, jump=self.jump)
        self.moves_to = 2.0
        self.threads: Any = SimpleNamespace(
            hub=SimpleNamespace(switch=None), give_way=None, attended=(), is_collecting=0
        )

    def new_run(self, run: Any) -> None:
        self.told.append("new run")

    def action(self, steps: int, has_timers: bool) -> int:
        self.told.append((steps, has_timers))
        return self.script[0][0]

    def next_action(self, steps: int) -> float:
        self.asked.append(steps)
        return self.script.pop(0)[1] if self.script else 9.0

    def jump(self) -> list[str]:
        self.virtual_clock.time = self.moves_to
        return ["fired"]

    def journal_time(self, time: float) -> None:
        self.told.append(time)

    def journal_wakes(self) -> None:
        self.told.append("wakes")

    @property
    def choices(self) -> list[int]:
        return unpack_varints(bytes(self.journal.choices))


@pytest.fixture(autouse=True)
def fired(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    fired: list[Any] = []
    monkeypatch.setattr(acting, "fire", lambda host, keys: fired.append(keys))
    return fired


def act(run: Run) -> None:
    acting.act(run)  # type: ignore[arg-type]


def test_a_timer_that_fires_early_is_written_down_before_the_next_step(fired: list[Any]) -> None:
    run = Run((FIRE, 7.0))
    run.acts = True
    act(run)
    assert run.choices == [action_number(5, FIRE)]
    assert run.told == [(5, True), "left", 2.0, "wakes"]
    assert fired == [["fired"]]
    assert (run.acts, run.arm_at, run.counts_anew, run.collects) == (False, 6.0, True, False)


def test_a_timer_that_is_due_already_moves_no_time() -> None:
    run = Run((FIRE, 7.0))
    run.moves_to = 1.0
    act(run)
    assert run.told == [(5, True), "left", "wakes"]


def test_the_next_step_is_to_collect() -> None:
    run = Run((COLLECT, 7.0))
    act(run)
    assert run.choices == [action_number(5, COLLECT)]
    assert run.collects
    assert run.told == [(5, True)]


def test_several_actions_come_before_one_step_and_none_may(fired: list[Any]) -> None:
    run = Run((COLLECT, 5.0), (FIRE, 4.0), (NO_ACTION, 6.0))
    act(run)
    assert run.choices == [action_number(5, COLLECT), action_number(5, FIRE)]
    assert len(fired) == 1
    assert run.arm_at == 5.0
    assert run.asked == [5, 5, 5]


@pytest.mark.parametrize("gone", ["numbers", "live"])
def test_the_actor_is_told_whether_a_timer_could_fire_early(gone: str) -> None:
    run = Run((NO_ACTION, 7.0))
    (run.host.queue.numbers if gone == "numbers" else run.timers.live).clear()
    act(run)
    assert run.told == [(5, False)]
    assert run.choices == []


def begun(run: Run, threads: Any = None) -> Any:
    return acting.acting(run, threads or run.threads)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_preempted", [False, True])
@pytest.mark.parametrize("attends", [False, True])
def test_preempted_threads_give_way_alone_if_the_actor_attends(is_preempted: bool, attends: bool) -> None:
    run = Run((NO_ACTION, 3.0))
    run.attends, run.preemption = attends, object() if is_preempted else None
    with begun(run):
        assert run.arm_at == 2.0
        assert run.asked == [0]
        assert run.told == []  # the oracle is the actor, and knows of the run
    assert run.choices == ([action_number(0, ATTENDS)] if attends and is_preempted else [])
    assert run.threads.attended == (run.timers.live if attends and is_preempted else ())


def test_an_actor_beside_the_oracle_is_told_of_the_run() -> None:
    run = Run((NO_ACTION, 3.0))
    run.oracle = object()  # type: ignore[assignment]
    with begun(run):
        assert run.told == ["new run"]


def test_a_run_that_collects_begins_with_a_collection_outside_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run((NO_ACTION, 3.0))
    run.collects = True
    seen: list[Any] = []
    monkeypatch.setattr(acting.gc, "collect", lambda: seen.append(current.run))
    monkeypatch.setattr(current, "run", run)
    gc.unfreeze()  # what the process has frozen before, such as one that forks for each test
    hook = sys.unraisablehook
    with begun(run):
        assert current.run is run  # type: ignore[comparison-overlap]
        assert seen == [None]
        assert gc.get_freeze_count() > 0
        assert sys.unraisablehook is not hook
        assert type(run.threads.give_way) is acting._Collecting
    assert sys.unraisablehook is hook
    assert gc.get_freeze_count() == 0
    assert run.choices == [action_number(0, COLLECTS)]


def test_a_finalizer_whose_thread_is_killed_says_nothing() -> None:
    heard: list[Any] = []
    for kind in (GreenletExit, ValueError):
        acting._unless_killed(heard.append, SimpleNamespace(exc_type=kind))
    assert [one.exc_type for one in heard] == [ValueError]


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    collected: list[Any] = []
    monkeypatch.setattr(acting, "collect", lambda: collected.append("collects"))
    return collected


def test_a_task_collects_before_it_goes_on(collected: list[Any]) -> None:
    run = Run()
    run.collects = True
    task: Any = SimpleNamespace(coro=object(), _next_send_fn=collected.append, _next_send="goes on")
    assert acting.collecting_step(run, task) is None  # type: ignore[arg-type]
    assert run.told == [task]
    assert not run.collects
    task._next_send_fn(task._next_send)
    assert collected == ["collects", "goes on"]


class Thread(SimpleNamespace):
    """A simulated thread."""


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_thread_collects_where_it_goes_on_or_before_it_begins(
    has_begun: bool, collected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acting, "SimulatedThread", Thread)
    run = Run()
    thread = Thread(has_begun=has_begun, function=collected.append, arguments=("begins",))
    acting.collecting_step(run, SimpleNamespace(coro=thread))  # type: ignore[arg-type]
    assert run.threads.is_collecting == has_begun
    thread.function(*thread.arguments)
    assert collected == (["begins"] if has_begun else ["collects", "begins"])


@pytest.mark.parametrize("is_collecting", [False, True])
@pytest.mark.parametrize("dying", [False, True])
def test_what_a_thread_waits_for_is_its_own_after_a_collection(
    is_collecting: bool, dying: bool, collected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    thread: Any = SimpleNamespace(waits_for="a lock", deadline=5.0, dying=dying)
    context = SimpleNamespace(task="its task")
    monkeypatch.setattr(acting, "getcurrent", lambda: thread)
    monkeypatch.setattr(acting, "CONTEXT", context)

    def collect() -> None:
        collected.append((thread.deadline, hasattr(context, "task")))
        thread.waits_for = thread.deadline = "of the finalizer"

    monkeypatch.setattr(acting, "collect", collect)
    threads: Any = SimpleNamespace(
        hub=SimpleNamespace(switch=lambda trap: f"after {trap}"), is_collecting=is_collecting
    )
    give_way = acting._Collecting(threads)
    if is_collecting and dying:
        with pytest.raises(GreenletExit):
            give_way("trap")
    else:
        assert give_way("trap") == "after trap"
        assert (thread.waits_for, thread.deadline, context.task) == ("a lock", 5.0, "its task")
    assert collected == ([(None, False)] if is_collecting else [])
    assert not threads.is_collecting


def test_a_collection_is_one_of_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(acting.gc, "collect", lambda: calls.append(1))
    acting.collect()
    assert calls == [1]
