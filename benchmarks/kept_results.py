"""Results about scenarios that are measured one by one and kept, for the tables of their READMEs.

A file has for each scenario what each measurement came to, by its name, in the order of the table. It is written after
each measurement, so that a run that is cut loses one, and ``--only`` takes some again and leaves the others. Each
says on which machine it was taken; those that do not were on that of ``about``.
"""

from __future__ import annotations

import json
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from benchmarks.measuring import machine

RESULTS = Path(__file__).parent / "results"
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def options(function: Decorated) -> Decorated:
    """``--only`` and ``--show``."""
    function = click.option("--show", is_flag=True, help="Run nothing: print the tables of what is kept.")(function)
    return click.option("--only", multiple=True, metavar="WORDS", help="Only what has these words; may be repeated.")(
        function
    )


def kept_results(
    file: Path,
    scenario: str,
    names: Sequence[str],
    measure: Callable[[str], dict[str, Any]],
    only: Iterable[str],
    show: bool,
) -> dict[str, Any]:
    """What the file has, after what is wanted was measured again.

    Args:
        names: of all measurements of the scenario, in their order.
        measure: what comes of one of them.
        only: measure those with one of these texts in their names; empty: all.
        show: measure nothing.
    """
    wanted = tuple(only)
    for name in () if show else names:
        if not wanted or any(words in name for words in wanted):
            click.echo(f"{scenario}: {name}", err=True)
            keep(file, scenario, names, name, measure(name))
    return read_results(file)


def keep(file: Path, scenario: str, names: Sequence[str], name: str, found: dict[str, Any]) -> None:
    """Put one result beside what the file has by now: another process may have kept something meanwhile."""
    kept = read_results(file)
    known = {**kept["scenarios"].get(scenario, {}), name: {"machine": f"{machine()}.", **found}}
    kept["scenarios"][scenario] = {one: known[one] for one in names if one in known}
    file.write_text(json.dumps(kept, indent=1) + "\n")


def read_results(file: Path) -> dict[str, Any]:
    """What a file has; no scenario if there is none yet."""
    kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"scenarios": {}}
    return kept


def repetitions_of(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A result and its repetitions, if it has any: what one command said, under each seed from 0 on."""
    return [found, *found.get("repetitions", ())]


def machines(kept: Mapping[str, Any], scenario: str) -> str:
    """Where the results of a scenario were taken, their repetitions included: a line for each machine."""
    results = kept["scenarios"][scenario].values()
    found = (again.get("machine") or kept["about"] for one in results for again in repetitions_of(one))
    return "\n".join(dict.fromkeys(found))


def said(command: str, scenario: str, arguments: str, fields: Iterable[str]) -> dict[str, Any]:
    """Fields of what ``detrun scenario COMMAND`` says in JSON, and its CPU seconds.

    Raises:
        click.ClickException: it failed.
    """
    words = ["-m", "detrun", "scenario", command, scenario, *shlex.split(arguments), "--json"]
    before = _children_seconds()
    found = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    if found.returncode:
        raise click.ClickException(f"python {shlex.join(words)} ended with {found.returncode}: {found.stderr}")
    document = json.loads(found.stdout)
    return {name: document[name] for name in fields} | {"cpu_seconds": round(_children_seconds() - before, 1)}


def _children_seconds() -> float:
    """CPU seconds of the commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
