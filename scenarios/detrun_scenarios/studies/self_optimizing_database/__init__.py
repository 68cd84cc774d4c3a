"""A database that lays itself out: the order of its rows, its buffers and its plans learned under a changing mix."""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.frame.declaration import Invariant, Loss, Meaning, Parameter, Program, Scenario, Setting

_POSTGRES = "PostgreSQL 16"
_PAGES = "which rows share a page, and which page is there, differs between runs, and only the mean of that is smooth"


def program(setting: Setting) -> Program:
    """See `workload.program`; the SQL needs sqlglot."""
    from detrun_scenarios.studies.self_optimizing_database.workload import program as made

    return made(setting)


def draw(path: str, params: Mapping[str, float], seed: int) -> None:
    """See `pictures`."""
    from detrun_scenarios.studies.self_optimizing_database.pictures import draw as drawn

    drawn(path, params, seed)


SCENARIO = Scenario(
    name="self_optimizing_database",
    about="The database's store, whose row order, buffer split and plans are learned for a changing mix.",
    parameters=(
        Parameter(
            "by_key", 0.5, (0.05, 8.0), "", "weight of keys in the order of rows", "as they came", log_scale=True
        ),
        Parameter("by_heat", 0.1, (0.05, 8.0), "", "weight of how often a row is read", "not heeded", log_scale=True),
        Parameter("buffer_split", 0.5, (0.2, 0.8), "", "share of the frames for indexes", "even"),
        Parameter("read_ahead", 8.0, (1.0, 32.0), "pages", "that a scan reads at once", "", log_scale=True),
        Parameter("random_page_cost", 4.0, (0.5, 20.0), "", "beside 1 for a page in order", _POSTGRES, log_scale=True),
    ),
    losses=(
        Loss(
            "latency",
            "mean time of a read",
            "s",
            (
                Meaning("finite", ("by_key", "by_heat"), _PAGES, {"samples": 24}, share=0.5),
                Meaning("finite", ("buffer_split", "read_ahead"), _PAGES, {"samples": 24}, share=0.3),
                Meaning(
                    "policy",
                    ("random_page_cost",),
                    "plans are drawn by their costs, and only the probability of each moves",
                    {"samples": 40, "baseline": "twin"},
                    share=0.3,
                ),
            ),
        ),
    ),
    invariants=(
        Invariant("answers do not depend on the layout", "each read gives what is in the table"),
        Invariant("trees lead to all rows", "see database"),
        Invariant("pages that are used stay", "see database"),
    ),
    program=program,
    explore_options={"max_steps": 20_000},
    draw=draw,
)
