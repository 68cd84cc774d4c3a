"""`docs/command-line.md` against the code: exit codes and the fields of documents."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from detrun.cli import failures
from detrun.cli.application import application
from detrun_scenarios.commands.group import scenario

PAGE = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"
SYNOPSIS = re.compile(r"^\*\*`detrun ((?:scenario )?\w+)([^`]*)`\*\*", re.MULTILINE)
COMMANDS = {**application.commands, **{f"scenario {name}": command for name, command in scenario.commands.items()}}
OF_EVERY_COMMAND = {"--help", "--json", "--debug"}
RACE = ["--param", "x=3", "--param", "step=1", "--kind", "local"]
IN_EVERY_DOCUMENT = {"command", "ok", "exit_code", "error"}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under ``heading``, without its header."""
    section = PAGE.read_text().split(f"{heading}\n", 1)[1].split("\n#", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_exit_code_is_documented_and_none_besides():
    codes = {value for name, value in vars(failures).items() if name.isupper() and type(value) is int}
    assert codes == {int(code) for code, _ in rows("## Exit codes")}


def test_every_command_and_every_option_is_documented_and_none_besides():
    synopses = SYNOPSIS.findall(PAGE.read_text())
    documented = {name: set(re.findall(r"(?<![\w-])--?\w[\w-]*", rest)) for name, rest in synopses}
    assert documented.keys() == COMMANDS.keys()
    for name, command in COMMANDS.items():
        # Of an option with a short and a long form, or with its negation, one is enough.
        offered = [{*one.opts, *one.secondary_opts} for one in command.params if isinstance(one, click.Option)]
        own = [one for one in offered if not one & OF_EVERY_COMMAND]
        assert [one for one in own if not one & documented[name]] == [], f"undocumented options of {name}"
        assert documented[name] <= set().union(*own), f"documented options that {name} lacks"


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("record", ["programs.py:rounds"]),
        ("record", ["programs.py:fails"]),
        ("replay", ["a.detrun"]),
        ("replay", ["a.detrun", "--resync"]),
        ("replay", ["a.detrun", "--what-if"]),
        ("check", ["programs.py:rounds"]),
        ("show", ["a.detrun"]),
        ("report", ["a.detrun"]),
        ("diff", ["a.detrun", "a.detrun"]),
        ("explore", ["programs.py:rounds", "-n", "5", "--directory", "kept"]),
        ("gradient", ["programs.py:queue", "--param", "between=1", "--param", "service=0.8"]),
        ("minimize", ["programs.py:race", *RACE, "--iterations", "1", "--held-out", "2", "--samples", "2"]),
        ("scenario list", []),
        ("scenario run", ["thermostat", "--size", "small"]),
        ("scenario explore", ["thermostat", "-n", "2"]),
        ("scenario gradient", ["thermostat", "--size", "small", "--samples", "2"]),
    ],
)
def test_a_document_has_the_documented_fields_and_no_others(call_json, directory, command, arguments):
    call_json("record", "programs.py:rounds", "-o", "a.detrun")
    document = call_json(*command.split(), *arguments, code=int("programs.py:fails" in arguments))
    documented = {name for cells in rows(f"### Document of {command}") for name in re.findall(r"`(\w+)`", cells[0])}
    assert set(document) == documented | IN_EVERY_DOCUMENT


@pytest.mark.parametrize(("command", "field"), [("show", "tasks"), ("show", "objects"), ("gradient", "validity")])
def test_what_a_field_holds_is_documented(call_json, directory, command, field):
    params = ["--param", "x=3", "--param", "step=1"]
    call_json("record", "programs.py:race", *params, "-o", "a.detrun")
    document = (
        call_json("show", "a.detrun") if command == "show" else call_json("gradient", "programs.py:race", *params)
    )
    inside = document[field]
    one = inside[0] if isinstance(inside, list) else inside["x"]
    (meaning,) = [text for names, text in rows(f"### Document of {command}") if f"`{field}`" in names]
    assert set(one) == set(re.findall(r"`(\w+)`", meaning))
