"""``detrun scenario``: record one of the small systems in ``scenarios/``, from a checkout of detrun.

A scenario is a module of a package in ``scenarios/`` with an ``async def main``, found by reading and not by importing.
A package that has one such module gives the scenario its name, otherwise it is ``package/module``.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import click

from detrun.cli.options import deciding, max_steps_option, parameter_option, settings, speaking

DIRECTORY = "scenarios"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One program in ``scenarios/``."""

    name: str
    target: str
    about: str


@click.command(short_help="Record one of the systems in scenarios/, or list them.")
@click.argument("name", required=False)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(), help="File for the recording; NAME-SEED.detrun by default."
)
@deciding
@max_steps_option
@parameter_option
@speaking
def scenario(
    name: str | None,
    output: str | None,
    seed: int,
    strategy: str,
    max_steps: int | None,
    params: tuple[str, ...],
) -> None:
    """Run the scenario NAME once and record it; without a name, list the scenarios.

    Scenarios are in the repository and not in the installed package: call this from a checkout, or from below it.
    """
    from detrun.cli.page import open_page, print_document
    from detrun.cli.record import record_program
    from detrun_scheduler.errors import UsageError

    found = find_scenarios(Path.cwd())
    if name is None:
        if settings().json:
            document = [{"name": one.name, "target": one.target, "about": one.about} for one in found]
            print_document({"command": "scenario", "ok": True, "exit_code": 0, "error": None, "scenarios": document})
        else:
            page = open_page()
            page.table(["scenario", "what it is"], [[one.name, one.about] for one in found])
            page.text("\nrun one: detrun scenario NAME --seed 1")
        return
    for one in found:
        if one.name == name:
            path = output if output is not None else f"{name.replace('/', '-')}-{seed}.detrun"
            record_program("scenario", one.target, path, seed, strategy, params, max_steps=max_steps)
            return
    raise UsageError(f"there is no scenario {name!r}; there are {', '.join(one.name for one in found)}")


def find_scenarios(here: Path) -> list[Scenario]:
    """The scenarios of the checkout in which ``here`` is, by name.

    Raises:
        UsageError: it is in none.
    """
    from detrun_scheduler.errors import UsageError

    root = next((one / DIRECTORY for one in (here, *here.parents) if (one / DIRECTORY / "__init__.py").is_file()), None)
    if root is None:
        raise UsageError(
            f"there is no {DIRECTORY}/ in {here} or above it; scenarios come with a checkout of detrun, not with the "
            "installed package: change into the checkout"
        )
    found = []
    for package in sorted(one for one in root.iterdir() if (one / "__init__.py").is_file()):
        programs = [module for module in sorted(package.glob("*.py")) if _has_main(module)]
        for module in programs:
            name = package.name if len(programs) == 1 else f"{package.name}/{module.stem}"
            # Relative where it can be, so that a recording does not name directories of this machine.
            path = module.relative_to(here) if module.is_relative_to(here) else module
            found.append(Scenario(name, f"{path}:main", _about(package, module, len(programs) == 1)))
    return found


def _has_main(module: Path) -> bool:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.AsyncFunctionDef) and node.name == "main" for node in tree.body)


def _about(package: Path, module: Path, alone: bool) -> str:
    source = package / "__init__.py" if alone else module
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ")
