"""README works as shown: its Python blocks and its `$ detrun` lines run, in order, in one empty directory.

A Python block that opens with a comment naming a file, `# race.py`, is saved under that name first, so that the
commands after it find it. A command must exit with 0, or with what a comment behind it says: `$ detrun ... # exit 1`.
`$ make` lines would run this test again; they are only checked to name a target, and `.ci/run` runs them.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
ADDRESSES = ("https://github.com/detrun/detrun/blob/main/", "https://raw.githubusercontent.com/detrun/detrun/main/")
FENCED_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# (\w+\.py)\n")
EXPECTED_EXIT = re.compile(r"\s# exit (\d+)\s*$")


@dataclass(frozen=True)
class Command:
    """One thing that README tells a reader to run."""

    arguments: tuple[str, ...]
    exit_code_expected: int = 0
    file_name: str | None = None
    file_text: str = ""


def commands(markdown: str) -> Iterator[Command]:
    """The Python blocks and console lines of ``markdown`` in their order."""
    for block_number, (language, body) in enumerate(FENCED_BLOCK.findall(markdown)):
        if language == "python":
            named = FILE_NAME.match(body)
            file_name = named[1] if named else f"block_{block_number}.py"
            yield Command((sys.executable, file_name), file_name=file_name, file_text=body)
        elif language == "console":
            for line in body.splitlines():
                if line.startswith("$ "):
                    expected = EXPECTED_EXIT.search(line)
                    yield Command(tuple(shlex.split(line[2:], comments=True)), int(expected[1]) if expected else 0)


def run_commands(markdown: str, directory: Path) -> list[str]:
    """Run all but `make` in ``directory``; returns each one's standard output and fails at the first surprise."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "NO_COLOR": "1", "COLUMNS": "120"}
    outputs = []
    for command in commands(markdown):
        if command.arguments[0] == "make":
            continue
        if command.file_name is not None:
            (directory / command.file_name).write_text(command.file_text)
        finished = subprocess.run(
            command.arguments,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert finished.returncode == command.exit_code_expected, (
            f"{shlex.join(command.arguments)} exited with {finished.returncode}, README says "
            f"{command.exit_code_expected}\n{finished.stdout}{finished.stderr}"
        )
        outputs.append(finished.stdout)
    return outputs


def test_everything_that_the_readme_runs_works(tmp_path: Path):
    outputs = run_commands(README.read_text(), tmp_path)
    cluster, gradient, hunt, tune, race = outputs[:5]
    assert "consensus" in cluster
    assert "gradient of squared_error of thermostat" in gradient
    assert "failed: always 'election safety' was false" in hunt
    assert "Verified in" in hunt
    assert "a write takes" in tune
    assert "seed 0: " in race


def test_every_make_target_in_the_readme_exists():
    targets = [command.arguments[1] for command in commands(README.read_text()) if command.arguments[0] == "make"]
    assert targets
    for target in targets:
        assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def links(markdown: str) -> tuple[list[str], list[str]]:
    """The targets of its links: the project's own files, as paths, and what is neither these nor elsewhere."""
    own, dangling = [], []
    for target in re.findall(r"\]\(([^)\s]+)\)", markdown):
        prefix = next((one for one in ADDRESSES if target.startswith(one)), None)
        if prefix is not None:
            own.append(target.removeprefix(prefix).partition("#")[0])
        elif not target.startswith("https://"):
            dangling.append(target)
    return own, dangling


def test_links_are_whole_addresses_as_a_package_index_needs_them_and_lead_to_files_that_exist():
    own, dangling = links(README.read_text())
    assert dangling == []
    assert len(own) > 30
    assert [path for path in own if not (ROOT / path).is_file()] == []


def test_a_link_that_works_on_a_disk_alone_is_noticed():
    markdown = f"[a](docs/a.md) [b]({ADDRESSES[0]}docs/b.md#part) [c](https://example.org) ![d](e.png)"
    assert links(markdown) == (["docs/b.md"], ["docs/a.md", "e.png"])


def test_a_block_that_names_its_file_is_there_for_the_commands_after_it(tmp_path: Path):
    markdown = "```python\n# hello.py\nprint('hello')\n```\n\n```console\n$ python hello.py\nhello\n$ make demo\n```\n"
    assert run_commands(markdown, tmp_path) == ["hello\n", "hello\n"]


def test_blocks_in_other_languages_and_output_lines_are_not_run(tmp_path: Path):
    assert run_commands("```sh\nfalse\n```\n\n```console\nfalse\n```\n", tmp_path) == []


@pytest.mark.parametrize(
    "markdown",
    [
        "```python\nraise SystemExit(3)\n```\n",
        "```console\n$ python -c 'raise SystemExit(3)'\n```\n",
        "```console\n$ python -c 'raise SystemExit(3)' # exit 4\n```\n",
        "```console\n$ python -c pass # exit 3\n```\n",
    ],
)
def test_a_command_that_exits_otherwise_than_the_readme_says_fails(markdown: str, tmp_path: Path):
    with pytest.raises(AssertionError, match="README says"):
        run_commands(markdown, tmp_path)


def test_a_failure_that_the_readme_announces_is_accepted(tmp_path: Path):
    assert run_commands("```console\n$ python -c 'raise SystemExit(3)' # exit 3\n```\n", tmp_path) == [""]
