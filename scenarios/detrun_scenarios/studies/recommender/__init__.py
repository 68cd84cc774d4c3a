"""A recommender without end: it learns from each click, and can say what every past decision was worth."""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.studies.recommender.pictures import draw
from detrun_scenarios.studies.recommender.service import FOLD, LEARNED_ONCE
from detrun_scenarios.studies.recommender.workload import program

_SURPRISE = "Surprise 1.1, SVD: 0.005 in each of 20 epochs, and here each event is seen once"

SCENARIO = Scenario(
    name="recommender",
    about="A recommender that learns from each click as it comes, as a fold over events without end.",
    parameters=(
        Parameter("user_rate", 0.1, (0.005, 2.0), "", "of learning, of users", _SURPRISE, log_scale=True),
        Parameter("item_rate", 0.1, (0.001, 2.0), "", "of learning, of items", _SURPRISE, log_scale=True),
        Parameter("decay", 0.02, (0.0002, 1.0), "", "of weights, times a rate", "Surprise 1.1, SVD", log_scale=True),
        Parameter("temperature", 0.3, (0.02, 3.0), "", "of the draw by which items are shown", "", log_scale=True),
    ),
    losses=(
        Loss(
            "log_loss",
            "of each prediction before it is learned from, where items are shown evenly",
            "nats",
            (
                Meaning(
                    "local",
                    ("user_rate", "item_rate", "decay"),
                    "what is shown, clicked and learned in which order does not depend on the model",
                    {"samples": 8},
                ),
            ),
        ),
        Loss(
            "missed_clicks",
            "how much more probable a click on the best candidate was",
            "",
            (
                Meaning(
                    "finite",
                    ("user_rate", "item_rate", "decay"),
                    "they move the draw of every item that is shown later; a run has hundreds, and all their scores "
                    "together say little",
                    {"samples": 24},
                    share=0.5,
                ),
                Meaning(
                    "policy",
                    ("temperature",),
                    "items are drawn by the model's scores, and the probability of each moves",
                    {"samples": 60, "baseline": "twin"},
                    share=0.5,
                ),
            ),
        ),
    ),
    invariants=(
        Invariant(LEARNED_ONCE, "the log has as many events as there were visits"),
        Invariant(FOLD, "its events, applied again to a new model, make the present one, to the last bit"),
    ),
    program=program,
    draw=draw,
)
