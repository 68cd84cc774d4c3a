"""Virtual environments that each hold one release of a library, made on demand and ignored by git.

The rule: nothing is installed anywhere else. An environment has detrun's own dependencies, as constraints.txt pins
them, so that this checkout runs in it, and beside them what a bug needs and nothing more. Bugs that need the same have
one environment. A failure to make one is an answer and raises nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import complaint_of

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / ".venv-real-bugs"
DEPENDENCIES = ("trio", "msgpack", "greenlet", "click", "rich")  # detrun's
INSTALL_SECONDS = 300
VERSION = (3, 11)  # the libraries are of many years; all of them take this one


@dataclass(frozen=True, slots=True)
class Environment:
    """An interpreter with some packages, or the reason why there is none."""

    python: str = ""
    problem: str = ""


def prepare(
    requirements: Sequence[str], version: tuple[int, int] = VERSION, directory: Path = DIRECTORY
) -> Environment:
    """Make the environment for ``requirements`` on Python ``version``, or find the one that is there."""
    pins = [*_dependencies(requirements), *requirements]
    digest = hashlib.sha256("\n".join(pins).encode()).hexdigest()[:8]
    label = requirements[0].replace("==", "-") if requirements else "none"
    place = directory / f"{label}-py{version[0]}{version[1]}-{digest}"
    python = place / "bin" / "python"
    if (place / "ready").exists():
        return Environment(str(python))
    base = interpreter(version)
    if base is None:
        return Environment(problem=f"no Python {version[0]}.{version[1]} on this machine")
    print(f"installing {' '.join(requirements) or 'detrun alone'} into {place.name}", file=sys.stderr)
    shutil.rmtree(place, ignore_errors=True)
    # One pip for all of them: a copy in each, and compiling what is never imported, would take most of the time.
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-input", "--no-compile"]
    failed = complaint_of([base, "-m", "venv", "--without-pip", str(place)], INSTALL_SECONDS) or complaint_of(
        [*install, *pins], INSTALL_SECONDS
    )
    if failed:
        shutil.rmtree(place, ignore_errors=True)
        return Environment(problem=f"not installed: {failed}")
    (place / "ready").touch()
    return Environment(str(python))


def variables() -> dict[str, str]:
    """The environment variables of a process that runs a bug: this checkout is importable, hashes are fixed."""
    paths = (ROOT, ROOT / "scheduler", ROOT / "recorder")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONHASHSEED": "0"}


def interpreter(version: tuple[int, int]) -> str | None:
    """An interpreter of that version that can make environments, this one if it is."""
    if sys.version_info[:2] == version:
        return sys.executable
    name = f"python{version[0]}.{version[1]}"
    home = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    # A pyenv shim is on PATH for versions that are not switched on.
    for candidate in (*map(str, sorted(home.glob(f"{version[0]}.{version[1]}.*/bin/{name}"))), name):
        if not complaint_of([candidate, "-c", "import venv"], INSTALL_SECONDS):
            return candidate
    return None


def _dependencies(requirements: Sequence[str]) -> list[str]:
    """The pins of detrun's dependencies, without those that the requirements pin themselves."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    own = {one.partition("==")[0] for one in requirements}
    return [f"{name}=={pins[name]}" for name in DEPENDENCIES if name not in own]
