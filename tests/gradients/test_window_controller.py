"""What each process of a gradient in windows does where it pauses and where its program ends, without a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import outcome
import pytest
import trio

import detrun
from detrun.ad import state
from detrun.ad.value import Value
from detrun.execution.options import Options
from detrun.gradients import windowed
from detrun.gradients.credit import mark_step
from detrun.gradients.windowed import Swept, WindowController, WindowTotals

STEPS, WINDOW, WINDOWS = 25, 7, 4


class Ended(Exception):
    """In place of the end of a process."""


class Controller:
    """A controller whose forks, replies and tapes are noted."""

    def __init__(self, patch: pytest.MonkeyPatch, *, credit: int = 0, forks: bool = True) -> None:
        self.noted: list[Any] = []
        self.answers: list[Any] = []  # of forks
        recording: Any = SimpleNamespace(steps=STEPS)
        tensors: Any = SimpleNamespace()
        self.options = Options(preemption="line")
        self.one = WindowController(
            lambda: None, {"x": 1.0}, tensors, recording, WINDOW, WINDOWS, 3, credit, self.options
        )
        self.run: Any = SimpleNamespace(stop_comparing=lambda: self.noted.append("trusts"))
        patch.setattr(windowed, "can_fork", lambda: forks)
        patch.setattr(windowed, "silence", lambda: self.noted.append("silence"))
        patch.setattr(windowed, "fork_here", self.fork)
        patch.setattr(windowed.state, "start_tape", lambda: SimpleNamespace(mark=self.noted.append))

    def fork(self, *, quiet: bool) -> Any:
        self.noted.append("forks quietly" if quiet else "forks")
        return self.answers.pop(0)


def test_a_controller_begins_with_all_windows_and_the_options_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Controller(monkeypatch, credit=2)
    one = here.one
    assert (one.at, one.until, one.spare, one.credit) == (0, WINDOWS, 2, 2)
    assert one.options is here.options
    assert one.totals == WindowTotals(credit_kept=2)


@pytest.mark.parametrize("forks", [False, True])
@pytest.mark.parametrize("credit", [0, 2])
def test_a_run_pauses_at_its_start_or_at_its_window_and_marks_steps_for_credit(
    forks: bool, credit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Controller(monkeypatch, credit=credit, forks=forks).one
    one.at = 2
    hooks: Any = SimpleNamespace(after_step=[])
    one.contribute(hooks)
    assert hooks.first_pause == (0 if forks else 2 * WINDOW)
    assert hooks.at_pause == (one._at_pause if forks else one._at_pause_without_fork)
    assert hooks.after_step == ([mark_step] if credit else [])
    assert isinstance(hooks.time_observer, windowed.TimingSites)


@pytest.mark.parametrize(("at", "following"), [(0, 7.0), (2, 21.0), (3, float("inf"))])
def test_a_tape_begins_at_the_first_step_of_its_window_and_ends_with_it(
    at: int, following: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Controller(monkeypatch)
    here.one.at = at
    assert here.one._tape() == following
    assert here.noted == [at * WINDOW]


def test_the_child_goes_on_to_the_place_of_the_split_and_the_snapshot_tapes_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(windowed, "split", lambda windows, snapshots: {(4, 3): 2, (2, 3): 1}[windows, snapshots])
    here = Controller(monkeypatch)
    behind = windowed.asdict(Swept({}, totals=windowed.asdict(WindowTotals(windows=2, forward_steps=7))))
    here.answers = [behind, behind]
    assert here.one._reverse(here.run) == WINDOW
    assert here.noted == ["forks", "forks quietly", "silence", "trusts", 0]
    assert (here.one.at, here.one.until) == (0, 1)
    assert (here.one.totals.windows, here.one.totals.forward_steps) == (4, 14)
    assert here.one.known == Swept(**behind)


@pytest.mark.parametrize("until", [WINDOWS, WINDOWS - 1])
@pytest.mark.parametrize("spare", [0, 1])
def test_a_child_counts_the_steps_to_its_place_and_trusts_what_was_compared(
    until: int, spare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windowed, "split", lambda windows, snapshots: 1)
    here = Controller(monkeypatch, credit=3)
    one = here.one
    one.until, one.spare, one.at = until, spare, 1
    here.answers = [windowed.IN_CHILD]
    place = 2 if spare else until - 1
    assert one._reverse(here.run) == place * WINDOW
    assert here.noted == (["forks"] if until == WINDOWS else ["forks quietly", "trusts"])
    assert (one.at, one.spare, one.until) == (place, spare - 1, until)
    assert one.totals == WindowTotals(forward_steps=(place - 1) * WINDOW, credit_kept=3)


def test_the_last_window_is_taped_without_trust_since_it_runs_for_the_first_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Controller(monkeypatch)
    here.one.at = WINDOWS - 1
    assert here.one._reverse(here.run) == float("inf")
    assert here.noted == [(WINDOWS - 1) * WINDOW]


def ended(controller: Controller, result: outcome.Outcome[Any], patch: pytest.MonkeyPatch) -> Swept:
    def sweep() -> None:
        raise Ended

    patch.setattr(controller.one, "_sweep", sweep)
    with pytest.raises(Ended):
        controller.one.end(result)
    return controller.one.known


def test_a_loss_with_a_derivative_is_where_the_sweep_begins_and_leaves_the_tape_by_no_other_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Controller(monkeypatch)
    monkeypatch.undo()
    with state.taped() as tape:
        loss = Value(3.0)
        known = ended(here, outcome.Value(loss), monkeypatch)
        seed = loss.id - state.first_id
    assert known == Swept({seed: 1.0}, 3.0, has_loss=True, strengths={seed: 1.0})
    assert known.strengths is not known.adjoints
    assert not tape.detachments


def test_a_loss_without_a_derivative_and_a_failure_begin_no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended(Controller(monkeypatch), outcome.Value(2.5), monkeypatch) == Swept({}, 2.5)
    with pytest.raises(KeyError):
        Controller(monkeypatch).one.end(outcome.Error(KeyError()))


@pytest.mark.parametrize("forks", [False, True])
@pytest.mark.parametrize("window", [1, 2])
def test_credit_of_a_use_at_the_first_entry_of_a_window(
    forks: bool, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not windowed.can_fork() and forks:
        pytest.skip("this system has no fork")

    async def main(params: dict[str, Any]) -> Any:
        x = params["x"] * 2.0
        for _ in range(5):
            await trio.lowlevel.checkpoint()
            x = x * params["x"]
        return x

    whole = detrun.gradient(main, {"x": 1.5}, credit=3)
    monkeypatch.setattr(windowed, "can_fork", lambda: forks)
    cut = detrun.gradient(main, {"x": 1.5}, recording=whole.recording, credit=3, window=window, snapshots=2)
    assert (cut.grads, cut.value) == (whole.grads, whole.value)
    assert cut.credit == whole.credit
    assert cut.diagnostics.taped_steps == whole.recording.steps


def test_what_leaves_a_swept_window_says_so() -> None:
    assert str(windowed._WindowSwept(Swept({}))) == "the window is swept"


@pytest.mark.parametrize("peak", [1.5, 3.0])
def test_a_sweep_hands_adjoints_and_strengths_to_the_window_before(
    peak: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Controller(monkeypatch).one
    monkeypatch.undo()
    monkeypatch.setattr(windowed, "can_fork", lambda: False)
    state.begin_run()
    try:
        first = state.first_id
        x = Value(1.0)
        state.start_tape()
        middle = x * 2.0
        loss = middle * 2.0
        seed = {loss.id - first: 1.0}
        one.known = Swept(seed, strengths=dict(seed), peak=(peak, 7))
        one.at = WINDOWS - 1
        with pytest.raises(windowed._WindowSwept) as left:
            one._sweep()
    finally:
        state.end_run()
    swept = left.value.swept
    assert swept.adjoints == swept.strengths == {x.id - first: 4.0}
    assert swept.peak == ((2.0, middle.id - first) if peak < 2.0 else (peak, 7))
    assert (swept.totals["windows"], swept.totals["entries"]) == (1, 2)
    assert swept.totals["taped_steps"] == STEPS - (WINDOWS - 1) * WINDOW


def test_torch_has_one_thread_before_a_window_is_forked_or_taped(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Controller(monkeypatch)
    monkeypatch.setattr(windowed, "use_one_thread", lambda: here.noted.append("one thread"))
    here.one.at = WINDOWS - 1
    here.one._at_pause(here.run)
    assert here.noted == ["one thread", (WINDOWS - 1) * WINDOW]


def reversed_as(swept: dict[int, float], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The gradient of numbers ``x``, ``y`` and a tensor ``w`` if this comes out of the windows."""
    monkeypatch.setattr(WindowController, "run", lambda self: Swept(swept, totals=windowed.asdict(WindowTotals())))
    tensors: Any = SimpleNamespace(ids=[2], number=lambda first: None, gradients=lambda adjoints: {"w": adjoints[2]})
    recording: Any = SimpleNamespace(steps=STEPS)
    return windowed.reverse_in_windows(
        lambda: None,
        {"x": 1.0, "y": 1.0},
        tensors,
        recording,
        snapshots=1,
        window=WINDOW,
        credit=0,
        options=Options(),
    )[2]


def test_adjoints_of_the_first_ids_are_the_gradient_and_none_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reversed_as({0: 2.0}, monkeypatch) == {"x": 2.0, "y": 0.0, "w": 0.0}
    assert reversed_as({1: 3.0, 2: 5.0}, monkeypatch) == {"x": 0.0, "y": 3.0, "w": 5.0}


def test_adjoint_of_a_value_that_is_older_than_the_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(detrun.DetrunError, match="run"):
        reversed_as({-1: 2.0}, monkeypatch)
