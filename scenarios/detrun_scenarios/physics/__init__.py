"""Rigid bodies in the plane: an engine whose islands are stepped by workers, and motion that is exact between events.

Read `exact.legs` first: how an event is found, and what its derivative is. `scenes` has a module for each piece of
mechanics. `dynamics` and `geometry` are the engine, for many bodies in time steps.
"""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Bug, Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.physics.dynamics import invariants
from detrun_scenarios.physics.pictures import draw
from detrun_scenarios.physics.workload import SQUEEZE, program

_JOINTS = ("shoulder", "elbow", "wrist")
_MOTORS = tuple(f"{joint}_{what}" for joint in _JOINTS for what in ("gain", "damping"))
_SMOOTH_BALL = "the time of the impact moves with it, and the velocity turns round there"

SCENARIO = Scenario(
    name="physics",
    about="Rigid bodies in the plane: an engine with workers, and scenes that are exact from event to event.",
    parameters=(
        Parameter("launch_speed", 12.0, (6.0, 20.0), "m/s", "of a thrown ball", "a guess"),
        Parameter("launch_angle", 0.785, (0.2, 1.4), "rad", "above the ground", "farthest in vacuum, from the ground"),
        Parameter("restitution", 0.7, (0.3, 0.95), "", "speed after an impact, of that before", "a rubber ball"),
        Parameter("friction", 0.1, (0.01, 1.0), "", "Coulomb's coefficient", "a wet ground", log_scale=True),
        Parameter("drop_height", 1.0, (0.5, 2.0), "m", "from which a ball is dropped", ""),
        Parameter("damping", 5.0, (0.5, 10.0), "N m s/rad", "of a motor at a pendulum", "critical", log_scale=True),
        Parameter("shoulder_gain", 10.0, (1.0, 50.0), "N m/rad", "of a joint's motor", "a guess", log_scale=True),
        Parameter("shoulder_damping", 1.0, (0.1, 10.0), "N m s/rad", "of a joint's motor", "a guess", log_scale=True),
        Parameter("elbow_gain", 5.0, (0.5, 25.0), "N m/rad", "of a joint's motor", "a guess", log_scale=True),
        Parameter("elbow_damping", 0.5, (0.05, 5.0), "N m s/rad", "of a joint's motor", "a guess", log_scale=True),
        Parameter("wrist_gain", 1.25, (0.1, 6.0), "N m/rad", "of a joint's motor", "a guess", log_scale=True),
        Parameter("wrist_damping", 0.125, (0.01, 1.0), "N m s/rad", "of a joint's motor", "a guess", log_scale=True),
        Parameter("hop_thrust", 0.015, (0.004, 0.03), "m", "by which a leg pushes", "a guess", log_scale=True),
        Parameter("speed_gain", 0.05, (0.0, 0.15), "s", "foot ahead, for the speed that is off", "Raibert, 1986"),
        Parameter("foot_offset", 0.0, (-0.03, 0.03), "m", "foot ahead of the middle of its path", "Raibert, 1986"),
        Parameter("cue_speed", 1.0, (0.5, 6.0), "m/s", "of the cue ball", "a soft shot", log_scale=True),
        Parameter("cue_angle", -0.02, (-0.04, 0.04), "rad", "of the cue ball, from straight ahead", "a half ball"),
        Parameter("time_step", 1 / 60, (1 / 240, 1 / 30), "s", "of the engine", "Box2D", log_scale=True),
    ),
    losses=(
        Loss(
            "miss_distance",
            "how far from a moving cart a thrown ball comes down",
            "m",
            (
                Meaning(
                    "local",
                    ("launch_speed", "launch_angle", "restitution", "friction"),
                    "impacts are located, and another order of gusts and impacts changes nothing at once",
                    {"samples": 24},
                    share=0.05,
                ),
            ),
            tune_options={"samples": 2, "rate": 0.1},
        ),
        Loss(
            "squared_miss",
            "the square of that",
            "m²",
            (
                Meaning(
                    "local",
                    ("launch_speed", "launch_angle", "restitution", "friction"),
                    "as of the distance, and it goes to zero at the goal",
                    {"samples": 24},
                    share=0.05,
                ),
            ),
            tune_options={"samples": 2, "rate": 0.05},
        ),
        Loss(
            "settling_time",
            "until a pendulum stays near its goal",
            "s",
            (
                Meaning(
                    "finite",
                    ("damping",),
                    "which swing is the last to leave the band differs between runs, and counts more than when it ends",
                    {"samples": 60},
                    share=0.1,
                ),
            ),
        ),
        Loss(
            "reach_cost",
            "how far a hand is off its goal, and the effort of the motors",
            "m² s",
            (Meaning("local", _MOTORS, "torques and motion are smooth; when controllers wake does not move"),),
            tune_options={"samples": 4},
        ),
        Loss(
            "hopping_cost",
            "energy of a hopper, and what its speed is off",
            "J/kg/m",
            (
                Meaning(
                    "local",
                    ("hop_thrust", "speed_gain", "foot_offset"),
                    "touchdown, deepest compression and liftoff are located; where it never falls, nothing jumps",
                    {"samples": 16},
                    share=0.02,
                ),
            ),
            tune_options={"samples": 8},
        ),
        Loss(
            "energy_used",
            "of the same hopper, without its speed",
            "J/kg/m",
            (
                Meaning(
                    "local",
                    ("hop_thrust", "speed_gain", "foot_offset"),
                    "as of `hopping_cost`, of which it is a part",
                    {"samples": 16},
                    share=0.02,
                ),
            ),
        ),
        Loss(
            "height",
            "of a ball that has bounced once",
            "m",
            (Meaning("local", ("drop_height", "restitution"), _SMOOTH_BALL, {"samples": 16}, share=0.02),),
        ),
        Loss(
            "height_on_spring",
            "the same on ground that gives way",
            "m",
            (
                Meaning(
                    "relaxed",
                    ("drop_height", "restitution"),
                    "nothing jumps: the ground pushes for as long as the ball is in it",
                    {"samples": 16, "temperature": 0.001},
                    share=0.02,
                ),
            ),
        ),
        Loss(
            "height_by_steps",
            "the same in time steps",
            "m",
            (
                Meaning(
                    "expected",
                    ("drop_height", "restitution"),
                    "in which step it bounces differs between runs, and a frozen run keeps it",
                    {"samples": 300},
                    share=0.05,
                ),
            ),
        ),
        Loss(
            "pot_miss",
            "how far from a corner a billiard ball comes to rest, squared",
            "m²",
            (
                Meaning(
                    "local",
                    ("cue_speed", "cue_angle"),
                    "one impact of balls: where it rests moves smoothly, and the mean with it",
                    {"samples": 40},
                    share=0.02,
                ),
            ),
            tune_options={"samples": 8},
        ),
        Loss(
            "break_miss",
            "the same, of the first ball of a triangle",
            "m²",
            (
                Meaning(
                    "finite",
                    ("cue_speed", "cue_angle"),
                    "each impact multiplies what the hand is off, and who meets whom differs between runs",
                    {"samples": 60},
                ),
            ),
        ),
        Loss(
            "pile_height",
            "mean height of bodies in a box",
            "m",
            (
                Meaning(
                    "finite",
                    ("restitution", "friction"),
                    "who hits whom, and in which step, differs between runs",
                    {"samples": 60},
                    share=0.3,
                ),
            ),
        ),
    ),
    invariants=(
        Invariant(invariants.PAIRS_ARE_FOUND, "the broad phase gives the pairs that comparing all with all gives"),
        Invariant(invariants.ONE_ISLAND, "both moving bodies of a contact or joint are in one island"),
        Invariant(invariants.MOMENTUM, "what bodies gain is what forces and fixed bodies have given"),
        Invariant(invariants.ONLY_PUSH, "a normal impulse is not negative"),
        Invariant(invariants.IN_CONE, "a tangential impulse is at most the coefficient times the normal one"),
        Invariant(invariants.NO_ENERGY, "kinetic energy grows by at most the work of forces"),
    ),
    bugs=(
        Bug(
            "unsynchronized_broad_phase",
            "boxes are compared while a worker still moves a body",
            ("SweepAndPrune._sort", "Bounds.store"),
            variant=SQUEEZE,
        ),
        Bug(
            "contact_order",
            "two contacts of one body are solved at once",
            ("Velocities.load", "Velocities.store"),
            variant=SQUEEZE,
        ),
        Bug(
            "shared_body",
            "a link is lost, and a body is in two islands",
            ("Links.root", "SharedBody.attach"),
            variant=SQUEEZE,
        ),
    ),
    program=program,
    explore_options={"max_steps": 20_000},
    draw=draw,
)
