"""Build the sdist and the wheel into dist/, and check both as a user gets them.

The sdist holds the files that git tracks. The wheel holds the packages alone, is made from the sdist, and is installed
with its dependencies into a new environment, where nothing of this tree and no development tool can be imported. In an
empty directory there README's race.py and the commands below it have to give what README says, and, with pytest added
and nothing else, the tutorials what they say.
"""

from __future__ import annotations

import email
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.testing.test_guides import TUTORIALS, follow  # noqa: E402 (of the tree, which nothing but this process sees)

DIST = ROOT / "dist"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME, VERSION = PROJECT["name"], PROJECT["version"]
PACKAGES = {"detrun", "detrun_pytest", "detrun_recorder", "detrun_scenarios", "detrun_scheduler"}
DEVELOPMENT = ("pytest", "hypothesis", "mypy", "ruff", "numpy", "torch")
IMPORTED = f"""
import importlib.metadata, importlib.util, pathlib, sys
import detrun
assert pathlib.Path(detrun.__file__).is_relative_to(sys.prefix), detrun.__file__
assert importlib.metadata.version("{NAME}") == "{VERSION}", importlib.metadata.version("{NAME}")
assert not (found := [name for name in {DEVELOPMENT} if importlib.util.find_spec(name)]), found
"""
RACE_LINE = re.compile(r"seed \d: (8\.0, \{'x': 2\.0, 'step': 2\.0\}|7\.0, \{'x': 2\.0, 'step': 1\.0\})")


def build() -> tuple[Path, Path]:
    """The sdist, and the wheel made from it."""
    shutil.rmtree(DIST, ignore_errors=True)
    run([sys.executable, "-m", "build", "--outdir", str(DIST), str(ROOT)])
    return DIST / f"{NAME}-{VERSION}.tar.gz", DIST / f"{NAME}-{VERSION}-py3-none-any.whl"


def check_sdist(sdist: Path) -> None:
    """Every tracked file is in it and nothing else, with the permission to execute where git has it."""
    with tarfile.open(sdist) as archive:
        held = {member.name.partition("/")[2]: bool(member.mode & 0o100) for member in archive if member.isfile()}
    assert held.pop("PKG-INFO", None) is not None, "the sdist has no PKG-INFO"
    if not (ROOT / ".git").exists():
        print("wheel-check: no git checkout, so the sdist's files were not compared")
        return
    listing = run(["git", "ls-files", "--stage"], cwd=ROOT).splitlines()
    tracked = {line.partition("\t")[2]: line.startswith("100755") for line in listing}
    missing, extra = sorted(tracked.keys() - held), sorted(held.keys() - tracked)
    assert not missing, f"tracked, but not in the sdist: {missing}"
    assert not extra, f"in the sdist, but not tracked: {extra}; add or remove these files"
    assert held == tracked, f"executable in one alone: {sorted(name for name in held if held[name] != tracked[name])}"


def check_wheel(wheel: Path) -> None:
    """It holds the packages, typed, and the metadata with this version and the project's addresses."""
    metadata_directory = f"{NAME}-{VERSION}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = email.message_from_bytes(archive.read(f"{metadata_directory}/METADATA"))
    tops = {name.partition("/")[0] for name in names}
    assert tops == PACKAGES | {metadata_directory}, f"the wheel installs {sorted(tops)}"
    assert f"{NAME}/py.typed" in names, f"{NAME}/py.typed is missing"
    assert metadata["Version"] == VERSION
    assert len(metadata.get_all("Project-URL", [])) == len(PROJECT["urls"])


def check_installed(wheel: Path, directory: Path) -> None:
    """In a new environment, import it and run what README shows."""
    environment_directory, empty = directory / "environment", directory / "empty"
    empty.mkdir()
    venv.create(environment_directory, with_pip=True)
    programs = environment_directory / "bin"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE", "VIRTUAL"))}
    environment = {**kept, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}

    def installed(*command: str) -> str:
        return run([str(programs / command[0]), *command[1:]], cwd=empty, env=environment)

    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    installed("python", "-m", "pip", "install", *quiet, str(wheel), "-c", str(ROOT / "constraints.txt"))
    installed("python", "-m", "pip", "check", "--disable-pip-version-check")
    installed("python", "-c", IMPORTED)
    assert "Usage: detrun" in installed("detrun", "--help")
    assert VERSION in installed("detrun", "--version")
    assert "thermostat" in installed("detrun", "scenario", "list")
    assert "no heat is lost: held once" in installed("detrun", "scenario", "run", "thermostat", "--size", "small")

    readme = (ROOT / "README.md").read_text()
    race = re.search(r"^```python\n(# race\.py\n.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^\$ (detrun .*)$", readme, re.MULTILINE)
    assert race, "README.md has no block that opens with `# race.py`"
    verbs = {shlex.split(command)[1] for command in commands}
    assert {"record", "replay", "gradient"} <= verbs, f"README.md runs only {sorted(verbs)}"
    (empty / "race.py").write_text(race[1])
    lines = installed("python", "race.py").splitlines()
    assert lines, "race.py printed nothing"
    for line in lines:
        assert RACE_LINE.fullmatch(line), f"race.py printed: {line}"
    for command in commands:
        installed(*shlex.split(command))

    # The plugin has to do with pytest alone, as `pip install detrun pytest` leaves it.
    installed("python", "-m", "pip", "install", *quiet, "pytest", "-c", str(ROOT / "constraints.txt"))
    installed("python", "-c", "import importlib.util; assert importlib.util.find_spec('hypothesis') is None")
    tutorial, _, with_hypothesis = (ROOT / "docs/first-race.md").read_text().partition("## Let hypothesis choose")
    assert with_hypothesis, "docs/first-race.md has no heading `## Let hypothesis choose ...`"
    assert follow(tutorial, InstalledProject(empty, programs, environment)) >= 3
    for page in TUTORIALS:
        place = directory / page.removesuffix(".md")
        place.mkdir()
        follow((ROOT / "docs" / page).read_text(), InstalledProject(place, programs, environment))


@dataclass(frozen=True)
class Ended:
    """How a command of a guide ended."""

    exit_code: int
    output: str


@dataclass(frozen=True)
class InstalledProject:
    """A directory in which a guide is followed, with the programs of a fresh environment."""

    directory: Path
    programs: Path
    environment: dict[str, str]

    def write(self, name: str, text: str) -> None:
        """A file of the guide."""
        (self.directory / name).write_text(text)

    def pytest(self, *arguments: str) -> Ended:
        """``pytest`` with ``arguments`` and the plugins of the fresh environment."""
        return self.run(str(self.programs / "pytest"), *arguments)

    def run(self, program: str, *arguments: str) -> Ended:
        """Any program; Python is that of the environment."""
        program = str(self.programs / "python") if program == sys.executable else program
        finished = subprocess.run(
            [program, *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        return Ended(finished.returncode, finished.stdout)


def run(command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Standard output of ``command``; what it said is shown if it fails."""
    finished = subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if finished.returncode != 0:
        print(f"{finished.stdout}{finished.stderr}", file=sys.stderr)
        raise SystemExit(f"wheel-check: {shlex.join(command)} ended with {finished.returncode}")
    return finished.stdout


def main() -> None:
    """Build and check; the files are left in dist/."""
    sdist, wheel = build()
    try:
        check_sdist(sdist)
        check_wheel(wheel)
        with tempfile.TemporaryDirectory() as directory:
            check_installed(wheel, Path(directory))
    except AssertionError as error:
        raise SystemExit(f"wheel-check: {error}") from None
    print(f"wheel-check: dist/{sdist.name} and dist/{wheel.name} are sound")


if __name__ == "__main__":
    main()
