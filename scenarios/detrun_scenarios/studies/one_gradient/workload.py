"""Requests, one after the other: planned by the pipeline, carried out by the cluster, and paid by the environment.

A document brings what it is worth, less the longer it took, and each attempt costs. The loss of a request is what the
best plan would have brought, carried out at once, less what came. Each is a `detrun.cost` where one loss is wanted, so
that decisions do not answer for the requests before them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import trio

import detrun
from detrun.world import Constant
from detrun_scenarios.frame.declaration import Program, Setting, Size
from detrun_scenarios.frame.measured import mean
from detrun_scenarios.studies.one_gradient.cluster import (
    CLIENT,
    LINK_SECONDS,
    WORKERS,
    Client,
    Ended,
    work,
    worker_name,
)
from detrun_scenarios.studies.one_gradient.pipeline import CAPACITY, Ranker, planned
from detrun_scenarios.studies.one_gradient.ranker import logistic
from detrun_scenarios.studies.one_gradient.requests import Document, best_worth, drawn_documents

REQUESTS: Mapping[Size, int] = {"small": 4, "medium": 2, "large": 6_500}
THINK_SECONDS = 0.05  # mean time between two requests
PATIENCE_SECONDS = 0.3  # in which what is late loses 63 % of its worth
ATTEMPT_COST = 0.05


def reward(document: Document, ended: Ended) -> Any:
    """What the environment pays."""
    paid = -ATTEMPT_COST * ended.attempts
    return document.worth * detrun.exp(-ended.seconds / PATIENCE_SECONDS) + paid if ended.is_done else paid


def program(setting: Setting) -> Program:
    """The pipeline for a setting."""
    return pipeline_of(REQUESTS[setting.size], logistic, setting.loss is not None)


def pipeline_of(requests: int, ranker_of: Callable[[Mapping[str, Any]], Ranker], has_costs: bool) -> Program:
    """The pipeline with a ranker that is made of the parameters.

    Args:
        has_costs: each request is a cost, and 0 remains.
    """

    async def main(params: Mapping[str, Any]) -> dict[str, Any]:
        missed: list[Any] = []
        ranker = ranker_of(params)

        async def ask() -> None:
            client = Client(detrun.this_node(), params["timeout"], params["backoff"])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.listen, name="listen")
                for request in range(requests):
                    await trio.sleep(detrun.exponential(THINK_SECONDS, key=("think", request)))
                    documents = drawn_documents(request)
                    chosen = planned(documents, ranker, params["focus"], request)
                    ended = await client.do_all([one.work for one in chosen])
                    paid = detrun.sum(reward(one, how) for one, how in zip(chosen, ended, strict=True))
                    loss = best_worth(documents, CAPACITY) - paid
                    missed.append(loss)
                    if has_costs:
                        detrun.cost(loss * (1.0 / requests), "missed reward")
                nursery.cancel_scope.cancel()

        async with detrun.World(latency=Constant(LINK_SECONDS)) as world:
            for number in range(WORKERS):
                world.node(worker_name(number)).start(work)
            client = world.node(CLIENT)
            client.start(ask)
            await client.ended()
        return {"missed_reward": 0.0 if has_costs else mean(missed)}

    return main
