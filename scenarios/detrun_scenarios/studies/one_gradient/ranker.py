"""The ranker: a logistic model of three features, with weights that are numbers of the scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import detrun
from detrun_scenarios.studies.one_gradient.pipeline import Ranker
from detrun_scenarios.studies.one_gradient.requests import Document

WEIGHTS = ("match_weight", "quality_weight", "age_weight")


def logistic(params: Mapping[str, Any]) -> Ranker:
    """The ranker with these weights."""
    match, quality, age = (params[name] for name in WEIGHTS)

    def scores(documents: Sequence[Document]) -> list[Any]:
        return [
            detrun.sigmoid(2.0 * (match * (one.match - 0.5) + quality * (one.quality - 0.5) + age * (one.age - 0.5)))
            for one in documents
        ]

    return scores
