"""What ``detrun explore`` says at its end: a page or a document of the exploration, and the page of its failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from detrun.explore.failures.failure import Failure
    from detrun.explore.verdicts import Exploration


def conclude(found: Exploration, target: str, html: str | None) -> None:
    """Print the result and end the command with its exit code."""
    from detrun.cli import failures
    from detrun.cli.listing import print_listing
    from detrun.cli.options import settings
    from detrun.cli.page import open_page, print_document
    from detrun.explore.verdicts import INCONCLUSIVE

    failure = found.failure
    code = failures.OK
    if failure is not None:
        code = failures.exit_code(failure.exception)
    elif found.verdict == INCONCLUSIVE:
        code = failures.INTERRUPTED if found.interrupted else failures.UNDECIDED
    report = _reported(found, html)
    if settings().json:
        print_document({**_document(found, target, code), "report": report})
        click.get_current_context().exit(code)
    page = open_page()
    if failure is not None and failure.explanation is not None:
        print_listing(page, failure.explanation.failing, failure.explanation.first_difference)
    if failure is not None:
        failures.print_failure(failure.exception, settings().debug)
    good = None if found.verdict == INCONCLUSIVE else not found.failed
    page.heading(f"explored {target}: {found.verdict}", good=good)
    page.facts(_facts(found))
    if len(found.failures) > 1:
        page.table(*_kinds(found))
    if found.table is not None:
        page.table(*found.table.cells())
    for remark in _remarks(found):
        page.note(remark)
    if report is not None:
        page.note(f"wrote {report}; open it in a browser")
    click.get_current_context().exit(code)


def _reported(found: Exploration, html: str | None) -> str | None:
    """Where the report is, if one was asked for and there is a failure."""
    from detrun.cli import runs

    if html is None or found.failure is None:
        return None
    with runs.writing(html), runs.program_output():
        return str(found.report(html))


def _kinds(found: Exploration) -> tuple[list[str], list[list[str]], str]:
    rows = [
        [f"{one.count:,}", "kept" if one.index < 0 else f"{one.index:,}", one.signature, one.command]
        for one in found.failures
    ]
    return ["schedules", "first", "signature", "again"], rows, f"{len(rows)} kinds of failure"


def _remarks(found: Exploration) -> list[str]:
    return [*found.remarks, *(remark for failure in found.failures for remark in failure.remarks)]


def _facts(found: Exploration) -> dict[str, str]:
    statistics = found.statistics
    rate = f", {found.schedules / statistics.seconds:,.0f} schedules/s" if statistics.seconds > 0.05 else ""
    facts = {"because": found.reason, "coverage": str(found.coverage), "took": f"{statistics}{rate}"}
    failure = found.failure
    for line in found.watched():
        name, _, said = line.partition(": ")
        facts[{"threads interrupted at": "watched"}.get(name, name)] = said
    if failure is not None:
        if failure.shrunk is not None:
            facts["shrunk"] = str(failure.shrunk).removeprefix("shrunk ")
        if failure.explanation is not None:
            facts["why"] = str(failure.explanation)
        if failure.in_stock_order:
            facts["asyncio"] = failure.in_stock_order
        no_file = failure.path is None and failure.token is not None
        facts["signature"] = failure.signature
        facts["again"] = f"detrun replay {failure.token}" if no_file else failure.command
        if failure.token is not None:
            facts["token"] = failure.token
    return facts


def _document(found: Exploration, target: str, code: int) -> dict[str, Any]:
    from detrun.cli import failures

    statistics = found.statistics
    table = found.table
    return {
        "command": "explore",
        "ok": code == failures.OK,
        "exit_code": code,
        "error": None if found.failure is None else failures.describe(found.failure.exception),
        "target": target,
        "strategy": found.strategy,
        "seed": found.seed,
        "verdict": found.verdict,
        "reason": found.reason,
        "schedules": found.schedules,
        "behaviours": found.coverage.distinct,
        "operation_orders": len(found.coverage.operations),
        "unseen": found.coverage.unseen,
        "watched": [
            {"preemption": kind, "include": list(include), "schedules": place.schedules, "files": sorted(place.files)}
            for (kind, include), place in found.interrupted_at.places.items()
        ],
        "warnings": [found.interrupted_at.unmet] if found.interrupted_at.unmet else [],
        "steps": statistics.steps,
        "redundant": statistics.redundant,
        "seconds": statistics.seconds,
        "remarks": _remarks(found),
        "failure": None if found.failure is None else _failure(found.failure),
        "failures": [
            {**_failure(one), "signature": one.signature, "count": one.count, "error": failures.describe(one.exception)}
            for one in found.failures
        ],
        "ignored": found.ignored,
        "table": None
        if table is None
        else {
            "value": table.value,
            "grads": table.grads,
            "std_error": table.std_error,
            "complete": table.complete,
            "rows": [
                {"order": list(row.order), "times": row.times, "value": row.value, "grads": row.grads}
                for row in table.rows
            ],
        },
    }


def _failure(failure: Failure) -> dict[str, Any]:
    explanation = failure.explanation
    pair = explanation.pair if explanation is not None else None
    return {
        "schedule": failure.index,
        "recording": None if failure.path is None else str(failure.path),
        "token": failure.token,
        "replay_command": failure.command,
        "preemptions": None if failure.shrunk is None else failure.shrunk.after[0],
        "faults": None if failure.shrunk is None else list(failure.shrunk.faults),
        "explanation": None if explanation is None else str(explanation),
        "asyncio": failure.in_stock_order or None,
        "pair": None
        if pair is None
        else [
            {"task": one.task, "line": None if one.line is None else str(one.line), "does": one.verb} for one in pair
        ],
    }
