"""``detrun scenario list``: what each scenario declares."""

from __future__ import annotations

from typing import Any

import click

from detrun.cli.options import settings, speaking
from detrun.cli.page import counted, open_page, print_document
from detrun_scenarios.frame.catalogue import all_scenarios
from detrun_scenarios.frame.declaration import Loss, Parameter, Scenario


@click.command("list", short_help="List the scenarios that are installed.")
@speaking
def list_scenarios() -> None:
    """List every scenario with its parameters, losses, planted bugs and kinds of gradients."""
    found = list(all_scenarios().values())
    if settings().json:
        document = [_document(one) for one in found]
        print_document({"command": "scenario", "ok": True, "exit_code": 0, "error": None, "scenarios": document})
        return
    page = open_page()
    page.heading(counted(len(found), "scenario"))
    for one in found:
        page.text(f"\n{one.name}: {one.about}")
        page.facts(_facts(one))
    page.text("\nrun one: detrun scenario run NAME")


def _facts(scenario: Scenario) -> dict[str, str]:
    return {
        "parameters": "\n".join(f"{one.name} = {_quantity(one)}: {one.about}" for one in scenario.parameters),
        "losses": "\n".join(f"{one.name}, {one.unit}: {one.about} ({', '.join(one.kinds)})" for one in scenario.losses),
        "invariants": "\n".join(f"{one.name}: {one.about}" for one in scenario.invariants) or "none",
        "bugs": "\n".join(f"{one.name}: {one.about}" for one in scenario.bugs) or "none",
    }


def _quantity(parameter: Parameter) -> str:
    return f"{parameter.default:g} {parameter.unit}".rstrip()


def _document(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "about": scenario.about,
        "parameters": [
            {
                "name": one.name,
                "default": one.default,
                "bounds": list(one.bounds),
                "unit": one.unit,
                "about": one.about,
                "origin": one.origin,
                "log_scale": one.log_scale,
            }
            for one in scenario.parameters
        ],
        "losses": [_loss(one) for one in scenario.losses],
        "bugs": [{"name": one.name, "about": one.about, "places": list(one.places)} for one in scenario.bugs],
        "invariants": [{"name": one.name, "about": one.about} for one in scenario.invariants],
        "kinds": list(scenario.kinds),
    }


def _loss(loss: Loss) -> dict[str, Any]:
    return {
        "name": loss.name,
        "about": loss.about,
        "unit": loss.unit,
        "meanings": [{"kind": one.kind, "parameters": list(one.parameters), "why": one.why} for one in loss.meanings],
    }
