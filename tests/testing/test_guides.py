"""The guides work as shown: files are written, commands run, and the lines shown are in the output, in order.

A Python block opens with the name of its file; the lines after `$ command` are what it prints, among other things.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
TUTORIALS = [
    "first-race-threads.md",
    "first-race-asyncio.md",
    "first-cluster.md",
    "first-gradient.md",
    "tune-a-system.md",
]
HOW_TO = ["which-strategy.md", "it-passed.md", "hidden-state.md", "debug-a-replay.md", "ci.md"]
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def follow(markdown: str, project) -> int:
    """Do what a page says; the number of commands run."""
    commands = 0
    for language, body in BLOCK.findall(markdown):
        if language == "python":
            name = re.match(r"# (\w+\.py)\n", body)
            assert name, f"a block does not say which file it is:\n{body}"
            project.write(name[1], body)
            continue
        line, *shown = body.splitlines()
        command, _, expected = line.removeprefix("$ ").partition("  # exit ")
        program, *arguments = shlex.split(command)
        arguments = [word for given in arguments for word in (expanded(given, project) if "*" in given else [given])]
        if program == "pytest":
            finished = project.pytest(*arguments)  # test_neighbours.py has the crowd of plugins
        else:
            assert program in ("python", "detrun")
            module = ["-m", "detrun"] if program == "detrun" else []
            finished = project.run(sys.executable, *module, *arguments)
        assert finished.exit_code == int(expected or 0), f"{command}\n{finished.output}"
        position = 0
        for text in shown:
            position = finished.output.find(text, position)
            assert position >= 0, f"{command} does not print {text!r}:\n{finished.output}"
        commands += 1
    return commands


def expanded(pattern: str, project) -> list[str]:
    return sorted(str(path.relative_to(project.directory)) for path in project.directory.glob(pattern))


@pytest.mark.parametrize("page", ["first-race.md", "pytest.md"])
def test_a_guide_can_be_followed(page, project):
    assert follow((DOCS / page).read_text(), project) >= 3


@pytest.mark.one_python
@pytest.mark.parametrize("page", TUTORIALS + HOW_TO)
def test_what_a_tutorial_and_a_how_to_say_can_be_done(page, project):
    assert follow((DOCS / page).read_text(), project) >= 2


@pytest.mark.parametrize(
    "page",
    [
        "```python\nx = 1\n```\n",
        "```python\n# a.py\nprint(1)\n```\n```console\n$ python a.py  # exit 1\n```\n",
        "```python\n# a.py\nprint(1)\n```\n```console\n$ python a.py\n2\n```\n",
    ],
)
def test_a_guide_that_is_wrong_is_noticed(page, project):
    with pytest.raises(AssertionError):
        follow(page, project)
