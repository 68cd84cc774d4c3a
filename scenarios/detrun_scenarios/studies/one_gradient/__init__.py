"""One gradient end to end: from the reward of the environment to a ranker's weights and to time-outs at once."""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.studies.one_gradient.cluster import ENDS_ONCE, OWN_ANSWER
from detrun_scenarios.studies.one_gradient.pipeline import FITS
from detrun_scenarios.studies.one_gradient.workload import program

_EQUAL = "relevance and quality count the same, and age is not looked at"

SCENARIO = Scenario(
    name="one_gradient",
    about="Retrieval, ranking, rules, a knapsack, a cluster and a reward: one gradient through all of them.",
    parameters=(
        Parameter("focus", 2.0, (0.0, 12.0), "", "of retrieval on what matches", "a soft draw"),
        Parameter("match_weight", 1.0, (-4.0, 6.0), "", "of the ranker", _EQUAL),
        Parameter("quality_weight", 1.0, (-4.0, 6.0), "", "of the ranker", _EQUAL),
        Parameter("age_weight", 0.0, (-6.0, 4.0), "", "of the ranker", _EQUAL),
        Parameter("timeout", 0.4, (0.02, 2.0), "s", "of an attempt", "ten times the mean of a job", log_scale=True),
        Parameter("backoff", 0.05, (0.001, 1.0), "s", "mean, between attempts", "", log_scale=True),
    ),
    losses=(
        Loss(
            "missed_reward",
            "of a request: what the best plan would have brought at once, less what came",
            "",
            (
                Meaning(
                    "expected",
                    ("focus", "match_weight", "quality_weight", "age_weight", "timeout", "backoff"),
                    "stages have the rules that they declare, and the jumps of time-outs are counted beside them",
                    {"samples": 300, "pairs": 2},
                    share=0.3,
                ),
            ),
        ),
    ),
    invariants=(
        Invariant(FITS, "the sizes of what is planned for a request"),
        Invariant(ENDS_ONCE, "it is done, or given up after three attempts"),
        Invariant(OWN_ANSWER, "by the number of the job"),
    ),
    program=program,
    explore_options={"max_steps": 20_000},
)
