"""A mobile manipulator in the plane: two nodes with clocks of their own, sensors, a filter, planners and control.

Read `brain` first: it is the loop from measurements to commands. `body` is what it moves and the node that rides along;
`estimation`, `planning` and `control` are the parts of the loop, `linear` the algebra, and `invariants` watches.
"""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Bug, Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.robot import invariants
from detrun_scenarios.robot.control.network import shipped_weights
from detrun_scenarios.robot.faults import CUT_OFF, OUTAGE, OVERTAKING, TROUBLE
from detrun_scenarios.robot.pictures import draw
from detrun_scenarios.robot.workload import program

_NOISES = ("speed_noise", "turn_noise", "gyro_noise", "range_noise", "bearing_noise", "speed_wander", "turn_wander")
_FEEDBACK = ("along_weight", "cross_weight", "heading_weight", "speed_cost", "turn_cost")
_HORIZON = ("path_weight", "effort_weight", "last_weight")
_POLICY = ("pace", "slow_for_curvature", "slow_for_closeness", "slow_for_doubt", "hurry")
_NETWORK = shipped_weights()
_STEERING = (*_FEEDBACK, *_HORIZON, *_POLICY, *_NETWORK)
_ARM = ("shoulder_stiffness", "shoulder_damping", "elbow_stiffness", "elbow_damping")
_SHEET = "twice what the sensor does, as data sheets are"
_LAG = "what a step of the command makes of the wheels in their lag"
_ONES = "Bryson's rule, with tolerances of 0.3 m and 0.7 rad"
_GUESS = "a guess"
_DRAWN = "drawn once for the first layer, 0 for the second"
_SMOOTH = "filter, trajectories and feedback are smooth, and when tasks wake does not move"

SCENARIO = Scenario(
    name="robot",
    about="A mobile manipulator: late and lost measurements, a filter, planners, control and deadlines.",
    parameters=(
        Parameter("speed_noise", 0.06, (0.005, 0.5), "m/s", "of odometry, for the filter", _SHEET, log_scale=True),
        Parameter("turn_noise", 0.12, (0.01, 1.0), "rad/s", "of odometry, for the filter", _SHEET, log_scale=True),
        Parameter("gyro_noise", 0.02, (0.002, 0.2), "rad/s", "for the filter", _SHEET, log_scale=True),
        Parameter("range_noise", 0.10, (0.01, 1.0), "m", "of the camera, for the filter", _SHEET, log_scale=True),
        Parameter("bearing_noise", 0.04, (0.004, 0.4), "rad", "of the camera, for the filter", _SHEET, log_scale=True),
        Parameter("speed_wander", 1.5, (0.1, 10.0), "m/s/√s", "between measurements", _LAG, log_scale=True),
        Parameter("turn_wander", 4.0, (0.2, 40.0), "rad/s/√s", "between measurements", _LAG, log_scale=True),
        Parameter(
            "fusion_timeout", 0.15, (0.005, 0.5), "s", "age at which a measurement is dropped", _GUESS, log_scale=True
        ),
        Parameter("along_weight", 10.0, (0.1, 200.0), "1/m²", "feedback: distance ahead", _ONES, log_scale=True),
        Parameter("cross_weight", 10.0, (0.1, 200.0), "1/m²", "feedback: distance to the side", _ONES, log_scale=True),
        Parameter("heading_weight", 2.0, (0.05, 50.0), "1/rad²", "feedback: heading", _ONES, log_scale=True),
        Parameter("speed_cost", 1.0, (0.05, 20.0), "s²/m²", "feedback: commanded speed", "one", log_scale=True),
        Parameter("turn_cost", 1.0, (0.02, 20.0), "s²/rad²", "feedback: commanded turn", "one", log_scale=True),
        Parameter("path_weight", 4.0, (0.2, 80.0), "1/m²", "horizon: distance from the course", _GUESS, log_scale=True),
        Parameter("effort_weight", 0.5, (0.02, 10.0), "s²/m²", "horizon: commands", _GUESS, log_scale=True),
        Parameter(
            "last_weight", 3.0, (0.1, 60.0), "", "horizon: its end, of the path's weight", _GUESS, log_scale=True
        ),
        Parameter("pace", 1.0, (-2.0, 4.0), "", "policy of the speed: constant", _GUESS),
        Parameter("slow_for_curvature", 1.0, (0.0, 4.0), "", "policy: for the curvature ahead", _GUESS),
        Parameter("slow_for_closeness", 0.5, (0.0, 4.0), "", "policy: for obstacles", _GUESS),
        Parameter("slow_for_doubt", 2.0, (0.0, 20.0), "1/m", "policy: for doubt about the position", _GUESS),
        Parameter("hurry", 2.0, (0.0, 10.0), "1/m", "policy: for being late", _GUESS),
        Parameter("shoulder_stiffness", 12.0, (1.0, 40.0), "N m/rad", "of the arm's servo", _GUESS, log_scale=True),
        Parameter("shoulder_damping", 1.5, (0.1, 4.0), "N m s/rad", "of the arm's servo", _GUESS, log_scale=True),
        Parameter("elbow_stiffness", 6.0, (0.5, 20.0), "N m/rad", "of the arm's servo", _GUESS, log_scale=True),
        Parameter("elbow_damping", 0.5, (0.05, 1.5), "N m s/rad", "of the arm's servo", _GUESS, log_scale=True),
        Parameter("camera_slice", 0.004, (0.001, 0.02), "s", "vision computes at a stretch", _GUESS, log_scale=True),
        Parameter(
            "watchdog_timeout", 0.2, (0.12, 0.5), "s", "without a command", "four periods of control", log_scale=True
        ),
        *(Parameter(name, at, (-4.0, 4.0), "", "policy: a weight", _DRAWN) for name, at in _NETWORK.items()),
    ),
    losses=(
        Loss(
            "tracking_error",
            "mean square of how far the base is from its timetable",
            "m²",
            (
                Meaning("local", (*_STEERING, *_NOISES), _SMOOTH, {"samples": 12}, share=0.05),
                Meaning(
                    "finite",
                    ("fusion_timeout",),
                    "whether a late measurement counts is a decision, and times of computing follow from it",
                    {"samples": 60},
                    share=0.4,
                ),
            ),
            tune_options={"samples": 2},
        ),
        Loss(
            "estimation_error",
            "mean square of how far the filter is off",
            "m²",
            (
                Meaning(
                    "local", _NOISES, "the filter is smooth in them; gates seldom close", {"samples": 12}, share=0.05
                ),
                Meaning(
                    "finite",
                    ("fusion_timeout",),
                    "whether a late measurement counts is a decision",
                    {"samples": 60},
                    share=0.4,
                ),
            ),
            tune_options={"samples": 2},
        ),
        Loss(
            "reach_error",
            "square of how far the hand is from its goal, over the time of a reach",
            "m² s",
            (Meaning("local", _ARM, "the arm and its servo are smooth", {"samples": 8}, share=0.02),),
            tune_options={"samples": 2},
        ),
        Loss(
            "energy",
            "lost in the motors",
            "J",
            (Meaning("local", _STEERING, _SMOOTH, {"samples": 12}, share=0.05),),
            tune_options={"samples": 4},
        ),
        Loss(
            "deadline_misses",
            "share of the commands that are carried out late",
            "",
            (
                Meaning(
                    "finite",
                    ("camera_slice",),
                    "commands are counted, and which of them waits for vision differs between runs",
                    {"samples": 60},
                    share=0.4,
                ),
            ),
        ),
        Loss(
            "collisions",
            "share of the time in which the hull is too near to something",
            "",
            (
                Meaning(
                    "relaxed",
                    ("path_weight", "effort_weight", "last_weight", "pace"),
                    "time is counted in looks, so that only a softened threshold has a slope",
                    {"samples": 12, "temperature": 0.01},
                ),
            ),
        ),
        Loss(
            "blind_distance",
            "driven without commands",
            "m",
            (
                Meaning(
                    "finite",
                    ("watchdog_timeout",),
                    "the watchdog looks at fixed times, and at which of them it stops is a decision",
                    {"samples": 40},
                    share=0.2,
                ),
            ),
            faults=OUTAGE,
        ),
    ),
    invariants=(
        Invariant(invariants.STAMPS, "the filter puts each within 10 ms of the moment"),
        Invariant(invariants.ANGLES, "no innovation of an angle is more than half a turn"),
        Invariant(invariants.CONSISTENT, "the error, weighed by the filter's own covariance, is bounded"),
        Invariant(invariants.WHOLE, "what is read was published as it is"),
        Invariant(invariants.LIMITS, "of speed and turn"),
        Invariant(invariants.PRESENT_GOAL, "the base does nothing for a goal that it knows to be over"),
        Invariant(invariants.WATCHED, "without commands it is to stand, within the time-out and 40 ms"),
        Invariant(invariants.FREE_PATHS, "all of a path is farther from obstacles than the hull"),
    ),
    bugs=(
        Bug(
            "stale_as_new",
            "a measurement that is too old is fused as if it were new",
            ("StaleAsNew.counts_at", "Sensors.send"),
        ),
        Bug(
            "half_written_pose",
            "a pose is read while the filter's thread writes it",
            ("PoseBoard.read", "PoseBoard.publish"),
        ),
        Bug(
            "starved_watchdog",
            "the watchdog waits behind all other jobs",
            ("StarvedWatchdog.urgency", "Processor.run"),
            CUT_OFF,
            "crowded",
        ),
        Bug(
            "angle_not_wrapped",
            "two bearings behind the robot differ by a turn",
            ("AngleNotWrapped.angle_off", "Sensors.look"),
            variant="turning",
        ),
        Bug(
            "previous_goal",
            "a command of the previous goal is carried out",
            ("PreviousGoal.is_new", "Brain.control"),
            OVERTAKING,
        ),
    ),
    program=program,
    faults=TROUBLE,
    explore_options={"max_steps": 20_000, "preemption": "sync"},
    draw=draw,
)
