"""The robot as a whole: the right one survives, replays, is differentiated, and its invariants can fail."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import permutations
from pathlib import Path

import pytest

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun.world.time.clocks import NodeClock
from detrun_scenarios.robot import SCENARIO
from detrun_scenarios.robot.body.vehicle import Vehicle
from detrun_scenarios.robot.control.network import network_of, shipped_weights
from detrun_scenarios.robot.estimation.belief import Belief
from detrun_scenarios.robot.estimation.fusion import Fusion
from detrun_scenarios.robot.geometry.place import WORKSHOP
from detrun_scenarios.robot.invariants import Monitor
from detrun_scenarios.robot.linear.matrices import diagonal
from detrun_scenarios.robot.messages import Command, Measurement
from detrun_scenarios.robot.settings import settings_of
from tests.scenarios.whole import (
    check_breaks,
    check_drawn,
    check_found_and_replayed,
    check_large,
    check_replayed,
    check_survives,
    frozen_difference,
    program_of,
    survived,
)

pytestmark = pytest.mark.one_python
BUGS = [one.name for one in SCENARIO.bugs]

of = partial(program_of, SCENARIO)


def test_the_right_robot_survives_fifty_seeds_of_trouble() -> None:
    """Thirty-five under all faults, and five of each hunt that has its own."""
    check_survives(SCENARIO, range(35), ("starved_watchdog", "angle_not_wrapped", "previous_goal"), range(5))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("spared", [None, *BUGS])
def test_the_right_robot_survives_two_thousand_seeds(spared: str | None) -> None:
    survived(of("small", spared=spared), range(50, 450) if spared else range(50, 1_050))


def test_a_run_is_replayed_to_the_same_digest() -> None:
    check_replayed(SCENARIO)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_large_workload_takes_a_hundred_thousand_steps_and_measures_every_loss() -> None:
    check_large(SCENARIO)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_picture_is_drawn(tmp_path: Path) -> None:
    check_drawn(SCENARIO, tmp_path)


@pytest.mark.parametrize(
    ("bug", "seed", "says", "about"),
    [
        (
            "stale_as_new",
            9,
            "measurements count for when they were taken",
            ["takes it Sensors.send", "gives the time Fusion.fuse"],
        ),
        ("half_written_pose", 0, "a pose is read whole", []),
        ("starved_watchdog", 7, "the watchdog stops the robot", ["the watchdog waits Watchdog.watch"]),
        (
            "angle_not_wrapped",
            13,
            "an angle is within half a turn",
            ["sees it Sensors.look", "subtracts Fusion._with"],
        ),
        ("previous_goal", 4, "commands belong to the present goal", ["takes it for new Actuators.carry_out"]),
    ],
)
def test_a_planted_bug_breaks_what_it_should(bug: str, seed: int, says: str, about: list[str]) -> None:
    """The first seed that shows it, so that each invariant is seen to fail."""
    assert check_breaks(SCENARIO, bug, seed, says) == about


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", BUGS)
def test_every_planted_bug_is_found_by_default_and_replayed(bug: str) -> None:
    check_found_and_replayed(SCENARIO, bug)


MEASUREMENTS = [
    Measurement("gyro", 1, 0.02, (0.3,)),
    Measurement("camera", 2, 0.03, ((0, 1.1, -2.4), (3, 3.8, -0.5))),
    Measurement("odometry", 3, 0.05, (0.4, 0.2)),
    Measurement("gyro", 4, 0.06, (0.25,)),
]


class Unwatched(Monitor):
    """Knows nothing of when measurements were taken."""

    def __init__(self) -> None:
        """Nothing is kept."""

    def time_is_given(self) -> None:
        """See `Monitor.time_is_given`."""

    def fused(self, measurement: Measurement, stamp: object) -> None:
        """See `Monitor.fused`."""

    def angle_is_off(self, measurement: Measurement, angle: object) -> None:
        """See `Monitor.angle_is_off`."""

    def believes(self, measurement: Measurement, belief: Belief) -> None:
        """See `Monitor.believes`."""


def fused(order: list[int], timeout: float = 0.15) -> Fusion:
    settings = settings_of({**SCENARIO.defaults, "fusion_timeout": timeout})
    first = Belief([0.7, 0.8, 1.5, 0.0, 0.0, 0.0], diagonal([0.01] * 6))
    found = Fusion(first, 0.0, WORKSHOP, settings, Unwatched())
    for at in order:
        found.fuse(MEASUREMENTS[at], 0.0)
    return found


def in_a_run(program: Callable[[], object]) -> object:
    async def main() -> object:
        return program()

    return detrun.record(main).result


def test_measurements_in_any_order_make_the_belief_of_their_stamps() -> None:
    """To the last bit, since they are applied anew."""

    def compared() -> int:
        expected = fused([0, 1, 2, 3]).newest.belief
        orders = list(permutations(range(4)))
        assert all(fused(list(order)).newest.belief == expected for order in orders)
        return len(orders)

    assert in_a_run(compared) == 24


def test_a_measurement_older_than_the_time_out_changes_nothing() -> None:
    def compared() -> bool:
        late = fused([0, 2, 3, 1], timeout=0.02)
        assert late.dropped == 1
        return late.newest.belief == fused([0, 2, 3], timeout=0.02).newest.belief

    assert in_a_run(compared) is True


def too_fast(monitor: Monitor) -> None:
    monitor.carried_out(Command(1, 1, 0.0, 3.0, 0.0, (0.0, 0.0)))


def too_close(monitor: Monitor) -> None:
    monitor.path_is_planned(0.1, 0.22)


def sure_and_wrong(monitor: Monitor) -> None:
    monitor.brain_clock = NodeClock("brain")
    measurement = Measurement("camera", 1, 0.0, ())
    monitor.taken(measurement, monitor.vehicle.now())
    monitor.believes(measurement, Belief([1.7, 0.8, 1.5, 0.0, 0.0, 0.0], diagonal([0.01] * 6)))


@pytest.mark.parametrize(
    ("happens", "says"),
    [
        (too_fast, "no command beyond the limits"),
        (too_close, "planned paths are free"),
        (sure_and_wrong, "the filter is consistent"),
    ],
)
def test_invariants_that_no_planted_bug_breaks_can_fail(happens: Callable[[Monitor], None], says: str) -> None:
    async def main() -> None:
        happens(Monitor(Vehicle(0.7, 0.8, 1.5), 0.2))

    with pytest.raises(AssertionViolatedError, match=says):
        detrun.record(main)


@pytest.mark.parametrize(
    ("loss", "name", "step"),
    [
        ("reach_error", "shoulder_damping", 1e-5),
        ("reach_error", "elbow_stiffness", 1e-5),
    ],
)
def test_local_gradients_are_differences_of_the_same_run(loss: str, name: str, step: float) -> None:
    found = detrun.gradient(of("medium", loss), {name: SCENARIO.defaults[name]}, seed=1, validity=False)
    expected = frozen_difference(of("medium", loss), SCENARIO.defaults, name, step)
    assert found.grads[name] == pytest.approx(expected, rel=1e-6)


def test_a_network_is_that_of_torch_with_its_derivatives() -> None:
    """Two layers of torch with the same weights; both compute in 64 bits."""
    torch = pytest.importorskip("torch")
    weights = {**shipped_weights(), "unit_0": 0.7, "unit_1": -1.2, "unit_2": 0.4, "unit_3": 2.0}
    sights = [0.3, 0.8, -0.2, 1.5, 1.0]
    found = detrun.gradient(lambda params: network_of(params).score(sights), weights)
    leaves = {name: torch.tensor(at, dtype=torch.float64, requires_grad=True) for name, at in weights.items()}
    first, second = (
        torch.stack([torch.stack(row) for row in network_of(leaves).first]),
        torch.stack(network_of(leaves).second),
    )
    score = second @ torch.tanh(first @ torch.tensor(sights, dtype=torch.float64))
    score.backward()
    assert found.value == pytest.approx(score.item(), rel=1e-12)
    assert found.grads == pytest.approx({name: leaf.grad.item() for name, leaf in leaves.items()}, rel=1e-12)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_weights_of_the_policy_have_the_derivatives_of_differences_of_the_same_drive() -> None:
    """With a second layer that is not 0, so that the first counts. The steps are a millionth."""
    at = {**SCENARIO.defaults, "unit_0": 0.5, "unit_1": -0.5, "unit_2": 0.3}
    names = ("unit_0", "unit_3", "bias_to_0", "doubt_to_1", "lateness_to_2")
    program = of("medium", "tracking_error")
    found = detrun.gradient(program, at, seed=1, validity=False)
    for name in names:
        expected = frozen_difference(program, at, name, 1e-6)
        assert found.grads[name] == pytest.approx(expected, rel=1e-4, abs=1e-9 * abs(found.value))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("loss", ["tracking_error", "estimation_error", "energy"])
def test_every_local_gradient_is_a_difference_of_the_same_run(loss: str) -> None:
    """Steps of a millionth of each parameter; the slopes are 1e-9 of the loss and more."""
    names = next(one.parameters for one in SCENARIO.loss(loss).meanings if one.kind == "local")
    at = {name: SCENARIO.defaults[name] for name in names}
    found = detrun.gradient(of("medium", loss), at, seed=1, validity=False)
    for name in names:
        size = abs(at[name]) or 1.0
        expected = frozen_difference(of("medium", loss), SCENARIO.defaults, name, 1e-6 * size)
        assert found.grads[name] == pytest.approx(expected, rel=1e-4, abs=1e-7 * abs(found.value) / size)
