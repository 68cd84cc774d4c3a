"""Projects of their own, tested by a pytest of their own: the plugin is what a process loads, and has to be seen so."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

# What hypothesis has found in the sources of detrun, which it takes for local ones: to read them takes a second.
CONSTANTS = Path(__file__).resolve().parents[2] / ".hypothesis" / "constants"
PLAIN = ("-p", "no:cacheprovider", "-p", "no:timeout")
OUTCOME = re.compile(r"^(?:\[gw\d+\] \[ *\d+%\] (?P<first>[A-Z]+) )?(?P<test>\S+::.*?)(?: (?P<last>[A-Z]+))?(?: .*)?$")


@dataclass(frozen=True)
class Finished:
    """A pytest process that has ended."""

    exit_code: int
    output: str

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcome of each test, by its name without its file."""
        found = {}
        for line in self.output.split("short test summary")[0].splitlines():
            match = OUTCOME.match(line)
            ended = match and (match["first"] or match["last"])
            if match and ended:
                found[match["test"].partition("::")[2]] = ended.lower()
        return found

    @property
    def command(self) -> list[str]:
        """The arguments of the one command that it says to run."""
        (command,) = re.findall(r"^ {4}pytest (.*)$", self.output, re.MULTILINE)
        return shlex.split(command)


@dataclass(frozen=True)
class Project:
    """A directory with tests."""

    directory: Path

    def write(self, name: str, text: str) -> None:
        """A file of the project."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def pytest(self, *arguments: str, all_plugins: bool = False) -> Finished:
        """Run its tests, with no plugin but detrun's or with all that are installed."""
        if all_plugins:
            return self.run(sys.executable, "-m", "pytest", "-v", *PLAIN, *arguments)
        no_others = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return self.run(sys.executable, "-m", "pytest", "-v", *PLAIN, "-p", "detrun", *arguments, **no_others)

    def run(self, *command: str, **variables: str) -> Finished:
        """Run ``command`` in the project's directory.

        Bytecode is kept: pytest compiles the whole package of a plugin that ``-p`` names, with its asserts rewritten,
        which takes as long as all else. ``CI`` tells hypothesis to say nothing of a machine that is busy.
        """
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PYTHON"))}
        environment |= {"COLUMNS": "160", "CI": "true", **variables}
        ended = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        return Finished(ended.returncode, ended.stdout + ended.stderr)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project, whose rootdir is its directory."""
    made = Project(tmp_path)
    made.write("pytest.ini", "[pytest]\n")
    CONSTANTS.mkdir(parents=True, exist_ok=True)
    (tmp_path / ".hypothesis").mkdir()
    (tmp_path / ".hypothesis" / "constants").symlink_to(CONSTANTS)
    return made


RACE = """
    import pytest
    import trio


    @pytest.fixture
    def counter():
        return [0]


    @pytest.mark.detrun(schedules=200)
    @pytest.mark.parametrize("tasks", [1, 2])
    async def test_counts(tasks, counter):
        async def add():
            seen = counter[0]
            await trio.lowlevel.checkpoint()
            counter[0] = seen + 1

        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(add)
        print("counted")
        assert counter[0] == tasks
"""


@pytest.fixture(scope="session")
def failed_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """A project with one test that passes for one task and fails for two, and what pytest said about it."""
    made = Project(tmp_path_factory.mktemp("race"))
    made.write("pytest.ini", "[pytest]\n")
    made.write("test_race.py", RACE)
    return made.directory, made.pytest()


@pytest.fixture
def racing_project(failed_once: tuple[Path, Finished], tmp_path: Path) -> Project:
    """A copy of that project after the failure."""
    bytecode = shutil.ignore_patterns("__pycache__")  # it names the files that were copied
    shutil.copytree(failed_once[0], tmp_path, dirs_exist_ok=True, ignore=bytecode)
    return Project(tmp_path)


@pytest.fixture
def first_failure(failed_once: tuple[Path, Finished]) -> Finished:
    """The report of pytest when it found the failure."""
    return failed_once[1]
