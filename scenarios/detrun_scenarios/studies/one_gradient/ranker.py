"""The ranker: a logistic model of three features, whose weights are numbers of the scenario; or a module of torch."""

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


def module(params: Mapping[str, Any]) -> Ranker:
    """The module ``params["ranker"]`` of torch as the ranker: of features around 0, shape (documents, 3), to logits.

    It may have any number of weights, of float64; `detrun.gradient` has the derivative by each. It needs torch.
    """
    import torch

    def scores(documents: Sequence[Document]) -> list[Any]:
        features = torch.tensor([[one.match, one.quality, one.age] for one in documents], dtype=torch.float64) - 0.5
        return [detrun.from_tensor(one) for one in torch.sigmoid(2.0 * params["ranker"](features)).flatten()]

    return scores
