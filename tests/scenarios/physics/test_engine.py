"""Bodies in time steps: closed forms, conservation laws, derivatives, and invariants that can be broken."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import networkx
import pytest

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.dynamics import invariants
from detrun_scenarios.physics.dynamics.body import Body
from detrun_scenarios.physics.dynamics.contacts import Contact
from detrun_scenarios.physics.dynamics.joints import Joint, Motor, Pin, Rod
from detrun_scenarios.physics.dynamics.links import Links
from detrun_scenarios.physics.dynamics.settings import Settings
from detrun_scenarios.physics.dynamics.simulation import EARTH, USUAL, Simulation, simulating
from detrun_scenarios.physics.geometry.narrow_phase import meeting
from detrun_scenarios.physics.geometry.placed import Placed
from detrun_scenarios.physics.geometry.shapes import Circle, box, regular
from detrun_scenarios.physics.geometry.vectors import ORIGIN, Vector
from detrun_scenarios.physics.scenes.box import Box

pytestmark = pytest.mark.one_python
GRAVITY = 9.81
THOROUGH = Settings(iterations=200, slop=1.0)  # impulses settle, and nothing is pushed apart


def after(
    bodies: list[Body],
    steps: int,
    seconds: float,
    joints: tuple[Joint, ...] = (),
    gravity: Vector = EARTH,
    settings: Settings = USUAL,
    watch: Callable[[Simulation], None] = lambda simulation: None,
) -> list[Body]:
    """The bodies after some steps."""

    async def main() -> None:
        async with simulating(bodies, joints, gravity=gravity, settings=settings) as simulation:
            for _ in range(steps):
                await simulation.step(seconds)
                watch(simulation)

    detrun.record(main)
    return bodies


def floor(**surface: Any) -> Body:
    return Body(box(40.0, 1.0), Vector(0.0, -0.5), mass=math.inf, **surface)


def test_free_flight_is_a_parabola() -> None:
    (ball,) = after([Body(Circle(0.1), Vector(1.0, 2.0), velocity=Vector(3.0, 4.0), spin=2.0)], 50, 0.01)
    assert ball.position.x == pytest.approx(1.0 + 3.0 * 0.5, rel=1e-12)
    assert ball.position.y == pytest.approx(2.0 + 4.0 * 0.5 - 0.5 * GRAVITY * 0.25, rel=1e-12)
    assert ball.angle == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("restitution", [0.0, 0.6, 1.0])
def test_a_central_impact_shares_out_momentum_by_restitution(restitution: float) -> None:
    heavy, light = after(
        [
            Body(Circle(0.2), Vector(-0.45, 0.0), velocity=Vector(2.0, 0.0), mass=3.0, restitution=restitution),
            Body(Circle(0.2), Vector(0.0, 0.0), mass=1.0, restitution=restitution),
        ],
        8,
        0.01,
        gravity=ORIGIN,
    )
    middle = 2.0 * 3.0 / 4.0
    assert light.velocity.x - heavy.velocity.x == pytest.approx(2.0 * restitution, abs=1e-12)
    assert heavy.velocity.x == pytest.approx(middle - restitution * 2.0 / 4.0)


def test_momentum_and_angular_momentum_stay_in_a_cloud_that_collides() -> None:
    def cloud() -> list[Body]:
        return [
            Body(
                regular(3 + number, 0.3) if number % 2 else Circle(0.25),
                Vector(math.cos(number), math.sin(number)),
                velocity=Vector(-2.0 * math.cos(number), -2.0 * math.sin(number)),
                spin=float(number - 2),
                mass=1.0 + number,
                restitution=0.4,
                friction=0.5,
            )
            for number in range(6)
        ]

    def momenta(bodies: list[Body]) -> tuple[float, float, float]:
        pushes = [body.velocity * body.mass for body in bodies]
        turns = (
            body.position.cross(push) + body.inertia * body.spin for body, push in zip(bodies, pushes, strict=True)
        )
        return sum(push.x for push in pushes), sum(push.y for push in pushes), sum(turns)

    met = []
    bodies = after(
        cloud(), 60, 0.01, gravity=ORIGIN, settings=THOROUGH, watch=lambda simulation: met.extend(simulation.contacts)
    )
    assert len(met) > 20
    # A contact pushes half-way through a step, where the points are taken, so that nothing is lost to the step.
    assert momenta(bodies) == pytest.approx(momenta(cloud()), abs=1e-9)


async def slide(params: Mapping[str, Any]) -> Any:
    """How far a crate slides until it rests."""
    crate = Body(box(0.4, 0.2), Vector(0.0, 0.1), velocity=Vector(params["speed"], 0.0), friction=params["friction"])
    ground = floor(friction=params["friction"])
    async with simulating([ground, crate], settings=Settings(workers=1, looks=1_000)) as simulation:
        while plain(crate.velocity.x) > 1e-6:
            await simulation.step(0.004)
    return crate.position.x


def test_a_crate_slides_as_far_as_coulomb_says_and_so_do_its_derivatives() -> None:
    """Runs that differ by 1e-6 in a parameter rest in the same step, so that their difference is the derivative."""
    speed, friction = 1.0, 0.5
    params = {"speed": speed, "friction": friction}
    found = detrun.gradient(slide, params, validity=False, verify=False)
    distance = speed * speed / (2.0 * friction * GRAVITY)
    assert found.value == pytest.approx(distance, rel=0.01)
    assert found.grads["speed"] == pytest.approx(2.0 * distance / speed, rel=0.02)
    assert found.grads["friction"] == pytest.approx(-distance / friction, rel=0.02)
    for name in ("speed", "friction"):
        up, down = (detrun.record(slide, {**params, name: params[name] + step}).result for step in (1e-6, -1e-6))
        assert found.grads[name] == pytest.approx((up - down) / 2e-6, rel=1e-5)


@pytest.mark.parametrize("sideways", [-1.5, 1.5])
def test_an_impact_with_friction_gives_no_energy(sideways: float) -> None:
    """A bar that falls on its corner is turned round by friction, and by Newton's law alone may gain energy."""

    def bar() -> Body:
        surface: dict[str, Any] = {"restitution": 0.95, "friction": 1.0}
        return Body(box(0.8, 0.05), Vector(0.0, 0.29), 0.8, Vector(sideways, -2.0), **surface)

    def energy(body: Body) -> Any:
        return body.energy_of(body.velocity.x, body.velocity.y, body.spin)

    touched = []
    _, hit = after(
        [floor(restitution=0.95, friction=1.0), bar()],
        1,
        0.01,
        gravity=ORIGIN,
        watch=lambda simulation: touched.extend(simulation.contacts),
    )
    assert touched
    assert energy(hit) <= energy(bar()) * 1.001


async def carom(params: Mapping[str, Any]) -> Any:
    """Where the third of three spinning discs is, after the first has been thrown at the second and that met a wall."""
    surface: dict[str, Any] = {"restitution": params["restitution"], "friction": params["friction"]}
    discs = [
        Body(Circle(0.1), Vector(-0.5, 0.03), velocity=Vector(params["speed"], 0.0), spin=3.0, **surface),
        Body(Circle(0.1), ORIGIN, **surface),
        Body(Circle(0.1), Vector(0.5, -0.1), **surface),
    ]
    async with simulating([floor(**surface), *discs], gravity=ORIGIN, settings=Settings(workers=1)) as simulation:
        for _ in range(60):
            await simulation.step(0.01)
    return discs[2].position.x + 2.0 * discs[2].position.y + discs[1].spin


def test_derivatives_pass_through_impacts_with_friction() -> None:
    params = {"speed": 3.0, "restitution": 0.8, "friction": 0.4}
    found = detrun.gradient(carom, params, verify=False)
    assert found.validity["speed"].up > 1e-5
    for name, value in params.items():
        up, down = (detrun.record(carom, {**params, name: value + step}).result for step in (1e-6, -1e-6))
        assert found.grads[name] == pytest.approx((up - down) / 2e-6, rel=1e-6, abs=1e-8)
        assert abs(found.grads[name]) > 1e-3


async def pour(params: Mapping[str, Any]) -> Any:
    """The mean height of bodies that have fallen into a box."""
    return await Box(3, 2, 120).fill({"time_step": 1.0 / 120.0, **params}, settings=Settings(workers=2, looks=1_000))


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_windows_give_the_bits_of_a_whole_tape_in_a_part_of_its_memory() -> None:
    params = {"restitution": 0.5, "friction": 0.3}
    whole = detrun.gradient(pour, params, seed=1, validity=False, verify=False)
    cut = detrun.gradient(pour, params, seed=1, validity=False, verify=False, snapshots=4, window=500)
    assert cut.grads == whole.grads
    assert cut.diagnostics.windows > 5
    assert 5 * cut.diagnostics.entries_in_a_window_max < whole.diagnostics.entries_in_a_window_max


@pytest.mark.parametrize("held_by", ["rod", "pin"])
def test_a_pendulum_swings_in_its_period_and_stays_as_long_as_it_is(held_by: str) -> None:
    """Of a point at a rod 2 π √(l / g) (1 + θ² / 16), and of a pinned disc as if it were longer by r² / 2 l."""
    length, angle, seconds = 1.0, 0.2, 0.005
    away = Vector(length * math.sin(angle), -length * math.cos(angle))
    nail = Body(Circle(0.1), ORIGIN, mass=math.inf)
    bob = Body(Circle(0.3), away)
    joint = Rod((0, 1), length) if held_by == "rod" else Pin((0, 1), (ORIGIN, -away))
    crossings: list[float] = []
    before = [away.x]

    def watch(simulation: Simulation) -> None:
        now = bob.position.x
        if before[-1] > 0.0 >= now:
            crossings.append((len(before) - 1 + before[-1] / (before[-1] - now)) * seconds)
        before.append(now)
        assert bob.position.length() == pytest.approx(length, abs=1e-3)

    after([nail, bob], 560, seconds, (joint,), watch=watch)
    effective = length if held_by == "rod" else length + 0.3**2 / 2.0 / length
    period = 2.0 * math.pi * math.sqrt(effective / GRAVITY) * (1.0 + angle * angle / 16.0)
    assert crossings[1] - crossings[0] == pytest.approx(period, rel=2e-3)


def test_a_motor_turns_as_fast_as_its_torque_allows_and_no_faster_than_it_should() -> None:
    frame, wheel = Body(Circle(0.5), ORIGIN, mass=math.inf), Body(Circle(0.5), ORIGIN, mass=2.0)
    spins: list[float] = []
    joints = (Pin((0, 1)), Motor((0, 1), speed=3.0, torque_max=1.0))
    after([frame, wheel], 100, 0.01, joints, watch=lambda simulation: spins.append(wheel.spin))
    assert spins[9] == pytest.approx(0.1 / wheel.inertia)
    assert spins[-1] == pytest.approx(3.0)


def test_a_torque_at_a_pin_turns_both_bodies_and_gives_no_angular_momentum() -> None:
    first, second = after(
        [Body(Circle(0.5), ORIGIN), Body(Circle(0.5), ORIGIN, mass=3.0)], 10, 0.01, (Pin((0, 1), torque=2.0),), ORIGIN
    )
    assert second.spin == pytest.approx(0.2 / second.inertia)
    assert first.spin == pytest.approx(-0.2 / first.inertia)


def test_two_stacks_on_one_floor_are_two_islands_and_stay_where_they_are() -> None:
    crates = [
        Body(box(0.4, 0.4), Vector(2.0 * stack, 0.2 + 0.4 * row), friction=0.5)
        for stack in range(2)
        for row in range(3)
    ]
    seen: list[list[set[int]]] = []
    after(
        [floor(friction=0.5), *crates],
        100,
        0.01,
        watch=lambda simulation: seen.append([island.bodies for island in simulation.islands]),
    )
    assert seen[-1] == [{1, 2, 3}, {4, 5, 6}]
    for stack in range(2):
        for row in range(3):
            place = crates[3 * stack + row].position
            assert (place.x, place.y) == pytest.approx((2.0 * stack, 0.2 + 0.4 * row), abs=0.01)


def test_islands_are_the_components_of_the_graph_of_contacts() -> None:
    def watch(simulation: Simulation) -> None:
        graph: networkx.Graph[int] = networkx.Graph()
        pairs = [contact.pair for contact in simulation.contacts] + [joint.pair for joint in simulation.joints]
        fixed = {number for number, body in enumerate(simulation.bodies) if body.is_fixed}
        for pair in pairs:
            moving = [body for body in pair if body not in fixed]
            networkx.add_path(graph, moving)
        components = sorted(sorted(component) for component in networkx.connected_components(graph))
        assert components == sorted(sorted(island.bodies) for island in simulation.islands)
        assert sum(len(island.constraints) for island in simulation.islands) == len(pairs)

    async def main() -> None:
        async with Box(3, 2, 0).filled({"restitution": 0.5, "friction": 0.3}) as simulation:
            for _ in range(25):
                await simulation.step(1.0 / 60.0)
                watch(simulation)

    detrun.record(main, seed=2)


def touching() -> tuple[list[Body], Contact]:
    bodies = [Body(Circle(0.5), ORIGIN, friction=0.5), Body(Circle(0.5), Vector(0.9, 0.0), velocity=Vector(-1.0, 0.0))]
    placed = [Placed(body.shape, body.position, body.angle) for body in bodies]
    found = meeting(*placed)
    assert found is not None
    contact = Contact((0, 1), found, {})
    contact.prepare(bodies, placed, 0.01, USUAL)
    return bodies, contact


def test_each_invariant_can_be_broken() -> None:
    boxes = [(0.0, 1.0, 0.0, 1.0), (0.5, 1.5, 0.5, 1.5), (3.0, 4.0, 0.0, 1.0)]
    invariants.check_pairs([(0, 1)], boxes, [False] * 3)
    for pairs in ([], [(0, 1), (0, 2)]):
        with pytest.raises(AssertionViolatedError, match=invariants.PAIRS_ARE_FOUND):
            invariants.check_pairs(pairs, boxes, [False] * 3)

    bodies, contact = touching()
    with pytest.raises(AssertionViolatedError, match=invariants.ONE_ISLAND):
        invariants.check_islands([contact], Links(2), [False, False])

    (pushing, sliding), *_ = contact.points()
    assert sliding is not None
    pushing.impulse, sliding.impulse = 1.0, 0.25
    invariants.check_contacts([contact])
    for normal, along, says in ((-1.0, 0.0, invariants.ONLY_PUSH), (1.0, 0.26, invariants.IN_CONE)):
        pushing.impulse, sliding.impulse = normal, along
        with pytest.raises(AssertionViolatedError, match=says):
            invariants.check_contacts([contact])

    balance = invariants.Balance(bodies, ORIGIN, 0.01)
    balance.check_momentum(bodies, [contact])
    balance.check_energy()
    bodies[0].velocity = Vector(-1.0, 0.0)  # the impulse has come to one of the two only
    with pytest.raises(AssertionViolatedError, match=invariants.MOMENTUM):
        balance.check_momentum(bodies, [contact])
    with pytest.raises(AssertionViolatedError, match=invariants.NO_ENERGY):
        balance.check_energy()
